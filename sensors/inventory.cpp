#include "sensors/inventory.hpp"

#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {

Inventory take_inventory(const InventoryOptions& options) {
  InventoryDraft draft{options.root, {}};
  survey_topology(draft);  // the others ask what machine this is
  survey_cpufreq(draft);
  survey_cpuidle(draft);
  survey_devfreq(draft);
  survey_memory(draft);
  survey_monitors(draft);
  survey_powercap(draft);
  survey_thermal(draft);
  survey_power_supply(draft);
  survey_cgroup(draft);
  survey_nvml(draft, options.nvml);
  return std::move(draft.found);
}

}  // namespace reins::sensors
