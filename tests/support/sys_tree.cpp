#include "tests/support/sys_tree.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace reins::testing {
namespace {

std::string joined(const std::vector<std::int64_t>& values, std::int64_t factor) {
  std::string text;
  for (const std::int64_t value : values) text += (text.empty() ? "" : " ") + std::to_string(value * factor);
  return text;
}

}  // namespace

SysTree::SysTree() {
  std::string name = (std::filesystem::temp_directory_path() / "reins-tree-XXXXXX").native();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  root_ = name;
  // Tests that give up root still have to reach in.
  std::filesystem::permissions(root_, std::filesystem::perms(0755));
}

SysTree::~SysTree() {
  std::error_code code;
  std::filesystem::remove_all(root_, code);
}

SysTree& SysTree::put(std::string_view relative, std::string_view text) {
  return put_raw(relative, std::string(text) + "\n");
}

SysTree& SysTree::put_raw(std::string_view relative, std::string_view bytes) {
  const std::filesystem::path file = path(relative);
  std::filesystem::create_directories(file.parent_path());
  // In one write over the old text and into the same file, as the kernel: a thread that reads meanwhile must find
  // neither an empty file nor another one than it has open.
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  const auto size = static_cast<ssize_t>(bytes.size());
  const bool written = fd >= 0 && ::pwrite(fd, bytes.data(), bytes.size(), 0) == size && ::ftruncate(fd, size) == 0;
  if (fd >= 0) ::close(fd);
  if (!written) throw std::runtime_error("cannot write " + file.native());
  return *this;
}

SysTree& SysTree::link(std::string_view relative, std::string_view target) {
  std::filesystem::create_directories(path(relative).parent_path());
  std::filesystem::create_symlink(path(target), path(relative));
  return *this;
}

SysTree& SysTree::remove(std::string_view relative) {
  std::filesystem::remove_all(path(relative));
  return *this;
}

std::string SysTree::read(std::string_view relative) const {
  std::ifstream stream(path(relative), std::ios::binary);
  if (!stream) return "<absent>";
  std::ostringstream text;
  text << stream.rdbuf();
  std::string result = text.str();
  while (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

std::map<std::string, std::string> SysTree::snapshot(std::string_view folder) const {
  std::map<std::string, std::string> files;
  if (!std::filesystem::exists(path(folder))) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path(folder))) {
    if (!entry.is_regular_file()) continue;
    const std::string relative = entry.path().lexically_relative(root_).native();
    files[relative] = read(relative);
  }
  return files;
}

std::string SysTree::cpufreq(int policy, const std::vector<std::int64_t>& khz, std::string_view governor,
                             std::string_view governors) {
  const std::string folder = "sys/devices/system/cpu/cpufreq/policy" + std::to_string(policy);
  const std::string low = std::to_string(khz.front());
  const std::string high = std::to_string(khz.back());
  put(folder + "/scaling_available_frequencies", joined(khz, 1) + " ");
  put(folder + "/scaling_available_governors", std::string(governors) + " ");
  put(folder + "/scaling_governor", governor);
  put(folder + "/scaling_min_freq", low);
  put(folder + "/scaling_max_freq", high);
  put(folder + "/cpuinfo_min_freq", low);
  put(folder + "/cpuinfo_max_freq", high);
  put(folder + "/scaling_cur_freq", low);
  put(folder + "/scaling_setspeed",
      governor == "userspace" ? std::string_view(low) : std::string_view("<unsupported>"));
  put(folder + "/related_cpus", std::to_string(policy));
  return folder;
}

std::string SysTree::devfreq(std::string_view name, const std::vector<std::int64_t>& khz, std::string_view governor,
                             std::string_view governors) {
  const std::string folder = "sys/class/devfreq/" + std::string(name);
  put(folder + "/available_frequencies", joined(khz, 1000));
  put(folder + "/available_governors", governors);
  put(folder + "/governor", governor);
  put(folder + "/min_freq", std::to_string(khz.front() * 1000));
  put(folder + "/max_freq", std::to_string(khz.back() * 1000));
  put(folder + "/cur_freq", std::to_string(khz.front() * 1000));
  if (governors.find("userspace") != std::string_view::npos) put(folder + "/userspace/set_freq", "undefined");
  return folder;
}

std::string SysTree::hwmon(int number, std::string_view name) {
  const std::string folder = "sys/class/hwmon/hwmon" + std::to_string(number);
  put(folder + "/name", name);
  return folder;
}

std::string SysTree::thermal(int number, std::string_view type, std::string_view millidegrees) {
  const std::string folder = "sys/class/thermal/thermal_zone" + std::to_string(number);
  put(folder + "/type", type);
  put(folder + "/temp", millidegrees);
  return folder;
}

int run_unprivileged(int (*body)(const std::filesystem::path& root), const SysTree& tree) {
  const pid_t child = ::fork();
  if (child < 0) return -1;
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (::getuid() == 0 && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(254);
    ::_exit(body(tree.root()));
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace reins::testing
