// power_supply (Documentation/ABI/testing/sysfs-class-power): microwatts, microvolts, microamperes, percent.
#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {

void survey_power_supply(InventoryDraft& draft) {
  for (const auto& folder : find_paths(draft.root, "sys/class/power_supply/*")) {
    const Attributes at(folder, draft);
    PowerSupply supply;
    supply.name = folder.filename().native();
    supply.type = at.text_or_empty("type");
    supply.status = at.text_or_empty("status");
    supply.online = at.flag("online");
    supply.charge = at.scaled("capacity", 1e-2);
    supply.power_w = at.scaled("power_now", 1e-6);
    if (!supply.power_w) {
      const auto volts = at.scaled("voltage_now", 1e-6);
      const auto amperes = at.scaled("current_now", 1e-6);
      if (volts && amperes) supply.power_w = *volts * *amperes;
    }
    draft.found.power_supply.push_back(std::move(supply));
  }
}

}  // namespace reins::sensors
