// evaluation/profiler.hpp: measures level x mapping x operating point with the real engine on the real board.
#pragma once

#include <functional>

#include "control/plant.hpp"
#include "policies/profile.hpp"

namespace reins::evaluation {

struct ProfilerConfig {
  int sensor_updates = 30;     ///< of the energy sensor a point waits for; without one it makes as many runs
  double relative_ci = 0.03;   ///< 95 % interval of latency (and power) that ends a point early enough
  double least_share = 0.25;   ///< of max_seconds, at least: runs within milliseconds all share one disturbance
  double max_seconds = 2;      ///< per point, whatever the intervals are; longer for two readings of a slow sensor
  double warm_up_share = 0.5;  ///< of max_seconds, at most: runs dropped until WarmUp says so, before each point
  std::uint64_t seed = 1;      ///< of the noise image that is inferred
  /// Called after every point, and again and again while idle power is read; false stops.
  std::function<bool(double fraction, std::string_view point)> progress;
};

/// Tells from the times of runs when caches, clocks and the move to other cores are behind them: when two stretches,
/// each of at least five runs and 20 ms, differ in their means by no more than `tolerance`, relative.
class WarmUp {
 public:
  explicit WarmUp(double tolerance) noexcept : tolerance_(tolerance) {}
  /// One more run. True once the times have settled.
  bool settled(double latency_s) noexcept;

 private:
  double tolerance_;
  double sum_s_ = 0;
  int runs_ = 0;
  double before_s_ = 0;  // mean of the stretch before; 0: none yet
};

/// How a profile went.
struct ProfileReport {
  policies::Profile profile;
  std::size_t points = 0;
  std::size_t wide = 0;        ///< points whose interval was still wider than asked for at max_seconds
  std::size_t disordered = 0;  ///< points over 10 % slower than the next level at the same setting
  bool has_energy = false;
};

/// How many points of `profile` take over 10 % longer than the next level at the same mapping and operating point.
std::size_t disordered_points(const policies::Profile& profile, const policies::ActionSpace& space);

/// `plant`: the live one (or an emulated one paced to wall time). Puts nothing back: the plant does. Errors: those of
/// engine and actuators; gone (stopped by `progress`).
Result<ProfileReport> profile_live(const boards::Board& board, const policies::ActionSpace& space,
                                   const inference::NetworkFacts& network, control::Plant& plant,
                                   const ProfilerConfig& config);

}  // namespace reins::evaluation
