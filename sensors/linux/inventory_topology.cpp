// Cores: Documentation/admin-guide/cputopology.rst; capacity: Documentation/scheduler/sched-capacity.rst; SMT:
// Documentation/ABI/testing/sysfs-devices-system-cpu. A hybrid x86 names its kinds by their event sources.
#include <algorithm>

#include "core/file.hpp"
#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

/// Ids that a kernel gives where it knows none.
std::optional<std::int64_t> known(std::optional<std::int64_t> id) {
  if (id && (*id < 0 || *id == 65535)) return std::nullopt;
  return id;
}

bool holds(const std::vector<int>& cpus, int cpu) { return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end(); }

bool is_virtual(const std::filesystem::path& root) {
  std::error_code code;
  if (std::filesystem::exists(root / "proc/device-tree/hypervisor", code)) return true;
  if (!first_line(root / "sys/hypervisor/type").empty()) return true;
  const std::string cpuinfo = read_file(root / "proc/cpuinfo", std::size_t{16} << 20).value_or(std::string());
  const std::size_t flags = cpuinfo.find("\nflags");
  return flags != std::string::npos &&
         cpuinfo.substr(flags, cpuinfo.find('\n', flags + 1) - flags).find(" hypervisor") != std::string::npos;
}

}  // namespace

void survey_topology(InventoryDraft& draft) {
  Topology& topology = draft.found.topology;
  topology.model = machine_model(draft.root);
  topology.virtual_machine = is_virtual(draft.root);
  const Attributes all(draft.root / kCpus, draft);
  topology.smt = all.text_or_empty("smt/control");
  const std::vector<int> online = all.cpus("online");
  std::vector<int> present = all.cpus("present");
  if (present.empty()) present = online;
  const Attributes devices(draft.root / "sys/devices", draft);
  const std::vector<int> big = devices.cpus("cpu_core/cpus");
  const std::vector<int> small = devices.cpus("cpu_atom/cpus");
  for (const int cpu : present) {
    const Attributes at(draft.root / kCpus / ("cpu" + std::to_string(cpu)), draft);
    Core core;
    core.cpu = cpu;
    core.online = online.empty() || holds(online, cpu);
    core.package = known(at.integer("topology/physical_package_id"));
    core.cluster = known(at.integer("topology/cluster_id"));
    core.core = known(at.integer("topology/core_id"));
    core.siblings = at.cpus("topology/thread_siblings_list");
    core.capacity = at.integer("cpu_capacity");
    core.kind = holds(big, cpu) ? "core" : holds(small, cpu) ? "atom" : "";
    core.may_offline = at.may_write("online");
    topology.cores.push_back(std::move(core));
  }
  if (topology.cores.empty()) {
    draft.miss("topology", "no cpu is described below /sys/devices/system/cpu: /sys is not there (a container?)",
               "mount -t sysfs sysfs /sys, or start the container with -v /sys:/sys");
  }
}

}  // namespace reins::sensors
