// sensors/health.hpp: whether a sensor still measures: failing, stale and stuck ones told from those that work.
#pragma once

#include <cstdint>
#include <string_view>

#include "sensors/sensor.hpp"

namespace reins::sensors {

enum class Health : std::uint8_t {
  kFine,
  kFailing,  ///< the last read failed
  kStale,    ///< it reads, and the device has renewed nothing for several of its periods
  kStuck,    ///< a power or energy that has stayed the same to the last digit while the load changed
};
std::string_view name_of(Health health) noexcept;

/// Looks at every result of one sensor's read(). Allocates nothing.
class HealthWatch {
 public:
  struct Config {
    double stale_periods = 5;    ///< without a new value for this many of the device's periods, and at least ...
    double stale_least_s = 1;    ///< ... this long, it is stale. Sensors without a period say a new value at every read
    double stuck_periods = 100;  ///< the same value for this many periods, and at least ...
    double stuck_least_s = 60;   ///< ... this long, while the load changed, is stuck. Coarse meters repeat themselves
  };
  explicit HealthWatch(const Signal& signal) noexcept : HealthWatch(signal, Config{}) {}
  HealthWatch(const Signal& signal, const Config& config) noexcept;

  /// `now_s`: of the read, on the sensor's clock. `load_changes`: how often what draws power has changed so far.
  /// A sensor that has measured nothing yet (busy) is fine until it is stale.
  Health see(const Result<Reading>& result, double now_s, std::uint64_t load_changes) noexcept;

  Health health() const noexcept { return health_; }
  /// Times that it turned from fine to anything else.
  std::uint64_t failures() const noexcept { return failures_; }
  /// Of the last read that failed; meaningful while kFailing.
  const Error& error() const noexcept { return error_; }

 private:
  Health judge(const Reading& reading, double now_s, std::uint64_t load_changes) noexcept;

  bool may_stick_;
  double period_s_, stale_s_, stuck_s_;
  Health health_ = Health::kFine;
  std::uint64_t failures_ = 0;
  Error error_;
  bool seen_ = false;
  double first_s_ = 0;
  std::uint64_t updates_ = 0;
  double updated_s_ = 0;  ///< of the read that brought the last new value
  double value_ = 0;
  double changed_s_ = 0;  ///< of the read that brought another value
  std::uint64_t changed_load_ = 0;
};

}  // namespace reins::sensors
