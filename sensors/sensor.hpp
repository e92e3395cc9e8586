// sensors/sensor.hpp: one physical quantity of the board, read on demand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reins::sensors {

enum class Quantity : std::uint8_t {
  kPowerW,
  kEnergyJ,
  kTemperatureC,
  kFreqKhz,
  kUtilisation,        ///< busy share of the cpus of a cluster, 0..1
  kOthersUtilisation,  ///< the same without what this process used
  kBatteryFraction,    ///< charge, 0..1
};

/// Stable lower-case name with its unit, e.g. "power_w".
std::string_view name_of(Quantity quantity) noexcept;
/// The unit people read, e.g. "W".
std::string_view unit_of(Quantity quantity) noexcept;

enum class Behaviour : std::uint8_t {
  kConstant,  ///< never changes while the system runs
  kCounter,   ///< grows; difference it
  kGauge,     ///< a level; average or integrate it
};
std::string_view name_of(Behaviour behaviour) noexcept;

/// What a sensor measures: a name such as "a15", and how its values are to be combined over time.
struct Signal {
  std::string name;
  Quantity quantity = Quantity::kPowerW;
  Behaviour behaviour = Behaviour::kGauge;
  double period_s =
      0;  ///< the device takes a new value this often and averages over that time; 0: at every read, or unknown
  std::string source;  ///< where it is read: a path or driver
};

struct Reading {
  double value = 0;   ///< SI, in the unit of the signal's quantity; freq_khz in kHz
  double time_s = 0;  ///< of the read, on the clock the sensor was given
  double age_s = 0;   ///< the value is at most this old at `time_s`, as far as `period_s` is known
  std::uint64_t updates =
      0;  ///< new values of the device seen so far, this one included: equal to the last: nothing new
};

/// Threads: one instance, one thread. Owns its file descriptors.
class Sensor {
 public:
  virtual ~Sensor() = default;
  virtual const Signal& signal() const noexcept = 0;

  /// Newest value, with its age: an old one is never passed off as new.
  /// Errors: gone (the device left), denied, garbled (text that is no number), busy (nothing measured yet), io.
  /// Never allocates, never throws. May block for as long as the device's bus does (I2C: milliseconds).
  virtual Result<Reading> read() noexcept = 0;
};

}  // namespace reins::sensors
