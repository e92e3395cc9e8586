// powercap zones (Documentation/power/powercap/powercap.rst): energy_uj counts microjoules up to max_energy_range_uj
// and then starts again at 0. More than one turn between two reads cannot be seen; at 100 W a package turns in three
// quarters of an hour.
#include "sensors/linux/attribute.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kPowercapHint =
    "RAPL is readable by root alone unless packaging/99-reins.rules is installed";

}  // namespace

Opened open_powercap_zone(const std::filesystem::path& zone, const Wanted& wanted, const Place& place) {
  double wrap = 0;
  if (const auto range = KernelFile::open(zone / "max_energy_range_uj")) {
    REINS_ASSIGN(wrap, range->read_number());
  }
  Signal signal = signal_of(wanted, Behaviour::kCounter);
  signal.quantity = Quantity::kEnergyJ;
  return open_file({zone / "energy_uj", {}, 1e-6}, std::move(signal), wrap, place, kPowercapHint);
}

Opened open_powercap(const Wanted& wanted, const Place& place) {
  const auto zones = find_paths(place.root, "sys/class/powercap/*");
  // The same package is often there twice, through MSRs and through MMIO; the MSR zone comes first.
  for (const bool mmio : {false, true}) {
    for (const auto& zone : zones) {
      if ((zone.native().find("mmio") != std::string::npos) != mmio) continue;
      if (first_line(zone / "name") == wanted.address) return open_powercap_zone(zone, wanted, place);
    }
  }
  return fail(ErrorKind::kNotFound, "no powercap zone is named '" + std::string(wanted.address) + "'",
              (place.root / "sys/class/powercap").native(), "modprobe intel_rapl_msr; virtual machines have none");
}

void discover_powercap(const Place& place, Found& found) {
  for (const auto& zone : find_paths(place.root, "sys/class/powercap/*:*")) {
    const std::string name = zone.filename().native() + ":" + first_line(zone / "name");
    file_under(open_powercap_zone(zone, {{}, name, Quantity::kEnergyJ, 0}, place), name, Quantity::kEnergyJ, found);
  }
}

}  // namespace reins::sensors
