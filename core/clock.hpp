// core/clock.hpp: the time, given to what needs it; nothing below apps/ and the live drivers reads a clock of its own.
#pragma once

#include <cstdint>

namespace reins {

/// Seconds since an arbitrary start, monotonic. Double: nanosecond resolution over more than a month.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual double now_s() const noexcept = 0;
};

/// CLOCK_MONOTONIC. Any thread.
class MonotonicClock final : public Clock {
 public:
  double now_s() const noexcept override;
};

/// CLOCK_MONOTONIC in nanoseconds, for measuring short spans.
std::int64_t monotonic_ns() noexcept;
/// The same in seconds.
double monotonic_s() noexcept;

}  // namespace reins
