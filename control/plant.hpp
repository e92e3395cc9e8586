// control/plant.hpp: the world under a ControlLoop: this machine with its engine, or an emulated board paced to wall
// time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "control/runtime.hpp"
#include "core/result.hpp"
#include "inference/api/engine.hpp"

namespace reins::control {

/// How an inference that was started, or has grown, has ended.
struct PlantCompletion {
  LevelId level;
  int predicted = -1;
  std::vector<float> probabilities;
};

/// What a plant says of itself beside its telemetry. Counts run since it was made.
struct PlantReport {
  /// Energy of the accounting rails so far where the plant itself knows it (its sensors, or the emulated truth), up to
  /// one update of the slowest sensor ago. Absent too while a sensor of theirs does not measure.
  std::optional<double> energy_j;
  /// Half-width of its interval, about 95 %; absent where nothing was measured.
  std::optional<double> energy_ci_j;
  /// Of the cluster that the last action put its mapping on, as it was read back. Absent where a governor has it or
  /// nothing could be read.
  std::optional<std::int64_t> freq_khz;
  std::uint64_t sensor_failures = 0;    ///< times a sensor turned from measuring to failing, stale or stuck
  std::uint64_t foreign_changes = 0;    ///< times another program changed a control that is set here
  std::uint64_t adjusted_settings = 0;  ///< settings that are in force otherwise than asked for: rounded, capped, left
  std::string warning;                  ///< what is amiss now, in one line; empty: nothing
};

/// What a driver sleeps on. Rung from any thread; a ring while nobody waits ends the next wait.
class Bell {
 public:
  void ring() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      rung_ = true;
    }
    wake_.notify_one();
  }
  /// Until it rings, at most `seconds`.
  void wait(double seconds) {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool rung_ = false;
};

/// Threads: all calls but those of the bell from the loop's own thread. Times are seconds of `now_s()`.
class Plant {
 public:
  virtual ~Plant() = default;
  virtual double now_s() = 0;
  /// Puts mapping and operating point in force; unused clusters go to their lowest point. While an inference runs the
  /// operating point takes effect at once, and so does another mapping where `moves()` and it has as many threads.
  /// Errors: busy (another mapping while an inference runs that cannot be moved).
  virtual Status apply(const policies::Action& action) = 0;
  /// True where an inference can be moved to other cores while it runs.
  virtual bool moves() const noexcept { return false; }
  virtual Status park(const policies::Action& action) = 0;
  /// Begins an inference. `input` stays where it is until its last end is polled (it may grow) or the plant restored.
  virtual Status start(LevelId level, const inference::TensorView& input) = 0;
  /// The inference whose end was polled last goes on to `level`, the next one; its end is polled as any. Where the
  /// engine cannot, the answer that is there stands, at the level it has. Errors: busy (one runs already), gone.
  virtual Status grow(LevelId level) = 0;
  /// What has happened by `now_s`: a new telemetry, the end of the inference; each once.
  virtual bool poll_telemetry(double now_s, Telemetry& out) = 0;
  /// Errors: those of the inference, which has ended then.
  virtual Result<std::optional<PlantCompletion>> poll_completion(double now_s) = 0;
  /// When to poll next at the latest; sooner when the bell rings.
  virtual double next_event_s() = 0;
  virtual PlantReport report() = 0;
  virtual bool emulated() const noexcept = 0;
  /// Puts the board back, when the inference under way has ended. Nothing starts behind it.
  virtual Status restore() = 0;

  /// Rung at the end of an inference that `next_event_s` did not foretell; the driver's own other threads may ring it
  /// too.
  Bell& bell() noexcept { return bell_; }

 private:
  Bell bell_;
};

/// `config` without what the plant cannot do.
inline RuntimeConfig as_the_plant_can(RuntimeConfig config, const Plant& plant) noexcept {
  config.shield.move = config.shield.move && plant.moves();
  return config;
}

}  // namespace reins::control
