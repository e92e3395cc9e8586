#include "env/live_run.hpp"

#include <algorithm>

namespace reins::env {
namespace {

constexpr double kSpin_s = 0.0002;

}  // namespace

LiveRun::LiveRun(const World& world, const control::RuntimeConfig& config, control::Plant& plant,
                 const data::ImageSet& images)
    : world_(world), config_(control::as_the_plant_can(config, plant)), plant_(plant), images_(images) {
  runtime_.emplace(*world_.board, *world_.space, *world_.profile, config_);
}

double LiveRun::now() {
  last_now_s_ = plant_.now_s() - offset_s_;
  return last_now_s_;
}

void LiveRun::reset(const data::Trace& trace, const BoardConditions& conditions, std::uint64_t image_seed) {
  trace_ = &trace;
  next_row_ = 0;
  rng_ = Rng(image_seed);
  outcomes_.clear();
  control::RuntimeConfig config = config_;
  config.shield.admission = config.shield.admission && conditions.shield;
  runtime_.emplace(*world_.board, *world_.space, *world_.profile, config);
  // The first request is due now: nobody waits for a trace's lead-in.
  offset_s_ = plant_.now_s() - (trace.rows.empty() ? 0 : trace.rows.front().time_s);
}

Status LiveRun::carry_out(control::Effects& effects) {
  for (const control::Effect& effect : effects) {
    switch (effect.kind) {
      case control::EffectKind::kApply:
        REINS_TRY(plant_.apply(effect.action));
        break;
      case control::EffectKind::kPark:
        REINS_TRY(plant_.park(effect.action));
        break;
      case control::EffectKind::kReply:
        outcomes_.push_back(effect.outcome);
        break;
      case control::EffectKind::kStart: {
        const auto image = images_.image(effect.outcome.request.image);
        REINS_TRY(plant_.start(
            effect.action.level,
            {image.data(), inference::DType::kUint8, {1, images_.channels, images_.height, images_.width}}));
        break;
      }
      case control::EffectKind::kGrow:
        REINS_TRY(plant_.grow(effect.action.level));
        break;
      case control::EffectKind::kDecide:
        break;
    }
  }
  effects.clear();
  return {};
}

Status LiveRun::decide(const policies::Action& action, std::int64_t decision_ns) {
  control::Effects effects;
  runtime_->decide(now(), action, decision_ns, effects);
  return carry_out(effects);
}

Result<bool> LiveRun::next_decision() {
  control::Effects effects;
  while (!runtime_->deciding()) {
    const double now_s = now();
    control::Telemetry telemetry;
    while (plant_.poll_telemetry(now_s + offset_s_, telemetry)) runtime_->sensed(now_s, telemetry);
    if (next_row_ < trace_->rows.size() && trace_->rows[next_row_].time_s <= now_s) {
      const data::TraceRow& row = trace_->rows[next_row_++];
      runtime_->set_goals(goals_after(runtime_->goals(), row));
      control::Request request;
      request.id = next_row_;
      request.arrival_s = row.time_s;
      request.image = static_cast<std::uint32_t>(rng_.below(images_.size()));
      runtime_->arrive(now_s, request, effects);
      REINS_TRY(carry_out(effects));
      continue;
    }
    REINS_ASSIGN(const auto ended, plant_.poll_completion(now_s + offset_s_));
    if (ended.has_value()) {
      // Not the time before the poll: what ended while this thread was kept from running would have ended too early.
      runtime_->complete(now(), ended->level, effects);
      REINS_TRY(carry_out(effects));
      continue;
    }
    runtime_->advance(now_s, effects);
    REINS_TRY(carry_out(effects));
    if (runtime_->deciding()) break;  // for one that was held back
    if (!runtime_->busy() &&
        (now_s >= trace_->end_s || (next_row_ >= trace_->rows.size() && runtime_->queue_depth() == 0)))
      return false;
    double until_s = std::min(runtime_->next_event_s(), plant_.next_event_s() - offset_s_);
    if (next_row_ < trace_->rows.size()) until_s = std::min(until_s, trace_->rows[next_row_].time_s);
    // A sleep ends tens of microseconds late: the last stretch is spun, so that a request is not late before it begins.
    const double nap_s = std::min(until_s - now_s, 0.05) - kSpin_s;
    if (nap_s > 0) plant_.bell().wait(nap_s);
  }
  return true;
}

}  // namespace reins::env
