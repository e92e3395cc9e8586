#include "sensors/catalogue.hpp"

#include <array>

#include "core/kernel_file.hpp"
#include "sensors/linux/drivers.hpp"

namespace reins::sensors {
namespace {

/// One line per driver. Null: it cannot be opened by address, or finds nothing by itself.
struct Driver {
  std::string_view name;
  Opened (*open)(const Wanted&, const Place&);
  void (*discover)(const Place&, Found&);
};

constexpr std::array kDrivers = {
    Driver{"cpufreq", open_cpufreq, discover_cpufreq},
    Driver{"devfreq", open_devfreq, discover_devfreq},
    Driver{"hwmon", open_hwmon, discover_hwmon},
    Driver{"iio", open_iio, discover_iio},
    Driver{"ina231", open_ina231, discover_ina231},
    Driver{"ina3221", open_ina3221, nullptr},
    Driver{"powercap", open_powercap, discover_powercap},
    Driver{"thermal", open_thermal, discover_thermal},
    Driver{"power_supply", open_power_supply, discover_power_supply},
};

bool is_devfreq(std::string_view control) { return control.find("cpufreq") == std::string_view::npos; }

void add(Opened opened, std::string_view name, Quantity quantity, Found& found) {
  file_under(std::move(opened), name, quantity, found);
}

}  // namespace

std::string_view name_of(Quantity quantity) noexcept {
  switch (quantity) {
    case Quantity::kPowerW:
      return "power_w";
    case Quantity::kEnergyJ:
      return "energy_j";
    case Quantity::kTemperatureC:
      return "temperature_c";
    case Quantity::kFreqKhz:
      return "freq_khz";
    case Quantity::kUtilisation:
      return "utilisation";
    case Quantity::kOthersUtilisation:
      return "others_utilisation";
    case Quantity::kBatteryFraction:
      return "battery_fraction";
  }
  return "unknown";
}

std::string_view unit_of(Quantity quantity) noexcept {
  switch (quantity) {
    case Quantity::kPowerW:
      return "W";
    case Quantity::kEnergyJ:
      return "J";
    case Quantity::kTemperatureC:
      return "C";
    case Quantity::kFreqKhz:
      return "kHz";
    case Quantity::kUtilisation:
    case Quantity::kOthersUtilisation:
    case Quantity::kBatteryFraction:
      return "1";
  }
  return "";
}

std::string_view name_of(Behaviour behaviour) noexcept {
  switch (behaviour) {
    case Behaviour::kConstant:
      return "constant";
    case Behaviour::kCounter:
      return "counter";
    case Behaviour::kGauge:
      return "gauge";
  }
  return "unknown";
}

Sensor* Found::find(std::string_view name, Quantity quantity) const noexcept {
  for (const auto& sensor : sensors) {
    if (sensor->signal().name == name && sensor->signal().quantity == quantity) return sensor.get();
  }
  return nullptr;
}

std::vector<std::string> known_drivers() {
  std::vector<std::string> names;
  for (const Driver& driver : kDrivers) names.emplace_back(driver.name);
  return names;
}

Result<std::unique_ptr<Sensor>> open_sensor(std::string_view address, std::string_view name, Quantity quantity,
                                            double period_s, const Place& place) {
  if (address.empty()) {
    return fail(ErrorKind::kUnsupported, "the board file names no sensor for " + std::string(name), {},
                "name one there if the board has one");
  }
  const std::size_t colon = address.find(':');
  const std::string_view driver_name = address.substr(0, colon);
  for (const Driver& driver : kDrivers) {
    if (driver.name != driver_name) continue;
    const std::string_view rest = colon == std::string_view::npos ? std::string_view{} : address.substr(colon + 1);
    return driver.open({rest, name, quantity, period_s}, place);
  }
  // Paths may hold ':' too (intel-rapl:0), but no driver is called like the head of one.
  if (address.find('/') != std::string_view::npos) return open_path({address, name, quantity, period_s}, place);
  std::string known;
  for (const Driver& driver : kDrivers) known.append(known.empty() ? "" : ", ").append(driver.name);
  return fail(ErrorKind::kUsage, "no sensor driver is called '" + std::string(driver_name) + "'", std::string(address),
              "known: " + known);
}

Found make_sensors(const boards::Board& board, const Place& place) {
  Found found;
  for (const boards::Cluster& cluster : board.clusters) {
    if (!cluster.control.empty()) {
      const Wanted wanted{cluster.control, cluster.name, Quantity::kFreqKhz, 0};
      add(is_devfreq(cluster.control) ? open_devfreq(wanted, place) : open_cpufreq(wanted, place), cluster.name,
          Quantity::kFreqKhz, found);
    }
    if (cluster.kind != boards::UnitKind::kCpu) continue;
    add(open_utilisation(cluster.name, cluster.cpus, false, place), cluster.name, Quantity::kUtilisation, found);
    add(open_utilisation(cluster.name, cluster.cpus, true, place), cluster.name, Quantity::kOthersUtilisation, found);
  }
  for (const boards::Rail& rail : board.rails) {
    add(open_sensor(rail.sensor, rail.name, Quantity::kPowerW, rail.sensor_period_s, place), rail.name,
        Quantity::kPowerW, found);
  }
  const std::string& zone = board.thermal.zone;
  if (!zone.empty()) {
    const bool addressed = zone.find('/') != std::string::npos || zone.find(':') != std::string::npos;
    add(open_sensor(addressed ? zone : "thermal:" + zone, "board", Quantity::kTemperatureC,
                    board.thermal.sensor_period_s, place),
        "board", Quantity::kTemperatureC, found);
  }
  return found;
}

Found discover(const Place& place) {
  Found found;
  for (const Driver& driver : kDrivers) {
    if (driver.discover != nullptr) driver.discover(place, found);
  }
  for (const int cpu : online_cpus(place.root)) {
    const std::string name = "cpu" + std::to_string(cpu);
    add(open_utilisation(name, std::array{cpu}, false, place), name, Quantity::kUtilisation, found);
  }
  return found;
}

}  // namespace reins::sensors
