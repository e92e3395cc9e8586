#include "bench/machine.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace reins::bench {
namespace {

std::string first_line(const std::string& file, const std::string& start = {}) {
  std::ifstream text(file);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with(start)) return line;
  }
  return {};
}

}  // namespace

std::string machine_line() {
  std::string cpu = first_line("/proc/cpuinfo", "model name");
  if (cpu.empty()) cpu = first_line("/proc/cpuinfo", "Model");  // of an Arm board
  const std::size_t colon = cpu.find(": ");
  utsname os{};
  ::uname(&os);
  std::string load = first_line("/proc/loadavg");
  load = load.substr(0, load.find(' ', load.find(' ', load.find(' ') + 1) + 1));
  return (colon == std::string::npos ? "unknown processor" : cpu.substr(colon + 2)) + ", " +
         std::to_string(std::thread::hardware_concurrency()) + " cores, " + os.sysname + " " + os.release + " " +
         os.machine + "; load " + load;
}

std::vector<int> separate_cores(std::size_t count) {
  std::vector<int> cpus;
  std::vector<std::string> taken;
  for (const int cpu : allowed_cpus()) {
    if (cpus.size() == count) break;
    const std::string core =
        first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    if (!core.empty() && std::find(taken.begin(), taken.end(), core) != taken.end()) continue;
    taken.push_back(core);
    cpus.push_back(cpu);
  }
  return cpus;
}

void keep_to(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::runtime_error("cannot run on cpu " + joined(cpus) + ": " + std::strerror(errno));
  }
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::string joined(const std::vector<int>& cpus) {
  std::string text;
  for (const int cpu : cpus) text += (text.empty() ? "" : " ") + std::to_string(cpu);
  return text;
}

long times_preempted() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

}  // namespace reins::bench
