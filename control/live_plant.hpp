// control/live_plant.hpp: this machine as a plant: the real engine, actuators, and sensors read by a thread of their
// own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "actuators/actuator_set.hpp"
#include "control/plant.hpp"
#include "core/clock.hpp"
#include "sensors/catalogue.hpp"

namespace reins::control {

/// Threads: the loop's thread calls it; a sampling thread reads the sensors (an I2C read blocks for milliseconds), so
/// that no decision waits for one.
class LivePlant final : public Plant {
 public:
  struct Options {
    std::filesystem::path root = "/";
    double sample_s =
        0.1;  ///< time between two rounds of sensor reads. 0.005..10; each costs the reads' time on one core
  };
  /// Takes over sensors and actuators; keeps references to the rest.
  LivePlant(const boards::Board& board, inference::Engine& engine, actuators::ActuatorSet actuators,
            sensors::Found sensors, const Clock& clock, const Options& options);
  ~LivePlant() override;

  double now_s() override { return clock_.now_s(); }
  Status apply(const policies::Action& action) override;
  Status park(const policies::Action& action) override;
  Status start(LevelId level, const inference::TensorView& input) override;
  bool poll_telemetry(double now_s, Telemetry& out) override;
  std::optional<PlantCompletion> poll_completion(double now_s) override;
  double next_event_s() override;
  std::optional<double> energy_j() override;
  bool emulated() const noexcept override { return false; }
  bool runs_beside() const noexcept override { return false; }
  Status restore() override;

  /// True where the accounting rails have a sensor that answers: else no energy is claimed.
  bool has_energy() const noexcept { return has_energy_; }

 private:
  void sample();
  void sample_once();
  Status tune(ClusterId used, OppId opp) noexcept;

  const boards::Board& board_;
  inference::Engine& engine_;
  actuators::ActuatorSet actuators_;
  sensors::Found sensors_;
  const Clock& clock_;
  Options options_;
  MappingId placed_;
  std::optional<PlantCompletion> ended_;
  bool has_energy_ = false;

  // The sampling thread's own.
  std::vector<double> last_counter_j_;
  std::vector<std::uint64_t> last_updates_;
  double last_energy_s_ = 0;
  std::thread sampler_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  std::optional<Telemetry> latest_;
  std::optional<double> energy_j_;
};

}  // namespace reins::control
