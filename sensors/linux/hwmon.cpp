// hwmon chips (Documentation/hwmon/sysfs-interface.rst): power in microwatts, energy in microjoules, temperature in
// millidegrees, voltage x current in millivolts x milliamperes where the chip (ina3221) reports no power.
#include "sensors/linux/hwmon.hpp"

#include <algorithm>
#include <system_error>

#include "sensors/linux/attribute.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kHwmonHint = "load the chip's driver (modprobe ina2xx, ina3221, ...) and see sensors(1)";

bool there(const std::filesystem::path& path) {
  std::error_code code;
  return std::filesystem::exists(path, code);
}

/// Seconds between the chip's updates, where it says so.
double update_period_s(const std::filesystem::path& chip) {
  const auto file = KernelFile::open(chip / "update_interval");
  const auto period_ms = file ? file->read_number() : Result<double>(0.0);
  return period_ms && *period_ms > 0 ? *period_ms * 1e-3 : 0;
}

/// The channel number that carries `label`; empty where none does.
std::string labelled(const std::filesystem::path& chip, std::string_view label) {
  for (const std::string& name : list_folder(chip)) {
    if (!name.ends_with("_label") || first_line(chip / name) != label) continue;
    const std::size_t first = name.find_first_of("0123456789");
    if (first != std::string::npos) return name.substr(first, name.size() - first - std::string_view("_label").size());
  }
  return {};
}

}  // namespace

std::vector<HwmonChip> hwmon_chips(const std::filesystem::path& root) {
  std::vector<HwmonChip> chips;
  for (const auto& folder : find_paths(root, "sys/class/hwmon/hwmon*")) {
    // Before Linux 3.13 the attributes lay in the device's folder.
    const std::filesystem::path at = there(folder / "name") ? folder : folder / "device";
    std::string name = first_line(at / "name");
    if (!name.empty()) chips.push_back({at, std::move(name)});
  }
  return chips;
}

bool measures_current(const HwmonChip& chip, const std::string& index) {
  if (chip.name.starts_with("ina3221") && index != "1" && index != "2" && index != "3") return false;
  return there(chip.folder / ("curr" + index + "_input"));
}

Opened open_hwmon_channel(const std::filesystem::path& chip, std::string_view channel, const Wanted& wanted,
                          const Place& place) {
  Signal signal = signal_of(wanted, Behaviour::kGauge);
  // Reading a slow chip more often gives old values again.
  signal.period_s = std::max(signal.period_s, update_period_s(chip));
  std::string index(channel.empty() ? "1" : channel);
  if (const auto kind = kind_of_attribute(index)) {
    if (kind->quantity != wanted.quantity &&
        !(wanted.quantity == Quantity::kPowerW && kind->quantity == Quantity::kEnergyJ)) {
      return fail(ErrorKind::kUsage,
                  "measures " + std::string(name_of(kind->quantity)) + ", not " + std::string(name_of(wanted.quantity)),
                  (chip / index).native());
    }
    signal.quantity = kind->quantity;
    signal.behaviour = kind->behaviour;
    return open_file({chip / index, {}, kind->scale}, std::move(signal), 0, place, kHwmonHint);
  }
  if (index.find_first_not_of("0123456789") != std::string::npos) {
    const std::string number = labelled(chip, index);
    if (number.empty())
      return fail(ErrorKind::kNotFound, "has no channel labelled '" + index + "'", chip.native(), kHwmonHint);
    index = number;
  }
  if (wanted.quantity == Quantity::kTemperatureC) {
    return open_file({chip / ("temp" + index + "_input"), {}, 1e-3}, std::move(signal), 0, place, kHwmonHint);
  }
  for (const char* name : {"_input", "_average"}) {
    const std::filesystem::path file = chip / ("power" + index + name);
    if (there(file)) return open_file({file, {}, 1e-6}, std::move(signal), 0, place, kHwmonHint);
  }
  if (there(chip / ("energy" + index + "_input"))) {
    signal.quantity = Quantity::kEnergyJ;
    signal.behaviour = Behaviour::kCounter;
    return open_file({chip / ("energy" + index + "_input"), {}, 1e-6}, std::move(signal), 0, place, kHwmonHint);
  }
  return open_file({chip / ("in" + index + "_input"), chip / ("curr" + index + "_input"), 1e-6}, std::move(signal), 0,
                   place, kHwmonHint);
}

Opened open_hwmon(const Wanted& wanted, const Place& place) {
  const auto [name, channel] = split_address(wanted.address);
  for (const HwmonChip& chip : hwmon_chips(place.root)) {
    if (chip.name == name) return open_hwmon_channel(chip.folder, channel, wanted, place);
  }
  return fail(ErrorKind::kNotFound, "no hwmon chip is named '" + std::string(name) + "'",
              (place.root / "sys/class/hwmon").native(), kHwmonHint);
}

void discover_hwmon(const Place& place, Found& found) {
  for (const HwmonChip& chip : hwmon_chips(place.root)) {
    for (const std::string& file : list_folder(chip.folder)) {
      const bool voltage = file.starts_with("in") && file.ends_with("_input");
      auto kind = kind_of_attribute(file);
      const std::size_t first = file.find_first_of("0123456789");
      if (first == std::string::npos || (!kind && !voltage)) continue;
      const std::string index = file.substr(first, file.find('_') - first);
      Wanted wanted{{}, {}, kind ? kind->quantity : Quantity::kPowerW, 0};
      if (!kind && (!measures_current(chip, index) || there(chip.folder / ("power" + index + "_input")))) continue;
      std::string label = first_line(chip.folder / (file.substr(0, file.find('_')) + "_label"));
      if (label.empty()) label = file.substr(0, file.find('_'));
      const std::string name = chip.name + ":" + label;
      wanted.name = name;
      file_under(
          open_hwmon_channel(chip.folder, kind ? std::string_view(file) : std::string_view(index), wanted, place), name,
          wanted.quantity, found);
    }
  }
}

}  // namespace reins::sensors
