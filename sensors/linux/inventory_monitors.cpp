// Power monitors in their three forms: hwmon (Documentation/hwmon/ina2xx.rst, ina3221.rst), iio (sysfs-bus-iio;
// ina2xx-adc and the Jetsons' ina3221x with rail_name_N), and the old INA231 driver of the 3.10 kernels.
#include <algorithm>
#include <set>

#include "core/kernel_file.hpp"
#include "sensors/linux/hwmon.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kMonitorsTopic = "monitors";

/// "6-0040", where the folder's device sits on an I2C bus.
std::string i2c_device_of(const std::filesystem::path& folder) {
  std::error_code code;
  const auto device = std::filesystem::canonical(folder / "device", code);
  const auto name = (code ? folder.parent_path() : device).filename().native();
  const std::size_t dash = name.find('-');
  const bool address = dash != std::string::npos && dash > 0 && name.size() == dash + 5 &&
                       name.find_first_not_of("0123456789") == dash &&
                       name.find_first_not_of("0123456789abcdef", dash + 1) == std::string::npos;
  return address ? name : std::string();
}

/// The digits in "power12_input" behind `head`; empty where the name has another form.
std::string index_in(std::string_view name, std::string_view head, std::string_view tail) {
  if (!name.starts_with(head) || !name.ends_with(tail) || name.size() <= head.size() + tail.size()) return {};
  const std::string_view digits = name.substr(head.size(), name.size() - head.size() - tail.size());
  return digits.find_first_not_of("0123456789") == std::string_view::npos ? std::string(digits) : std::string();
}

std::string hwmon_label(const Attributes& at, const std::string& index) {
  for (const char* head : {"power", "energy", "in", "curr"}) {
    if (auto label = at.text(head + index + "_label"); label && !label->empty()) return *label;
  }
  return index;
}

bool is_ina3221(std::string_view chip) { return chip.starts_with("ina3221"); }

std::optional<PowerMonitor> read_hwmon(const HwmonChip& chip, InventoryDraft& draft) {
  const Attributes at(chip.folder, draft);
  PowerMonitor monitor;
  monitor.form = "hwmon";
  monitor.chip = chip.name;
  monitor.folder = at.place();
  monitor.i2c_device = i2c_device_of(chip.folder);
  std::set<std::string> taken;
  const std::vector<std::string> files = list_folder(chip.folder);
  const auto add = [&](const std::string& index, bool power, const std::string& channel) {
    if (index.empty() || !taken.insert(index).second) return;
    std::string address = "hwmon:" + chip.name + ":" + channel;
    if (is_ina3221(chip.name) && !monitor.i2c_device.empty()) {
      address = "ina3221:" + monitor.i2c_device + ":" + std::to_string(std::stoi(index) - 1);
    } else if (chip.name.starts_with("ina2") && !monitor.i2c_device.empty()) {
      address = "ina231:" + monitor.i2c_device;
    }
    monitor.channels.push_back({hwmon_label(at, index), std::move(address), power});
  };
  for (const auto& [head, tail] : {std::pair{"power", "_input"}, {"power", "_average"}, {"energy", "_input"}}) {
    for (const std::string& file : files) add(index_in(file, head, tail), true, file);
  }
  for (const std::string& file : files) {
    const std::string index = index_in(file, "in", "_input");
    if (index.empty() || index.size() > 3 || !measures_current(chip, index)) continue;
    add(index, false, index);
  }
  if (monitor.channels.empty()) return std::nullopt;
  monitor.update_s = at.scaled("update_interval", 1e-3);
  monitor.writable = at.writable({"update_interval", "samples", "shunt_resistor"});
  return monitor;
}

std::optional<PowerMonitor> read_iio(const std::filesystem::path& folder, InventoryDraft& draft) {
  const Attributes at(folder, draft);
  PowerMonitor monitor;
  monitor.form = "iio";
  monitor.chip = at.text_or_empty("name");
  monitor.folder = at.place();
  monitor.i2c_device = i2c_device_of(folder);
  // /sys/bus/iio/devices/iio:deviceN is a link into the device's own folder.
  std::error_code code;
  const auto real = std::filesystem::canonical(folder, code);
  if (monitor.i2c_device.empty() && !code) monitor.i2c_device = i2c_device_of(real);
  std::set<std::string> taken;
  const std::vector<std::string> files = list_folder(folder);
  const auto add = [&](const std::string& index, bool power) {
    if (index.empty() || !taken.insert(index).second) return;
    std::string label = at.text_or_empty("rail_name_" + index);
    if (label.empty()) label = at.text_or_empty("in_power" + index + "_label");
    if (label.empty()) label = index;
    std::string address = "iio:" + monitor.chip + ":" + index;
    if (is_ina3221(monitor.chip) && !monitor.i2c_device.empty()) {
      address = "ina3221:" + monitor.i2c_device + ":" + index;
    } else if (monitor.chip.starts_with("ina2") && !monitor.i2c_device.empty()) {
      address = "ina231:" + monitor.i2c_device;
    }
    monitor.channels.push_back({std::move(label), std::move(address), power});
  };
  for (const char* tail : {"_input", "_raw"}) {
    for (const std::string& file : files) add(index_in(file, "in_power", tail), true);
  }
  // A chip that gives power for one channel gives it for all it has.
  if (monitor.channels.empty()) {
    for (const std::string& file : files) {
      const std::string index = index_in(file, "in_current", "_raw");
      if (!index.empty() && (at.has("in_voltage" + index + "_raw") || at.has("in_voltage" + index + "_input")))
        add(index, false);
    }
  }
  if (monitor.channels.empty()) return std::nullopt;
  // Samples a second, averages taken (ina2xx-adc: over both conversions).
  for (const char* file : {"in_sampling_frequency", "sampling_frequency"}) {
    const auto rate_hz = at.integer(file);
    if (rate_hz && *rate_hz > 0) monitor.update_s = 1 / static_cast<double>(*rate_hz);
  }
  monitor.writable = at.writable({"in_sampling_frequency", "sampling_frequency", "in_oversampling_ratio"});
  return monitor;
}

PowerMonitor read_old_ina231(const std::filesystem::path& folder, InventoryDraft& draft) {
  const Attributes at(folder, draft);
  PowerMonitor monitor;
  monitor.form = "ina231";
  monitor.chip = "INA231";
  monitor.folder = at.place();
  monitor.i2c_device = folder.filename().native();
  monitor.enabled = at.flag("enable").value_or(true);
  monitor.channels.push_back({monitor.i2c_device, "ina231:" + monitor.i2c_device, true});
  monitor.writable = at.writable({"enable"});
  if (!monitor.enabled) {
    draft.miss(kMonitorsTopic, "the power monitor " + monitor.i2c_device + " is switched off",
               "echo 1 > " + at.place() + "/enable");
  }
  return monitor;
}

/// The module that speaks to a chip that an I2C bus names and no driver has taken; empty: no power monitor.
std::string module_for(std::string_view chip) {
  for (const std::string_view known : {"ina219", "ina220", "ina226", "ina230", "ina231", "ina260"}) {
    if (chip == known) return "ina2xx";
  }
  for (const std::string_view known : {"ina228", "ina237", "ina238", "sq52206"}) {
    if (chip == known) return "ina238";
  }
  if (chip == "ina209") return "ina209";
  return chip.starts_with("ina3221") ? "ina3221" : "";
}

void find_unbound(InventoryDraft& draft) {
  std::error_code code;
  for (const auto& device : find_paths(draft.root, "sys/bus/i2c/devices/*-*")) {
    if (std::filesystem::exists(device / "driver", code) || std::filesystem::exists(device / "hwmon", code)) continue;
    const std::string chip = first_line(device / "name");
    const std::string module = module_for(chip);
    if (module.empty()) continue;
    const std::string name = device.filename().native();
    // The old driver and the vendor's link no `driver` on some kernels, but list the device as theirs.
    if (!find_paths(draft.root, "sys/bus/i2c/drivers/*/" + name).empty()) continue;
    draft.found.unbound.push_back({name, chip});
    draft.miss(kMonitorsTopic, "the power monitor " + chip + " at " + name + " has no driver",
               modprobe(draft.root, module));
  }
}

/// A chip that nobody has told the kernel of: where it would be, and what tells it.
void say_how_to_add(InventoryDraft& draft) {
  const std::string& model = draft.found.topology.model;
  if (draft.found.topology.virtual_machine || draft.found.topology.cores.empty()) return;
  const auto buses = find_paths(draft.root, "sys/bus/i2c/devices/i2c-*");
  std::error_code code;
  const bool board = std::filesystem::exists(draft.root / "proc/device-tree", code);
  if (!board) return;  // a PC: RAPL is its power monitor
  if (buses.empty()) {
    draft.miss(kMonitorsTopic, "no power monitor, and no I2C bus that one could sit on",
               model.find("Raspberry Pi") != std::string::npos ? "raspi-config nonint do_i2c 0 && reboot"
                                                               : "modprobe i2c-dev");
    return;
  }
  const std::string bus = buses.back().filename().native();
  draft.miss(kMonitorsTopic,
             "no power monitor; if an INA226 (INA219, INA231) is wired to " + bus + ", its address as 'apt install " +
                 "i2c-tools; i2cdetect -y " + bus.substr(4) + "' shows it:",
             "modprobe ina2xx && echo ina226 0x40 > /sys/bus/i2c/devices/" + bus + "/new_device");
}

}  // namespace

void survey_monitors(InventoryDraft& draft) {
  std::vector<PowerMonitor>& monitors = draft.found.monitors;
  for (const HwmonChip& chip : hwmon_chips(draft.root)) {
    if (auto monitor = read_hwmon(chip, draft)) monitors.push_back(std::move(*monitor));
  }
  // The Jetsons' L4T 4 kernels list the device below its I2C driver too: once is enough.
  for (const auto& folder :
       find_paths(draft.root, "sys/bus/iio/devices/iio:device*|sys/bus/i2c/drivers/ina*/*-*/iio:device*")) {
    if (auto monitor = read_iio(folder, draft)) monitors.push_back(std::move(*monitor));
  }
  for (const auto& folder : find_paths(draft.root, "sys/bus/i2c/drivers/INA231/*-*")) {
    monitors.push_back(read_old_ina231(folder, draft));
  }
  find_unbound(draft);
  if (monitors.empty() && draft.found.unbound.empty()) say_how_to_add(draft);
}

}  // namespace reins::sensors
