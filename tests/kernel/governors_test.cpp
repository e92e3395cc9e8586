// The emulated governors beside the real ones: the same pattern of work and rest, run on a processor under the kernel's
// ondemand, conservative and schedutil, and replayed to boards::GovernorState.
#include "boards/governors.hpp"

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

/// A stretch of the pattern: every `period_s`, `share` of it at work.
struct Stretch {
  double share, period_s, length_s;
};
constexpr std::array kPattern{Stretch{0.10, 0.04, 1.2}, Stretch{0.30, 0.04, 1.2}, Stretch{0.50, 0.04, 1.2},
                              Stretch{0.70, 0.04, 1.2}, Stretch{0.90, 0.04, 1.2}, Stretch{1.00, 0.04, 0.8},
                              Stretch{0.50, 0.20, 2.0}, Stretch{0.25, 0.40, 2.0}};

struct Recording {
  double begin_s = 0, end_s = 0;
  std::vector<Span> busy;                               ///< of the processor: when the pattern's thread computed
  std::array<std::vector<Span>, kPattern.size()> work;  ///< the same, by stretch
  std::vector<Change> changes;                          ///< as scaling_cur_freq showed them
  double held_up_s = 0;  ///< how long the pattern was kept from working, or from waking up
};

double length_s(const std::vector<Span>& spans) {
  double sum_s = 0;
  for (const Span& span : spans) sum_s += span.end_s - span.begin_s;
  return sum_s;
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
    for (std::size_t i = 0; i < kPattern.size(); ++i) {
      const Stretch& stretch = kPattern[i];
      const double until_s = next_s + stretch.length_s;
      while (next_s < until_s) {
        const double begin_s = clock.now_s();
        double now_s = begin_s;
        while (now_s < begin_s + stretch.share * stretch.period_s) {
          const double before_s = std::exchange(now_s, clock.now_s());
          if (now_s - before_s > kHeldUp_s) run.held_up_s += now_s - before_s;
        }
        run.work[i].push_back({begin_s, now_s});
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

/// When a governor looks. kAtWork, as in this kernel: on ticks at work, and when work wakes up or goes to sleep; at
/// rest there are no ticks. kAlways, as in env::EmulatedBoard: on every tick, and schedutil when work wakes up.
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
    const bool on_board = what == 0 || (what == 1 && governor == Governor::kSchedutil);
    if (ticks == Ticks::kAlways && !on_board) continue;
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
  for (const Span& span : spans) {
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const double from_s = i == 0 ? span.begin_s : std::max(span.begin_s, changes[i].at_s);
      const double to_s = i + 1 < changes.size() ? std::min(span.end_s, changes[i + 1].at_s) : span.end_s;
      if (to_s > from_s) time_s[changes[i].khz] += to_s - from_s;
    }
  }
  for (auto& [khz, share] : time_s) share /= length_s(spans);
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
  for (int again = 0; again < 3 && (again == 0 || best.held_up_s > kGood_s); ++again) {
    EXPECT_EQ(put(kBigPolicy + "/scaling_governor", "powersave"), 0);
    EXPECT_EQ(put(kBigPolicy + "/scaling_governor", governor), 0);
    Recording run = record();
    std::printf("%s: held up for %.3f of %.1f s\n", governor.c_str(), run.held_up_s, run.end_s - run.begin_s);
    if (again == 0 || run.held_up_s < best.held_up_s) best = std::move(run);
  }
  return best;
}

/// How far two choices of frequency are from each other over a recording, each a share of 1. What is compared is the
/// frequency at which work was done, stretch by stretch; single ticks are not: the guest's ticks have a phase of their
/// own, its kernel threads work on the same processor, and the watcher sees a change up to 2 ms late.
struct Distance {
  double over_time = 0;  ///< mean over the stretches: difference of the mean frequencies, of the policy's range
  double worst = 0;      ///< the same of the stretch where it is largest
  double elsewhere = 0;  ///< of the work: done at another operating point than in the same stretch of the other
};

Distance distance(const Recording& run, const std::vector<Change>& one, const std::vector<Change>& other) {
  const double range_mhz = static_cast<double>(kBigKhz.back() - kBigKhz.front()) * 1e-3;
  Distance distance;
  double work_s = 0;
  for (const std::vector<Span>& work : run.work) {
    auto here = shares(one, work), there = shares(other, work);
    const double off = std::abs(mean_mhz(here) - mean_mhz(there)) / range_mhz;
    distance.over_time += off / static_cast<double>(run.work.size());
    distance.worst = std::max(distance.worst, off);
    for (const std::int64_t khz : kBigKhz) {
      distance.elsewhere += std::abs(here[khz] - there[khz]) / 2 * length_s(work);
    }
    work_s += length_s(work);
  }
  distance.elsewhere /= work_s;
  return distance;
}

/// The bars lie between what the governor of the same name needs and what any other is off by. In 30 recordings on a
/// machine that held the pattern up for a quarter to two thirds of its work:
///   over_time: at most 9.8 %, another governor at least 17.4 %: this one tells them apart;
///   worst: at most 40 %, in a stretch with little work in it; elsewhere: at most 19.7 % (conservative, of which any
///   other is off by 27 % and more).
/// On a machine that does nothing else over_time was 2 to 8 %. Held up for more than half of its work the pattern is
/// another one: all bars widen, and that every other governor is further off than the one of the same name is what
/// tells them apart.
struct Bars {
  explicit Bars(const Recording& run) {
    const double held_up = run.held_up_s / length_s(run.busy);
    wider = 0.4 * std::clamp(held_up - 0.5, 0.0, 0.5);
    over_time = 0.14 + wider;
    worst = 0.55 + wider;
    elsewhere = 0.28 + wider;
  }
  bool hold(const Distance& distance) const {
    return distance.over_time < over_time && distance.worst < worst && distance.elsewhere < elsewhere;
  }
  double wider, over_time, worst, elsewhere;
};

std::string text_of(const Distance& distance) {
  char text[120];
  std::snprintf(text, sizeof text, "%4.1f %% of the range over time, %4.1f %% at worst, %4.1f %% of the work elsewhere",
                100 * distance.over_time, 100 * distance.worst, 100 * distance.elsewhere);
  return text;
}

class Governors : public OnTheKernel, public ::testing::WithParamInterface<Governor> {
 protected:
  std::vector<Change> emulated(Governor governor, Ticks ticks = Ticks::kAtWork) const {
    return replay(governor, board_.clusters[0], run_, ticks);
  }
  Distance off(Governor governor, Ticks ticks = Ticks::kAtWork) const {
    return distance(run_, run_.changes, emulated(governor, ticks));
  }
  void print(const char* name) const;
  Recording run_;
};

void Governors::print(const char* name) const {
  const auto as_here = emulated(GetParam()), ticking = emulated(GetParam(), Ticks::kAlways);
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const auto mhz = [&](const std::vector<Change>& changes) { return mean_mhz(shares(changes, run_.work[i])); };
    std::printf("%s: %3.0f %% of %.0f ms: %4.0f MHz in the kernel, %4.0f emulated, %4.0f with ticks at rest\n", name,
                100 * kPattern[i].share, 1e3 * kPattern[i].period_s, mhz(run_.changes), mhz(as_here), mhz(ticking));
  }
  for (const std::int64_t khz : kBigKhz) {
    const auto share = [&](const std::vector<Change>& changes) { return 100 * shares(changes, run_.busy)[khz]; };
    std::printf("%s: %4.0f MHz %4.1f %% of the work in the kernel, %4.1f %% emulated, %4.1f %% with ticks at rest\n",
                name, static_cast<double>(khz) * 1e-3, share(run_.changes), share(as_here), share(ticking));
  }
  const std::vector<Span> all{{run_.begin_s, run_.end_s}};
  for (const auto& [when, spans] : {std::pair("at work", &run_.busy), {"at all times", &all}}) {
    std::printf("%s: %s %.0f MHz in the kernel, %.0f emulated, %.0f with ticks at rest\n", name, when,
                mean_mhz(shares(run_.changes, *spans)), mean_mhz(shares(as_here, *spans)),
                mean_mhz(shares(ticking, *spans)));
  }
}

TEST_P(Governors, ChooseAsTheKernelsDo) {
  const std::string name(boards::name_of(GetParam()));
  run_ = record_undisturbed(name);
  ASSERT_FALSE(run_.changes.empty());
  print(name.c_str());

  const Distance own = off(GetParam());
  const Bars bars(run_);
  std::printf("%s: %s; bars %.1f, %.1f, %.1f %%\n", name.c_str(), text_of(own).c_str(), 100 * bars.over_time,
              100 * bars.worst, 100 * bars.elsewhere);
  EXPECT_LT(own.over_time, bars.over_time);
  EXPECT_LT(own.worst, bars.worst);
  EXPECT_LT(own.elsewhere, bars.elsewhere);

  // With ticks at rest, as `reins eval` has it, a rest is seen as such: work after it begins lower than in this kernel.
  // So it is not held to the same bars but to these: off by at most 22 % over time (the most seen: 16.4), nearer to
  // the kernel's than any other, and not faster (the most seen is 3 % of the range).
  const Distance ticking = off(GetParam(), Ticks::kAlways);
  std::printf("%s with ticks at rest: %s\n", name.c_str(), text_of(ticking).c_str());
  EXPECT_LT(ticking.over_time, 0.22 + bars.wider);
  const double faster_mhz =
      mean_mhz(shares(emulated(GetParam(), Ticks::kAlways), run_.busy)) - mean_mhz(shares(run_.changes, run_.busy));
  EXPECT_LT(faster_mhz, (0.08 + bars.wider) * static_cast<double>(kBigKhz.back() - kBigKhz.front()) * 1e-3);

  // What must not pass: another governor in its place.
  for (const Governor other : {Governor::kPerformance, Governor::kPowersave, Governor::kOndemand,
                               Governor::kConservative, Governor::kSchedutil}) {
    if (other == GetParam()) continue;
    const std::string instead(boards::name_of(other));
    const Distance others = off(other), others_ticking = off(other, Ticks::kAlways);
    std::printf("%s instead of %s: %s; with ticks at rest: %s\n", instead.c_str(), name.c_str(),
                text_of(others).c_str(), text_of(others_ticking).c_str());
    EXPECT_FALSE(bars.wider == 0 && bars.hold(others)) << instead << " passes for " << name;
    EXPECT_GT(others.over_time, own.over_time) << instead << " is nearer to the kernel's " << name;
    EXPECT_GT(others_ticking.over_time, ticking.over_time) << instead << " is nearer to the kernel's " << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Governors,
                         ::testing::Values(Governor::kOndemand, Governor::kConservative, Governor::kSchedutil),
                         [](const auto& info) { return std::string(boards::name_of(info.param)); });

}  // namespace
}  // namespace reins::kernel_tests
