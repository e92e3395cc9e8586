// actuators/linux/frequency.hpp: what cpufreq and devfreq have in common: a governor, a minimum, a maximum, a set
// point.
#pragma once

#include "actuators/linux/drivers.hpp"

namespace reins::actuators {

/// File names below the device's folder. An empty one is not there.
struct FrequencyLayout {
  std::string_view governor, governors, min, max, set, available;
  std::string_view lowest, highest;  ///< hardware limits
  std::int64_t units_per_khz;        ///< of all its numbers: 1 (kHz) or 1000 (Hz)
  std::string_view target = {};      ///< what the governor has asked the driver for, where the set point only repeats
                                     ///< what was written
};

/// One actuator for all `folders`, which are set together. At least one folder.
Result<std::unique_ptr<FrequencyActuator>> make_with_layout(std::string_view name,
                                                            std::span<const std::filesystem::path> folders,
                                                            const FrequencyLayout& layout, const Site& site);

}  // namespace reins::actuators
