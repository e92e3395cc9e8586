// core/result.hpp: Result<T>, a value or an Error.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "core/error.hpp"

namespace reins {

template <typename T>
using Result = tl::expected<T, Error>;

/// Result of something that yields no value. [[nodiscard]] comes with tl::expected.
using Status = tl::expected<void, Error>;

inline tl::unexpected<Error> fail(Error error) noexcept { return tl::unexpected<Error>(std::move(error)); }
inline tl::unexpected<Error> fail(ErrorKind kind, std::string_view what, std::string_view where = {},
                                  std::string_view hint = {}) noexcept {
  return tl::unexpected<Error>(Error(kind, what, where, hint));
}

}  // namespace reins

// Returns the error of an expression of type Result<T> or Status, if it is one.
#define REINS_TRY(expr)                                               \
  do {                                                                \
    if (auto reins_status_ = (expr); !reins_status_.has_value()) {    \
      return ::tl::unexpected<::reins::Error>(reins_status_.error()); \
    }                                                                 \
  } while (false)

#define REINS_CONCAT_INNER_(a, b) a##b
#define REINS_CONCAT_(a, b) REINS_CONCAT_INNER_(a, b)
// REINS_ASSIGN(auto x, expr): x is the value of a Result, or its error is returned.
#define REINS_ASSIGN(decl, expr)                                                             \
  auto REINS_CONCAT_(reins_result_, __LINE__) = (expr);                                      \
  if (!REINS_CONCAT_(reins_result_, __LINE__).has_value()) {                                 \
    return ::tl::unexpected<::reins::Error>(REINS_CONCAT_(reins_result_, __LINE__).error()); \
  }                                                                                          \
  decl = std::move(*REINS_CONCAT_(reins_result_, __LINE__))
