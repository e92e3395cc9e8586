#include "env/episode.hpp"

#include <algorithm>
#include <limits>

namespace reins::env {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

Episode::Episode(const World& world, const control::RuntimeConfig& config)
    : world_(world), config_(config), board_(*world.board, *world.levels, world.replay ? world.profile : nullptr) {
  runtime_.emplace(*world_.board, *world_.space, *world_.profile, config_);
}

policies::Goals goals_after(policies::Goals goals, const data::TraceRow& row) noexcept {
  if (row.latency_target_s) goals.latency_s = row.latency_target_s;
  if (row.energy_budget_j) goals.energy_j = row.energy_budget_j;
  if (row.power_w) goals.power_w = row.power_w;
  if (row.accuracy_floor) goals.accuracy_floor = row.accuracy_floor;
  return goals;
}

void Episode::reset(const data::Trace& trace, const BoardConditions& conditions, std::uint64_t image_seed, double end_s,
                    bool timeline) {
  trace_ = &trace;
  end_s_ = end_s;
  next_row_ = 0;
  images_ = Rng(image_seed);
  want_timeline_ = timeline;
  closed_ = false;
  outcomes_.clear();
  result_ = EpisodeResult{};
  result_.level_counts.assign(board_.levels(), 0);
  control::RuntimeConfig config = config_;
  config.shield.admission = config.shield.admission && conditions.shield;
  runtime_.emplace(*world_.board, *world_.space, *world_.profile, config);
  // Energy counts from the first arrival.
  const double start_s = trace.rows.empty() ? 0 : trace.rows.front().time_s;
  board_.reset(start_s, conditions);
  control::Telemetry first;
  first.at_s = start_s;
  if (!conditions.blind) first.temperature_c = conditions.start_c;
  const std::size_t clusters =
      std::min(world_.board->clusters.size(), policies::kMaxClusters);  // said for the compiler
  for (std::size_t c = 0; c < clusters; ++c) {
    if (!conditions.blind) first.others_util[c] = conditions.others_util[c];
    first.cap[c] = board_.cap(ClusterId(c)).value;
  }
  runtime_->sensed(start_s, first);
}

double Episode::next_arrival_s() const noexcept {
  return next_row_ < trace_->rows.size() ? trace_->rows[next_row_].time_s : kNever;
}

void Episode::waiting_deadlines(std::vector<double>& out) const {
  out.clear();
  // The first is the one at hand.
  for (std::size_t i = 1; i < runtime_->queue_depth(); ++i) {
    out.push_back(runtime_->waiting(i).deadline_s.value_or(kNever));
  }
}

void Episode::mark(bool is_reply, const control::Outcome* outcome) {
  TimelinePoint point;
  point.time_s = board_.now_s();
  const policies::Action& applied = runtime_->applied();
  point.mapping = board_.mapping().value;
  point.level = applied.level.valid() ? runtime_->level().value + 1 : 0;
  if (board_.mapping().valid()) {
    const ClusterId cluster = world_.board->mappings[board_.mapping().index()].cluster;
    point.freq_khz =
        static_cast<double>(world_.board->clusters[cluster.index()].opps[board_.opp(cluster).index()].freq_khz);
  }
  point.power_w = board_.power_w();
  point.temperature_c = board_.temperature_c();
  point.energy_j = board_.energy_j();
  point.reply = is_reply;
  if (runtime_->goals().latency_s.has_value()) point.target_s = *runtime_->goals().latency_s;
  if (outcome != nullptr) {
    point.latency_s = outcome->latency_s;
    point.missed = outcome->missed;
    if (outcome->request.deadline_s.has_value())
      point.target_s = *outcome->request.deadline_s - outcome->request.arrival_s;
  }
  result_.timeline.push_back(point);
}

void Episode::reply(const control::Outcome& outcome) noexcept {
  outcomes_.push_back(outcome);
  if (outcome.rejected) return;
  result_.latencies_s.push_back(outcome.latency_s);
  result_.accuracy_sum += (*world_.levels)[outcome.level.index()].accuracy;
  if (outcome.request.deadline_s.has_value()) {
    const double target_s = *outcome.request.deadline_s - outcome.request.arrival_s;
    if (target_s > 0) result_.overrun_sum += std::clamp(outcome.latency_s / target_s - 1, 0.0, 2.0);
  }
  ++result_.level_counts[outcome.level.index()];
  if (world_.answers != nullptr && world_.answers->correct(outcome.level, outcome.request.image)) ++result_.correct;
  if (outcome.level < floor_at_start_) ++result_.below_floor;
  if (want_timeline_) mark(true, &outcome);
}

void Episode::carry_out(control::Effects& effects) noexcept {
  for (const control::Effect& effect : effects) {
    switch (effect.kind) {
      case control::EffectKind::kApply:
        board_.apply(effect.action);
        break;
      case control::EffectKind::kStart:
        board_.start(effect.action.level);
        break;
      case control::EffectKind::kGrow:
        board_.grow(effect.action.level);
        break;
      case control::EffectKind::kPark:
        board_.park(effect.action.mapping, effect.action.park);
        break;
      case control::EffectKind::kReply:
        reply(effect.outcome);
        break;
      case control::EffectKind::kDecide:
        break;  // run_to_decision returns
    }
  }
  effects.clear();
}

void Episode::decide_now(const policies::Action& action, std::int64_t decision_ns) noexcept {
  control::Effects effects;
  floor_at_start_ = observation().facts.floor_level;
  runtime_->decide(board_.now_s(), action, decision_ns, effects);
  carry_out(effects);
}

bool Episode::run_to_decision() noexcept {
  control::Effects effects;
  while (!runtime_->deciding()) {
    const double arrival_s = next_arrival_s();
    const double next_s = std::min({arrival_s, runtime_->next_event_s(), board_.next_event_s(), end_s_});
    board_.advance(next_s);
    result_.max_temperature_c = std::max(result_.max_temperature_c, board_.temperature_c());
    control::Telemetry telemetry;
    if (board_.take_telemetry(telemetry)) {
      runtime_->sensed(next_s, telemetry);
      if (want_timeline_) mark(false, nullptr);
    }
    if (const auto level = board_.take_completion()) {
      runtime_->complete(next_s, *level, effects);
      carry_out(effects);
    } else if (next_s >= end_s_) {
      close();
      return false;
    } else if (arrival_s <= next_s) {
      const data::TraceRow& row = trace_->rows[next_row_++];
      const policies::Goals goals = goals_after(runtime_->goals(), row);
      runtime_->set_goals(goals);
      control::Request request;
      request.id = next_row_;
      request.app = AppId(row.app);
      request.arrival_s = row.time_s;
      if (goals.latency_s) request.deadline_s = row.time_s + *goals.latency_s;
      const std::uint64_t draw = images_.next();
      if (world_.answers != nullptr && world_.answers->images() > 0) {
        request.image = static_cast<std::uint32_t>(draw % world_.answers->images());
      }
      runtime_->arrive(next_s, request, effects);
      carry_out(effects);
    } else if (runtime_->next_event_s() <= next_s) {
      runtime_->advance(next_s, effects);
      carry_out(effects);
    }
  }
  return true;
}

void Episode::close() noexcept {
  if (closed_) return;
  closed_ = true;
  runtime_->settle(board_.now_s());
  const control::Counters& counters = runtime_->counters();
  result_.counters = counters;
  result_.offered = counters.offered;
  result_.served = counters.served;
  result_.rejected = counters.rejected;
  result_.missed = counters.missed;
  // Requests without a reply at the end have missed when their deadline is past.
  const auto lost = [this](const control::Request& request) {
    return request.deadline_s.has_value() && *request.deadline_s <= end_s_;
  };
  if (runtime_->busy() && lost(runtime_->running())) ++result_.missed;
  for (std::size_t i = 0; i < runtime_->queue_depth(); ++i) {
    if (lost(runtime_->waiting(i))) ++result_.missed;
  }
  result_.energy_j = board_.energy_j();
  result_.active_energy_j = board_.active_energy_j();
  result_.floor_kept =
      result_.served > 0 ? 1 - static_cast<double>(result_.below_floor) / static_cast<double>(result_.served) : 1;
  result_.duration_s = end_s_ - (trace_->rows.empty() ? 0 : trace_->rows.front().time_s);
}

double last_deadline_s(const data::Trace& trace) noexcept {
  double last_s = trace.end_s;
  policies::Goals goals;
  for (const data::TraceRow& row : trace.rows) {
    goals = goals_after(goals, row);
    if (goals.latency_s) last_s = std::max(last_s, row.time_s + *goals.latency_s);
  }
  const double first_s = trace.rows.empty() ? 0 : trace.rows.front().time_s;
  constexpr double kShortest_s = 60;  // even a trace of one moment is worth that
  return std::min(last_s, trace.end_s + std::max(kShortest_s, trace.end_s - first_s));
}

EpisodeResult run_episode(Episode& episode, policies::Policy& policy, const data::Trace& trace,
                          const BoardConditions& conditions, std::uint64_t image_seed, bool timeline) {
  episode.reset(trace, conditions, image_seed, last_deadline_s(trace), timeline);
  policy.reset();
  while (episode.run_to_decision()) {
    episode.decide_now(policy.decide(episode.observation()));
    episode.clear_outcomes();
  }
  return episode.result();
}

}  // namespace reins::env
