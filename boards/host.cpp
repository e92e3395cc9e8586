// The machine this runs on, described as a board: what sysfs and /proc say, and nothing that they do not.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "boards/board.hpp"
#include "core/file.hpp"
#include "core/kernel_file.hpp"

namespace reins::boards {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCpuFolder = "sys/devices/system/cpu";
constexpr std::size_t kMostOpps = 32;  // what an action space holds
constexpr std::size_t kSteps = 8;      // where a driver names a range instead of frequencies
constexpr std::size_t kMostMappings = 4;

/// Whole numbers in `text`, separated by anything else.
std::vector<std::int64_t> numbers_in(std::string_view text) {
  std::vector<std::int64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::int64_t value = 0;
    const auto [stop, code] = std::from_chars(at, end, value);
    if (code == std::errc()) numbers.push_back(value);
    at = stop > at ? stop : at + 1;
  }
  return numbers;
}

/// A kernel cpu list: "0-3,8,10-11".
std::set<int> cpu_list(std::string_view text) {
  std::set<int> cpus;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    int first = 0;
    const auto [stop, code] = std::from_chars(part.data(), part.data() + part.size(), first);
    if (code != std::errc() || first < 0 || first > 4095) continue;
    int last = first;
    if (stop != part.data() + part.size() && *stop == '-') {
      std::from_chars(stop + 1, part.data() + part.size(), last);
      last = std::min(last, 4095);
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
  }
  return cpus;
}

/// The value of the first line "key : value" of a /proc file; empty where there is none.
std::string proc_value(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.find_first_not_of(" \t", key.size()) != colon) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string_view::npos) return std::string(line.substr(begin));
  }
  return {};
}

/// Online cpus that this process may run on.
std::set<int> usable_cpus(const fs::path& root, std::string_view cpuinfo) {
  std::set<int> cpus = cpu_list(first_line(root / kCpuFolder / "online"));
  if (cpus.empty()) {
    // No sysfs (some containers): /proc/cpuinfo has one "processor" line a cpu.
    for (std::size_t at = 0; at < cpuinfo.size();) {
      const std::size_t end = std::min(cpuinfo.find('\n', at), cpuinfo.size());
      const std::string number = proc_value(cpuinfo.substr(at, end - at), "processor");
      for (const std::int64_t cpu : numbers_in(number)) cpus.insert(static_cast<int>(cpu));
      at = end + 1;
    }
  }
  if (const auto status = read_file(root / "proc/self/status", std::size_t{1} << 20)) {
    const std::set<int> allowed = cpu_list(proc_value(*status, "Cpus_allowed_list"));
    std::set<int> both;
    std::set_intersection(cpus.begin(), cpus.end(), allowed.begin(), allowed.end(), std::inserter(both, both.end()));
    if (!both.empty()) return both;
  }
  return cpus;
}

std::vector<std::int64_t> policy_freqs_khz(const fs::path& policy) {
  // One line can be longer than first_line is meant for, so the whole file.
  std::vector<std::int64_t> all;
  if (const auto text = read_file(policy / "scaling_available_frequencies", std::size_t{1} << 16))
    all = numbers_in(*text);
  if (all.empty()) {
    const auto low = numbers_in(first_line(policy / "cpuinfo_min_freq"));
    const auto high = numbers_in(first_line(policy / "cpuinfo_max_freq"));
    if (low.empty() || high.empty() || low[0] <= 0 || high[0] < low[0]) return {};
    for (std::size_t i = 0; i < kSteps; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(kSteps - 1);
      // Multiples of 100 kHz; rounding must not leave the range.
      const double khz = static_cast<double>(low[0]) + share * static_cast<double>(high[0] - low[0]);
      all.push_back(i == 0            ? low[0]
                    : i + 1 == kSteps ? high[0]
                                      : static_cast<std::int64_t>(std::floor(khz / 100)) * 100);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::erase_if(all, [](std::int64_t khz) { return khz <= 0; });
  if (all.size() <= kMostOpps) return all;
  std::vector<std::int64_t> thinned;
  for (std::size_t i = 0; i < kMostOpps; ++i) thinned.push_back(all[i * (all.size() - 1) / (kMostOpps - 1)]);
  return thinned;
}

/// A cpufreq policy, or the cpus without one.
struct Group {
  std::vector<int> cpus;
  std::vector<std::int64_t> freqs_khz;
  double capacity = 0;  // as the kernel says, 0: not said
  double switch_s = 0;
  std::string control;
  bool denied = false;  // its frequency is there and not this user's to set
};

/// The files that pinning a frequency writes, as the effective user.
bool may_set_frequency(const fs::path& policy) {
  return may_write(policy / "scaling_governor") && may_write(policy / "scaling_min_freq") &&
         may_write(policy / "scaling_max_freq");
}

double capacity_of(const fs::path& root, int cpu) {
  const auto value = numbers_in(first_line(root / kCpuFolder / ("cpu" + std::to_string(cpu)) / "cpu_capacity"));
  return value.empty() ? 0 : static_cast<double>(value[0]);
}

std::vector<Group> find_groups(const fs::path& root, const std::set<int>& usable) {
  std::vector<Group> groups;
  std::set<int> rest = usable;
  const std::string pattern = std::string(kCpuFolder) + "/cpufreq/policy*";
  for (const fs::path& policy : find_paths(root, pattern)) {
    Group group;
    group.freqs_khz = policy_freqs_khz(policy);
    if (group.freqs_khz.empty()) continue;
    for (const std::int64_t cpu : numbers_in(first_line(policy / "related_cpus"))) {
      if (rest.erase(static_cast<int>(cpu)) > 0) group.cpus.push_back(static_cast<int>(cpu));
    }
    if (group.cpus.empty()) continue;
    group.capacity = capacity_of(root, group.cpus.front());
    const auto latency_ns = numbers_in(first_line(policy / "cpuinfo_transition_latency"));
    // CPUFREQ_ETERNAL, 2^32 - 1, means unknown.
    if (!latency_ns.empty() && latency_ns[0] < 1'000'000'000)
      group.switch_s = static_cast<double>(latency_ns[0]) * 1e-9;
    group.control = std::string(kCpuFolder) + "/cpufreq/" + policy.filename().native();
    group.denied = !may_set_frequency(policy);
    groups.push_back(std::move(group));
  }
  // PCs have a policy for every cpu. Where all are alike they are one cluster, set together through a pattern.
  const bool alike =
      groups.size() > 1 && rest.empty() && std::all_of(groups.begin(), groups.end(), [&](const Group& group) {
        return group.cpus.size() == 1 && group.freqs_khz == groups.front().freqs_khz &&
               group.capacity == groups.front().capacity;
      });
  if (alike) {
    Group all = groups.front();
    all.cpus.assign(usable.begin(), usable.end());
    all.control = pattern;
    all.denied = std::any_of(groups.begin(), groups.end(), [](const Group& group) { return group.denied; });
    return {all};
  }
  std::map<double, Group> without;  // by capacity
  for (const int cpu : rest) {
    Group& group = without[capacity_of(root, cpu)];
    group.capacity = capacity_of(root, cpu);
    group.cpus.push_back(cpu);
  }
  for (auto& [capacity, group] : without) groups.push_back(std::move(group));
  return groups;
}

/// Core counts to offer: 1, 2, 4 ... and all; the smaller of too many go, 1 stays.
std::vector<int> core_counts(std::size_t cpus, std::size_t most) {
  std::vector<int> counts;
  for (std::size_t n = 1; n < cpus; n *= 2) counts.push_back(static_cast<int>(n));
  counts.push_back(static_cast<int>(cpus));
  while (counts.size() > most) counts.erase(counts.begin() + 1);
  return counts;
}

void add_clusters(Board& board, std::vector<Group> groups) {
  // The biggest first, by capacity and, where the kernel says none, by top frequency. At most four, the limit of an
  // action space: more (a machine with a policy of its own for every unlike core) are left out, smallest first.
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    const auto key = [](const Group& g) { return std::pair(g.capacity, g.freqs_khz.empty() ? 0 : g.freqs_khz.back()); };
    return key(a) > key(b);
  });
  if (groups.size() > 4) groups.resize(4);
  const double biggest = groups.front().capacity;
  const std::int64_t fastest = groups.front().freqs_khz.empty() ? 0 : groups.front().freqs_khz.back();
  const std::size_t mappings_each = groups.size() <= 2 ? kMostMappings : 2;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Group& group = groups[i];
    Cluster cluster;
    cluster.name = groups.size() == 1 ? "cpu" : "cpu" + std::to_string(group.cpus.front());
    cluster.cpus = std::move(group.cpus);
    if (biggest > 0 && group.capacity > 0) {
      cluster.capacity = std::clamp(1024 * group.capacity / biggest, 1.0, 1024.0);
    } else if (fastest > 0 && !group.freqs_khz.empty()) {
      cluster.capacity =
          std::clamp(1024.0 * static_cast<double>(group.freqs_khz.back()) / static_cast<double>(fastest), 1.0, 1024.0);
    }
    // Voltages are not published: 1 V keeps the power model's terms defined; without coefficients it says nothing.
    for (const std::int64_t khz : group.freqs_khz) cluster.opps.push_back({khz, 1.0});
    if (cluster.opps.empty()) cluster.opps.push_back({0, 1.0});
    cluster.control = std::move(group.control);
    cluster.switch_s = group.switch_s;
    if (!board.rails.empty()) cluster.rail = board.rails.front().name;
    cluster.idle = {IdleState{"idle", 1, 1, 0, 0}};
    const std::string place = groups.size() == 1 || i == 0 ? "big"
                              : i + 1 == groups.size()     ? "little"
                                                           : "middle" + std::to_string(i);
    const auto all = static_cast<int>(cluster.cpus.size());
    for (const int cores : core_counts(cluster.cpus.size(), mappings_each)) {
      Mapping mapping;
      mapping.name = cluster.name + "-x" + std::to_string(cores);
      mapping.slot = place + (cores == all       ? "-all"
                              : cores == 1       ? "-one"
                              : 2 * cores == all ? "-half"
                                                 : "-x" + std::to_string(cores));
      mapping.cluster = ClusterId(board.clusters.size());
      mapping.cores = cores;
      board.mappings.push_back(std::move(mapping));
    }
    board.clusters.push_back(std::move(cluster));
  }
}

/// RAPL packages (and memory, which is outside them) are what is counted; parts of a package are listed and not
/// counted.
void add_rails(Board& board, const fs::path& root) {
  std::set<std::string, std::less<>> seen;
  std::vector<Rail> parts;
  for (const fs::path& zone : find_paths(root, "sys/class/powercap/intel-rapl:*")) {
    std::string name = first_line(zone / "name");
    if (name.empty()) continue;
    // Zones inside a package, intel-rapl:0:1, are called the same in every package.
    const std::string id = zone.filename().native().substr(std::string_view("intel-rapl:").size());
    const bool inner = id.find(':') != std::string::npos;
    const std::string package = id.substr(0, id.find(':'));
    Rail rail;
    rail.name = inner ? name + "-" + package : name;
    if (!seen.insert(rail.name).second) continue;
    rail.sensor = "sys/class/powercap/" + zone.filename().native();
    rail.sensor_period_s = 0.001;  // RAPL updates about every millisecond (Intel SDM, volume 3, 15.10)
    if (inner && name != "dram") {
      for (Rail& other : board.rails) {
        if (other.sensor == "sys/class/powercap/intel-rapl:" + package) other.contains.push_back(rail.name);
      }
      parts.push_back(std::move(rail));
    } else if (name == "psys") {
      parts.push_back(std::move(rail));  // the whole platform: it contains the packages
    } else {
      rail.accounting = inner || name.starts_with("package");
      board.rails.push_back(std::move(rail));
    }
  }
  for (Rail& part : parts) {
    if (part.name == "psys") {
      for (const Rail& rail : board.rails) {
        if (rail.accounting) part.contains.push_back(rail.name);
      }
    }
    board.rails.push_back(std::move(part));
  }
}

void add_thermal(Board& board, const fs::path& root) {
  constexpr std::string_view kKnown[] = {"x86_pkg_temp", "cpu-thermal", "cpu_thermal", "CPU-therm", "acpitz"};
  const auto zones = find_paths(root, "sys/class/thermal/thermal_zone*");
  fs::path chosen;
  for (const std::string_view wanted : kKnown) {
    for (const fs::path& zone : zones) {
      if (chosen.empty() && first_line(zone / "type") == wanted) chosen = zone;
    }
  }
  if (chosen.empty()) return;
  board.thermal.zone = first_line(chosen / "type");
  // The lowest passive trip is where the kernel begins to throttle.
  double passive_c = 0;
  for (const std::string& file : list_folder(chosen)) {
    if (!file.starts_with("trip_point_") || !file.ends_with("_type") || first_line(chosen / file) != "passive")
      continue;
    const auto millic = numbers_in(first_line(chosen / (file.substr(0, file.size() - 4) + "temp")));
    if (millic.empty() || millic[0] <= 0) continue;
    const double trip_c = static_cast<double>(millic[0]) * 1e-3;
    if (passive_c == 0 || trip_c < passive_c) passive_c = trip_c;
  }
  if (passive_c > 0) {
    board.thermal.throttle_c = passive_c;
    board.thermal.release_c = passive_c - 5;
  }
  for (const Cluster& cluster : board.clusters) board.thermal.throttled.push_back(cluster.name);
}

/// What a policy or a profile depends on: a change of any of it makes the host another board.
std::string identity(const Board& board) {
  std::string text = board.title + "\n";
  for (const Cluster& cluster : board.clusters) {
    text += cluster.name + " " + cluster.control;
    for (const int cpu : cluster.cpus) text += " " + std::to_string(cpu);
    for (const OperatingPoint& opp : cluster.opps) text += " " + std::to_string(opp.freq_khz) + "kHz";
    text += "\n";
  }
  for (const Rail& rail : board.rails) text += rail.name + "\n";
  return text;
}

}  // namespace

Result<Board> discover_host(const fs::path& root, bool only_usable) {
  std::string cpuinfo;
  if (auto text = read_file(root / "proc/cpuinfo", std::size_t{16} << 20)) cpuinfo = std::move(*text);
  const std::set<int> cpus = usable_cpus(root, cpuinfo);
  if (cpus.empty()) {
    return fail(ErrorKind::kUnsupported, "no online cpu is named there", (root / kCpuFolder / "online").native(),
                "mount /sys and /proc, or name a board file with --board");
  }
  Board board;
  board.name = "host";
  board.title = proc_value(cpuinfo, "model name");
  if (board.title.empty()) {
    board.title = first_line(root / "proc/device-tree/model");
    std::erase(board.title, '\0');  // device-tree strings end with one
  }
  if (board.title.empty()) board.title = "this machine";
  board.provisional = true;
  add_rails(board, root);
  std::vector<Group> groups = find_groups(root, cpus);
  bool denied = false;
  for (Group& group : groups) {
    if (!only_usable || !group.denied) continue;
    denied = true;
    group.freqs_khz.clear();
    group.control.clear();
  }
  add_clusters(board, std::move(groups));
  add_thermal(board, root);
  board.notes =
      "discovered: no coefficients of power or time are known (measure them with 'reins profile --live', and where "
      "there are frequencies fit them with 'reins board fit')";
  if (std::all_of(board.clusters.begin(), board.clusters.end(), [](const Cluster& c) { return c.control.empty(); })) {
    board.notes += denied ? "; DVFS is there and not this user's to set ('reins board' says what is missing): level,"
                          : "; no DVFS here: level,";
    board.notes += " core count and placement are what takes effect";
  } else if (denied) {
    board.notes += "; where DVFS is not this user's to set, the machine's own choice stands";
  }
  if (board.rails.empty()) board.notes += "; no energy source here: no energy claim";
  board.fingerprint = fingerprint(identity(board));
  return board;
}

}  // namespace reins::boards
