#include "env/emulated_plant.hpp"

#include <algorithm>

namespace reins::env {

EmulatedPlant::EmulatedPlant(EmulatedBoard& board, inference::Engine* engine, const Clock& clock,
                             const BoardConditions& conditions)
    : board_(board), engine_(engine), clock_(clock), began_s_(clock.now_s()) {
  board_.reset(0, conditions);
}

control::PlantReport EmulatedPlant::report() {
  control::PlantReport report;
  report.energy_j = board_.energy_j();
  return report;
}

double EmulatedPlant::now_s() { return clock_.now_s() - began_s_; }

void EmulatedPlant::catch_up(double now_s) noexcept {
  while (board_.now_s() < now_s && !ended_.has_value()) {
    board_.advance(std::min(now_s, board_.next_event_s()));
    ended_ = board_.take_completion();
  }
}

Status EmulatedPlant::apply(const policies::Action& action) {
  catch_up(now_s());
  board_.apply(action);
  return {};
}

Status EmulatedPlant::park(const policies::Action& action) {
  catch_up(now_s());
  board_.park(action.mapping, action.park);
  return {};
}

Status EmulatedPlant::start(LevelId level, const inference::TensorView& input) {
  catch_up(now_s());
  board_.start(level);
  answer_ = control::PlantCompletion{};
  answer_.level = level;
  if (engine_ == nullptr) return {};
  REINS_TRY(engine_->begin(input, level));
  return take_answer();
}

Status EmulatedPlant::grow(LevelId level) {
  catch_up(now_s());
  board_.grow(level);
  if (engine_ == nullptr || (engine_->grow().has_value() && take_answer().has_value())) answer_.level = level;
  return {};
}

Status EmulatedPlant::take_answer() {
  REINS_ASSIGN(const inference::Answer answer, engine_->finish());
  answer_.predicted = answer.predicted;
  answer_.probabilities.assign(answer.probabilities.begin(), answer.probabilities.end());
  return {};
}

bool EmulatedPlant::poll_telemetry(double now_s, control::Telemetry& out) {
  catch_up(now_s);
  return board_.take_telemetry(out);
}

Result<std::optional<control::PlantCompletion>> EmulatedPlant::poll_completion(double now_s) {
  catch_up(now_s);
  if (!std::exchange(ended_, std::nullopt).has_value()) return std::optional<control::PlantCompletion>();
  return std::optional(answer_);
}

double EmulatedPlant::next_event_s() { return board_.next_event_s(); }

}  // namespace reins::env
