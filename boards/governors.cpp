// Written from the formulas of Linux 6.1 (Debian 12): kernel/sched/pelt.c and pelt.h, util_est in kernel/sched/fair.c,
// kernel/sched/cpufreq_schedutil.c, drivers/cpufreq/cpufreq_governor.c, cpufreq_ondemand.c and
// cpufreq_conservative.c.
#include "boards/governors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace reins::boards {
namespace {

constexpr std::array<std::string_view, 5> kNames{"performance", "powersave", "ondemand", "conservative", "schedutil"};

constexpr double kLoadAvgMax = 47742;  // LOAD_AVG_MAX: 1024 * sum of y^n, in the kernel's integers
constexpr double kPeriod = 1024;       // of units of 1024 ns
constexpr double kHalfLife = 32;       // periods
constexpr double kUtilEstMargin = 10;  // UTIL_EST_MARGIN: SCHED_CAPACITY_SCALE / 100, in integers

// With idle micro-accounting (any tickless kernel) ondemand starts with 95 instead of 80 (od_init).
constexpr int kOndemandUp = 95;
constexpr int kConservativeUp = 80;
constexpr int kConservativeDown = 20;
constexpr int kConservativeStepPercent = 5;

/// cpufreq_policy_transition_delay_us: 1000 x the switch latency, at most 10 ms; 1 ms where the latency is not known.
/// schedutil's rate limit.
double transition_delay_s(const Cluster& cluster) noexcept {
  return cluster.switch_s > 0 ? std::min(cluster.switch_s * 1000, 0.010) : 0.001;
}

/// Sampling interval of ondemand and conservative: the same, and no less than two ticks (at 250 Hz).
double sampling_interval_s(const Cluster& cluster) noexcept { return std::max(transition_delay_s(cluster), 0.008); }

/// CPUFREQ_RELATION_L: the lowest at or above.
OppId at_or_above(const Cluster& cluster, std::int64_t khz) noexcept {
  std::size_t i = 0;
  while (i + 1 < cluster.opps.size() && cluster.opps[i].freq_khz < khz) ++i;
  return OppId(i);
}

/// CPUFREQ_RELATION_H: the highest at or below.
OppId at_or_below(const Cluster& cluster, std::int64_t khz) noexcept {
  std::size_t i = cluster.opps.size() - 1;
  while (i > 0 && cluster.opps[i].freq_khz > khz) --i;
  return OppId(i);
}

/// CPUFREQ_RELATION_C: the closest, the lower of two that are equally close.
OppId closest(const Cluster& cluster, std::int64_t khz) noexcept {
  const OppId low = at_or_below(cluster, khz);
  const OppId high = at_or_above(cluster, khz);
  const std::int64_t down = khz - cluster.opps[low.index()].freq_khz;
  const std::int64_t up = cluster.opps[high.index()].freq_khz - khz;
  return down >= 0 && (up < 0 || down <= up) ? low : high;
}

}  // namespace

std::string_view name_of(Governor governor) noexcept { return kNames[static_cast<std::size_t>(governor)]; }

std::optional<Governor> governor_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Governor>(i);
  }
  return std::nullopt;
}

void Pelt::advance(double dt_s, bool running, double freq_scale, double cap_scale) noexcept {
  if (!(dt_s > 0)) return;
  double units = dt_s * 1e9 / 1024;
  if (running) {
    // update_rq_clock_pelt: PELT's clock runs slower by both scales, so the same work adds the same sum everywhere.
    cap_scale_ = cap_scale;
    const double scaled = units * freq_scale * cap_scale;
    lost_ += units - scaled;
    units = scaled;
  } else {
    // update_idle_rq_clock_pelt: idle, the clock catches up; a saturated queue had no idle time to catch up with.
    const double divider = (kLoadAvgMax - kPeriod) * 1024 - kLoadAvgMax;
    if (sum_ < divider) units += lost_;
    lost_ = 0;
  }

  // accumulate_sum: u' = (u + d1) y^p + 1024 * sum(y^n, n = 1 .. p-1) + d3.
  const double delta = period_us_ + units;
  // 1e-6 of a unit: a sum of floating-point times that should end on a boundary does.
  const double periods = std::floor((delta + 1e-6) / kPeriod);
  if (periods < 1) {
    if (running) sum_ += units * 1024;
    period_us_ = delta;
    return;
  }
  const double decay = std::exp2(-periods / kHalfLife);
  const double rest = std::max(0.0, delta - periods * kPeriod);
  sum_ *= decay;
  if (running) {
    const double full = kLoadAvgMax - kLoadAvgMax * decay - kPeriod;
    sum_ += ((kPeriod - period_us_) * decay + full + rest) * 1024;
  }
  period_us_ = rest;
  // get_pelt_divider: what the sum would be now, had it always run.
  util_avg_ = std::min(sum_ / (kLoadAvgMax - kPeriod + period_us_), 1024.0);
}

void Pelt::dequeue() noexcept {
  // util_est_update. Deviation: where the kernel skips (nothing crossed a period since the last update), the value is
  // the same.
  const double last_enqueued = est_enqueued_;
  if (est_ewma_ < util_avg_) {
    est_enqueued_ = util_avg_;
    est_ewma_ = util_avg_;  // UTIL_EST_FASTUP
    return;
  }
  const double ewma_diff = util_avg_ - est_ewma_;
  if (std::abs(ewma_diff) < kUtilEstMargin) {
    if (std::abs(last_enqueued - util_avg_) >= kUtilEstMargin) est_enqueued_ = util_avg_;
    return;
  }
  if (util_avg_ > cap_scale_ * 1024) return;  // no idle time on this core: the estimate would be too high
  est_enqueued_ = util_avg_;
  est_ewma_ += ewma_diff / 4;
}

double Pelt::util_avg() const noexcept { return util_avg_; }
double Pelt::util_est() const noexcept { return std::max(est_enqueued_, est_ewma_); }

OppId schedutil_opp(const Cluster& cluster, double util) noexcept {
  return schedutil_opp(cluster, util, cluster.max_khz());
}

OppId schedutil_opp(const Cluster& cluster, double util, std::int64_t present_khz) noexcept {
  // In the kernel's integers: map_util_perf, then map_util_freq; exact on the boundaries between operating points.
  const auto capacity = static_cast<std::int64_t>(cluster.capacity);
  const auto effective = static_cast<std::int64_t>(std::clamp(util, 0.0, cluster.capacity));
  const std::int64_t wanted = effective + (effective >> 2);
  return at_or_above(cluster, present_khz * wanted / capacity);
}

GovernorState::GovernorState(Governor governor, const Cluster& cluster, SchedutilForm form) noexcept
    : governor_(governor),
      form_(form),
      cluster_(&cluster),
      opp_(governor == Governor::kPerformance ? cluster.opps.size() - 1 : std::size_t{0}),
      requested_khz_(cluster.opps.front().freq_khz) {}

OppId GovernorState::step(double now_s, double util, double busy_fraction) noexcept {
  switch (governor_) {
    case Governor::kPerformance:
    case Governor::kPowersave:
      break;
    case Governor::kSchedutil: {
      idled_ = idled_ || busy_fraction < 1;
      // sugov_should_update_freq: the limit counts from the last change. 1 ns of slack for sums of tick times.
      if (now_s - last_change_s_ < transition_delay_s(*cluster_) - 1e-9) break;
      const std::int64_t from_khz =
          form_.frequency_invariant ? cluster_->max_khz() : cluster_->opps[opp_.index()].freq_khz;
      OppId wanted = schedutil_opp(*cluster_, util, from_khz);
      // sugov_cpu_is_busy: going down would likely be premature.
      if (form_.one_cpu && !idled_ && wanted < opp_) wanted = opp_;
      idled_ = false;
      if (wanted != opp_) last_change_s_ = now_s;
      opp_ = wanted;
      break;
    }
    case Governor::kOndemand:
    case Governor::kConservative: {
      if (last_step_s_ < 0) last_sample_s_ = now_s;
      busy_s_ += last_step_s_ < 0 ? 0 : std::clamp(busy_fraction, 0.0, 1.0) * (now_s - last_step_s_);
      last_step_s_ = now_s;
      const double window_s = now_s - last_sample_s_;
      const double interval_s = sampling_interval_s(*cluster_);
      if (window_s < interval_s - 1e-9) break;
      // Whole percent, as dbs_update computes it; 1e-9 against a 94.999... that is 95.
      int load = static_cast<int>(100 * busy_s_ / window_s + 1e-9);
      // dbs_update: after a long rest (there were no ticks in it) the load before it counts once more, and the periods
      // that nobody looked at are counted.
      const double idle_s = window_s - busy_s_;
      const bool rested = idle_s > 2 * interval_s + 1e-9;
      if (rested && last_load_percent_ > 0) {
        load = std::exchange(last_load_percent_, 0);
      } else {
        last_load_percent_ = load;
      }
      last_sample_s_ = now_s;
      busy_s_ = 0;
      sampled(load, rested ? static_cast<std::int64_t>(idle_s / interval_s + 1e-9) : 0);
      break;
    }
  }
  return opp_;
}

void GovernorState::sampled(int load_percent, std::int64_t idle_periods) noexcept {
  const std::int64_t min_khz = cluster_->opps.front().freq_khz;
  const std::int64_t max_khz = cluster_->max_khz();
  if (governor_ == Governor::kOndemand) {
    // od_update
    opp_ = load_percent > kOndemandUp ? OppId(cluster_->opps.size() - 1)
                                      : closest(*cluster_, min_khz + load_percent * (max_khz - min_khz) / 100);
    return;
  }
  // cs_dbs_update: what is requested moves by 5 % of the top frequency, and need not be an operating point.
  const std::int64_t step_khz = std::max<std::int64_t>(kConservativeStepPercent * max_khz / 100, 1);
  const std::int64_t rested_khz = std::max(requested_khz_ - idle_periods * step_khz, min_khz);
  if (load_percent > kConservativeUp) {
    requested_khz_ = std::min(rested_khz + step_khz, max_khz);
    opp_ = at_or_below(*cluster_, requested_khz_);
  } else if (load_percent < kConservativeDown) {
    requested_khz_ = std::max(rested_khz - step_khz, min_khz);
    opp_ = at_or_above(*cluster_, requested_khz_);
  }
}

ClusterId kernel_placement(const Board& board, double util_est) noexcept {
  ClusterId smallest_fit;
  ClusterId biggest;
  for (std::size_t i = 0; i < board.clusters.size(); ++i) {
    const Cluster& cluster = board.clusters[i];
    if (cluster.kind != UnitKind::kCpu) continue;
    const bool fits = util_est * 1280 < cluster.capacity * 1024;
    if (fits && (!smallest_fit.valid() || cluster.capacity < board.clusters[smallest_fit.index()].capacity)) {
      smallest_fit = ClusterId(i);
    }
    if (!biggest.valid() || cluster.capacity > board.clusters[biggest.index()].capacity) biggest = ClusterId(i);
  }
  return smallest_fit.valid() ? smallest_fit : biggest;
}

}  // namespace reins::boards
