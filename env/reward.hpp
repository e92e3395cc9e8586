// env/reward.hpp: the reward, and nothing else.
#pragma once

#include <optional>
#include <string_view>

#include "control/telemetry.hpp"
#include "core/result.hpp"
#include "core/toml.hpp"

namespace reins::env {

/// w_acc * accuracy - w_energy * energy / energy_ref - w_latency * max(0, latency / target - 1) - w_miss * missed
/// - w_switch * switched. Accuracy is the validated accuracy of the final level. A rejected request counts as missed.
struct RewardConfig {
  double w_acc = 0.05;     ///< per unit of accuracy. 0..100
  double w_energy = 1.0;   ///< per energy_ref. 0..100
  double w_latency = 0.0;  ///< per relative overrun of the target, which is cut at `overrun_limit`. 0..100
  double w_miss = 4.0;     ///< per missed request. 0..1000
  double w_switch = 0.0;   ///< per change of mapping or operating point. 0..100
  bool above_idle =
      true;  ///< energy counts above that of the whole board parked: a constant of every trace, and most of its noise
  bool floor_ref = false;  ///< energy_ref is what the floor's level costs where it is fastest, not the full network's:
                           ///< a share of energy saved is then worth the same at every floor
  double energy_limit = 4.0;   ///< most of energy / energy_ref that counts: a long pause badly parked costs more than
                               ///< all that inferences differ by, and says no more than that. 0..1e9
  double overrun_limit = 2.0;  ///< largest relative overrun that counts. 0..100

  static Result<RewardConfig> from_toml(const TomlTable& table);
  /// The [reward] of a whole controller configuration, whatever else that holds; the defaults where it has none.
  static Result<RewardConfig> of_controller(std::string_view toml, std::string_view where);
  friend bool operator==(const RewardConfig&, const RewardConfig&) = default;
};

/// What one decision led to, up to the next one.
struct StepFacts {
  double accuracy = 0;
  std::optional<double> energy_j;  ///< over the whole interval, idle included; absent without an energy source
  double parked_j = 0;             ///< what the parked board would have drawn over the same interval
  double energy_ref_j = 1;
  double latency_s = 0;
  std::optional<double> target_s;
  int missed = 0;  ///< the request itself and those rejected meanwhile
  bool switched = false;
};

double reward_of(const RewardConfig& config, const StepFacts& facts) noexcept;
/// The part of it that is for misses: rare, and many times the rest.
double penalty_of(const RewardConfig& config, const StepFacts& facts) noexcept;

}  // namespace reins::env
