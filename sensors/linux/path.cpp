// A sensor by the path of its file: the kernel's ABI gives each attribute its unit, so its name and folder say how to
// read it.
#include "sensors/linux/attribute.hpp"
#include "sensors/linux/hwmon.hpp"

namespace reins::sensors {
namespace {

/// Energy may stand for power: whoever asks for power differences the counter.
bool serves(Quantity has, Quantity wanted) noexcept {
  return has == wanted || (wanted == Quantity::kPowerW && has == Quantity::kEnergyJ);
}

}  // namespace

Opened open_path(const Wanted& wanted, const Place& place) {
  const auto paths = find_paths(place.root, wanted.address);
  if (paths.empty()) {
    return fail(ErrorKind::kNotFound, "no such file", (place.root / wanted.address).native(),
                "load its driver, or correct the path in the board file");
  }
  const std::filesystem::path& path = paths.front();
  const std::string file = path.filename().native();
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    if (std::filesystem::exists(path / "energy_uj", code)) return open_powercap_zone(path, wanted, place);
    if (std::filesystem::exists(path / "temp", code)) {
      return open_file({path / "temp", {}, 1e-3}, signal_of(wanted, Behaviour::kGauge), 0, place, {});
    }
    return fail(ErrorKind::kUnsupported, "is a folder whose attributes are not known", path.native(),
                "name the file in it");
  }
  if (file == "energy_uj") return open_powercap_zone(path.parent_path(), wanted, place);
  if (file == "power_now") return open_battery(path.parent_path(), wanted, place);
  if (file.starts_with("in_power") && file.ends_with("_raw")) {
    const std::string index = file.substr(8, file.size() - 12);
    REINS_ASSIGN(const FileSource source, iio_channel(path.parent_path(), "power", index));
    return open_file(source, signal_of(wanted, Behaviour::kGauge), 0, place, {});
  }
  const auto kind = kind_of_attribute(file);
  if (!kind) {
    return fail(ErrorKind::kUnsupported, "the unit of an attribute of this name is not known", path.native(),
                "name a power, energy, temp or freq attribute of hwmon, iio, powercap, thermal, cpufreq or devfreq");
  }
  if (!serves(kind->quantity, wanted.quantity)) {
    return fail(ErrorKind::kUsage,
                "measures " + std::string(name_of(kind->quantity)) + ", not " + std::string(name_of(wanted.quantity)),
                path.native());
  }
  Signal signal = signal_of(wanted, kind->behaviour);
  signal.quantity = kind->quantity;
  return open_file({path, {}, kind->scale}, std::move(signal), 0, place, {});
}

}  // namespace reins::sensors
