// cpufreq (Documentation/admin-guide/pm/cpufreq.rst, intel_pstate.rst, amd-pstate.rst). All numbers are kilohertz.
#include <algorithm>

#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kCpufreqTopic = "cpufreq";

CpufreqPolicy read_policy(const std::filesystem::path& folder, InventoryDraft& draft) {
  const Attributes at(folder, draft);
  CpufreqPolicy policy;
  policy.name = folder.filename().native();
  policy.folder = at.place();
  policy.affected_cpus = at.cpus("affected_cpus");
  policy.related_cpus = at.cpus("related_cpus");
  policy.driver = at.text_or_empty("scaling_driver");
  policy.governor = at.text_or_empty("scaling_governor");
  policy.governors = at.words("scaling_available_governors");
  policy.freqs_khz = at.integers("scaling_available_frequencies");
  policy.boost_khz = at.integers("scaling_boost_frequencies");
  policy.lowest_khz = at.freq_khz("cpuinfo_min_freq");
  policy.highest_khz = at.freq_khz("cpuinfo_max_freq");
  policy.min_khz = at.freq_khz("scaling_min_freq");
  policy.max_khz = at.freq_khz("scaling_max_freq");
  policy.now_khz = at.freq_khz("scaling_cur_freq");
  policy.firmware_limit_khz = at.freq_khz("bios_limit");
  policy.switch_s = at.scaled("cpuinfo_transition_latency", 1e-9);
  if (policy.switch_s && *policy.switch_s > 1) policy.switch_s.reset();  // CPUFREQ_ETERNAL, 2^32 - 1: unknown
  policy.boost = at.flag("boost");
  policy.preferences = at.words("energy_performance_available_preferences");
  policy.preference = at.text_or_empty("energy_performance_preference");
  policy.writable = at.writable({"scaling_governor", "scaling_min_freq", "scaling_max_freq", "scaling_setspeed",
                                 "boost", "energy_performance_preference"});
  return policy;
}

/// cpufreq's own switch, else intel_pstate's, which says the opposite.
std::optional<Boost> read_boost(InventoryDraft& draft) {
  const Attributes at(draft.root / kCpus, draft);
  for (const auto& [name, inverse] : {std::pair{"cpufreq/boost", false}, std::pair{"intel_pstate/no_turbo", true}}) {
    if (const auto value = at.flag(name)) return Boost{at.place() + "/" + name, *value != inverse, at.may_write(name)};
  }
  return std::nullopt;
}

void say_why_none(InventoryDraft& draft) {
  const Topology& topology = draft.found.topology;
  if (topology.virtual_machine) {
    draft.miss(kCpufreqTopic, "no policies: a virtual machine's host keeps frequencies to itself, as a rule");
  } else if (is_x86(draft.root)) {
    draft.miss(kCpufreqTopic, "no policies: no driver is loaded", modprobe(draft.root, "acpi-cpufreq"));
  } else if (topology.model.find("Raspberry Pi") != std::string::npos) {
    draft.miss(kCpufreqTopic, "no policies: no driver is loaded", modprobe(draft.root, "raspberrypi-cpufreq"));
  } else if (!topology.cores.empty()) {
    draft.miss(kCpufreqTopic, "no policies: no driver is loaded", modprobe(draft.root, "cpufreq-dt"));
  }
}

void say_what_is_missing(InventoryDraft& draft) {
  const std::vector<CpufreqPolicy>& policies = draft.found.cpufreq;
  const auto lacks = [](const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) == words.end();
  };
  std::string denied;
  std::string pinned;
  for (const CpufreqPolicy& policy : policies) {
    const bool may_set = !lacks(policy.writable, "scaling_governor") && !lacks(policy.writable, "scaling_min_freq") &&
                         !lacks(policy.writable, "scaling_max_freq");
    if (!may_set) denied += (denied.empty() ? "" : ", ") + policy.name;
    if (!policy.governors.empty() && lacks(policy.governors, "userspace"))
      pinned += (pinned.empty() ? "" : ", ") + policy.name;
  }
  if (!denied.empty()) {
    draft.miss(kCpufreqTopic,
               "the frequency of " + denied +
                   " is not this user's to set; a member of the group reins may, once logged in anew",
               join_group());
  }
  if (pinned.empty()) return;
  const Attributes pstate(draft.root / kCpus / "intel_pstate", draft);
  const std::string status = pstate.text_or_empty("status");
  if (status == "active") {
    draft.miss(kCpufreqTopic,
               "intel_pstate is active: it offers no governor that takes a frequency (Reins then sets min = max)",
               "echo passive > " + pstate.place() + "/status && modprobe cpufreq_userspace");
  } else {
    draft.miss(kCpufreqTopic, "the userspace governor is not there for " + pinned + " (Reins then sets min = max)",
               modprobe(draft.root, "cpufreq_userspace"));
  }
}

}  // namespace

void survey_cpufreq(InventoryDraft& draft) {
  for (const auto& folder : find_paths(draft.root, std::string(kCpus) + "/cpufreq/policy*")) {
    draft.found.cpufreq.push_back(read_policy(folder, draft));
  }
  draft.found.boost = read_boost(draft);
  if (draft.found.cpufreq.empty()) {
    say_why_none(draft);
  } else {
    say_what_is_missing(draft);
  }
}

}  // namespace reins::sensors
