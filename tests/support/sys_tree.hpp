// tests/support/sys_tree.hpp: a temporary folder laid out like /sys and /proc, for drivers whose root can be moved.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace reins::testing {

/// Removed with everything in it when it goes. Paths are relative to its root, e.g.
/// "sys/class/thermal/thermal_zone0/temp".
class SysTree {
 public:
  SysTree();
  ~SysTree();
  SysTree(const SysTree&) = delete;
  SysTree& operator=(const SysTree&) = delete;

  const std::filesystem::path& root() const noexcept { return root_; }
  std::filesystem::path path(std::string_view relative) const { return root_ / relative; }

  /// Writes a file and the folders above it. A line end is added, as the kernel does.
  SysTree& put(std::string_view relative, std::string_view text);
  /// The bytes as they are, without a line end.
  SysTree& put_raw(std::string_view relative, std::string_view bytes);
  SysTree& link(std::string_view relative, std::string_view target);
  SysTree& remove(std::string_view relative);
  /// The text without its line end; "<absent>" where there is no such file.
  std::string read(std::string_view relative) const;
  /// Every file below `folder` with its text.
  std::map<std::string, std::string> snapshot(std::string_view folder = "sys") const;

  // Pieces of a machine, as the kernel lays them out.
  /// A cpufreq policy; `khz` ascending. Returns its folder.
  std::string cpufreq(int policy, const std::vector<std::int64_t>& khz, std::string_view governor = "schedutil",
                      std::string_view governors = "conservative ondemand userspace powersave performance schedutil");
  /// A devfreq device; `khz` ascending (written in Hz). With the userspace governor listed, its set_freq is there too.
  std::string devfreq(std::string_view name, const std::vector<std::int64_t>& khz,
                      std::string_view governor = "simple_ondemand",
                      std::string_view governors = "userspace powersave performance simple_ondemand");
  /// A hwmon chip's folder with its name file.
  std::string hwmon(int number, std::string_view name);
  std::string thermal(int number, std::string_view type, std::string_view millidegrees);

 private:
  std::filesystem::path root_;
};

/// Runs `body` in a child process that is not root, and returns what it returned (0..255), or -1 where the child died.
/// Where the tests are not root already, the child keeps their user. What `body` says to GoogleTest is lost: let it
/// return a code.
int run_unprivileged(int (*body)(const std::filesystem::path& root), const SysTree& tree);

}  // namespace reins::testing
