// Idle states (Documentation/admin-guide/pm/cpuidle.rst): latency and target residency in microseconds. Cpus with the
// same states are told once.
#include <algorithm>

#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

bool same(const std::vector<IdleStateInfo>& a, const std::vector<IdleStateInfo>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const IdleStateInfo& x, const IdleStateInfo& y) {
    return x.name == y.name && x.latency_s == y.latency_s && x.residency_s == y.residency_s &&
           x.disabled == y.disabled && x.writable == y.writable;
  });
}

}  // namespace

void survey_cpuidle(InventoryDraft& draft) {
  Cpuidle& cpuidle = draft.found.cpuidle;
  const Attributes all(draft.root / kCpus / "cpuidle", draft);
  cpuidle.driver = all.text_or_empty("current_driver");
  cpuidle.governor = all.text_or_empty(all.has("current_governor") ? "current_governor" : "current_governor_ro");
  cpuidle.governors = all.words("available_governors");
  for (const Core& core : draft.found.topology.cores) {
    const auto folder = draft.root / kCpus / ("cpu" + std::to_string(core.cpu)) / "cpuidle";
    std::vector<IdleStateInfo> states;
    for (const std::string& name : list_folder(folder)) {
      if (!name.starts_with("state")) continue;
      const Attributes at(folder / name, draft);
      IdleStateInfo state;
      state.name = at.text_or_empty("name");
      state.description = at.text_or_empty("desc");
      state.latency_s = at.scaled("latency", 1e-6);
      state.residency_s = at.scaled("residency", 1e-6);
      state.disabled = at.flag("disable");
      state.writable = at.may_write("disable");
      states.push_back(std::move(state));
    }
    if (states.empty()) continue;
    const auto known = std::find_if(cpuidle.sets.begin(), cpuidle.sets.end(),
                                    [&](const IdleStates& set) { return same(set.states, states); });
    if (known != cpuidle.sets.end()) {
      known->cpus.push_back(core.cpu);
    } else {
      cpuidle.sets.push_back({{core.cpu}, std::move(states)});
    }
  }
  if (!cpuidle.sets.empty() || draft.found.topology.cores.empty()) return;
  const std::string boot = first_line(draft.root / "proc/cmdline");
  for (const char* option : {"idle=poll", "cpuidle.off=1", "intel_idle.max_cstate=0"}) {
    if (boot.find(option) == std::string::npos) continue;
    draft.miss("cpuidle", std::string("no idle states: the kernel was started with ") + option,
               std::string("remove ") + option + " from the kernel's command line and reboot");
    return;
  }
  draft.miss("cpuidle", draft.found.topology.virtual_machine
                            ? "no idle states: a virtual machine's host keeps them to itself"
                            : "no idle states: no cpuidle driver speaks for this machine");
}

}  // namespace reins::sensors
