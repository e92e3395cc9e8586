// Frequency of a cpufreq policy (scaling_cur_freq, kHz; Documentation/admin-guide/pm/cpufreq.rst): what the kernel last
// asked for, or measured where the driver can.
#include "sensors/linux/attribute.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kCpufreqHint = "this kernel has no cpufreq driver for it; virtual machines have none";

}  // namespace

Opened open_cpufreq(const Wanted& wanted, const Place& place) {
  const auto policies = find_paths(place.root, wanted.address);
  if (policies.empty()) {
    return fail(ErrorKind::kNotFound, "no such cpufreq policy", (place.root / wanted.address).native(), kCpufreqHint);
  }
  return open_file({policies.front() / "scaling_cur_freq", {}, 1}, signal_of(wanted, Behaviour::kGauge), 0, place,
                   kCpufreqHint);
}

void discover_cpufreq(const Place& place, Found& found) {
  for (const auto& policy : find_paths(place.root, "sys/devices/system/cpu/cpufreq/policy*")) {
    const std::string name = policy.filename().native();
    Signal signal{name, Quantity::kFreqKhz, Behaviour::kGauge, 0, {}};
    file_under(open_file({policy / "scaling_cur_freq", {}, 1}, std::move(signal), 0, place, kCpufreqHint), name,
               Quantity::kFreqKhz, found);
  }
}

}  // namespace reins::sensors
