// Thermal zones, trip points and cooling devices (Documentation/driver-api/thermal/sysfs-api.rst): millidegrees.
#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

ThermalZone read_zone(const std::filesystem::path& folder, InventoryDraft& draft) {
  const Attributes at(folder, draft);
  ThermalZone zone;
  zone.type = at.text_or_empty("type");
  zone.folder = at.place();
  zone.policy = at.text_or_empty("policy");
  zone.mode = at.text_or_empty("mode");
  zone.temperature_c = at.scaled("temp", 1e-3);
  for (int i = 0;; ++i) {
    const std::string head = "trip_point_" + std::to_string(i);
    if (!at.has(head + "_type")) break;
    zone.trips.push_back(
        {at.text_or_empty(head + "_type"), at.scaled(head + "_temp", 1e-3), at.scaled(head + "_hyst", 1e-3)});
  }
  return zone;
}

}  // namespace

void survey_thermal(InventoryDraft& draft) {
  for (const auto& folder : find_paths(draft.root, "sys/class/thermal/thermal_zone*")) {
    draft.found.thermal.push_back(read_zone(folder, draft));
  }
  for (const auto& folder : find_paths(draft.root, "sys/class/thermal/cooling_device*")) {
    const Attributes at(folder, draft);
    draft.found.cooling.push_back({at.text_or_empty("type"), at.place(), at.integer("cur_state"),
                                   at.integer("max_state"), at.may_write("cur_state")});
  }
  if (!draft.found.thermal.empty() || draft.found.topology.cores.empty()) return;
  if (draft.found.topology.virtual_machine) {
    draft.miss("thermal", "no thermal zones: virtual machines have none");
  } else if (is_x86(draft.root)) {
    draft.miss("thermal", "no thermal zones", modprobe(draft.root, "x86_pkg_temp_thermal"));
  } else {
    draft.miss("thermal", "no thermal zones: the device tree or its driver names none");
  }
}

}  // namespace reins::sensors
