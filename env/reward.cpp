#include "env/reward.hpp"

#include <algorithm>

namespace reins::env {

Result<RewardConfig> RewardConfig::from_toml(const TomlTable& table) {
  RewardConfig c;
  REINS_ASSIGN(c.w_acc, table.number_or("w_acc", c.w_acc, 0, 100));
  REINS_ASSIGN(c.w_energy, table.number_or("w_energy", c.w_energy, 0, 100));
  REINS_ASSIGN(c.w_latency, table.number_or("w_latency", c.w_latency, 0, 100));
  REINS_ASSIGN(c.w_miss, table.number_or("w_miss", c.w_miss, 0, 1000));
  REINS_ASSIGN(c.w_switch, table.number_or("w_switch", c.w_switch, 0, 100));
  REINS_ASSIGN(c.above_idle, table.boolean_or("above_idle", c.above_idle));
  REINS_ASSIGN(c.floor_ref, table.boolean_or("floor_ref", c.floor_ref));
  REINS_ASSIGN(c.energy_limit, table.number_or("energy_limit", c.energy_limit, 0, 1e9));
  REINS_ASSIGN(c.overrun_limit, table.number_or("overrun_limit", c.overrun_limit, 0, 100));
  REINS_TRY(table.reject_unknown());
  return c;
}

Result<RewardConfig> RewardConfig::of_controller(std::string_view toml, std::string_view where) {
  REINS_ASSIGN(const TomlTable root, TomlTable::parse(toml, where));
  if (!root.has("reward")) return RewardConfig();
  REINS_ASSIGN(const TomlTable table, root.table("reward"));
  return from_toml(table);
}

double reward_of(const RewardConfig& config, const StepFacts& facts) noexcept {
  double reward = config.w_acc * facts.accuracy;
  if (facts.energy_j.has_value()) {
    const double counted_j = *facts.energy_j - (config.above_idle ? facts.parked_j : 0);
    reward -= config.w_energy * std::min(counted_j / facts.energy_ref_j, config.energy_limit);
  }
  if (facts.target_s.has_value() && *facts.target_s > 0) {
    reward -= config.w_latency * std::clamp(facts.latency_s / *facts.target_s - 1, 0.0, config.overrun_limit);
  }
  reward += penalty_of(config, facts);
  if (facts.switched) reward -= config.w_switch;
  return reward;
}

double penalty_of(const RewardConfig& config, const StepFacts& facts) noexcept { return -config.w_miss * facts.missed; }

}  // namespace reins::env
