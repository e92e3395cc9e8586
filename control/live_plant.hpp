// control/live_plant.hpp: this machine as a plant: the real engine, actuators, and sensors read by a thread of their
// own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "actuators/actuator_set.hpp"
#include "control/live_board.hpp"
#include "control/plant.hpp"
#include "core/clock.hpp"
#include "sensors/catalogue.hpp"

namespace reins::control {

/// Threads: the loop's thread calls it; a thread of its own runs the engine, so that an operating point can change
/// while an inference runs, and rings the bell at its end; a sampling thread reads the sensors (an I2C read blocks for
/// milliseconds), so that no decision waits for one. Caps are read where telemetry is taken: they belong to the
/// actuators, and cost one read of a kernel file each.
class LivePlant final : public Plant {
 public:
  struct Options {
    double sample_s =
        0.1;  ///< time between two rounds of sensor reads. 0.005..10; each costs the reads' time on one core
  };
  /// `board`: as bind_board left it for `engine`; what `engine` refuses of it is an error when it is applied. A mapping
  /// with a cpu quota limits the whole control group of this process. Takes over sensors and actuators; keeps
  /// references to the rest.
  LivePlant(const boards::Board& board, inference::Engine& engine, actuators::ActuatorSet actuators,
            sensors::Found sensors, const Clock& clock, const Options& options);
  ~LivePlant() override;

  double now_s() override { return clock_.now_s(); }
  Status apply(const policies::Action& action) override;
  Status park(const policies::Action& action) override;
  Status start(LevelId level, const inference::TensorView& input) override;
  Status grow(LevelId level) override;
  bool poll_telemetry(double now_s, Telemetry& out) override;
  Result<std::optional<PlantCompletion>> poll_completion(double now_s) override;
  double next_event_s() override;
  std::optional<double> energy_j() override;
  bool emulated() const noexcept override { return false; }
  Status restore() override;

  /// True where the accounting rails have a sensor that answers: else no energy is claimed.
  bool has_energy() const noexcept { return has_energy_; }

 private:
  /// What one accounting rail is read from.
  struct Meter {
    sensors::Sensor* sensor = nullptr;
    bool counter = false;
    double last_j = -1;   ///< of a counter; below 0: not read yet
    bool behind = false;  ///< the last read failed: the next difference reaches over the gap
    std::uint64_t updates = 0;
    bool fresh = false;  ///< the device has spoken since the last window was closed
  };
  struct Run {
    LevelId level;
    std::optional<inference::TensorView> input;  ///< none: the one that has run grows to `level`
  };
  void run();
  Status enqueue(const Run& run);
  Result<PlantCompletion> infer(const Run& run);
  Result<PlantCompletion> take_answer();
  void sample();
  void sample_once();
  /// Adds what the rails drew since the last round; closes the window in `out` when every rail's device has spoken.
  void measure(double now_s, Telemetry& out);
  Status tune(ClusterId used, OppId opp) noexcept;

  const boards::Board& board_;
  inference::Engine& engine_;
  actuators::ActuatorSet actuators_;
  sensors::Found sensors_;
  const Clock& clock_;
  Options options_;
  std::vector<inference::Placement> placements_;  // by mapping
  std::vector<bool> tuned_;                       // by cluster: its frequency is ours to set
  bool limits_cpus_ = false;                      // some mapping has a quota
  MappingId placed_;
  bool running_ = false;  // from start to the end's being polled: the engine is its thread's
  bool has_energy_ = false;

  // The sampling thread's own.
  std::vector<Meter> meters_;  // of the accounting rails; empty where no energy is claimed
  double last_sample_s_ = 0;
  double window_j_ = 0, window_s_ = 0;
  std::thread sampler_;

  std::thread runner_;
  PlantCompletion answer_;  // the runner's own: of what has run last
  std::mutex run_mutex_;    // guards what follows
  std::condition_variable begin_;
  bool closing_ = false;
  std::optional<Run> wanted_;
  std::optional<Result<PlantCompletion>> ended_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  std::optional<Telemetry> latest_;
  std::optional<double> energy_j_;
};

}  // namespace reins::control
