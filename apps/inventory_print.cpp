#include "apps/inventory_print.hpp"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace reins::apps {
namespace {

using Lines = std::vector<std::string>;
constexpr std::size_t kMostLines = 6;

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  std::array<char, 512> text;
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, arguments);
  va_end(arguments);
  return text.data();
}

/// "0-3,8"
std::string ranges(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (last > i) text += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return text;
}

std::string cpus_text(const std::vector<int>& cpus) {
  if (cpus.empty()) return "no cpu online";
  return (cpus.size() == 1 ? "cpu " : "cpus ") + ranges(cpus);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string list_mhz(const std::vector<std::int64_t>& freqs_khz) {
  std::string text;
  for (const std::int64_t khz : freqs_khz) text += (text.empty() ? "" : " ") + mhz(khz);
  return text;
}

template <typename T>
bool holds(const std::vector<T>& items, const char* wanted) {
  return std::find(items.begin(), items.end(), wanted) != items.end();
}

/// One part of the overview: its name once, then its lines; what is more than fits is counted.
void part(const char* name, const Lines& lines, bool all) {
  const std::size_t shown = all || lines.size() <= kMostLines + 1 ? lines.size() : kMostLines;
  for (std::size_t i = 0; i < shown; ++i) std::printf("  %-13s%s\n", i == 0 ? name : "", lines[i].c_str());
  if (lines.empty()) std::printf("  %-13snone\n", name);
  if (shown < lines.size()) std::printf("  %-13s... %zu more (--all)\n", "", lines.size() - shown);
}

/// Lines that are alike but for their names share one: "policy0 ... policy7 (8 alike)".
class Alike {
 public:
  void add(const std::string& name, const std::string& rest) {
    for (auto& [names, known] : groups_) {
      if (known == rest) {
        names.push_back(name);
        return;
      }
    }
    groups_.push_back({{name}, rest});
  }
  Lines lines() const {
    Lines all;
    for (const auto& [names, rest] : groups_) {
      all.push_back((names.size() == 1
                         ? names.front()
                         : names.front() + " ... " + names.back() + format(" (%zu alike)", names.size())) +
                    "  " + rest);
    }
    return all;
  }

 private:
  std::vector<std::pair<std::vector<std::string>, std::string>> groups_;
};

Lines core_lines(const sensors::Topology& topology, bool all) {
  Lines lines;
  std::map<std::string, std::vector<int>> kinds;
  std::vector<std::int64_t> packages;
  bool smt = false;
  std::vector<int> offline;
  for (const sensors::Core& core : topology.cores) {
    if (core.package && std::find(packages.begin(), packages.end(), *core.package) == packages.end())
      packages.push_back(*core.package);
    smt = smt || core.siblings.size() > 1;
    if (!core.online) offline.push_back(core.cpu);
    std::string kind;
    if (!core.kind.empty()) kind += ", " + core.kind;
    if (core.capacity) kind += format(", capacity %lld", static_cast<long long>(*core.capacity));
    if (core.cluster) kind += format(", cluster %lld", static_cast<long long>(*core.cluster));
    kinds[kind].push_back(core.cpu);
  }
  std::string head = format("%zu", topology.cores.size());
  if (!packages.empty()) head += format(" in %zu package%s", packages.size(), packages.size() == 1 ? "" : "s");
  head += smt ? ", SMT" : ", no SMT";
  if (!topology.smt.empty() && topology.smt != "notsupported") head += " (" + topology.smt + ")";
  if (!offline.empty()) head += ", offline: " + ranges(offline);
  if (topology.virtual_machine) head += ", a virtual machine";
  if (!topology.model.empty()) head += "; " + topology.model;
  lines.push_back(std::move(head));
  for (const auto& [kind, cpus] : kinds) {
    if (!kind.empty()) lines.push_back(cpus_text(cpus) + kind);
  }
  if (all && smt) {
    std::vector<std::vector<int>> seen;
    for (const sensors::Core& core : topology.cores) {
      if (core.siblings.size() < 2 || std::find(seen.begin(), seen.end(), core.siblings) != seen.end()) continue;
      seen.push_back(core.siblings);
      lines.push_back("threads of one core: " + ranges(core.siblings));
    }
  }
  return lines;
}

std::string range_text(const std::vector<std::int64_t>& freqs_khz, std::optional<std::int64_t> low,
                       std::optional<std::int64_t> high) {
  if (!freqs_khz.empty()) {
    return mhz(freqs_khz.front()) + " to " + mhz(freqs_khz.back()) + format(" MHz in %zu", freqs_khz.size());
  }
  if (low && high) return mhz(*low) + " to " + mhz(*high) + " MHz, no list";
  return "frequencies not said";
}

Lines cpufreq_lines(const std::vector<sensors::CpufreqPolicy>& policies, bool all) {
  Alike alike;
  Lines details;
  for (const sensors::CpufreqPolicy& policy : policies) {
    std::string text = policy.driver.empty() ? "driver not said" : policy.driver;
    text += ", " + (policy.governor.empty() ? std::string("no governor said") : policy.governor);
    if (policy.governors.size() > 1) text += format(" (of %zu)", policy.governors.size());
    text += ", " + range_text(policy.freqs_khz, policy.lowest_khz, policy.highest_khz);
    if (!policy.boost_khz.empty()) text += format(" and %zu with boost", policy.boost_khz.size());
    if (policy.max_khz && policy.highest_khz && *policy.max_khz < *policy.highest_khz)
      text += ", capped at " + mhz(*policy.max_khz);
    text += holds(policy.writable, "scaling_max_freq") && holds(policy.writable, "scaling_governor")
                ? ", may be set"
                : ", not this user's to set";
    std::string cpus = policy.affected_cpus.size() == 1 && !all ? "" : cpus_text(policy.affected_cpus) + ", ";
    if (policy.affected_cpus != policy.related_cpus) cpus += "related " + ranges(policy.related_cpus) + ", ";
    alike.add(policy.name, cpus + text);
    if (!all) continue;
    details.push_back(policy.name + "  " + cpus + text);
    if (policy.now_khz) details.push_back("  now " + mhz(*policy.now_khz) + " MHz");
    if (policy.min_khz && policy.max_khz)
      details.push_back("  limits " + mhz(*policy.min_khz) + " to " + mhz(*policy.max_khz) + " MHz");
    if (!policy.governors.empty()) details.push_back("  governors " + joined(policy.governors));
    if (!policy.freqs_khz.empty()) details.push_back("  MHz " + list_mhz(policy.freqs_khz));
    if (!policy.boost_khz.empty()) details.push_back("  MHz with boost " + list_mhz(policy.boost_khz));
    if (!policy.preference.empty())
      details.push_back("  preference " + policy.preference + " (of " + joined(policy.preferences) + ")");
    if (policy.boost) details.push_back(std::string("  boost ") + (*policy.boost ? "on" : "off"));
  }
  return all ? details : alike.lines();
}

Lines devfreq_lines(const std::vector<sensors::DevfreqDevice>& devices, bool all) {
  Lines lines;
  for (const sensors::DevfreqDevice& device : devices) {
    std::string text = device.name + (device.role.empty() ? "" : " (" + device.role + ")") + "  " +
                       (device.governor.empty() ? "no governor said" : device.governor);
    if (device.governors.size() > 1) text += format(" (of %zu)", device.governors.size());
    text += ", " + range_text(device.freqs_khz, device.min_khz, device.max_khz);
    if (!device.freqs_khz.empty() && device.max_khz && *device.max_khz < device.freqs_khz.back())
      text += ", capped at " + mhz(*device.max_khz);
    if (device.now_khz) text += ", now " + mhz(*device.now_khz);
    text += holds(device.writable, "max_freq") ? ", may be set" : ", not this user's to set";
    if (!device.set_point) text += " (no userspace/set_freq: min = max)";
    lines.push_back(std::move(text));
    if (!all) continue;
    lines.push_back("  governors " + joined(device.governors));
    lines.push_back("  MHz " + list_mhz(device.freqs_khz));
  }
  return lines;
}

Lines memory_lines(const std::vector<sensors::MemoryClock>& clocks) {
  Lines lines;
  for (const sensors::MemoryClock& clock : clocks) {
    std::string text = clock.now_khz         ? mhz(*clock.now_khz) + " MHz"
                       : clock.transfers_mts ? format("%lld MT/s", static_cast<long long>(*clock.transfers_mts))
                                             : std::string("not said");
    lines.push_back(text + "  " + clock.source + (clock.writable ? ", may be set" : ""));
  }
  return lines;
}

Lines monitor_lines(const std::vector<sensors::PowerMonitor>& monitors) {
  Lines lines;
  for (const sensors::PowerMonitor& monitor : monitors) {
    std::string text =
        monitor.chip + " (" + monitor.form + (monitor.i2c_device.empty() ? "" : ", " + monitor.i2c_device) + ")";
    if (!monitor.enabled) text += " switched off";
    if (monitor.update_s) text += format(" every %g ms", *monitor.update_s * 1e3);
    text += ":";
    for (const sensors::MonitorChannel& channel : monitor.channels) {
      text += (&channel == &monitor.channels.front() ? " " : ", ") + channel.label + " = " + channel.address +
              (channel.power ? "" : " (voltage x current)");
    }
    lines.push_back(std::move(text));
  }
  return lines;
}

Lines powercap_lines(const std::vector<sensors::PowercapZone>& zones) {
  Lines lines;
  for (const sensors::PowercapZone& zone : zones) {
    std::string text = zone.id + "  " + zone.name + (zone.readable ? ", readable" : ", not this user's to read");
    if (zone.wrap_j) text += format(", turns over after %.6g J", *zone.wrap_j);
    if (zone.limit_w) text += format(", limit %g W", *zone.limit_w);
    lines.push_back(std::move(text));
  }
  return lines;
}

Lines thermal_lines(const std::vector<sensors::ThermalZone>& zones) {
  Lines lines;
  for (const sensors::ThermalZone& zone : zones) {
    std::string text = zone.type;
    text += zone.temperature_c ? format("  %g C", *zone.temperature_c) : std::string("  no temperature");
    for (const sensors::TripPoint& trip : zone.trips) {
      text += ", " + trip.type;
      if (trip.temperature_c) text += format(" %g", *trip.temperature_c);
    }
    if (zone.mode == "disabled") text += ", disabled";
    lines.push_back(std::move(text));
  }
  return lines;
}

Lines cooling_lines(const std::vector<sensors::CoolingDevice>& devices, bool all) {
  Alike alike;
  Lines lines;
  for (const sensors::CoolingDevice& device : devices) {
    const auto number = [](std::optional<std::int64_t> value) { return value ? std::to_string(*value) : "?"; };
    std::string text = "at " + number(device.state) + " of " + number(device.max_state);
    if (device.state.value_or(0) > 0) text += ": it cools now";
    if (all && device.writable) text += ", may be set";
    alike.add(device.type, text);
    lines.push_back(device.type + "  " + text);
  }
  return all ? lines : alike.lines();
}

Lines supply_lines(const std::vector<sensors::PowerSupply>& supplies) {
  Lines lines;
  for (const sensors::PowerSupply& supply : supplies) {
    std::string text = supply.name + "  " + supply.type;
    if (supply.online) text += *supply.online ? ", online" : ", offline";
    if (!supply.status.empty()) text += ", " + supply.status;
    if (supply.charge) text += format(", %g %%", *supply.charge * 100);
    if (supply.power_w) text += format(", %.3g W", *supply.power_w);
    lines.push_back(std::move(text));
  }
  return lines;
}

Lines nvml_lines(const sensors::Nvml& nvml) {
  if (nvml.absent) return {"none: " + nvml.absent->line()};
  Lines lines;
  for (const sensors::NvmlGpu& gpu : nvml.gpus) {
    std::string text = gpu.name.empty() ? "a GPU without a name" : gpu.name;
    text += gpu.power_w ? format("  %.4g W", *gpu.power_w) : std::string("  no power");
    if (gpu.limit_w) text += format(" of %g", *gpu.limit_w);
    text += gpu.total_energy ? ", counts its energy" : ", does not count its energy";
    if (gpu.temperature_c) text += format(", %g C", *gpu.temperature_c);
    if (gpu.core_khz) text += ", " + mhz(*gpu.core_khz) + " MHz";
    if (gpu.memory_khz) text += ", memory " + mhz(*gpu.memory_khz) + " MHz";
    text += "  (driver " + nvml.driver + ")";
    lines.push_back(std::move(text));
  }
  return lines;
}

Lines cgroup_lines(const sensors::Cgroup& cgroup) {
  std::string text = cgroup.version;
  if (cgroup.folder.empty()) return {text + (text == "none" ? "" : ", no group of this process has a cpu quota")};
  text += "  " + cgroup.folder + "/" + cgroup.quota_file;
  if (cgroup.quota_cpus) text += *cgroup.quota_cpus == 0 ? ", no limit" : format(", %g cpus", *cgroup.quota_cpus);
  return {text + (cgroup.writable ? ", may be set" : ", not this user's to set")};
}

Lines cpuidle_lines(const sensors::Cpuidle& cpuidle, bool all) {
  Lines lines;
  if (!cpuidle.driver.empty() && cpuidle.driver != "none")
    lines.push_back("driver " + cpuidle.driver + ", governor " + cpuidle.governor);
  for (const sensors::IdleStates& set : cpuidle.sets) {
    std::string text = cpus_text(set.cpus) + ":";
    for (const sensors::IdleStateInfo& state : set.states) {
      text += (&state == &set.states.front() ? " " : ", ") + state.name;
      if (state.latency_s && state.residency_s)
        text += format(" (exit %g us, residency %g us)", *state.latency_s * 1e6, *state.residency_s * 1e6);
      if (state.disabled.value_or(false)) text += " disabled";
      if (all && !state.description.empty()) text += " [" + state.description + "]";
    }
    lines.push_back(std::move(text));
  }
  return lines;
}

/// Every attribute that this user may write, by folder.
Lines writable_lines(const sensors::Inventory& inventory) {
  Lines lines;
  const auto add = [&lines](const std::string& folder, const std::vector<std::string>& files) {
    if (!files.empty()) lines.push_back(folder + ": " + joined(files));
  };
  for (const auto& policy : inventory.cpufreq) add(policy.folder, policy.writable);
  if (inventory.boost && inventory.boost->writable) lines.push_back(inventory.boost->file);
  for (const auto& device : inventory.devfreq) add(device.folder, device.writable);
  for (const auto& clock : inventory.memory) {
    const bool listed = std::any_of(inventory.devfreq.begin(), inventory.devfreq.end(),
                                    [&](const auto& device) { return device.folder == clock.source; });
    if (clock.writable && !listed) lines.push_back(clock.source);
  }
  for (const auto& monitor : inventory.monitors) add(monitor.folder, monitor.writable);
  for (const auto& zone : inventory.powercap) add(zone.folder, zone.writable);
  for (const auto& device : inventory.cooling) {
    if (device.writable) lines.push_back(device.folder + ": cur_state");
  }
  if (inventory.cgroup.writable) lines.push_back(inventory.cgroup.folder + ": " + inventory.cgroup.quota_file);
  std::vector<int> idle;
  for (const auto& set : inventory.cpuidle.sets) {
    if (std::any_of(set.states.begin(), set.states.end(), [](const auto& state) { return state.writable; }))
      idle.insert(idle.end(), set.cpus.begin(), set.cpus.end());
  }
  std::vector<int> offline;
  for (const auto& core : inventory.topology.cores) {
    if (core.may_offline) offline.push_back(core.cpu);
  }
  if (!idle.empty()) lines.push_back("idle states of " + cpus_text(idle) + ": disable");
  if (!offline.empty()) lines.push_back(cpus_text(offline) + ": online");
  return lines;
}

void section(const char* title, const Lines& lines, bool all) {
  if (lines.empty()) return;
  std::printf("\n%s\n", title);
  const std::size_t shown = all || lines.size() <= kMostLines + 1 ? lines.size() : kMostLines;
  for (std::size_t i = 0; i < shown; ++i) std::printf("  %s\n", lines[i].c_str());
  if (shown < lines.size()) std::printf("  ... %zu more (--all)\n", lines.size() - shown);
}

}  // namespace

std::string mhz(std::int64_t khz) { return format("%g", static_cast<double>(khz) / 1000); }

void print_inventory(const sensors::Inventory& inventory, bool all) {
  std::printf("\nWhat the kernel offers here\n");
  part("cores", core_lines(inventory.topology, all), all);
  part("cpufreq", cpufreq_lines(inventory.cpufreq, all), all);
  if (inventory.boost) {
    part("boost",
         {std::string(inventory.boost->on ? "on" : "off") + ", " + inventory.boost->file +
          (inventory.boost->writable ? ", may be set" : "")},
         all);
  }
  part("devfreq", devfreq_lines(inventory.devfreq, all), all);
  part("memory", memory_lines(inventory.memory), all);
  part("power", monitor_lines(inventory.monitors), all);
  part("powercap", powercap_lines(inventory.powercap), all);
  part("thermal", thermal_lines(inventory.thermal), all);
  part("cooling", cooling_lines(inventory.cooling, all), all);
  part("supply", supply_lines(inventory.power_supply), all);
  part("nvml", nvml_lines(inventory.nvml), all);
  part("cgroup", cgroup_lines(inventory.cgroup), all);
  part("cpuidle", cpuidle_lines(inventory.cpuidle, all), all);
  section("This user may write", writable_lines(inventory), all);
  if (!inventory.missing.empty()) std::printf("\nNot available, and what would change that (as root)\n");
  for (const sensors::Advice& advice : inventory.missing) {
    std::printf("  %s: %s\n", advice.topic.c_str(), advice.what.c_str());
    if (!advice.command.empty()) std::printf("      %s\n", advice.command.c_str());
  }
  Lines unreadable;
  for (const Error& error : inventory.unreadable) unreadable.push_back(error.line());
  section("There, and could not be read", unreadable, all);
}

}  // namespace reins::apps
