// sensors/catalogue.hpp: the table of drivers, the sensors a board names, and what a machine has whether named or not.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "boards/board.hpp"
#include "sensors/sensor.hpp"

namespace reins {
class Clock;
}

namespace reins::sensors {

/// Where sensors look. `root` is "/" on a machine and a folder laid out like it in tests. `clock` outlives every
/// sensor.
struct Place {
  std::filesystem::path root;
  const Clock* clock = nullptr;
  int pid = 0;  ///< whose own use kOthersUtilisation leaves out; 0: this process
};

/// What is wanted or expected and not there (or there and not readable), with how to get it, in one line.
struct Missing {
  std::string name;
  Quantity quantity = Quantity::kPowerW;
  Error error;
};

struct Found {
  std::vector<std::unique_ptr<Sensor>> sensors;
  std::vector<Missing> missing;

  /// Null where there is none. Names: a cluster (frequency, utilisation), a rail (power or energy), "board"
  /// (temperature).
  Sensor* find(std::string_view name, Quantity quantity) const noexcept;
};

/// The sensors that a board file names: per cluster frequency, utilisation and others' utilisation; per rail power or
/// energy; the thermal zone as "board". A rail's or zone's `sensor` is one of
///   a path below the root        sys/bus/i2c/drivers/ina3221x/*-0040/iio:device*/in_power0_input   ('*' and '|' as in
///   find_paths) ina231:0x40                  the old INA231 driver at this I2C address on any bus, else a hwmon chip
///   there ina3221:0x40:1               the iio or hwmon chip at this address; channel from 0, or its label (VDD_IN)
///   hwmon:<chip name>:<channel>  channel: number from 1, attribute or label
///   iio:<device name>:<channel>
///   powercap:<zone name>         package-0
///   thermal:<zone type>          cpu-thermal
///   power_supply:<name>          BAT0; '*' = the first battery
///   cpufreq:<folder>, devfreq:<folder>
Found make_sensors(const boards::Board& board, const Place& place);

/// One sensor by such an address. Errors: usage (an unknown driver; the line names the known ones), not_found, denied.
Result<std::unique_ptr<Sensor>> open_sensor(std::string_view address, std::string_view name, Quantity quantity,
                                            double period_s, const Place& place);

/// Everything readable that the drivers find below the root, whatever the board file says.
Found discover(const Place& place);

/// Names of the drivers, in the table's order.
std::vector<std::string> known_drivers();

}  // namespace reins::sensors
