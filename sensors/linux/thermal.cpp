// Thermal zones (Documentation/driver-api/thermal/sysfs-api.rst): millidegrees; found by `type`, because zone numbers
// change from boot to boot and from kernel to kernel. A number (thermal_zone0) is taken where a board file gives one:
// some kernels name all zones alike.
#include "sensors/linux/attribute.hpp"

namespace reins::sensors {

Opened open_thermal(const Wanted& wanted, const Place& place) {
  std::string known;
  for (const auto& zone : find_paths(place.root, "sys/class/thermal/thermal_zone*")) {
    const std::string type = first_line(zone / "type");
    if (type == wanted.address || zone.filename() == wanted.address) {
      return open_file({zone / "temp", {}, 1e-3}, signal_of(wanted, Behaviour::kGauge), 0, place, {});
    }
    known += (known.empty() ? "" : ", ") + type;
  }
  return fail(ErrorKind::kNotFound, "no thermal zone is of type or name '" + std::string(wanted.address) + "'",
              (place.root / "sys/class/thermal").native(),
              known.empty() ? "there are no thermal zones" : "there are: " + known);
}

void discover_thermal(const Place& place, Found& found) {
  for (const auto& zone : find_paths(place.root, "sys/class/thermal/thermal_zone*")) {
    const std::string name = first_line(zone / "type");
    Signal signal{name, Quantity::kTemperatureC, Behaviour::kGauge, 0, {}};
    file_under(open_file({zone / "temp", {}, 1e-3}, std::move(signal), 0, place, {}), name, Quantity::kTemperatureC,
               found);
  }
}

}  // namespace reins::sensors
