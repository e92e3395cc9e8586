#include "apps/scheduling.hpp"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace reins::apps {
namespace {

struct Class {
  int policy = SCHED_OTHER;
  int priority = 0;
};

Result<Class> parse_class(std::string_view text) {
  if (text == "other") return Class{SCHED_OTHER, 0};
  if (text == "batch") return Class{SCHED_BATCH, 0};
  if (text == "idle") return Class{SCHED_IDLE, 0};
  for (const auto& [name, policy] : {std::pair{"fifo:", SCHED_FIFO}, {"rr:", SCHED_RR}}) {
    if (!text.starts_with(name)) continue;
    text.remove_prefix(std::string_view(name).size());
    int priority = 0;
    const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), priority);
    if (code == std::errc() && stop == text.data() + text.size() && priority >= 1 && priority <= 99) {
      return Class{policy, priority};
    }
  }
  return fail(ErrorKind::kUsage, "is no scheduling class", "--sched",
              "write other, batch, idle, fifo:PRIORITY or rr:PRIORITY, with a priority from 1 to 99");
}

bool may_lock_memory() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return true;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

}  // namespace

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  const auto refuse = [] {
    return fail(ErrorKind::kUsage, "is no list of cpus", "--server-cpus or --sampler-cpus", "write it as 0,2-3");
  };
  const auto number = [&text](int& value) {
    const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || value < 0 || value >= CPU_SETSIZE) return false;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    return true;
  };
  do {
    int low = 0;
    if (!number(low)) return refuse();
    int high = low;
    if (text.starts_with("-")) {
      text.remove_prefix(1);
      if (!number(high) || high < low) return refuse();
    }
    for (int cpu = low; cpu <= high; ++cpu) cpus.push_back(cpu);
    if (!text.empty() && text.front() != ',') return refuse();
    if (text == ",") return refuse();
    if (!text.empty()) text.remove_prefix(1);
  } while (!text.empty());
  return cpus;
}

Status check_scheduling(const SchedulingOptions& options) {
  REINS_TRY(parse_class(options.sched));
  if (!options.server_cpus.empty()) REINS_TRY(parse_cpu_list(options.server_cpus));
  if (!options.sampler_cpus.empty()) REINS_TRY(parse_cpu_list(options.sampler_cpus));
  return {};
}

Status lock_memory(const SchedulingOptions& options) {
  if (!options.mlock) return {};
  constexpr std::string_view kHint = "give it CAP_IPC_LOCK (packaging/reins-serve.service), or raise 'ulimit -l'";
  // Under a finite limit a later allocation would fail instead of this call.
  if (!may_lock_memory()) return fail(ErrorKind::kDenied, "memory may not be locked by this user", "--mlock", kHint);
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) == 0) return {};
  return fail(from_errno(errno, "memory cannot be locked", "--mlock", kHint));
}

Status schedule_thread(const SchedulingOptions& options, Role role, bool inherit) {
  const std::string& list = role == Role::kServer ? options.server_cpus : options.sampler_cpus;
  if (!list.empty()) {
    REINS_ASSIGN(const std::vector<int> cpus, parse_cpu_list(list));
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0) {
      const std::string_view where = role == Role::kServer ? "--server-cpus" : "--sampler-cpus";
      if (errno == EINVAL) {
        return fail(ErrorKind::kNotFound, "none of these cpus is online and allowed to this process", where,
                    "see 'taskset -p $$' and /sys/devices/system/cpu/online");
      }
      return fail(from_errno(errno, "the cpus cannot be set", where));
    }
  }
  if (options.sched == "other") return {};
  REINS_ASSIGN(const Class wanted, parse_class(options.sched));
  sched_param parameter{};
  parameter.sched_priority = wanted.priority;
  if (::sched_setscheduler(0, wanted.policy | (inherit ? 0 : SCHED_RESET_ON_FORK), &parameter) == 0) return {};
  return fail(from_errno(errno, "the scheduling class cannot be set", "--sched",
                         "give it CAP_SYS_NICE (packaging/reins-serve.service), or raise 'ulimit -r'"));
}

void add_scheduling_options(CLI::App& command, SchedulingOptions& options) {
  command
      .add_option("--sched", options.sched,
                  "scheduling class of the threads that take requests, decide and sample, not of the engine: other; "
                  "batch or idle (yield to everybody else: later decisions); fifo:1..99 or rr:1..99 (run before all "
                  "other programs: steadier decisions, and a busy server can starve what shares its cpus)")
      ->capture_default_str()
      ->type_name("CLASS");
  command.add_flag("--mlock", options.mlock,
                   "keep all memory resident: no page fault delays an inference; what is locked, the network included, "
                   "is lost to other programs");
  command
      .add_option("--server-cpus", options.server_cpus,
                  "cpus of the threads that take requests and decide, as 0,2-3: away from the engine's they take "
                  "nothing from it, on them a decision finds its caches warm (default: as the process was started)")
      ->type_name("LIST");
  command
      .add_option("--sampler-cpus", options.sampler_cpus,
                  "live: cpus of the thread that reads the sensors; away from the engine's, reads that block or cost "
                  "time (I2C) delay no inference")
      ->type_name("LIST");
}

}  // namespace reins::apps
