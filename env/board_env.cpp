#include "env/board_env.hpp"

#include <algorithm>
#include <cmath>

namespace reins::env {

std::vector<double> floors_of(const World& world) {
  std::vector<double> floors;
  for (const inference::LevelFacts& level : *world.levels) floors.push_back(level.accuracy);
  return floors;
}

Result<EnvConfig> EnvConfig::from_toml(const TomlTable& table) {
  EnvConfig c;
  if (table.has("loads")) {
    REINS_ASSIGN(c.loads, table.numbers("loads", 0.001, 2));
  }
  if (table.has("target_factors")) {
    REINS_ASSIGN(c.target_factors, table.numbers("target_factors", 0.1, 1000));
  }
  REINS_ASSIGN(c.periodic, table.number_or("periodic", c.periodic, 0, 1));
  if (table.has("least_latency_s")) {
    REINS_ASSIGN(c.least_latency_s, table.number("least_latency_s", 1e-6, 10));
  }
  REINS_ASSIGN(c.requests, table.number_or("requests", c.requests, 10, 100000));
  REINS_ASSIGN(c.changing, table.number_or("changing", c.changing, 0, 1));
  REINS_ASSIGN(c.top_floor, table.number_or("top_floor", c.top_floor, 0, 1));
  REINS_ASSIGN(c.no_target, table.number_or("no_target", c.no_target, 0, 1));
  REINS_ASSIGN(c.power_cap, table.number_or("power_cap", c.power_cap, 0, 1));
  REINS_ASSIGN(c.energy_budget, table.number_or("energy_budget", c.energy_budget, 0, 1));
  REINS_ASSIGN(c.others, table.number_or("others", c.others, 0, 1));
  REINS_ASSIGN(c.capped, table.number_or("capped", c.capped, 0, 1));
  REINS_ASSIGN(c.blind, table.number_or("blind", c.blind, 0, 1));
  REINS_ASSIGN(c.shield_off, table.number_or("shield_off", c.shield_off, 0, 1));
  if (c.loads.empty() || c.target_factors.empty()) {
    return fail(ErrorKind::kGarbled, "'loads' and 'target_factors' want at least one number", table.place("loads"));
  }
  REINS_TRY(table.reject_unknown());
  return c;
}

BoardEnv::BoardEnv(const World& world, const EnvConfig& config, std::unique_ptr<TraceRun> run)
    : world_(world), config_(config), run_(std::move(run)) {
  std::optional<double> least_w;
  for (std::size_t m = 0; m < world_.space->mappings.size(); ++m) {
    for (std::size_t o = 0; o < world_.space->opps(MappingId(m)); ++o) {
      const auto idle_w = world_.profile->idle_w(MappingId(m), OppId(o));
      if (idle_w.has_value() && (!least_w.has_value() || *idle_w < *least_w)) least_w = idle_w;
    }
  }
  parked_w_ = least_w.value_or(0);
}

Result<Step> BoardEnv::reset(std::uint64_t seed) {
  Rng rng(seed);
  const double full_s = run_->runtime().builder().full_latency_s();
  auto pick = [&rng](const std::vector<double>& from) { return from[rng.index(from.size())]; };
  data::TraceConfig trace;
  static_assert(data::kArrivals.front() == data::Arrivals::kPeriodic);
  trace.arrivals = rng.uniform() < config_.periodic ? data::Arrivals::kPeriodic
                                                    : data::kArrivals[1 + rng.index(data::kArrivals.size() - 1)];
  trace.load = pick(config_.loads);
  trace.full_latency_s = std::max(full_s, config_.least_latency_s);
  trace.duration_s = config_.requests * trace.full_latency_s / trace.load;
  const std::vector<double> floors = floors_of(world_);
  const bool changing = rng.uniform() < config_.changing;
  const bool top_floor = rng.uniform() < config_.top_floor;
  trace.target_factors = changing ? config_.target_factors : std::vector<double>{pick(config_.target_factors)};
  trace.floors = top_floor ? std::vector<double>{floors.back()} : changing ? floors : std::vector<double>{pick(floors)};
  if (trace.arrivals == data::Arrivals::kBatched) {
    // A target for the frame: its last request waits for all before it.
    for (double& factor : trace.target_factors) factor *= data::kMeanBatch;
  }
  trace.segment_s = changing ? trace.duration_s / 8 : 0;
  trace_ = data::generate_trace(trace, rng.next());

  policies::Goals goals;
  if (rng.uniform() < config_.no_target) {
    for (data::TraceRow& row : trace_.rows) row.latency_target_s.reset();
  }
  if (rng.uniform() < config_.energy_budget) {
    goals.energy_j = run_->runtime().builder().energy_ref_j() * rng.uniform(0.1, 1.0);
  }
  if (rng.uniform() < config_.power_cap) {
    goals.power_w = run_->runtime().builder().energy_ref_j() / full_s * rng.uniform(0.1, 1.0);
  }
  BoardConditions conditions;
  conditions.seed = rng.next();
  conditions.ambient_c = rng.uniform(15, 35);
  conditions.start_c = conditions.ambient_c + rng.uniform(5, 40);
  if (rng.uniform() < config_.others) {
    for (double& util : conditions.others_util) util = rng.uniform(0, 0.5);
  }
  conditions.shield = rng.uniform() >= config_.shield_off;
  const std::uint64_t image_seed = rng.next();
  if (rng.uniform() < config_.capped) {
    for (std::size_t c = 0; c < world_.board->clusters.size(); ++c) {
      const std::size_t opps = world_.board->clusters[c].opps.size();
      conditions.limit[c] = static_cast<std::int32_t>(opps / 2 + rng.below(opps - opps / 2));
    }
  }
  conditions.blind = rng.uniform() < config_.blind;
  lost_.clear();
  run_->reset(trace_, conditions, image_seed);
  run_->set_goals(goals);

  Step step;
  REINS_ASSIGN(const bool running, run_->next_decision());
  step.end = running ? StepEnd::kRunning : StepEnd::kTruncated;
  step.observation = &run_->runtime().observation();
  last_decision_s_ = run_->now_s();
  last_energy_j_ = run_->runtime().energy().total_j();
  last_switches_ = run_->runtime().counters().switches;
  return step;
}

RecentMisses BoardEnv::recent_misses() const noexcept {
  return {recent_.size(), static_cast<std::size_t>(std::count(recent_.begin(), recent_.end(), true))};
}

int BoardEnv::newly_missed() {
  // A miss is charged when it becomes certain, not when the late reply comes: the decisions that led to it are then the
  // last ones, and a slow policy cannot put its misses off. What turns out in time after all is paid back.
  int missed = 0;
  for (const control::Outcome& outcome : run_->outcomes()) {
    const auto charged = std::find(lost_.begin(), lost_.end(), outcome.request.id);
    if (charged != lost_.end()) lost_.erase(charged), --missed;
    if (outcome.missed) ++missed;
  }
  const control::Runtime& runtime = run_->runtime();
  const double fastest_s = world_.profile->fastest_s(runtime.observation().facts.floor_level);
  double earliest_s = run_->now_s();  // all before are done, as fast as they can be; the lost are in nobody's way
  for (std::size_t i = 0; i < runtime.queue_depth(); ++i) {
    const control::Request& request = runtime.waiting(i);
    if (!request.deadline_s.has_value() || *request.deadline_s >= earliest_s + fastest_s) {
      earliest_s += fastest_s;
      continue;
    }
    if (std::find(lost_.begin(), lost_.end(), request.id) != lost_.end()) continue;
    lost_.push_back(request.id);
    ++missed;
  }
  return missed;
}

Result<Step> BoardEnv::step(const policies::Action& action) {
  const auto target_s = run_->runtime().observation().facts.goals.latency_s;
  const LevelId floor = run_->runtime().observation().facts.floor_level;
  run_->clear_outcomes();
  last_switches_ = run_->runtime().counters().switches;
  REINS_TRY(run_->decide(action, 1));

  Step step;
  step.applied = run_->runtime().applied();
  REINS_ASSIGN(const bool running, run_->next_decision());
  step.end = running ? StepEnd::kRunning : StepEnd::kTruncated;
  step.observation = &run_->runtime().observation();
  step.dt_s = run_->now_s() - last_decision_s_;
  last_decision_s_ = run_->now_s();

  StepFacts facts;
  const control::ObservationBuilder& builder = run_->runtime().builder();
  facts.energy_ref_j = config_.reward.floor_ref ? builder.energy_ref_j(floor) : builder.energy_ref_j();
  facts.parked_j = parked_w_ * step.dt_s;
  facts.target_s = target_s;
  const control::EnergyAccount& energy = run_->runtime().energy();
  if (energy.known()) facts.energy_j = energy.total_j() - last_energy_j_;
  last_energy_j_ = energy.total_j();
  facts.switched = run_->runtime().counters().switches != last_switches_;
  for (const control::Outcome& outcome : run_->outcomes()) {
    if (recent_.size() < kRecentRequests) {
      recent_.push_back(outcome.missed);
    } else {
      recent_[oldest_] = outcome.missed;
      oldest_ = (oldest_ + 1) % kRecentRequests;
    }
    if (outcome.rejected) continue;
    facts.latency_s = outcome.latency_s;
    facts.accuracy = world_.profile->accuracy(outcome.level);
    if (outcome.request.deadline_s.has_value())
      facts.target_s = *outcome.request.deadline_s - outcome.request.arrival_s;
  }
  facts.missed = newly_missed();
  step.reward = reward_of(config_.reward, facts);
  step.penalty = penalty_of(config_.reward, facts);
  return step;
}

}  // namespace reins::env
