// env/emulated_plant.hpp: an emulated board paced to wall time; the class is computed on this host by the real engine.
#pragma once

#include "control/plant.hpp"
#include "core/clock.hpp"
#include "env/emulated_board.hpp"

namespace reins::env {

/// Time and energy are the emulated board's; replies come when the emulated inference ends, or later where this host
/// computes the class more slowly than the emulated board would.
class EmulatedPlant final : public control::Plant {
 public:
  /// Keeps references; `engine` may be null (then no class is predicted).
  EmulatedPlant(EmulatedBoard& board, inference::Engine* engine, const Clock& clock, const BoardConditions& conditions);

  double now_s() override;
  Status apply(const policies::Action& action) override;
  Status park(const policies::Action& action) override;
  Status start(LevelId level, const inference::TensorView& input) override;
  Status grow(LevelId level) override;
  bool poll_telemetry(double now_s, control::Telemetry& out) override;
  Result<std::optional<control::PlantCompletion>> poll_completion(double now_s) override;
  double next_event_s() override;
  control::PlantReport report() override;
  bool emulated() const noexcept override { return true; }
  bool moves() const noexcept override { return true; }
  Status restore() override { return {}; }

 private:
  void catch_up(double now_s) noexcept;
  Status take_answer();

  EmulatedBoard& board_;
  inference::Engine* engine_;
  const Clock& clock_;
  double began_s_;
  control::PlantCompletion answer_;
  std::optional<LevelId> ended_;
};

}  // namespace reins::env
