// TI INA monitors found by I2C address, whichever driver speaks for them: the old INA231 driver (sensor_W in watts as a
// decimal), the Jetsons' ina3221x (iio), mainline ina2xx and ina3221 (hwmon), ina2xx-adc (iio).
#include <charconv>

#include "sensors/linux/attribute.hpp"
#include "sensors/linux/hwmon.hpp"

namespace reins::sensors {
namespace {

/// "0x40", "40" or "6-0040" -> the name of the device below .../i2c: "*-0040" on any bus.
Result<std::string> device_pattern(std::string_view address) {
  std::string_view bus = "*";
  if (const std::size_t dash = address.find('-'); dash != std::string_view::npos) {
    bus = address.substr(0, dash);
    address.remove_prefix(dash + 1);
  }
  if (address.starts_with("0x")) address.remove_prefix(2);
  unsigned value = 0;
  const char* end = address.data() + address.size();
  const auto [stop, code] = std::from_chars(address.data(), end, value, 16);
  if (code != std::errc() || stop != end || value < 3 || value > 0x77) {
    return fail(ErrorKind::kUsage, "'" + std::string(address.substr(0, 20)) + "' is no I2C address", {},
                "write it as 0x40");
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  return std::string(bus) + "-00" + kDigits[value / 16] + kDigits[value % 16];
}

/// The chip's folders under drivers that give hwmon or iio attributes.
std::vector<std::filesystem::path> chip_folders(const Place& place, const std::string& device, std::string_view sub) {
  return find_paths(place.root, "sys/bus/i2c/devices/" + device + "/" + std::string(sub) +
                                    "|sys/bus/i2c/drivers/ina*/" + device + "/" + std::string(sub));
}

Error nothing_there(const Place& place, const std::string& device) {
  return Error(ErrorKind::kNotFound, "no power monitor answers as " + device, (place.root / "sys/bus/i2c").native(),
               "load its driver (modprobe ina2xx or ina3221), or enable it in the device tree");
}

Opened open_old_ina231(const std::filesystem::path& folder, const Wanted& wanted, const Place& place) {
  // Off, it goes on saying 0.000 W: that is no measurement.
  if (first_line(folder / "enable") == "0") {
    return fail(ErrorKind::kUnsupported, "the sensor is switched off", folder.native(),
                "echo 1 > enable in that folder, as root");
  }
  return open_file({folder / "sensor_W", {}, 1}, signal_of(wanted, Behaviour::kGauge), 0, place, {});
}

}  // namespace

Opened open_ina231(const Wanted& wanted, const Place& place) {
  REINS_ASSIGN(const std::string device, device_pattern(wanted.address));
  for (const auto& folder : find_paths(place.root, "sys/bus/i2c/drivers/INA231/" + device)) {
    return open_old_ina231(folder, wanted, place);
  }
  for (const auto& chip : chip_folders(place, device, "hwmon/hwmon*"))
    return open_hwmon_channel(chip, "1", wanted, place);
  for (const auto& chip : chip_folders(place, device, "iio:device*")) return open_iio_channel(chip, {}, wanted, place);
  return fail(nothing_there(place, device));
}

Opened open_ina3221(const Wanted& wanted, const Place& place) {
  const auto [address, channel] = split_address(wanted.address);
  REINS_ASSIGN(const std::string device, device_pattern(address));
  for (const auto& chip : chip_folders(place, device, "iio:device*")) {
    return open_iio_channel(chip, channel.empty() ? "0" : channel, wanted, place);
  }
  for (const auto& chip : chip_folders(place, device, "hwmon/hwmon*")) {
    // Our channels count from 0 as the chip's and the vendor's do; hwmon counts from 1.
    int number = 0;
    const char* end = channel.data() + channel.size();
    const auto [stop, code] = std::from_chars(channel.data(), end, number);
    const bool numeric = channel.empty() || (code == std::errc() && stop == end);
    return open_hwmon_channel(chip, numeric ? std::to_string(number + 1) : std::string(channel), wanted, place);
  }
  return fail(nothing_there(place, device));
}

void discover_ina231(const Place& place, Found& found) {
  for (const auto& folder : find_paths(place.root, "sys/bus/i2c/drivers/INA231/*-*")) {
    const std::string name = "ina231:" + folder.filename().native();
    file_under(open_old_ina231(folder, {{}, name, Quantity::kPowerW, 0}, place), name, Quantity::kPowerW, found);
  }
}

}  // namespace reins::sensors
