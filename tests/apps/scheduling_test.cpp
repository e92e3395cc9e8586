// Class, memory and cpus of server and sampler: what is taken, what is refused, and in which words.
#include "apps/scheduling.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <thread>

#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsError;

TEST(Scheduling, ReadsListsOfCpusAsTheKernelWritesThem) {
  EXPECT_THAT(*parse_cpu_list("0"), ElementsAre(0));
  EXPECT_THAT(*parse_cpu_list("0,2-4,7"), ElementsAre(0, 2, 3, 4, 7));
  for (const char* bad : {"", "x", "1,", ",1", "3-1", "1-", "1 2", "-1", "99999"}) {
    EXPECT_THAT(parse_cpu_list(bad), IsError(ErrorKind::kUsage, HasSubstr("0,2-3"))) << bad;
  }
}

TEST(Scheduling, RefusesWhatIsNoClass) {
  for (const char* good : {"other", "batch", "idle", "fifo:1", "rr:99"}) {
    EXPECT_OK(check_scheduling({.sched = good})) << good;
  }
  for (const char* bad : {"", "fifo", "fifo:", "fifo:0", "fifo:100", "rr:1x", "deadline"}) {
    EXPECT_THAT(check_scheduling({.sched = bad}), IsError(ErrorKind::kUsage, HasSubstr("--sched"))) << bad;
  }
}

TEST(Scheduling, PutsTheCallingThreadAloneIntoItsClassAndOnItsCpus) {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed)) ++cpu;
  SchedulingOptions options;
  options.sched = "batch";
  options.server_cpus = std::to_string(cpu);
  std::thread([&] {
    EXPECT_OK(schedule_thread(options, Role::kServer, true));
    EXPECT_EQ(::sched_getscheduler(0), SCHED_BATCH);
    cpu_set_t now;
    ::sched_getaffinity(0, sizeof now, &now);
    EXPECT_EQ(CPU_COUNT(&now), 1);
    EXPECT_TRUE(CPU_ISSET(cpu, &now));
  }).join();
  EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
  cpu_set_t now;
  ::sched_getaffinity(0, sizeof now, &now);
  EXPECT_TRUE(CPU_EQUAL(&now, &allowed));
}

TEST(Scheduling, RefusesCpusThatAreNotThere) {
  SchedulingOptions options;
  options.sampler_cpus = "1000";
  std::thread([&] {
    EXPECT_OK(schedule_thread(options, Role::kServer, true));
    EXPECT_THAT(schedule_thread(options, Role::kSampler, true),
                IsError(ErrorKind::kNotFound, HasSubstr("--sampler-cpus")));
  }).join();
}

TEST(Scheduling, AThreadOfARealTimeClassMakesNoOthersOfIt) {
  SchedulingOptions options;
  options.sched = "fifo:3";
  std::thread([&] {
    const Status set = schedule_thread(options, Role::kServer, false);
    if (!set.has_value()) GTEST_SKIP() << "this user may not: " << set.error().line();
    EXPECT_EQ(::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK, SCHED_FIFO);
    sched_param parameter{};
    ::sched_getparam(0, &parameter);
    EXPECT_EQ(parameter.sched_priority, 3);
    std::thread([] { EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER); }).join();
  }).join();
}

TEST(Scheduling, SaysHowToGetWhatThisUserMayNot) {
  const testing::SysTree tree;
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path&) {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_RTPRIO, &none);
        ::setrlimit(RLIMIT_MEMLOCK, &none);
        const auto says = [](const Status& status, const char* option, const char* how) {
          return !status.has_value() && status.error().kind() == ErrorKind::kDenied &&
                 status.error().line().find(option) != std::string::npos &&
                 status.error().line().find(how) != std::string::npos;
        };
        if (!says(schedule_thread({.sched = "fifo:3"}, Role::kServer, true), "--sched", "CAP_SYS_NICE")) return 1;
        if (!says(lock_memory({.mlock = true}), "--mlock", "CAP_IPC_LOCK")) return 2;
        return lock_memory({}).has_value() ? 0 : 3;
      },
      tree);
  if (code == 254) GTEST_SKIP() << "cannot give up root here, so permission cannot be tested";
  EXPECT_EQ(code, 0) << "1: the class, 2: the memory, 3: nothing was asked for";
}

}  // namespace
}  // namespace reins::apps
