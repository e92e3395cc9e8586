// devfreq devices (Documentation/ABI/testing/sysfs-class-devfreq), e.g. GPUs. All numbers are hertz; userspace/set_freq
// appears with the governor.
#include "actuators/linux/frequency.hpp"
#include "core/kernel_file.hpp"

namespace reins::actuators {
namespace {

constexpr FrequencyLayout kDevfreqLayout = {
    "governor", "available_governors", "min_freq", "max_freq", "userspace/set_freq", "available_frequencies", "", "",
    1000,       "target_freq"};

}  // namespace

Result<std::unique_ptr<FrequencyActuator>> make_devfreq(std::string_view name, std::string_view folder,
                                                        const Site& site) {
  const auto found = find_paths(site.root, folder);
  if (found.empty()) {
    return fail(ErrorKind::kNotFound, "no such devfreq device", (site.root / folder).native(),
                "list the devices with ls /sys/class/devfreq");
  }
  return make_with_layout(name, found, kDevfreqLayout, site);
}

}  // namespace reins::actuators
