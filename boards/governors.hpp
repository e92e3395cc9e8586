// boards/governors.hpp: the kernel's cpufreq governors as step functions on kernel ticks, and kernel-like placement.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "boards/board.hpp"

namespace reins::boards {

enum class Governor : std::uint8_t { kPerformance, kPowersave, kOndemand, kConservative, kSchedutil };
std::string_view name_of(Governor governor) noexcept;
std::optional<Governor> governor_named(std::string_view name) noexcept;

/// PELT utilisation of one runqueue or task (kernel/sched/pelt.c): geometric series with y^32 = 0.5, period 1024 us,
/// scaled by frequency and capacity, 0..1024; plus util_est (enqueued and its EWMA, kernel/sched/fair.c) updated when
/// work ends.
class Pelt {
 public:
  /// Adds `dt_s` seconds, running or not, at frequency/max-frequency `freq_scale` and capacity `cap_scale` (both 0..1).
  /// As in the kernel, running time is scaled by both before it is summed (frequency and capacity invariance), and the
  /// clock catches up at the next idle time, so that the same work gives the same utilisation at every frequency.
  void advance(double dt_s, bool running, double freq_scale, double cap_scale) noexcept;
  /// The task went to sleep: util_est takes the present utilisation (UTIL_EST EWMA weight 1/4, growing at once).
  void dequeue() noexcept;
  /// Blocked utilisation decays on: schedutil sees this alone while nothing is queued.
  double util_avg() const noexcept;
  /// The task's estimate: what placement looks at, and what schedutil sees (as a minimum) while work is queued.
  double util_est() const noexcept;
  void reset() noexcept { *this = Pelt(); }

 private:
  double sum_ = 0;        // util_sum: 1024 x units of 1024 ns
  double period_us_ = 0;  // time into the present period of 1024 units, in units of 1024 ns
  double lost_ = 0;       // units by which PELT's clock is behind
  double cap_scale_ = 1;
  double util_avg_ = 0;
  double est_enqueued_ = 0;
  double est_ewma_ = 0;
};

/// How one machine's schedutil differs from another's. The default is that of Arm boards.
struct SchedutilForm {
  /// False on machines that cannot tell how fast a cpu ran (x86 without APERF/MPERF): the next frequency is then worked
  /// out from the present one instead of the highest, and PELT counts time, not work (freq_scale 1 in Pelt::advance).
  bool frequency_invariant = true;
  /// A policy of one cpu (sugov_update_single_freq): it does not go down while that cpu has had no idle time since it
  /// last looked, which `busy_fraction` below 1 tells it.
  bool one_cpu = false;
};

/// One governor on one cluster. `step` is called when the kernel would look: on every tick and when work wakes up or
/// goes to sleep, with what the kernel would see; it returns the operating point it wants. Whether there are ticks at
/// rest is the caller's: a tickless kernel has none, and the frequency stands until work wakes up. Deterministic.
class GovernorState {
 public:
  GovernorState(Governor governor, const Cluster& cluster, SchedutilForm form = {}) noexcept;

  /// `util`: of the busiest core, 0..1024 in big-cluster capacity units (schedutil): max(util_avg, util_est) while work
  /// is queued there, else util_avg. `busy_fraction`: busy share of the busiest core since the last step (ondemand,
  /// conservative, which average it over their sampling interval; schedutil of one cpu). Starts at the lowest operating
  /// point.
  OppId step(double now_s, double util, double busy_fraction) noexcept;
  OppId present() const noexcept { return opp_; }
  Governor governor() const noexcept { return governor_; }

 private:
  Governor governor_;
  SchedutilForm form_;
  const Cluster* cluster_;
  OppId opp_;
  double last_change_s_ = -1e9;
  double last_sample_s_ = -1e9;
  double last_step_s_ = -1;
  double busy_s_ = 0;
  std::int64_t requested_khz_;
  bool idled_ = false;  ///< since schedutil last looked

  int last_load_percent_ = 0;  ///< 0: none that may be taken again

  void sampled(int load_percent, std::int64_t idle_periods) noexcept;
};

/// schedutil's next frequency: 1.25 * max_khz * util / capacity (kernel/sched/cpufreq_schedutil.c get_next_freq), then
/// the lowest operating point at or above it.
OppId schedutil_opp(const Cluster& cluster, double util) noexcept;
/// The same without frequency invariance: 1.25 * present_khz * util / capacity.
OppId schedutil_opp(const Cluster& cluster, double util, std::int64_t present_khz) noexcept;

/// Kernel-like placement: the smallest CPU cluster whose capacity at its top frequency holds util_est * 1.25
/// (fits_capacity in kernel/sched/fair.c: util * 1280 < capacity * 1024), else the biggest.
ClusterId kernel_placement(const Board& board, double util_est) noexcept;

}  // namespace reins::boards
