// tests/support/sanitized.hpp: whether a sanitizer slows this build down, for tests whose repeats run no further code.
#pragma once

namespace reins::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace reins::testing
