#include "bench/peers/threads.hpp"

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <thread>

namespace reins::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kThreads = "/proc/self/task/";

std::vector<pid_t> all_threads() {
  std::vector<pid_t> threads;
  DIR* const folder = ::opendir(kThreads);
  if (folder == nullptr) return threads;
  while (const dirent* const entry = ::readdir(folder)) {
    if (const pid_t thread = std::atoi(entry->d_name); thread > 0) threads.push_back(thread);
  }
  ::closedir(folder);
  return threads;
}

/// Nanoseconds on a CPU so far, by thread.
std::map<pid_t, long long> cpu_ns() {
  std::map<pid_t, long long> times;
  for (const pid_t thread : all_threads()) {
    std::ifstream(kThreads + std::to_string(thread) + "/schedstat") >> times[thread];
  }
  return times;
}

/// Whether another thread than the calling one spins, on a core or waiting for one.
bool others_runnable() {
  for (const pid_t thread : all_threads()) {
    if (thread == ::gettid()) continue;
    std::string line;
    std::getline(std::ifstream(kThreads + std::to_string(thread) + "/stat"), line);
    const std::size_t name = line.rfind(") ");  // the state stands behind the name, which may hold anything
    if (name != std::string::npos && line[name + 2] == 'R') return true;
  }
  return false;
}

/// Those that worked beside the calling thread, the busiest first.
std::vector<pid_t> helpers(const std::function<void()>& work) {
  wait_until_quiet();
  work();  // what is made at the first call is not counted
  std::map<pid_t, long long> before = cpu_ns();
  const auto until = Clock::now() + std::chrono::milliseconds(20);
  for (int runs = 0; runs < 10 || Clock::now() < until; ++runs) work();
  std::vector<std::pair<long long, pid_t>> busy;
  long long own = 0;
  for (const auto& [thread, ns] : cpu_ns()) {
    if (thread == ::gettid()) own = ns - before[thread];
    if (thread != ::gettid()) busy.emplace_back(ns - before[thread], thread);
  }
  std::sort(busy.rbegin(), busy.rend());
  std::vector<pid_t> found;
  for (const auto& [ns, thread] : busy) {
    if (ns > own / 10) found.push_back(thread);  // less: woken and sent to sleep again, or still on its way there
  }
  return found;
}

int only_cpu(pid_t thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(thread, sizeof set, &set) != 0 || CPU_COUNT(&set) != 1) return -1;
  int cpu = 0;
  while (CPU_ISSET(static_cast<std::size_t>(cpu), &set) == 0) ++cpu;
  return cpu;
}

}  // namespace

void wait_until_quiet() {
  int quiet = 0;  // in a row
  for (int i = 0; i < 400 && quiet < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    quiet = others_runnable() ? 0 : quiet + 1;
  }
}

void pin_helpers(const std::function<void()>& work, const std::vector<int>& cpus) {
  if (cpus.size() < 2) return;
  std::size_t next = 0;
  for (const pid_t thread : helpers(work)) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpus[1 + next++ % (cpus.size() - 1)]), &set);
    ::sched_setaffinity(thread, sizeof set, &set);
  }
}

std::vector<int> cpus_of(const std::function<void()>& work) {
  std::vector<int> cpus{only_cpu(::gettid())};
  for (const pid_t thread : helpers(work)) cpus.push_back(only_cpu(thread));
  return cpus;
}

}  // namespace reins::bench
