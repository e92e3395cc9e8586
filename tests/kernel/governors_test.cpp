// The emulated governors beside the real ones: the same pattern of work and rest, run on a processor under the kernel's
// ondemand, conservative and schedutil, and replayed to boards::GovernorState.
#include "boards/governors.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "core/clock.hpp"
#include "tests/kernel/fixture.hpp"

namespace reins::kernel_tests {
namespace {

using boards::Governor;

struct Span {
  double begin_s = 0, end_s = 0;
};
/// Frequency from a moment on.
struct Change {
  double at_s = 0;
  std::int64_t khz = 0;
};
struct Recording {
  double begin_s = 0, end_s = 0;
  std::vector<Span> busy;       ///< of the processor: when the pattern's thread computed
  std::vector<Change> changes;  ///< as scaling_cur_freq showed them
  double held_up_s = 0;         ///< how long the pattern was kept from working, or from waking up
};

/// A stretch of the pattern: every `period_s`, `share` of it at work.
struct Stretch {
  double share, period_s, length_s;
};
constexpr std::array kPattern{Stretch{0.10, 0.04, 1.2}, Stretch{0.30, 0.04, 1.2}, Stretch{0.50, 0.04, 1.2},
                              Stretch{0.70, 0.04, 1.2}, Stretch{0.90, 0.04, 1.2}, Stretch{1.00, 0.04, 0.8},
                              Stretch{0.50, 0.20, 2.0}, Stretch{0.25, 0.40, 2.0}};

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  ASSERT_EQ(::pthread_setaffinity_np(::pthread_self(), sizeof set, &set), 0);
}

void sleep_until(double time_s) {
  const timespec until{static_cast<time_t>(time_s), static_cast<long>((time_s - std::floor(time_s)) * 1e9)};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) continue;
}

/// A pause that is no doing of the guest's.
constexpr double kHeldUp_s = 0.002;

/// The pattern on cpu 0 (the big policy), looked at from cpu 1. What is recorded is what happened, not what was meant:
/// a guest that a busy machine holds up works and rests longer than asked for.
Recording record() {
  Recording run;
  const MonotonicClock clock;
  std::atomic<bool> done = false;
  std::thread worker([&] {
    stay_on(0);
    double next_s = clock.now_s();
    run.begin_s = next_s;
    for (const Stretch& stretch : kPattern) {
      const double until_s = next_s + stretch.length_s;
      while (next_s < until_s) {
        const double begin_s = clock.now_s();
        double now_s = begin_s;
        while (now_s < begin_s + stretch.share * stretch.period_s) {
          const double before_s = std::exchange(now_s, clock.now_s());
          if (now_s - before_s > kHeldUp_s) run.held_up_s += now_s - before_s;
        }
        // Work that meets the work before it: no sleep lies between them.
        if (!run.busy.empty() && begin_s - run.busy.back().end_s < 1e-4) {
          run.busy.back().end_s = now_s;
        } else {
          run.busy.push_back({begin_s, now_s});
        }
        next_s = std::max(next_s + stretch.period_s, now_s);
        if (next_s > now_s) {
          sleep_until(next_s);
          const double late_s = clock.now_s() - next_s;
          if (late_s > kHeldUp_s) run.held_up_s += late_s;
        }
      }
    }
    run.end_s = clock.now_s();
    done = true;
  });
  std::thread watcher([&] {
    stay_on(1);
    const auto file = KernelFile::open(kBigPolicy + "/scaling_cur_freq");
    while (!done) {
      const auto khz = file->read_integer();
      const double now_s = clock.now_s();
      if (khz.has_value() && (run.changes.empty() || run.changes.back().khz != *khz))
        run.changes.push_back({now_s, *khz});
      sleep_until(now_s + 0.001);
    }
  });
  worker.join();
  watcher.join();
  return run;
}

/// Busy share of [from, to].
double busy_share(const std::vector<Span>& busy, double from_s, double to_s) {
  double sum_s = 0;
  for (const Span& span : busy) sum_s += std::max(0.0, std::min(span.end_s, to_s) - std::max(span.begin_s, from_s));
  return to_s > from_s ? std::clamp(sum_s / (to_s - from_s), 0.0, 1.0) : 0;
}

/// When a governor looks: at work on every tick, when work wakes up and when it goes to sleep; at rest on no tick, as
/// this kernel has none there, or on every tick, as env::EmulatedBoard has it.
enum class Ticks { kAtWork, kAlways };

/// What the emulated governor makes of it: ticks of 4 ms (this kernel's CONFIG_HZ is 250).
std::vector<Change> replay(Governor governor, const boards::Cluster& cluster, const Recording& run, Ticks ticks) {
  boards::GovernorState state(governor, cluster, {.frequency_invariant = false, .one_cpu = true});
  boards::Pelt pelt;
  std::vector<std::pair<double, int>> events;  // 0: tick, 1: wakes up, 2: goes to sleep
  constexpr double kTick_s = 0.004;
  for (double t_s = run.begin_s; t_s < run.end_s; t_s += kTick_s) events.emplace_back(t_s, 0);
  for (const Span& span : run.busy) {
    events.emplace_back(span.begin_s, 1);
    events.emplace_back(span.end_s, 2);
  }
  std::sort(events.begin(), events.end());
  std::vector<Change> changes{{run.begin_s, cluster.opps.front().freq_khz}};
  double last_s = run.begin_s, last_step_s = run.begin_s;
  bool running = false;
  for (const auto& [at_s, what] : events) {
    pelt.advance(at_s - last_s, running, 1, 1);
    last_s = at_s;
    if (what == 2) pelt.dequeue();
    if (what != 0) running = what == 1;
    if (what == 0 && !running && ticks == Ticks::kAtWork) continue;
    // Of the emulated board: what only schedutil sees.
    if (what != 0 && governor != Governor::kSchedutil && ticks == Ticks::kAlways) continue;
    const double util = running ? std::max(pelt.util_avg(), pelt.util_est()) : pelt.util_avg();
    const double share = busy_share(run.busy, std::exchange(last_step_s, at_s), at_s);
    const std::int64_t khz = cluster.opps[state.step(at_s, util, share).index()].freq_khz;
    if (khz != changes.back().khz) changes.push_back({at_s, khz});
  }
  return changes;
}

/// How the time of `spans` is shared between frequencies.
std::map<std::int64_t, double> shares(const std::vector<Change>& changes, const std::vector<Span>& spans) {
  std::map<std::int64_t, double> time_s;
  double sum_s = 0;
  for (const Span& span : spans) {
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const double from_s = i == 0 ? span.begin_s : std::max(span.begin_s, changes[i].at_s);
      const double to_s = i + 1 < changes.size() ? std::min(span.end_s, changes[i + 1].at_s) : span.end_s;
      if (to_s > from_s) time_s[changes[i].khz] += to_s - from_s;
    }
    sum_s += span.end_s - span.begin_s;
  }
  for (auto& [khz, share] : time_s) share /= sum_s;
  return time_s;
}

double mean_mhz(const std::map<std::int64_t, double>& shares) {
  double sum = 0;
  for (const auto& [khz, share] : shares) sum += static_cast<double>(khz) * share * 1e-3;
  return sum;
}

/// A recording that the machine outside left alone, or of some the one that it disturbed least. From the lowest point
/// each time, as boards::GovernorState begins.
Recording record_undisturbed(const std::string& governor) {
  constexpr double kGood_s = 0.15;
  Recording best;
  for (int again = 0; again < 4 && (again == 0 || best.held_up_s > kGood_s); ++again) {
    EXPECT_EQ(put(kBigPolicy + "/scaling_governor", "powersave"), 0);
    EXPECT_EQ(put(kBigPolicy + "/scaling_governor", governor), 0);
    Recording run = record();
    std::printf("%s: held up for %.3f of %.1f s\n", governor.c_str(), run.held_up_s, run.end_s - run.begin_s);
    if (again == 0 || run.held_up_s < best.held_up_s) best = std::move(run);
  }
  return best;
}

class Governors : public OnTheKernel, public ::testing::WithParamInterface<Governor> {};

// Compared is the frequency at which the pattern's work was done, as a share of its time per point and as a mean;
// single ticks are not: the guest's ticks have a phase of their own, its kernel threads work on the same processor, and
// the watcher sees a change up to 2 ms late. One step of the governor's is 10 ms, a quarter of the pattern's shortest
// period.
TEST_P(Governors, ChooseAsTheKernelsDo) {
  const std::string name(boards::name_of(GetParam()));
  const Recording run = record_undisturbed(name);
  ASSERT_FALSE(run.changes.empty());
  const auto emulated = replay(GetParam(), board_.clusters[0], run, Ticks::kAtWork);
  const auto ticking = replay(GetParam(), board_.clusters[0], run, Ticks::kAlways);

  double from_s = run.begin_s;
  for (const Stretch& stretch : kPattern) {
    std::vector<Span> here;
    for (const Span& span : run.busy) {
      if (span.begin_s >= from_s && span.begin_s < from_s + stretch.length_s) here.push_back(span);
    }
    from_s += stretch.length_s;
    std::printf("%s: %3.0f %% of %.0f ms: %4.0f MHz in the kernel, %4.0f emulated\n", name.c_str(), 100 * stretch.share,
                1e3 * stretch.period_s, mean_mhz(shares(run.changes, here)), mean_mhz(shares(emulated, here)));
  }
  const auto real_shares = shares(run.changes, run.busy), emulated_shares = shares(emulated, run.busy);
  double elsewhere = 0;
  for (const std::int64_t khz : kBigKhz) {
    const auto share = [&](const auto& all) { return all.contains(khz) ? all.at(khz) : 0.0; };
    elsewhere += std::abs(share(real_shares) - share(emulated_shares)) / 2;
    std::printf("%s: %4.0f MHz %4.1f %% of the work in the kernel, %4.1f %% emulated\n", name.c_str(),
                static_cast<double>(khz) * 1e-3, 100 * share(real_shares), 100 * share(emulated_shares));
  }
  const std::vector<Span> all{{run.begin_s, run.end_s}};
  std::printf(
      "%s: at work %.0f MHz in the kernel, %.0f emulated (%.0f with ticks at rest), %.1f %% of the work at other "
      "points; "
      "at all times %.0f, %.0f (%.0f)\n",
      name.c_str(), mean_mhz(real_shares), mean_mhz(emulated_shares), mean_mhz(shares(ticking, run.busy)),
      100 * elsewhere, mean_mhz(shares(run.changes, all)), mean_mhz(shares(emulated, all)),
      mean_mhz(shares(ticking, all)));
  const double range_mhz = static_cast<double>(kBigKhz.back() - kBigKhz.front()) * 1e-3;
  EXPECT_NEAR(mean_mhz(emulated_shares), mean_mhz(real_shares), 0.25 * range_mhz);
  EXPECT_LT(elsewhere, 0.35);
}

INSTANTIATE_TEST_SUITE_P(All, Governors,
                         ::testing::Values(Governor::kOndemand, Governor::kConservative, Governor::kSchedutil),
                         [](const auto& info) { return std::string(boards::name_of(info.param)); });

}  // namespace
}  // namespace reins::kernel_tests
