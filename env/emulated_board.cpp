#include "env/emulated_board.hpp"

#include <algorithm>
#include <cmath>

#include "boards/physics.hpp"
#include "core/assert.hpp"
#include "policies/baselines.hpp"

namespace reins::env {
namespace {

constexpr double kTiny = 1e-12;
constexpr double kLeastPart_s = 1e-6;
constexpr double kRounding = 1e-9;  // an idle state whose residency ends now has begun

/// The measured point of `mapping` and `level` nearest to `opp`, the lower of two.
const policies::ProfilePoint* nearest(const policies::Profile& table, MappingId mapping, LevelId level, OppId opp,
                                      std::int32_t opps) noexcept {
  for (std::int32_t away = 0; away < opps; ++away) {
    for (const std::int32_t at : {opp.value - away, opp.value + away}) {
      if (const policies::ProfilePoint* point = table.at(level, mapping, OppId(at))) return point;
    }
  }
  return nullptr;
}

/// The point's time at the quantile `u` over its mean: straight lines through p50, p95 and p99, and no run beyond p99.
/// Where the lowest run lies follows from the mean; where even p50 is too low for that, the mean is kept by scaling.
double time_factor(const policies::ProfilePoint& point, double u) noexcept {
  if (point.p50_s <= 0) return 1;
  const double p50 = point.p50_s;
  const double p95 = std::max(point.p95_s, p50);
  const double p99 = std::max(point.p99_s, p95);
  const double above = 0.45 * (p50 + p95) / 2 + 0.04 * (p95 + p99) / 2 + 0.01 * p99;
  const double least = std::clamp(4 * (point.latency_s - above) - p50, 0.0, p50);
  const double mean = 0.5 * (least + p50) / 2 + above;
  const double time = u < 0.5    ? std::lerp(least, p50, u / 0.5)
                      : u < 0.95 ? std::lerp(p50, p95, (u - 0.5) / 0.45)
                      : u < 0.99 ? std::lerp(p95, p99, (u - 0.95) / 0.04)
                                 : p99;
  return time / mean;
}

}  // namespace

EmulatedBoard::EmulatedBoard(const boards::Board& board, std::span<const inference::LevelFacts> levels,
                             const policies::Profile* table)
    : board_(&board), levels_(levels.size()), table_(table) {
  for (std::size_t m = 0; m < board.mappings.size(); ++m) {
    auto& of_mapping = time_s_.emplace_back();
    for (const inference::LevelFacts& level : levels) {
      auto& of_level = of_mapping.emplace_back();
      for (std::size_t o = 0; o < board.cluster_of(MappingId(m)).opps.size(); ++o) {
        of_level.push_back(boards::inference_time_s(board, MappingId(m), OppId(o), level.layers));
      }
    }
  }
  for (std::size_t m = 0; table != nullptr && m < board.mappings.size(); ++m) {
    auto& of_mapping = points_.emplace_back(levels.size());
    const std::size_t opps = board.cluster_of(MappingId(m)).opps.size();
    for (std::size_t l = 0; l < levels.size(); ++l) {
      for (std::size_t o = 0; o < opps; ++o) {
        const policies::ProfilePoint* point =
            nearest(*table, MappingId(m), LevelId(l), OppId(o), static_cast<std::int32_t>(opps));
        REINS_ASSERT(point != nullptr);
        time_s_[m][l][o] = point->latency_s;
        of_mapping[l].push_back(*point);
      }
    }
  }
  for (const inference::LevelFacts& level : levels) bytes_.push_back(boards::bytes_of(level.layers));

  for (const boards::Rail& rail : board.rails) {
    if (!rail.accounting || rail.sensor_period_s <= 0) continue;
    has_power_sensor_ = true;
    sensor_period_s_ = rail.sensor_period_s;
    sensor_quantum_w_ = std::max(sensor_quantum_w_, rail.sensor_quantum_w);
    sensor_noise_ = std::max(sensor_noise_, rail.sensor_noise);
  }
  const std::vector<double> w_per_w = boards::counted_w_per_w(board);
  for (std::size_t r = 0; r < board.rails.size(); ++r) {
    accounted_constant_w_ += w_per_w[r] * board.rails[r].constant_w;
    accounted_j_per_byte_ += w_per_w[r] * board.rails[r].j_per_byte;
  }
  clusters_.resize(board.clusters.size());
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    const std::size_t rail = boards::rail_of(board, board.clusters[c]);
    clusters_[c].accounted_w_per_w = rail < w_per_w.size() ? w_per_w[rail] : 0;
  }
  if (table != nullptr) has_power_sensor_ = table->has_idle() && table->has_energy();
  reset(0, {});
}

void EmulatedBoard::reset(double now_s, const BoardConditions& conditions) {
  conditions_ = conditions;
  rng_ = Rng(conditions.seed);
  now_s_ = now_s;
  temperature_c_ = conditions.start_c;
  energy_j_ = active_energy_j_ = window_j_ = 0;
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    ClusterState& cluster = clusters_[c];
    cluster.opp = cluster.wanted = OppId(0);
    cluster.next.reset();
    cluster.cap = limit(c);
    cluster.idle_since_s = now_s;
    cluster.busy_in_tick_s = 0;
    cluster.governor.reset();
    cluster.gpu_governor.reset();
  }
  task_.reset();
  governed_ = kernel_placed_ = busy_ = false;
  mapping_ = last_mapping_ = MappingId();
  completed_.reset();
  sensed_.reset();
  last_tick_s_ = now_s;
  next_tick_s_ = now_s + board_->tick_s;
  next_sense_s_ = now_s + sensor_period_s_;
  next_poll_s_ = now_s + board_->thermal.poll_s;
  draw_noise();
}

void EmulatedBoard::draw_noise() noexcept {
  next_noise_ = 1;
  if (!conditions_.noise) return;
  if (table_ != nullptr) {
    next_noise_ = rng_.uniform();  // a quantile
    return;
  }
  // Drawn for the widest sigma and scaled when used, so that the stream does not depend on the mapping.
  next_noise_ = std::clamp(rng_.normal(), -3.0, 3.0);
}

bool EmulatedBoard::on(std::size_t cluster) const noexcept {
  return busy_ && board_->mappings[mapping_.index()].cluster == ClusterId(cluster);
}

std::int32_t EmulatedBoard::limit(std::size_t cluster) const noexcept {
  const auto top = static_cast<std::int32_t>(board_->clusters[cluster].opps.size()) - 1;
  return std::clamp(conditions_.limit[cluster].value_or(top), 0, top);
}

void EmulatedBoard::want(std::size_t cluster, OppId opp) noexcept {
  ClusterState& state = clusters_[cluster];
  state.wanted = opp;
  const OppId target(std::min(opp.value, state.cap));
  if (state.next.has_value() ? *state.next == target : state.opp == target) return;
  if (state.opp == target) {
    state.next.reset();
    return;
  }
  state.next = target;
  state.switch_at_s = now_s_ + board_->clusters[cluster].switch_s;
}

void EmulatedBoard::place(MappingId mapping) noexcept {
  if (busy_ && mapping != mapping_) {
    clusters_[board_->mappings[mapping_.index()].cluster.index()].idle_since_s = now_s_;
    stall_until_s_ = std::max(stall_until_s_, now_s_ + board_->migration_s);
    last_mapping_ = mapping;
  }
  mapping_ = mapping;
}

void EmulatedBoard::apply(const policies::Action& action) noexcept {
  governed_ = action.governor.has_value();
  kernel_placed_ = action.kernel_placed;
  if (!kernel_placed_) place(action.mapping);
  if (kernel_placed_ && !mapping_.valid()) mapping_ = MappingId(0);
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    ClusterState& state = clusters_[c];
    if (governed_ && board_->clusters[c].kind == boards::UnitKind::kGpu) {
      if (!state.gpu_governor.has_value() || state.gpu_governor->governor() != action.gpu_governor) {
        state.gpu_governor.emplace(action.gpu_governor, board_->clusters[c]);
        want(c, state.gpu_governor->present());
      }
    } else if (governed_) {
      if (!state.governor.has_value() || state.governor->governor() != *action.governor) {
        state.governor.emplace(*action.governor, board_->clusters[c],
                               boards::SchedutilForm{.one_cpu = board_->clusters[c].cpus.size() == 1});
        want(c, state.governor->present());
      }
    } else {
      state.governor.reset();
      state.gpu_governor.reset();
      want(c, board_->mappings[mapping_.index()].cluster == ClusterId(c) ? action.opp : OppId(0));
    }
  }
}

void EmulatedBoard::park(MappingId mapping, OppId park) noexcept {
  if (governed_) return;
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    want(c, board_->mappings[mapping.index()].cluster == ClusterId(c) ? park : OppId(0));
  }
}

double EmulatedBoard::others_on(std::size_t cluster) const noexcept {
  return conditions_.others_util[cluster] * board_->clusters[cluster].capacity;
}

void EmulatedBoard::enqueue() noexcept {
  if (kernel_placed_) {
    const ClusterId cluster = boards::kernel_placement(*board_, task_.util_est());
    // A cluster without a mapping takes no work.
    if (const MappingId widest = policies::widest_mapping(*board_, cluster); widest.valid()) place(widest);
  }
  if (!governed_) return;
  const std::size_t c = board_->mappings[mapping_.index()].cluster.index();
  if (clusters_[c].governor.has_value() && clusters_[c].governor->governor() == boards::Governor::kSchedutil) {
    // schedutil is called on the enqueue itself, with util_est of the waking task.
    const double util = std::max({task_.util_avg(), task_.util_est(), others_on(c)});
    want(c, clusters_[c].governor->step(now_s_, util, 0));
  }
}

void EmulatedBoard::start(LevelId level) noexcept {
  REINS_ASSERT(!busy_);
  enqueue();
  const std::size_t c = board_->mappings[mapping_.index()].cluster.index();
  const boards::Cluster& cluster = board_->clusters[c];
  double delay_s = 0;
  if (conditions_.others_util[c] <= 0) {
    delay_s +=
        cluster.idle[boards::idle_state_after(cluster, now_s_ - clusters_[c].idle_since_s + kRounding)].exit_latency_s;
  }
  if (last_mapping_.valid() && last_mapping_ != mapping_) delay_s += board_->migration_s;
  last_mapping_ = mapping_;
  busy_ = true;
  level_ = level;
  below_ = LevelId();
  remaining_ = 1;
  noise_ = next_factor(mapping_, level, clusters_[c].next.value_or(clusters_[c].opp));
  draw_noise();
  stall_until_s_ = now_s_ + delay_s;
}

void EmulatedBoard::grow(LevelId level) noexcept {
  REINS_ASSERT(!busy_ && level_.valid() && level > level_);
  busy_ = true;
  below_ = level_;
  level_ = level;
  // A table may have measured the higher level as no slower: it is there at once.
  const OppId opp = clusters_[board_->mappings[mapping_.index()].cluster.index()].opp;
  remaining_ = run_s(opp) > kLeastPart_s ? 1 : 0;
}

double EmulatedBoard::contention(MappingId mapping) const noexcept {
  return 1 + board_->contention * conditions_.others_util[board_->mappings[mapping.index()].cluster.index()];
}

double EmulatedBoard::next_factor(MappingId mapping, LevelId level, OppId opp) const noexcept {
  if (!conditions_.noise) return 1;
  if (table_ != nullptr) return time_factor(points_[mapping.index()][level.index()][opp.index()], next_noise_);
  return 1 + board_->cluster_of(mapping).time.noise_sigma * next_noise_;
}

double EmulatedBoard::table_power_w(MappingId mapping, OppId opp, std::optional<LevelId> level) const noexcept {
  if (!has_power_sensor_) return 0;
  // The board before its first action idles as the Runtime takes it to.
  if (!mapping.valid()) return *table_->idle_w(MappingId(0), OppId(0));
  if (!level.has_value()) return *table_->idle_w(mapping, opp);
  return *points_[mapping.index()][level->index()][opp.index()].power_w;
}

double EmulatedBoard::mean_time_s(MappingId mapping, LevelId level, OppId opp) const noexcept {
  return time_s_[mapping.index()][level.index()][opp.index()];
}

double EmulatedBoard::rate_per_s() const noexcept {
  const OppId opp = clusters_[board_->mappings[mapping_.index()].cluster.index()].opp;
  return 1 / (run_s(opp) * noise_ * contention(mapping_));
}

double EmulatedBoard::run_s(OppId opp) const noexcept {
  const double whole_s = mean_time_s(mapping_, level_, opp);
  return below_.valid() ? std::max(whole_s - mean_time_s(mapping_, below_, opp), kLeastPart_s) : whole_s;
}

double EmulatedBoard::table_run_w(OppId opp) const noexcept {
  const double whole_w = table_power_w(mapping_, opp, level_);
  if (!below_.valid()) return whole_w;
  const double below_s = mean_time_s(mapping_, below_, opp);
  const double more_j = whole_w * mean_time_s(mapping_, level_, opp) - table_power_w(mapping_, opp, below_) * below_s;
  return std::max(0.0, more_j) / run_s(opp);
}

double EmulatedBoard::cluster_power_w(std::size_t c) const noexcept {
  const boards::Cluster& cluster = board_->clusters[c];
  const ClusterState& state = clusters_[c];
  const double cores = cluster.kind == boards::UnitKind::kCpu ? static_cast<double>(cluster.cpus.size()) : 1.0;
  double busy_cores = conditions_.others_util[c] * cores;
  if (on(c)) busy_cores = std::min(cores, busy_cores + board_->mappings[mapping_.index()].cores);
  const std::size_t idle_state =
      busy_cores > 0 ? 0 : boards::idle_state_after(cluster, now_s_ - state.idle_since_s + kRounding);
  return boards::cluster_power_w(cluster, state.opp, busy_cores, idle_state, temperature_c_);
}

double EmulatedBoard::power_w() const noexcept {
  if (table_ != nullptr) {
    const OppId opp = mapping_.valid() ? clusters_[board_->mappings[mapping_.index()].cluster.index()].opp : OppId(0);
    return busy_ ? table_run_w(opp) : table_power_w(mapping_, opp, std::nullopt);
  }
  double power_w = accounted_constant_w_;
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    if (clusters_[c].accounted_w_per_w > 0) power_w += clusters_[c].accounted_w_per_w * cluster_power_w(c);
  }
  if (busy_ && stall_until_s_ <= now_s_) {
    const double bytes = bytes_[level_.index()] - (below_.valid() ? bytes_[below_.index()] : 0);
    power_w += accounted_j_per_byte_ * bytes * rate_per_s();
  }
  return power_w;
}

double EmulatedBoard::power_if_w(MappingId mapping, OppId opp, std::optional<LevelId> level,
                                 double idle_s) const noexcept {
  if (table_ != nullptr) return table_power_w(mapping, opp, level);
  double power_w = accounted_constant_w_;
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    if (clusters_[c].accounted_w_per_w == 0) continue;
    const boards::Cluster& cluster = board_->clusters[c];
    const bool used = board_->mappings[mapping.index()].cluster == ClusterId(c);
    const double cores = cluster.kind == boards::UnitKind::kCpu ? static_cast<double>(cluster.cpus.size()) : 1.0;
    double busy_cores = conditions_.others_util[c] * cores;
    if (used && level.has_value()) busy_cores = std::min(cores, busy_cores + board_->mappings[mapping.index()].cores);
    const std::size_t idle_state =
        used ? boards::idle_state_after(cluster, idle_s) : boards::deepest_idle_state(cluster);
    power_w += clusters_[c].accounted_w_per_w *
               boards::cluster_power_w(cluster, used ? opp : OppId(0), busy_cores, idle_state, temperature_c_);
  }
  if (level.has_value()) {
    power_w +=
        accounted_j_per_byte_ * bytes_[level->index()] / (mean_time_s(mapping, *level, opp) * contention(mapping));
  }
  return power_w;
}

double EmulatedBoard::next_event_s() const noexcept {
  double next_s = std::min(next_sense_s_, next_poll_s_);
  if (governed_) next_s = std::min(next_s, next_tick_s_);
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    const ClusterState& state = clusters_[c];
    if (state.next.has_value()) next_s = std::min(next_s, state.switch_at_s);
    if (on(c) || conditions_.others_util[c] > 0) continue;
    // Deeper idle states begin at known times.
    for (const boards::IdleState& idle : board_->clusters[c].idle) {
      const double enters_s = state.idle_since_s + idle.residency_s;
      if (enters_s > now_s_ + kTiny) next_s = std::min(next_s, enters_s);
    }
  }
  if (busy_) {
    next_s = std::min(next_s, stall_until_s_ > now_s_ + kTiny ? stall_until_s_ : now_s_ + remaining_ / rate_per_s());
  }
  return std::max(next_s, now_s_);
}

void EmulatedBoard::advance(double to_s) noexcept {
  const double dt_s = to_s - now_s_;
  if (dt_s > 0) {
    const double accounted_w = power_w();
    double heat_w = 0;
    for (std::size_t c = 0; table_ == nullptr && c < clusters_.size(); ++c) heat_w += cluster_power_w(c);
    energy_j_ += accounted_w * dt_s;
    window_j_ += accounted_w * dt_s;
    if (busy_) {
      active_energy_j_ += accounted_w * dt_s;
      if (stall_until_s_ <= now_s_ + kTiny) remaining_ -= dt_s * rate_per_s();
      clusters_[board_->mappings[mapping_.index()].cluster.index()].busy_in_tick_s += dt_s;
    }
    if (governed_ && mapping_.valid()) {
      const std::size_t c = board_->mappings[mapping_.index()].cluster.index();
      const boards::Cluster& cluster = board_->clusters[c];
      const double freq_scale =
          static_cast<double>(cluster.opps[clusters_[c].opp.index()].freq_khz) / static_cast<double>(cluster.max_khz());
      task_.advance(dt_s, busy_, freq_scale, cluster.capacity / 1024);
    }
    if (table_ == nullptr) {
      temperature_c_ =
          boards::temperature_after_c(board_->thermal, temperature_c_, conditions_.ambient_c, heat_w, dt_s);
    }
    now_s_ = to_s;
  }
  for (ClusterState& state : clusters_) {
    if (state.next.has_value() && state.switch_at_s <= now_s_ + kTiny) {
      state.opp = *state.next;
      state.next.reset();
    }
  }
  // What is left of a very short run may be less time than a step of the clock can show: it would never end.
  if (busy_ && stall_until_s_ <= now_s_ + kTiny && remaining_ <= std::max(1e-9, kTiny * rate_per_s())) finish();
  if (governed_ && next_tick_s_ <= now_s_ + kTiny) tick();
  if (!governed_) next_tick_s_ = std::max(next_tick_s_, now_s_ + board_->tick_s);
  if (next_sense_s_ <= now_s_ + kTiny) sense();
  if (next_poll_s_ <= now_s_ + kTiny) {
    next_poll_s_ += board_->thermal.poll_s;
    const int step = table_ != nullptr                             ? 0
                     : temperature_c_ > board_->thermal.throttle_c ? -1
                     : temperature_c_ < board_->thermal.release_c  ? 1
                                                                   : 0;
    for (std::size_t c = 0; c < clusters_.size() && step != 0; ++c) {
      const auto& throttled = board_->thermal.throttled;
      if (std::find(throttled.begin(), throttled.end(), board_->clusters[c].name) == throttled.end()) continue;
      clusters_[c].cap = std::clamp(clusters_[c].cap + step, 0, limit(c));
      want(c, clusters_[c].wanted);
    }
  }
}

void EmulatedBoard::finish() noexcept {
  busy_ = false;
  completed_ = level_;
  clusters_[board_->mappings[mapping_.index()].cluster.index()].idle_since_s = now_s_;
  if (governed_) task_.dequeue();
}

void EmulatedBoard::tick() noexcept {
  const double span_s = std::max(now_s_ - last_tick_s_, board_->tick_s * 0.5);
  last_tick_s_ = now_s_;
  next_tick_s_ = now_s_ + board_->tick_s;
  if (kernel_placed_ && busy_) {
    // Misfit: the running task no longer fits its cluster and moves up.
    const ClusterId here = board_->mappings[mapping_.index()].cluster;
    const boards::Cluster& cluster = board_->clusters[here.index()];
    const double util = std::max(task_.util_avg(), task_.util_est());
    const ClusterId fits = boards::kernel_placement(*board_, util);
    if (fits != here && board_->clusters[fits.index()].capacity > cluster.capacity) {
      if (const MappingId widest = policies::widest_mapping(*board_, fits); widest.valid()) place(widest);
    }
  }
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    ClusterState& state = clusters_[c];
    const double busy = std::min(1.0, std::max(state.busy_in_tick_s / span_s, conditions_.others_util[c]));
    state.busy_in_tick_s = 0;
    if (state.gpu_governor.has_value()) want(c, state.gpu_governor->step(now_s_, busy));
    if (!state.governor.has_value()) continue;
    const bool here = mapping_.valid() && board_->mappings[mapping_.index()].cluster == ClusterId(c);
    // A blocked task still counts with its decaying average; util_est only while it is enqueued.
    double util = here ? (busy_ ? std::max(task_.util_avg(), task_.util_est()) : task_.util_avg()) : 0;
    want(c, state.governor->step(now_s_, std::max(util, others_on(c)), busy));
  }
}

void EmulatedBoard::sense() noexcept {
  control::Telemetry telemetry;
  telemetry.at_s = now_s_;
  next_sense_s_ += sensor_period_s_;
  const double quantum_c = board_->thermal.sensor_quantum_c;
  if (!conditions_.blind) {
    telemetry.temperature_c = quantum_c > 0 ? std::floor(temperature_c_ / quantum_c) * quantum_c : temperature_c_;
  }
  if (has_power_sensor_) {
    double mean_w = window_j_ / sensor_period_s_;
    if (conditions_.noise) mean_w *= 1 + sensor_noise_ * std::clamp(rng_.normal(), -3.0, 3.0);
    if (sensor_quantum_w_ > 0) mean_w = std::round(mean_w / sensor_quantum_w_) * sensor_quantum_w_;
    telemetry.power_w = mean_w;
    telemetry.window_s = sensor_period_s_;
  }
  window_j_ = 0;
  const std::size_t clusters =
      std::min(clusters_.size(), policies::kMaxClusters);  // said for the compiler: ActionSpace checks it
  for (std::size_t c = 0; c < clusters; ++c) {
    telemetry.cap[c] = clusters_[c].cap;
    telemetry.present_opp[c] = clusters_[c].opp.value;
    const bool counted = board_->clusters[c].kind == boards::UnitKind::kCpu && !conditions_.blind;
    if (counted) telemetry.others_util[c] = conditions_.others_util[c];
  }
  sensed_ = telemetry;
}

std::optional<LevelId> EmulatedBoard::take_completion() noexcept { return std::exchange(completed_, std::nullopt); }

bool EmulatedBoard::take_telemetry(control::Telemetry& out) noexcept {
  if (!sensed_.has_value()) return false;
  out = *sensed_;
  sensed_.reset();
  return true;
}

}  // namespace reins::env
