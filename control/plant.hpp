// control/plant.hpp: the world under a ControlLoop: this machine with its engine, or an emulated board paced to wall
// time.
#pragma once

#include <optional>
#include <vector>

#include "control/runtime.hpp"
#include "core/result.hpp"
#include "inference/api/engine.hpp"

namespace reins::control {

/// How an inference that was started has ended.
struct PlantCompletion {
  LevelId level;
  int predicted = -1;
  std::vector<float> probabilities;
};

/// Threads: all calls from the loop's own thread. Times are seconds of `now_s()`.
class Plant {
 public:
  virtual ~Plant() = default;
  virtual double now_s() = 0;
  /// Puts mapping and operating point in force; unused clusters go to their lowest point.
  virtual Status apply(const policies::Action& action) = 0;
  virtual Status park(const policies::Action& action) = 0;
  /// Runs (or begins) an inference. The end is told by `poll`.
  virtual Status start(LevelId level, const inference::TensorView& input) = 0;
  /// What has happened by `now_s`: a new telemetry, the end of the inference; each once.
  virtual bool poll_telemetry(double now_s, Telemetry& out) = 0;
  virtual std::optional<PlantCompletion> poll_completion(double now_s) = 0;
  /// When to poll next at the latest.
  virtual double next_event_s() = 0;
  /// Energy of the accounting rails so far where the plant itself knows it (a counter, or the emulated truth).
  virtual std::optional<double> energy_j() = 0;
  virtual bool emulated() const noexcept = 0;
  /// `start` returns at once, and `apply` takes effect while the inference runs.
  virtual bool runs_beside() const noexcept = 0;
  /// Puts the board back.
  virtual Status restore() = 0;
};

/// What of `config` holds on this plant: nothing is hurried where nothing runs beside the loop.
inline RuntimeConfig config_for(const Plant& plant, RuntimeConfig config) noexcept {
  config.shield.hurry = config.shield.hurry && plant.runs_beside();
  return config;
}

}  // namespace reins::control
