#include "control/runtime.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/assert.hpp"

namespace reins::control {
namespace {

/// Requests without a deadline that may wait before those served are to go at twice the pace at which they come.
constexpr double kPatience = 8;
constexpr double kNever = std::numeric_limits<double>::infinity();
/// Of the gaps' variation: up to here requests come regularly enough that there is neither burst nor lull.
constexpr double kIrregular = 0.3;

/// An inference that may grow keeps its speed: what it has in hand goes into the answer.
ShieldConfig shield_of(const RuntimeConfig& config) noexcept {
  ShieldConfig shield = config.shield;
  shield.ease = shield.ease && !config.grow;
  return shield;
}

}  // namespace

Runtime::Runtime(const boards::Board& board, const policies::ActionSpace& space, const policies::Profile& profile,
                 const RuntimeConfig& config)
    : board_(board),
      space_(space),
      profile_(profile),
      config_(config),
      builder_(board, space, profile),
      shield_(board, space, profile, shield_of(config)),
      energy_(config.energy),
      change_at_s_(kNever),
      park_at_s_(kNever),
      hold_until_s_(kNever) {
  config_.queue_limit = std::max<std::size_t>(config_.queue_limit, 1);
  queue_.reserve(config_.queue_limit);
  slacks_.reserve(config_.queue_limit + 2);
}

std::optional<double> Runtime::present_power_w() const noexcept {
  if (!applied_.mapping.valid()) return profile_.idle_w(MappingId(0), OppId(0));
  if (applied_.governor.has_value() || applied_.kernel_placed) return std::nullopt;  // only the sensor knows
  if (busy_) {
    const policies::ProfilePoint* point = profile_.at(level_, applied_.mapping, applied_.opp);
    if (point == nullptr || !point->power_w.has_value() || part_ >= 1) {
      return point == nullptr ? std::nullopt : point->power_w;
    }
    // The group that is added draws what the whole run would beyond the run that has ended.
    const policies::ProfilePoint* below = profile_.at(LevelId(level_.value - 1), applied_.mapping, applied_.opp);
    if (below == nullptr || !below->power_w.has_value() || below->latency_s >= point->latency_s) return point->power_w;
    return std::max(0.0, (*point->power_w * point->latency_s - *below->power_w * below->latency_s) /
                             (point->latency_s - below->latency_s));
  }
  return profile_.idle_w(applied_.mapping, parked_.value_or(applied_.opp));
}

void Runtime::settle(double now_s) noexcept {
  if (!started_) {
    started_ = true;
    settled_s_ = now_s;
    return;
  }
  energy_.pass(now_s - settled_s_, present_power_w());
  settled_s_ = std::max(settled_s_, now_s);
}

bool Runtime::regular() const noexcept {
  return gap_variation().value_or(kNever) <= kIrregular && gap_mean_s_ >= fastest_s();
}

std::optional<double> Runtime::gap_variation() const noexcept {
  if (gaps_ < 2 || gap_mean_s_ <= 0) return std::nullopt;
  return std::sqrt(std::max(0.0, gap_square_s2_ / (gap_mean_s_ * gap_mean_s_) - 1));
}

void Runtime::arrive(double now_s, const Request& request, Effects& effects) noexcept {
  settle(now_s);
  ++counters_.offered;
  if (last_arrival_s_.has_value()) {
    // Exponentially weighted rate of an irregular sequence: old gaps fade with the time constant.
    const double gap_s = std::max(now_s - *last_arrival_s_, 1e-6);
    const double keep = std::exp(-gap_s / config_.rate_tau_s);
    const double gap_rate_hz = 1 / gap_s;
    ++gaps_;
    const double demand_gain = std::max(config_.demand_gain, 1 / static_cast<double>(gaps_));
    long_gap_s_ += demand_gain * (gap_s - long_gap_s_);
    const double gain = std::max(config_.gap_gain, 1 / static_cast<double>(gaps_));
    gap_mean_s_ += gain * (gap_s - gap_mean_s_);
    gap_square_s2_ += gain * (gap_s * gap_s - gap_square_s2_);
    rate_hz_ = rate_hz_.has_value() ? keep * *rate_hz_ + (1 - keep) * gap_rate_hz : gap_rate_hz;
  }
  last_arrival_s_ = now_s;

  Request queued_request = request;
  if (!queued_request.deadline_s.has_value() && goals_.latency_s.has_value()) {
    queued_request.deadline_s = request.arrival_s + *goals_.latency_s;
  }
  if (queued_request.deadline_s.has_value()) last_target_s_ = *queued_request.deadline_s - request.arrival_s;
  if (queue_.size() >= config_.queue_limit) {
    ++counters_.rejected;
    ++counters_.missed;
    Effect& effect = effects.add(EffectKind::kReply);
    effect.outcome.request = queued_request;
    effect.outcome.rejected = true;
    effect.outcome.missed = true;
    effect.outcome.finish_s = now_s;
    return;
  }
  const auto later = [](const Request& a, const Request& b) {
    return a.deadline_s.value_or(kNever) > b.deadline_s.value_or(kNever);
  };
  const auto keepable = queue_.begin() + static_cast<std::ptrdiff_t>(lost_);
  queue_.insert(std::lower_bound(keepable, queue_.end(), queued_request, later), queued_request);
  if (busy_) {
    hurry(now_s, request.id, effects);
  } else if (!deciding_) {
    ask(now_s, effects);
  }
}

void Runtime::progress(double now_s, LevelId level) noexcept {
  if (now_s <= done_at_s_) return;
  const policies::ProfilePoint* point = profile_.at(level, applied_.mapping, applied_.opp);
  if (point != nullptr && point->latency_s > 0) done_ += (now_s - done_at_s_) / point->latency_s;
  done_at_s_ = now_s;
}

void Runtime::hurry(double now_s, std::uint64_t joined, Effects& effects) noexcept {
  if (applied_.governor.has_value()) return;
  progress(now_s, level_);
  const auto slack_s = [now_s](const Request& request) { return request.deadline_s.value_or(kNever) - now_s; };
  slacks_.assign(1, own_slack_s(now_s));
  const double sure_gap_s = std::max(0.0, 1 - 2 * gap_variation().value_or(1)) * long_gap_s_;
  for (std::size_t i = 0; i + lost_ < queue_.size(); ++i) {
    slacks_.push_back(slack_s(waiting(i)));
    // Who joins seldom comes alone: room for one more like it, which comes at once unless the gaps are regular.
    if (waiting(i).id == joined) slacks_.push_back(slacks_.back() + sure_gap_s);
  }
  policies::Action running = applied_;
  running.level = level_;
  const policies::Action hurried = shield_.hurry(observation_.facts, running, left(), slacks_);
  if (hurried == running) {
    plan_change(now_s);  // who has come is in the way of going slower
    return;
  }
  retune(now_s, hurried.mapping, hurried.opp, effects);
}

double Runtime::left() const noexcept { return std::max(0.0, part_ - (done_ - part_began_) / slow_down_); }

double Runtime::own_slack_s(double now_s) const noexcept {
  if (running_lost_ && shield_.config().ease_late) return kNever;
  return running_.request.deadline_s.value_or(kNever) - now_s;
}

void Runtime::plan_change(double now_s) noexcept {
  change_at_s_ = kNever;
  if (!running_.request.deadline_s.has_value()) return;
  const double from_s = std::max(now_s, done_at_s_);
  policies::Action running = applied_;
  running.level = level_;
  const double slack_s = own_slack_s(from_s);
  auto planned = shield_.rescue(observation_.facts, running, left(), slack_s);
  if (queue_.empty() || (shield_.config().ease_late && queue_.size() == lost_ && few(lost_))) {
    const double until_next_s = regular() ? *last_arrival_s_ + gap_mean_s_ - from_s : kNever;
    const auto eased = shield_.ease(observation_.facts, running, left(), std::min(slack_s, until_next_s),
                                    last_target_s_, last_switch_s_ + shield_.dwell_s(applied_.mapping) - from_s);
    if (eased.has_value() && (!planned.has_value() || eased->wait_s < planned->wait_s)) planned = eased;
  }
  if (!planned.has_value()) return;
  change_at_s_ = from_s + planned->wait_s;
  change_to_ = planned->opp;
}

void Runtime::retune(double now_s, MappingId mapping, OppId opp, Effects& effects) noexcept {
  if (mapping != applied_.mapping) {
    done_at_s_ = std::max(done_at_s_, now_s) + board_.migration_s + board_.cluster_of(mapping).switch_s;
    applied_.mapping = mapping;
    if (applied_.park.valid()) applied_.park = Shield::lowest_park(observation_.mask, mapping);
    running_.applied.mapping = mapping;
    running_.applied.park = applied_.park;
  } else {
    progress(now_s + board_.cluster_of(mapping).switch_s, level_);  // until the new point is in force
  }
  ++counters_.shield_interventions;
  ++counters_.switches;
  last_switch_s_ = now_s;
  applied_.opp = running_.applied.opp = opp;
  effects.add(EffectKind::kApply).action = applied_;
  plan_change(now_s);
}

void Runtime::sensed(double now_s, const Telemetry& telemetry) noexcept {
  settle(now_s);
  const auto power_w = telemetry.power_w.has_value() ? telemetry.power_w : telemetry_.power_w;
  telemetry_ = telemetry;
  if (telemetry.power_w.has_value() && telemetry.window_s > 0) energy_.measured(telemetry.window_s, *telemetry.power_w);
  telemetry_.power_w = telemetry.power_lost ? std::nullopt : power_w;
  if (busy_ && take_limits()) {
    progress(now_s, level_);
    plan_change(now_s);
  }
}

bool Runtime::take_limits() noexcept {
  policies::Situation& facts = observation_.facts;
  const auto caps = facts.cap;
  const std::uint32_t held = std::exchange(facts.held, telemetry_.held);
  facts.lost = telemetry_.lost;
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    const auto top = static_cast<std::int32_t>(board_.clusters[c].opps.size()) - 1;
    facts.cap[c] = std::clamp<std::int32_t>(telemetry_.cap[c].value_or(top), 0, top);
  }
  return facts.cap != caps || facts.held != held;
}

void Runtime::put_lost_last(double soonest_s) noexcept {
  const std::size_t keepable = queue_.size() - lost_;
  std::size_t lost = 0;
  while (lost < keepable && waiting(lost).deadline_s.value_or(kNever) < soonest_s) ++lost;
  if (lost == keepable) return;  // nothing is left to go before them
  std::rotate(queue_.begin(), queue_.end() - static_cast<std::ptrdiff_t>(lost), queue_.end());
  lost_ += lost;
}

double Runtime::fastest_s() const noexcept { return profile_.fastest_s(builder_.floor_level(goals_)) * slow_down_; }

bool Runtime::holds(double now_s) noexcept {
  constexpr double kLongest = 10;  // fastest runs past its deadline
  if (!shield_.config().enabled || !config_.late_last || gap_variation().value_or(0) <= kIrregular ||
      applied_.governor.has_value() || applied_.kernel_placed || !few(queue_.size()))
    return false;
  const double run_s = fastest_s();
  put_lost_last(now_s + run_s);
  const double deadline_s = waiting(0).deadline_s.value_or(kNever);
  if (deadline_s >= now_s + run_s) return false;
  hold_until_s_ = std::min(*last_arrival_s_ + config_.late_hold * run_s, deadline_s + kLongest * run_s);
  return hold_until_s_ > now_s;
}

void Runtime::look_ahead(policies::Situation& facts, double run, double fastest_s, double target_s) const noexcept {
  constexpr double kBusy = 0.5;
  if (regular()) {
    // Whoever still runs when the next one comes has to be made up for, at a speed that costs more than it saved.
    for (int i = 1; i <= config_.outlook; ++i) {
      const double pace_s = (*last_arrival_s_ + i * gap_mean_s_ - facts.now_s) / (run + i - 1);
      if (pace_s < fastest_s) continue;
      facts.pace_s = std::min(facts.pace_s.value_or(kNever), pace_s);
      return;
    }
    return;
  }
  if (!rate_hz_.has_value() || *rate_hz_ * fastest_s <= kBusy || gap_variation().value_or(0) <= kIrregular) return;
  for (int i = 1; i <= config_.outlook; ++i) {
    const double pace_s = (i / *rate_hz_ + target_s) / (run + i);
    if (pace_s >= fastest_s) facts.pace_s = std::min(facts.pace_s.value_or(kNever), pace_s);
  }
}

void Runtime::ask(double now_s, Effects& effects) noexcept {
  REINS_ASSERT(queue_.size() > 0 && !busy_);
  park_at_s_ = hold_until_s_ = kNever;
  const double fastest_s = this->fastest_s();
  if (config_.late_last) put_lost_last(now_s + fastest_s);
  const Request& request = waiting(0);
  policies::Situation& facts = observation_.facts;
  facts = policies::Situation{};
  facts.now_s = now_s;
  facts.goals = goals_;
  if (request.deadline_s.has_value()) facts.slack_s = *request.deadline_s - now_s;
  facts.waited_s = now_s - request.arrival_s;
  facts.queue_depth = queue_.size() - 1;
  if (facts.slack_s.value_or(kNever) >= fastest_s) facts.pace_s = facts.slack_s;
  double run = 1;  // inferences until the one looked at has ended, its own included; the lost are in nobody's way
  for (std::size_t i = 1; i + lost_ < queue_.size(); ++i) {
    const Request& behind = waiting(i);
    if (!behind.deadline_s.has_value()) continue;
    const double slack_s = *behind.deadline_s - now_s;
    if (slack_s < (run + 1) * fastest_s) continue;
    ++run;
    facts.next_slack_s = std::min(facts.next_slack_s.value_or(kNever), slack_s);
    facts.pace_s = std::min(facts.pace_s.value_or(kNever), slack_s / run);
  }
  if (request.deadline_s.has_value()) look_ahead(facts, run, fastest_s, *request.deadline_s - request.arrival_s);
  facts.rate_hz = rate_hz_;
  if (gaps_ > 0) facts.mean_gap_s = long_gap_s_;
  facts.gap_variation = gap_variation();
  facts.since_arrival_s = last_arrival_s_.has_value() ? now_s - *last_arrival_s_ : 0;
  facts.last_latency_s = last_latency_s_;
  facts.last_energy_j = last_energy_j_;
  facts.last_age_s = last_latency_s_.has_value() ? now_s - last_finish_s_ : 0;
  facts.temperature_c = telemetry_.temperature_c;
  if (facts.temperature_c.has_value()) facts.throttle_distance_c = board_.thermal.throttle_c - *facts.temperature_c;
  facts.others_util = telemetry_.others_util;
  facts.slow_down = slow_down_;
  facts.power_w = telemetry_.power_w;
  facts.present = applied_;
  if (parked_.has_value() && !applied_.governor.has_value()) facts.present.opp = *parked_;
  take_limits();
  // Without deadlines nobody asks for a pace: the longer the queue, the further below the mean gap, so that it stays
  // within its places; but none that nothing keeps, which would bind nobody.
  if (!facts.slack_s.has_value() && !facts.pace_s.has_value() && facts.queue_depth > 0 && gaps_ > 0) {
    const policies::ProfilePoint* fastest = profile_.fastest(builder_.floor_level(goals_));
    if (fastest != nullptr) {
      facts.pace_s = std::max(long_gap_s_ / (1 + static_cast<double>(facts.queue_depth) / kPatience),
                              shield_.predicted_s(facts, fastest->mapping, fastest->level, fastest->opp));
    }
  }
  builder_.fill(observation_);

  deciding_ = true;
  const bool stands = config_.decision_interval_s > 0 && now_s - last_decision_s_ < config_.decision_interval_s &&
                      decided_.mapping.valid() && goals_ == decided_goals_ &&
                      (decided_.governor.has_value() || (observation_.mask.allows(decided_.level) &&
                                                         observation_.mask.allows(decided_.mapping, decided_.opp)));
  if (stands) {
    decide(now_s, decided_, 0, effects);
    return;
  }
  effects.add(EffectKind::kDecide);
}

void Runtime::decide(double now_s, const policies::Action& wanted, std::int64_t decision_ns,
                     Effects& effects) noexcept {
  REINS_ASSERT(deciding_ && queue_.size() > 0);
  deciding_ = false;
  settle(now_s);
  const Admission admission = shield_.admit(observation_, wanted, now_s - last_switch_s_);
  if (admission.changed) ++counters_.shield_interventions;
  if (decision_ns > 0 || !(wanted == decided_)) ++counters_.decisions;
  last_decision_s_ = now_s;
  decided_goals_ = goals_;

  const policies::Action& action = decided_ = admission.action;
  const bool moved = applied_.mapping.valid() && action.mapping != applied_.mapping;
  const bool retuned = action.governor != applied_.governor ||
                       (!action.governor.has_value() && (moved || parked_.value_or(applied_.opp) != action.opp));
  if (!applied_.mapping.valid() || moved || retuned) {
    if (applied_.mapping.valid()) ++counters_.switches;
    last_switch_s_ = now_s;
  }
  applied_ = action;
  parked_.reset();
  busy_ = true;
  running_lost_ = shield_.lost(observation_.facts);

  running_ = Outcome{};
  running_.request = waiting(0);
  running_.applied = action;
  running_.start_s = now_s;
  running_.queue_s = now_s - running_.request.arrival_s;
  running_.decision_ns = decision_ns;
  running_.started_level = level_ = action.level;
  part_ = 1;
  part_began_ = 0;
  done_ = 0;
  // Before that nothing is done.
  done_at_s_ = now_s + (moved ? board_.migration_s : 0) + (retuned ? board_.cluster_of(action.mapping).switch_s : 0);
  queue_.pop_back();
  lost_ = std::min(lost_, queue_.size());
  energy_at_start_j_ = energy_.total_j();
  plan_change(now_s);

  effects.add(EffectKind::kApply).action = action;
  Effect& start = effects.add(EffectKind::kStart);
  start.action = action;
  start.outcome = running_;
}

bool Runtime::may_grow(double now_s, LevelId level) const noexcept {
  const std::optional<double> deadline_s = running_.request.deadline_s;
  // A plant that has not come as far as it was asked to is not asked again.
  if (!config_.grow || !deadline_s.has_value() || level != level_) return false;
  if (applied_.governor.has_value() || applied_.kernel_placed) return false;
  const LevelId next(level.value + 1);
  if (next.index() >= space_.levels || !observation_.mask.allows(next)) return false;
  const auto cap = telemetry_.cap[space_.mappings[applied_.mapping.index()].cluster.index()];
  if (cap.has_value() && *cap < applied_.opp.value) return false;  // it runs slower than was profiled
  const policies::ProfilePoint* here = profile_.at(level, applied_.mapping, applied_.opp);
  const policies::ProfilePoint* there = profile_.at(next, applied_.mapping, applied_.opp);
  if (here == nullptr || there == nullptr) return false;
  const double fastest_s = this->fastest_s();
  for (const Request& request : queue_) {
    if (request.deadline_s.value_or(kNever) >= now_s + fastest_s) return false;
  }
  const double part_s = std::max(0.0, there->latency_s - here->latency_s);
  if (now_s + part_s * slow_down_ * (1 + shield_.config().latency_margin) > *deadline_s) return false;
  policies::Situation facts = observation_.facts;
  facts.goals = goals_;
  facts.temperature_c = telemetry_.temperature_c;
  facts.rate_hz = rate_hz_;
  facts.queue_depth = queue_.size();
  return shield_.allows(facts, applied_.mapping, next, applied_.opp);
}

void Runtime::grow(double now_s, Effects& effects) noexcept {
  progress(now_s, level_);
  const double here_s = profile_.at(level_, applied_.mapping, applied_.opp)->latency_s;
  level_ = LevelId(level_.value + 1);
  const double there_s = profile_.at(level_, applied_.mapping, applied_.opp)->latency_s;
  // What has run is that much of the whole run at the next level.
  const double share = there_s > 0 ? std::min(1.0, here_s / there_s) : 1.0;
  done_ *= share;
  part_began_ = done_;
  part_ = 1 - share;
  plan_change(now_s);
  Effect& effect = effects.add(EffectKind::kGrow);
  effect.action = applied_;
  effect.action.level = level_;
  effect.outcome = running_;
}

void Runtime::complete(double now_s, LevelId level, Effects& effects) noexcept {
  REINS_ASSERT(busy_);
  settle(now_s);
  if (may_grow(now_s, level)) {
    grow(now_s, effects);
    return;
  }
  change_at_s_ = kNever;
  const bool as_asked = level == level_ || part_ >= 1;
  level_ = level;
  busy_ = false;
  Outcome& outcome = running_;
  outcome.level = level;
  outcome.finish_s = now_s;
  outcome.latency_s = now_s - outcome.request.arrival_s;
  outcome.missed = outcome.request.deadline_s.has_value() && now_s > *outcome.request.deadline_s;
  ++counters_.served;
  if (outcome.missed) ++counters_.missed;
  if (level > outcome.started_level) ++counters_.grown;
  const EnergySource source = energy_.source();
  if (source != EnergySource::kNone && !outcome.applied.governor.has_value()) {
    outcome.energy_j = energy_.total_j() - energy_at_start_j_;
    outcome.energy_source = source;
    if (const auto sigma = energy_.relative_sigma()) outcome.energy_ci_j = 2 * *sigma * *outcome.energy_j;
  }
  last_latency_s_ = outcome.latency_s;
  last_energy_j_ = outcome.energy_j;
  last_finish_s_ = now_s;
  if (!outcome.applied.governor.has_value() && as_asked) {
    progress(now_s, level);
    if (done_ > 0) slow_down_ += config_.slow_down_gain * (std::clamp(done_, 0.25, 8.0) - slow_down_);
  }
  effects.add(EffectKind::kReply).outcome = outcome;
  if (queue_.size() > 0 && !holds(now_s)) {
    ask(now_s, effects);
  } else if (outcome.applied.park.valid() && !outcome.applied.governor.has_value()) {
    park_at_s_ = now_s + config_.park_delay_s;
    if (outcome.applied.park < outcome.applied.opp)
      park_at_s_ = std::max(park_at_s_, last_switch_s_ + shield_.park_dwell_s(outcome.applied.mapping));
  }
}

void Runtime::advance(double now_s, Effects& effects) noexcept {
  if (busy_ && now_s + 1e-12 >= change_at_s_) {
    settle(now_s);
    progress(now_s, level_);
    change_at_s_ = kNever;
    retune(now_s, applied_.mapping, change_to_, effects);
    return;
  }
  if (now_s + 1e-12 >= hold_until_s_ && !busy_ && !deciding_) {
    settle(now_s);
    ask(now_s, effects);
    return;
  }
  if (now_s + 1e-12 < park_at_s_ || busy_ || deciding_) return;
  settle(now_s);
  park_at_s_ = kNever;
  if (parked_.value_or(applied_.opp) == applied_.park) return;
  parked_ = applied_.park;
  ++counters_.switches;
  last_switch_s_ = now_s;
  effects.add(EffectKind::kPark).action = applied_;
}

double Runtime::next_event_s() const noexcept { return std::min({park_at_s_, change_at_s_, hold_until_s_}); }

}  // namespace reins::control
