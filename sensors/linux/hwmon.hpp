// sensors/linux/hwmon.hpp: hwmon chips and their channels, for the drivers that find a chip by other means (an I2C
// address).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sensors/linux/drivers.hpp"

namespace reins::sensors {

struct HwmonChip {
  std::filesystem::path folder;
  std::string name;
};

std::vector<HwmonChip> hwmon_chips(const std::filesystem::path& root);

/// True where voltage channel `index` (a number from 1) has a current channel that belongs to it. An ina3221's channels
/// from the fourth on are not: shunt voltages and a sum of currents.
bool measures_current(const HwmonChip& chip, const std::string& index);

/// `channel`: a number from 1, an attribute (power1_input) or a label; empty: 1. Takes power, else energy, else voltage
/// x current.
Opened open_hwmon_channel(const std::filesystem::path& chip, std::string_view channel, const Wanted& wanted,
                          const Place& place);

/// The same in an iio device's folder; channel numbers from 0.
Opened open_iio_channel(const std::filesystem::path& device, std::string_view channel, const Wanted& wanted,
                        const Place& place);

}  // namespace reins::sensors
