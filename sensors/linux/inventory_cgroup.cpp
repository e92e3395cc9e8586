// Control groups: cpu.max of v2 (Documentation/admin-guide/cgroup-v2.rst), cpu.cfs_quota_us over cpu.cfs_period_us of
// v1 (Documentation/scheduler/sched-bwc.rst). Which are mounted says /proc/self/mountinfo (proc(5)), and where.
#include <algorithm>
#include <charconv>
#include <sstream>

#include "core/file.hpp"
#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kCgroupTopic = "cgroup";
constexpr std::string_view kOwnGroup = "systemd-run --scope -p Delegate=yes -p CPUQuota=10000% reins ...";

/// Where a hierarchy is mounted, and which of its groups is at the top there ("/" but in containers). Empty: nowhere.
struct Mount {
  std::string place, top;
};
struct Mounts {
  Mount cpu_v1;   ///< with the cpu controller of v1
  Mount unified;  ///< v2
};

bool lists(const std::string& options, std::string_view word) {
  std::istringstream stream(options);
  for (std::string option; std::getline(stream, option, ',');) {
    if (option == word) return true;
  }
  return false;
}

Mounts find_mounts(const std::filesystem::path& root) {
  Mounts mounts;
  std::istringstream lines(read_file(root / "proc/self/mountinfo", std::size_t{1} << 20).value_or(std::string()));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string skip;
    Mount mount;
    for (int i = 0; i < 3; ++i) words >> skip;
    words >> mount.top >> mount.place;
    while (words >> skip && skip != "-") {
    }
    std::string type;
    std::string options;
    words >> type >> skip >> options;
    if (type == "cgroup2" && mounts.unified.place.empty()) mounts.unified = mount;
    if (type == "cgroup" && lists(options, "cpu") && mounts.cpu_v1.place.empty()) mounts.cpu_v1 = mount;
  }
  return mounts;
}

/// The path of this process in the hierarchy of `controller` (empty: v2), by /proc/self/cgroup.
std::optional<std::string> own_path(const std::filesystem::path& root, std::string_view controller) {
  std::istringstream lines(read_file(root / "proc/self/cgroup", std::size_t{1} << 16).value_or(std::string()));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : lists(controllers, controller)) return line.substr(second + 1);
  }
  return std::nullopt;
}

void read_quota(const Attributes& at, bool v2, Cgroup& cgroup) {
  cgroup.folder = at.place();
  cgroup.quota_file = v2 ? "cpu.max" : "cpu.cfs_quota_us";
  cgroup.writable = at.may_write(cgroup.quota_file);
  if (!v2) {
    const auto quota_us = at.integer("cpu.cfs_quota_us");
    const auto period_us = at.integer("cpu.cfs_period_us");
    if (!quota_us || !period_us || *period_us <= 0) return;
    cgroup.quota_cpus = *quota_us < 0 ? 0 : static_cast<double>(*quota_us) / static_cast<double>(*period_us);
    return;
  }
  const std::vector<std::string> words = at.words("cpu.max");  // "max 100000"
  if (words.size() != 2) return;
  double numbers[2] = {0, 0};
  for (std::size_t i = 0; i < 2; ++i) std::from_chars(words[i].data(), words[i].data() + words[i].size(), numbers[i]);
  if (numbers[1] > 0) cgroup.quota_cpus = words[0] == "max" ? 0 : numbers[0] / numbers[1];
}

}  // namespace

void survey_cgroup(InventoryDraft& draft) {
  Cgroup& cgroup = draft.found.cgroup;
  const Mounts mounts = find_mounts(draft.root);
  const bool v1_there = !mounts.cpu_v1.place.empty();
  const bool v2_there = !mounts.unified.place.empty();
  cgroup.version = v1_there ? (v2_there ? "hybrid" : "v1") : (v2_there ? "v2" : "none");
  for (const bool v2 : {false, true}) {
    const Mount& mount = v2 ? mounts.unified : mounts.cpu_v1;
    auto path = own_path(draft.root, v2 ? "" : "cpu");
    if (mount.place.empty() || !path) continue;
    if (mount.top != "/" && path->starts_with(mount.top)) path->erase(0, mount.top.size());
    const std::string below = *path == "/" ? "" : *path;
    const Attributes at(draft.root / (mount.place + below).substr(1), draft);
    if (!at.has(v2 ? "cpu.max" : "cpu.cfs_quota_us")) continue;
    read_quota(at, v2, cgroup);
    break;
  }
  if (cgroup.version == "none") {
    draft.miss(kCgroupTopic, "no control groups with cpu time are mounted", "mount -t cgroup2 none /sys/fs/cgroup");
  } else if (cgroup.folder.empty()) {
    draft.miss(kCgroupTopic, "this process is in no group whose cpu time can be limited (the top group has no quota)",
               std::string(kOwnGroup));
  } else if (!cgroup.writable) {
    draft.miss(kCgroupTopic, "the cpu quota of this process's group is not this user's to set", std::string(kOwnGroup));
  }
}

}  // namespace reins::sensors
