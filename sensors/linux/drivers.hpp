// sensors/linux/drivers.hpp: what each Linux driver offers the catalogue: open one by address, and find all there are.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sensors/catalogue.hpp"

namespace reins::sensors {

/// What is asked of a driver. `address` is what stands behind "<driver>:".
struct Wanted {
  std::string_view address;
  std::string_view name;
  Quantity quantity = Quantity::kPowerW;
  double period_s = 0;
};

using Opened = Result<std::unique_ptr<Sensor>>;

// Each opens one sensor. Errors: not_found and denied with how to get it, usage for an address of the wrong form.
Opened open_hwmon(const Wanted& wanted, const Place& place);
Opened open_iio(const Wanted& wanted, const Place& place);
Opened open_ina231(const Wanted& wanted, const Place& place);
Opened open_ina3221(const Wanted& wanted, const Place& place);
Opened open_powercap(const Wanted& wanted, const Place& place);
Opened open_thermal(const Wanted& wanted, const Place& place);
Opened open_power_supply(const Wanted& wanted, const Place& place);
/// Address: the cpufreq policy folder, e.g. "sys/devices/system/cpu/cpufreq/policy4".
Opened open_cpufreq(const Wanted& wanted, const Place& place);
/// Address: the devfreq folder.
Opened open_devfreq(const Wanted& wanted, const Place& place);
/// Address: a path with '*' and '|'; unit and kind follow from the file's name.
Opened open_path(const Wanted& wanted, const Place& place);

// Each appends what is readable, and what is there and not readable.
void discover_hwmon(const Place& place, Found& found);
void discover_iio(const Place& place, Found& found);
void discover_ina231(const Place& place, Found& found);
void discover_powercap(const Place& place, Found& found);
void discover_thermal(const Place& place, Found& found);
void discover_power_supply(const Place& place, Found& found);
void discover_cpufreq(const Place& place, Found& found);
void discover_devfreq(const Place& place, Found& found);

/// `zone`: a powercap folder; counters are unwrapped by its max_energy_range_uj.
Opened open_powercap_zone(const std::filesystem::path& zone, const Wanted& wanted, const Place& place);
/// `supply`: the folder of a battery.
Opened open_battery(const std::filesystem::path& supply, const Wanted& wanted, const Place& place);

/// Busy share of `cpus` from /proc/stat over windows of at least 0.1 s; `others`: without what place.pid used there.
Opened open_utilisation(std::string_view name, std::span<const int> cpus, bool others, const Place& place);

/// Cpus that are online below the root.
std::vector<int> online_cpus(const std::filesystem::path& root);

/// Puts what `opened` holds on the list it belongs to.
void file_under(Opened opened, std::string_view name, Quantity quantity, Found& found);

}  // namespace reins::sensors
