// iio devices (Documentation/ABI/testing/sysfs-bus-iio): in_powerN_input, or in_powerN_raw x in_powerN_scale, both in
// milliwatts; voltage x current of the same channel where there is no power.
#include <algorithm>
#include <system_error>

#include "sensors/linux/attribute.hpp"
#include "sensors/linux/hwmon.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kIioHint = "load the device's driver (modprobe ina2xx-adc, ...)";

/// The numbers N for which the folder has in_<type>N_input or _raw.
std::vector<std::string> channels(const std::filesystem::path& folder, std::string_view type) {
  std::vector<std::string> all;
  const std::string head = "in_" + std::string(type);
  for (const std::string& file : list_folder(folder)) {
    if (!file.starts_with(head) || !(file.ends_with("_input") || file.ends_with("_raw"))) continue;
    const std::string index = file.substr(head.size(), file.rfind('_') - head.size());
    if (index.find_first_not_of("0123456789") == std::string::npos) all.push_back(index);
  }
  return all;
}

/// Vendors' ina3221x names its rails in rail_name_N.
std::string labelled_channel(const std::filesystem::path& folder, std::string_view label) {
  constexpr std::string_view kHead = "rail_name_";
  for (const std::string& file : list_folder(folder)) {
    if (file.starts_with(kHead) && first_line(folder / file) == label) return file.substr(kHead.size());
    if (file.starts_with("in_") && file.ends_with("_label") && first_line(folder / file) == label) {
      const std::size_t first = file.find_first_of("0123456789");
      if (first != std::string::npos) return file.substr(first, file.rfind('_') - first);
    }
  }
  return {};
}

/// Seconds between the device's samples, where it says so.
double sample_period_s(const std::filesystem::path& device) {
  for (const char* name : {"in_sampling_frequency", "sampling_frequency"}) {
    const auto file = KernelFile::open(device / name);
    const auto rate_hz = file ? file->read_number() : Result<double>(0.0);
    if (rate_hz && *rate_hz > 0) return 1 / *rate_hz;
  }
  return 0;
}

}  // namespace

Opened open_iio_channel(const std::filesystem::path& device, std::string_view channel, const Wanted& wanted,
                        const Place& place) {
  std::string index(channel);
  if (index.find_first_not_of("0123456789") != std::string::npos) {
    index = labelled_channel(device, channel);
    if (index.empty()) {
      return fail(ErrorKind::kNotFound, "has no channel labelled '" + std::string(channel) + "'", device.native(),
                  kIioHint);
    }
  }
  Signal signal = signal_of(wanted, Behaviour::kGauge);
  signal.period_s = std::max(signal.period_s, sample_period_s(device));
  if (wanted.quantity == Quantity::kTemperatureC) {
    REINS_ASSIGN(const FileSource source, iio_channel(device, "temp", index));
    return open_file(source, std::move(signal), 0, place, kIioHint);
  }
  if (index.empty()) {
    const auto all = channels(device, "power");
    index = all.empty() ? "0" : all.front();
  }
  const auto power = iio_channel(device, "power", index);
  if (power) return open_file(*power, std::move(signal), 0, place, kIioHint);
  if (power.error().kind() != ErrorKind::kNotFound) return fail(power.error());
  const auto voltage = iio_channel(device, "voltage", index);
  const auto current = iio_channel(device, "current", index);
  if (!voltage || !current) return fail(power.error());
  return open_file({voltage->file, current->file, voltage->scale * current->scale}, std::move(signal), 0, place,
                   kIioHint);
}

Opened open_iio(const Wanted& wanted, const Place& place) {
  const auto [name, channel] = split_address(wanted.address);
  for (const auto& device : find_paths(place.root, "sys/bus/iio/devices/iio:device*")) {
    if (first_line(device / "name") == name) return open_iio_channel(device, channel, wanted, place);
  }
  return fail(ErrorKind::kNotFound, "no iio device is named '" + std::string(name) + "'",
              (place.root / "sys/bus/iio/devices").native(), kIioHint);
}

void discover_iio(const Place& place, Found& found) {
  for (const auto& device : find_paths(place.root, "sys/bus/iio/devices/iio:device*")) {
    for (const std::string& index : channels(device, "power")) {
      std::string label = first_line(device / ("rail_name_" + index));
      if (label.empty()) label = "power" + index;
      const std::string name = first_line(device / "name") + ":" + label;
      file_under(open_iio_channel(device, index, {{}, name, Quantity::kPowerW, 0}, place), name, Quantity::kPowerW,
                 found);
    }
  }
}

}  // namespace reins::sensors
