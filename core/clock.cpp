#include "core/clock.hpp"

#include <ctime>

namespace reins {

std::int64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

double monotonic_s() noexcept { return static_cast<double>(monotonic_ns()) * 1e-9; }

double MonotonicClock::now_s() const noexcept { return monotonic_s(); }

}  // namespace reins
