// powercap zones (Documentation/power/powercap/powercap.rst): microjoules, microwatts. RAPL's counters turn over behind
// max_energy_range_uj.
#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {

void survey_powercap(InventoryDraft& draft) {
  constexpr std::string_view kTopic = "powercap";
  bool denied = false;
  for (const auto& folder : find_paths(draft.root, "sys/class/powercap/*:*")) {
    const Attributes at(folder, draft);
    PowercapZone zone;
    zone.id = folder.filename().native();
    zone.name = at.text_or_empty("name");
    zone.folder = at.place();
    zone.readable = can_read(folder / "energy_uj");
    zone.wrap_j = at.scaled("max_energy_range_uj", 1e-6);
    zone.limit_w = at.scaled("constraint_0_power_limit_uw", 1e-6);
    zone.writable = at.writable({"enabled", "constraint_0_power_limit_uw"});
    denied = denied || (at.has("energy_uj") && !zone.readable);
    draft.found.powercap.push_back(std::move(zone));
  }
  if (denied)
    draft.miss(
        kTopic,
        "RAPL's energy counters are not this user's to read; a member of the group reins may, once logged in anew",
        join_group());
  if (!draft.found.powercap.empty() || !is_x86(draft.root)) return;
  if (draft.found.topology.virtual_machine) {
    draft.miss(kTopic, "no RAPL: virtual machines have none");
  } else {
    draft.miss(kTopic, "no RAPL zones: the driver is not loaded, or this processor has none",
               modprobe(draft.root, "intel_rapl_msr"));
  }
}

}  // namespace reins::sensors
