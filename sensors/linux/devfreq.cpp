// Frequency of a devfreq device, e.g. a GPU or the memory controller (cur_freq in Hz;
// Documentation/ABI/testing/sysfs-class-devfreq).
#include "sensors/linux/attribute.hpp"

namespace reins::sensors {

Opened open_devfreq(const Wanted& wanted, const Place& place) {
  const auto devices = find_paths(place.root, wanted.address);
  if (devices.empty()) {
    return fail(ErrorKind::kNotFound, "no such devfreq device", (place.root / wanted.address).native(),
                "list the devices with ls /sys/class/devfreq");
  }
  return open_file({devices.front() / "cur_freq", {}, 1e-3}, signal_of(wanted, Behaviour::kGauge), 0, place, {});
}

void discover_devfreq(const Place& place, Found& found) {
  for (const auto& device : find_paths(place.root, "sys/class/devfreq/*")) {
    const std::string name = device.filename().native();
    Signal signal{name, Quantity::kFreqKhz, Behaviour::kGauge, 0, {}};
    file_under(open_file({device / "cur_freq", {}, 1e-3}, std::move(signal), 0, place, {}), name, Quantity::kFreqKhz,
               found);
  }
}

}  // namespace reins::sensors
