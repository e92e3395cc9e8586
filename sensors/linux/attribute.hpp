// sensors/linux/attribute.hpp: sensors that are one kernel file times a scale, or the product of two, and the table of
// their units.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/clock.hpp"
#include "core/kernel_file.hpp"
#include "sensors/linux/drivers.hpp"

namespace reins::sensors {

/// What a kernel attribute holds, by its name: the unit that the kernel's ABI documents give it.
struct AttributeKind {
  Quantity quantity = Quantity::kPowerW;
  Behaviour behaviour = Behaviour::kGauge;
  double scale = 1;  ///< SI per unit in the file (kHz for frequencies)
};

/// By file name, e.g. "power1_input" -> microwatts. iio folders (`iio:device0/in_power0_input`) speak milliwatts.
/// Source: Documentation/ABI/testing/sysfs-class-hwmon, sysfs-bus-iio, sysfs-class-power, sysfs-class-powercap,
/// sysfs-class-thermal.
std::optional<AttributeKind> kind_of_attribute(std::string_view file_name) noexcept;

/// (`file` + offset) x scale, or `file` x `factor` x scale (voltage x current).
struct FileSource {
  std::filesystem::path file;
  std::filesystem::path factor;  ///< empty: none
  double scale = 1;
  double offset = 0;
};

/// Opens `source`, reads it once to prove that it holds a number, and makes the sensor.
/// Counters are unwrapped: `wrap` is the value (in file units) behind which the counter starts again; 0: not known,
/// then a counter that runs backwards is an error once and counts on from there.
Opened open_file(const FileSource& source, Signal signal, double wrap, const Place& place, std::string_view hint);

/// `folder`/`stem`_raw x (`stem`_scale or the channel type's) as iio defines it, else `stem`_input; not_found where
/// there is neither.
Result<FileSource> iio_channel(const std::filesystem::path& folder, std::string_view type, std::string_view index);

/// A signal as `wanted` names it; period and source filled in by the driver.
Signal signal_of(const Wanted& wanted, Behaviour behaviour);

/// Splits "a:b" at the first ':'; the second part is empty where there is none.
std::pair<std::string_view, std::string_view> split_address(std::string_view address) noexcept;

/// Path as people and errors show it: below the root, with a leading '/'.
std::string shown(const std::filesystem::path& path, const std::filesystem::path& root);

/// Age and number of updates of a value that the device renews every `period_s`.
class Freshness {
 public:
  explicit Freshness(double period_s) noexcept : period_s_(period_s) {}
  void stamp(double raw, Reading& reading) noexcept;

 private:
  double period_s_;
  double last_raw_ = 0;
  double last_read_s_ = 0;
  double newest_s_ = 0;   ///< the present value was taken at this time or later
  double counted_s_ = 0;  ///< of the read that counted the last of `updates_`
  std::uint64_t updates_ = 0;
};

}  // namespace reins::sensors
