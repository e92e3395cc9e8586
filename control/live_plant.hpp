// control/live_plant.hpp: this machine as a plant: the real engine, actuators, and sensors read by a thread of their
// own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "actuators/actuator_set.hpp"
#include "control/live_board.hpp"
#include "control/plant.hpp"
#include "core/clock.hpp"
#include "sensors/catalogue.hpp"
#include "sensors/energy_integrator.hpp"
#include "sensors/health.hpp"

namespace reins::control {

/// Threads: the loop's thread calls it; a thread of its own runs the engine, so that an operating point can change
/// while an inference runs, and rings the bell at its end; a sampling thread reads the sensors (an I2C read blocks for
/// milliseconds), so that no decision waits for one. Caps are read where telemetry is taken, and once a second whether
/// another program has changed a governor or a limit: both belong to the actuators, and cost a read of a kernel file
/// each. A cluster whose control another program has taken is left to it until it is given back; meanwhile it counts as
/// held at the point it runs at.
class LivePlant final : public Plant {
 public:
  struct Options {
    double sample_s =
        0.1;            ///< time between two rounds of sensor reads. 0.005..10; each costs the reads' time on one core
    double look_s = 1;  ///< time between two looks whether another program changed what is set here. 0.01..60; each
                        ///< costs two reads of a kernel file per control
    std::function<Status()> on_sampler{};  ///< called on the sampling thread before its first round; may be empty
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
  PlantReport report() override;
  bool emulated() const noexcept override { return false; }
  bool moves() const noexcept override { return engine_.moves(); }
  Status restore() override;

  /// True where the accounting rails have a sensor that answers: else no energy is claimed.
  bool has_energy() const noexcept { return has_energy_; }
  /// What `on_sampler` answered; waits for it.
  Status sampler_status();

 private:
  /// A sensor that telemetry needs, and whether it measures.
  struct Watched {
    explicit Watched(sensors::Sensor& sensor) : sensor(&sensor), watch(sensor.signal()) {}
    sensors::Sensor* sensor;
    sensors::HealthWatch watch;
    sensors::Health told = sensors::Health::kFine;  ///< what was reported of it last
  };
  /// What one accounting rail is read from.
  struct Meter {
    Watched watched;
    sensors::EnergyIntegrator integral;
    double window_j = 0, window_s = 0;  ///< of the integral, where the last window was closed
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
  std::optional<Watched> watched(std::string_view name, sensors::Quantity quantity) const;
  /// The value, where the sensor measures now. Keeps note of its failures.
  std::optional<double> look(std::optional<Watched>& watched, double now_s);
  /// Integrates what the rails have drawn; closes the window in `out` when every rail's device has spoken.
  void measure(double now_s, Telemetry& out);
  /// Hands the integrals out, and what is amiss with the sensors.
  void tell(double now_s);
  Status tune(ClusterId used, OppId opp) noexcept;
  /// One cluster's point, where its frequency is ours to set.
  Status set_point(ClusterId cluster, OppId opp) noexcept;
  /// apply() of another mapping while an inference runs.
  Status move(const policies::Action& action);
  /// Puts one cluster's setting in force, or leaves it where another program has the control.
  Status set(ClusterId cluster, const actuators::Setting& wanted) noexcept;
  void look_for_others(double now_s);

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

  // The loop's thread alone.
  std::vector<std::optional<std::int64_t>> in_force_khz_;  // by cluster, as it was read back
  std::vector<bool> was_set_;                              // by cluster
  std::vector<std::optional<Error>> lost_;                 // by cluster: why it cannot be set any more
  ClusterId used_;
  std::uint64_t adjusted_ = 0;
  double looked_s_ = 0;
  std::uint32_t held_ = 0;  // a bit per cluster that another program has

  std::atomic<std::uint64_t> load_changes_ = 0;  // settings put in force and inferences begun

  // The sampling thread's own.
  std::vector<Meter> meters_;  // of the accounting rails; empty where no energy is claimed
  bool broken_window_ = true;  // a rail did not measure since the last window was closed, or none was
  std::optional<Watched> temperature_;
  std::vector<std::optional<Watched>> others_util_, freq_;  // by cluster
  std::vector<Watched*> all_watched_;
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
  bool told_sampler_ = false;
  Status sampler_status_;
  std::optional<double> energy_j_, energy_ci_j_;  // absent while a rail does not measure
  std::vector<std::optional<std::int32_t>> present_opp_;
  std::uint64_t sensor_failures_ = 0;
  std::string amiss_;
};

}  // namespace reins::control
