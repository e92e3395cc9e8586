// control/driver.hpp: what runs a Runtime in the real world: live on this machine, or an emulated board paced to wall
// time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "inference/api/engine.hpp"
#include "policies/goals.hpp"

namespace reins::control {

/// An inference asked for. `token` comes back with the reply.
struct InferRequest {
  std::uint64_t token = 0;
  AppId app{0};
  std::optional<double> deadline_s;  ///< from arrival; absent: the goal's latency target
  bool probabilities = false;
};

struct InferReply {
  std::uint64_t token = 0;
  std::optional<Error> error;
  int predicted = -1;
  std::vector<float> probabilities;
  LevelId level;          ///< where the inference ended
  LevelId started_level;  ///< where it started
  std::string mapping;
  std::int64_t freq_khz = 0;
  double queue_s = 0, latency_s = 0;
  std::optional<double> energy_j;
  std::optional<double> energy_ci_j;  ///< half-width of its interval, about 95 %; absent where it is not known
  std::string energy_source;          ///< measured, attributed, modelled or none
  std::int64_t decision_ns = 0;
  bool missed = false;
  bool emulated = false;
};

struct DriverMetrics {
  std::uint64_t offered = 0, served = 0, missed = 0, rejected = 0, switches = 0, shield_interventions = 0,
                decisions = 0, grown = 0;
  std::uint64_t sensor_failures = 0, foreign_changes = 0, adjusted_settings = 0;  ///< as in PlantReport
  std::string warning;  ///< what is amiss now with sensors and controls, in one line; empty: nothing
  std::optional<double> energy_j;
  std::optional<double> energy_ci_j;  ///< half-width of its interval, about 95 %; absent where it is not known
  std::string energy_source;
  double switches_per_s = 0;  ///< over the last ten seconds
  double p50_s = 0, p95_s = 0, p99_s = 0, uptime_s = 0, mean_accuracy = 0;
  std::optional<double> temperature_c, power_w;
  std::string board, mapping;
  std::int64_t freq_khz = 0;
  int level = 0;  ///< 1..N as people read it; 0 before the first decision
  bool emulated = false;
};

/// Threads: submit, set_goals, next and metrics are called by one thread, the server's; the driver's own threads run
/// behind them.
class Driver {
 public:
  virtual ~Driver() = default;
  /// Copies the input. Errors: busy (the queue is full), usage (a shape that the network does not take), gone
  /// (stopped).
  virtual Status submit(const InferRequest& request, const inference::TensorView& input) = 0;
  virtual Status set_goals(AppId app, const policies::Goals& goals) = 0;
  virtual policies::Goals goals(AppId app) const = 0;
  /// Takes a finished reply; false where none waits.
  virtual bool next(InferReply& out) = 0;
  /// Readable while a reply waits.
  virtual int event_fd() const noexcept = 0;
  virtual DriverMetrics metrics() const = 0;
  /// What has ended the driver's own threads; none while they go on.
  virtual std::optional<Error> failure() const { return std::nullopt; }
  /// Ends the driver's threads and puts the board back. Hands out the first error that a thread kept.
  virtual Status stop() = 0;
};

}  // namespace reins::control
