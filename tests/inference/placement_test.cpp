// Where inferences run: each worker on the core it was given, by the kernel's word, and nobody else's setting touched.
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "inference/engines.hpp"
#include "inference/worker_team.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/support/matchers.hpp"

namespace reins::inference {
namespace {

using reins::testing::IsError;
using reins::testing::random_image;
using reins::testing::random_weights;
using reins::testing::small_architecture;
using reins::testing::view_of;

using Cpus = std::vector<int>;

/// Of a thread of this process; 0: the calling one.
Cpus allowed(pid_t thread = 0) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(thread, sizeof set, &set), 0);
  Cpus cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::set<pid_t> threads_now() {
  std::set<pid_t> threads;
  DIR* const folder = ::opendir("/proc/self/task");
  EXPECT_NE(folder, nullptr);
  if (folder == nullptr) return threads;
  while (const dirent* const entry = ::readdir(folder)) {
    if (const pid_t thread = std::atoi(entry->d_name); thread > 0) threads.insert(thread);
  }
  ::closedir(folder);
  return threads;
}

std::vector<pid_t> new_since(const std::set<pid_t>& before) {
  std::vector<pid_t> threads;
  for (const pid_t thread : threads_now()) {
    if (!before.contains(thread)) threads.push_back(thread);
  }
  return threads;
}

/// OpenMP's setting of the calling thread; 0 where this process has no OpenMP.
int openmp_threads() {
  const auto ask = reinterpret_cast<int (*)()>(::dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  return ask == nullptr ? 0 : ask();
}

/// What each worker of one run saw. All of them are in it at once: none gets past the barrier alone.
struct Seen {
  std::vector<int> cpu;
  std::vector<Cpus> may;
  std::vector<pid_t> thread;
};
Seen look(WorkerTeam& team) {
  struct Context {
    WorkerTeam& team;
    Seen seen;
  } context{team, {}};
  const auto workers = static_cast<std::size_t>(team.workers());
  context.seen = {std::vector<int>(workers), std::vector<Cpus>(workers), std::vector<pid_t>(workers)};
  EXPECT_OK(team.run(
      [](void* opaque, int worker, int) {
        auto& in = *static_cast<Context*>(opaque);
        in.team.barrier();
        const auto at = static_cast<std::size_t>(worker);
        in.seen.cpu[at] = ::sched_getcpu();
        in.seen.may[at] = allowed();
        in.seen.thread[at] = ::gettid();
      },
      &context));
  return context.seen;
}

class Placed : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = allowed();
    if (before_.size() < 2) GTEST_SKIP() << "this process may use one cpu alone";
    one_ = before_[0];
    other_ = before_[1];
  }
  Cpus before_;
  int one_ = 0, other_ = 0;
};

TEST_F(Placed, EveryWorkerRunsOnTheCpuItWasGivenAllAtOnce) {
  WorkerTeam team;
  for (const Cpus& wanted : {Cpus{one_, other_}, Cpus{other_, one_}, Cpus{other_}, Cpus{one_, other_}}) {
    ASSERT_OK(team.place({.unit = Unit::kCpu, .threads = 1, .cpus = wanted}));
    EXPECT_EQ(allowed(), before_) << "place by itself moves nobody";
    const Seen seen = look(team);
    EXPECT_EQ(seen.cpu, wanted);
    for (std::size_t worker = 0; worker < wanted.size(); ++worker) EXPECT_EQ(seen.may[worker], Cpus{wanted[worker]});
    EXPECT_EQ(seen.thread[0], ::gettid());
    EXPECT_EQ(std::set<pid_t>(seen.thread.begin(), seen.thread.end()).size(), wanted.size());
    EXPECT_EQ(allowed(), before_) << "the caller is where it was";
  }
}

TEST_F(Placed, WorkersAreMovedWhileTheyRun) {
  WorkerTeam team;
  for (const auto& [from, to] : {std::pair(Cpus{one_, other_}, Cpus{other_, one_}), {Cpus{one_}, Cpus{other_}}}) {
    ASSERT_OK(team.place({.unit = Unit::kCpu, .threads = 1, .cpus = from}));
    struct Context {
      Cpus wanted;
      std::atomic<int> inside{0}, arrived{0};
    } context;
    context.wanted = to;
    Status moved = fail(ErrorKind::kInternal, "not moved", "test");
    std::thread mover([&] {
      while (context.inside < team.workers()) std::this_thread::yield();
      moved = team.move({.unit = Unit::kCpu, .threads = 1, .cpus = to});
      // Where they cannot be moved the run ends all the same.
      if (!moved.has_value()) context.arrived = 1000;
    });
    EXPECT_OK(team.run(
        [](void* opaque, int worker, int) {
          auto& in = *static_cast<Context*>(opaque);
          ++in.inside;
          while (::sched_getcpu() != in.wanted[static_cast<std::size_t>(worker)] && in.arrived < 1000) continue;
          ++in.arrived;
        },
        &context));
    mover.join();
    EXPECT_OK(moved);
    EXPECT_EQ(context.arrived, static_cast<int>(to.size()));
    EXPECT_EQ(allowed(), before_) << "the caller is where it was";
    EXPECT_EQ(look(team).cpu, to) << "and the next run is there too";
  }
}

TEST_F(Placed, OnlyToAsManyCpusThatAreThere) {
  WorkerTeam team;
  EXPECT_THAT(team.move({.unit = Unit::kCpu, .threads = 1, .cpus = {one_}}),
              IsError(ErrorKind::kUnsupported, ::testing::HasSubstr("")))
      << "it was pinned to none";
  ASSERT_OK(team.place({.unit = Unit::kCpu, .threads = 1, .cpus = {one_}}));
  ASSERT_OK(team.move({.unit = Unit::kCpu, .threads = 1, .cpus = {other_}}));
  EXPECT_EQ(look(team).cpu, Cpus{other_}) << "before the first run";
  EXPECT_THAT(team.move({.unit = Unit::kCpu, .threads = 1, .cpus = {one_, other_}}),
              IsError(ErrorKind::kUnsupported, ::testing::HasSubstr("")));
  EXPECT_THAT(team.move({.unit = Unit::kCpu, .threads = 1, .cpus = {CPU_SETSIZE}}),
              IsError(ErrorKind::kUnsupported, ::testing::HasSubstr("")));
  EXPECT_EQ(look(team).cpu, Cpus{other_});
}

TEST_F(Placed, WithoutCpusWorkersGoWhereTheProcessMay) {
  WorkerTeam team;
  ASSERT_OK(team.place({.unit = Unit::kCpu, .threads = 2, .cpus = {one_, other_}}));
  look(team);
  ASSERT_OK(team.place({.unit = Unit::kCpu, .threads = 2, .cpus = {}}));
  EXPECT_THAT(look(team).may, ::testing::ElementsAre(before_, before_));
}

class PlacedEngines : public Placed, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "onednn" && !has_onednn()) GTEST_SKIP() << "this build has no oneDNN";
    Placed::SetUp();
  }
  std::unique_ptr<Engine> engine() const {
    auto made = make_engine(describe(a_, "small", "none", "none"), random_weights(a_, 1), {.backend = GetParam()});
    return made.has_value() ? std::move(*made) : nullptr;
  }
  std::vector<float> infer(Engine& engine) const {
    EXPECT_OK(engine.begin(view_of(image_, a_), LevelId(2)));
    auto answer = engine.finish();
    EXPECT_OK(answer);
    return {answer->probabilities.begin(), answer->probabilities.end()};
  }
  const GroupArchitecture a_ = small_architecture();
  const std::vector<std::uint8_t> image_ = random_image(a_, 1);
};

TEST_P(PlacedEngines, OnesPlacementLeavesTheOthersAlone) {
  const int openmp_before = openmp_threads();
  const auto first = engine();
  const auto second = engine();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  const std::vector<float> expected = infer(*first);
  const std::set<pid_t> at_first = threads_now();
  ASSERT_OK(first->place({.unit = Unit::kCpu, .threads = 2, .cpus = {one_, other_}}));
  EXPECT_EQ(infer(*first), expected);
  const std::vector<pid_t> of_first = new_since(at_first);
  ASSERT_EQ(of_first.size(), 1U) << "two workers: the caller and one more";
  const std::set<pid_t> with_first = threads_now();
  ASSERT_OK(second->place({.unit = Unit::kCpu, .threads = 2, .cpus = {other_, one_}}));
  EXPECT_EQ(infer(*second), expected);
  const std::vector<pid_t> of_second = new_since(with_first);
  ASSERT_EQ(of_second.size(), 1U);
  const std::set<pid_t> all = threads_now();
  for (int again = 0; again < 3; ++again) {
    EXPECT_EQ(infer(*first), expected);
    EXPECT_EQ(infer(*second), expected);
    EXPECT_EQ(allowed(of_first[0]), Cpus{other_});
    EXPECT_EQ(allowed(of_second[0]), Cpus{one_});
    EXPECT_EQ(allowed(), before_);
  }
  // One goes elsewhere, and to fewer; the other stays.
  ASSERT_OK(second->place({.unit = Unit::kCpu, .threads = 1, .cpus = {other_}}));
  EXPECT_EQ(infer(*second), expected);
  EXPECT_EQ(infer(*first), expected);
  EXPECT_EQ(allowed(of_first[0]), Cpus{other_});
  EXPECT_EQ(allowed(), before_);
  EXPECT_EQ(threads_now(), all) << "nothing but the two engines' workers";
  EXPECT_EQ(openmp_threads(), openmp_before);
}

TEST_P(PlacedEngines, TwoApplicationsRunAtOnceEachOnItsOwnCore) {
  const auto alone = engine();
  ASSERT_NE(alone, nullptr);
  const std::vector<float> expected = infer(*alone);
  std::atomic<int> wrong{0};
  const auto application = [&](int cpu) {
    const auto own = engine();
    const Cpus mine = allowed();
    const int openmp_before = openmp_threads();
    for (int i = 0; i < 50; ++i) {
      if (!own->place({.unit = Unit::kCpu, .threads = 1, .cpus = {cpu}})) ++wrong;
      if (infer(*own) != expected || allowed() != mine || openmp_threads() != openmp_before) ++wrong;
    }
  };
  std::thread other(application, other_);
  application(one_);
  other.join();
  EXPECT_EQ(wrong.load(), 0);
}

INSTANTIATE_TEST_SUITE_P(Engine, PlacedEngines, ::testing::Values("portable", "onednn"));

}  // namespace
}  // namespace reins::inference
