// cpufreq policies (Documentation/admin-guide/pm/cpufreq.rst). All numbers are kilohertz.
#include "actuators/linux/frequency.hpp"
#include "core/kernel_file.hpp"

namespace reins::actuators {
namespace {

constexpr FrequencyLayout kCpufreqLayout = {"scaling_governor",
                                            "scaling_available_governors",
                                            "scaling_min_freq",
                                            "scaling_max_freq",
                                            "scaling_setspeed",
                                            "scaling_available_frequencies",
                                            "cpuinfo_min_freq",
                                            "cpuinfo_max_freq",
                                            1};

}  // namespace

Result<std::unique_ptr<FrequencyActuator>> make_cpufreq(std::string_view name, std::string_view folder,
                                                        const Site& site) {
  const auto found = find_paths(site.root, folder);
  if (found.empty()) {
    return fail(ErrorKind::kNotFound, "no such cpufreq policy", (site.root / folder).native(),
                "this kernel has no cpufreq driver for it; virtual machines have none");
  }
  return make_with_layout(name, found, kCpufreqLayout, site);
}

}  // namespace reins::actuators
