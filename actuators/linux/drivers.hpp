// actuators/linux/drivers.hpp: makes the actuators that change the machine through /sys.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "actuators/actuator.hpp"
#include "actuators/restore_file.hpp"

namespace reins::actuators {

/// Where actuators work: the root ("/" on a machine), and where what they find is saved (null: they refuse to set).
struct Site {
  std::filesystem::path root;
  std::shared_ptr<RestoreFile> restore;
};

/// A cpufreq policy (`folder` below the root, '*' and '|' as in find_paths; several that match are set
/// together, as on PCs, where each cpu has its own). With the `userspace` governor frequencies
/// go to scaling_setspeed, else min = max. Errors: not_found, denied (naming the file), garbled.
Result<std::unique_ptr<FrequencyActuator>> make_cpufreq(std::string_view name, std::string_view folder,
                                                        const Site& site);

/// A devfreq device, e.g. a GPU: userspace/set_freq, else min_freq = max_freq. Its files speak hertz.
Result<std::unique_ptr<FrequencyActuator>> make_devfreq(std::string_view name, std::string_view folder,
                                                        const Site& site);

/// Whichever of the two `folder` is.
Result<std::unique_ptr<FrequencyActuator>> make_frequency(std::string_view name, std::string_view folder,
                                                          const Site& site);

/// Cpu time of a control group (`group`: its folder below the root): cpu.max (v2), or cpu.cfs_quota_us over the period
/// found (v1). Rounded to microseconds, at least the kernel's 1 ms per period. Errors: not_found (no cpu controller
/// there), denied.
Result<std::unique_ptr<Actuator>> make_cgroup_quota(std::string_view name, std::string_view group, const Site& site);

/// The folder (below the root) of the group that a process (0: this one) is in and that has a cpu quota, v1 or v2.
/// Errors: not_found, with how to start it in a group of its own.
Result<std::string> own_cgroup(const std::filesystem::path& root, int pid);

}  // namespace reins::actuators
