// env/board_env.hpp: reset and step as Gymnasium defines them, over an emulated board or a real one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/episode.hpp"
#include "env/reward.hpp"

namespace reins::env {

enum class StepEnd : std::uint8_t { kRunning, kTerminated, kTruncated };

/// What a step gives back. `observation` stays valid until the next call.
struct Step {
  const policies::Observation* observation = nullptr;
  double reward = 0;
  double penalty = 0;  ///< the part of `reward` that is for misses; positive where one is paid back
  double dt_s = 0;     ///< virtual or real time between the two decisions: the discount is exp(-dt / tau)
  StepEnd end = StepEnd::kRunning;
  policies::Action applied;  ///< what the shield let through: what a learner must store
};

/// How episodes are drawn. Times are multiples of the board's fastest full-network latency, so that it holds for every
/// board.
struct EnvConfig {
  std::vector<double> loads{0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9};
  std::vector<double> target_factors{1.1, 1.5, 2.5, 5};
  double periodic = 0.25;  ///< share of episodes with periodic arrivals; other kinds share the rest. 0..1
  /// The time that loads and targets are multiples of is at least this (see kLeastLive_s). For live runs; 0: the
  /// board's own, as an emulated one has it. 1e-6..10
  double least_latency_s = 0;
  double requests = 200;        ///< mean requests of an episode. 10..100000
  double changing = 0.7;        ///< share of episodes whose goals change within the trace. 0..1
  double top_floor = 0.25;      ///< share of episodes whose floor is the full network's accuracy. 0..1
  double no_target = 0.03;      ///< share without a latency target. 0..1
  double power_cap = 0.04;      ///< share with a power cap. 0..1
  double energy_budget = 0.04;  ///< share with an energy budget. 0..1
  double others = 0.2;          ///< share with other load on the clusters. 0..1
  double capped = 0.04;  ///< share with a limit on each cluster's operating point, from half of them up to none. 0..1
  double blind = 0.03;   ///< share without thermometer and count of others' load. 0..1
  double shield_off =
      0.5;  ///< share in which the shield changes no decision: where a policy learns what it would have spared it. 0..1
  RewardConfig reward;
  control::RuntimeConfig runtime;

  static Result<EnvConfig> from_toml(const TomlTable& table);
};

/// Of the newest requests that a BoardEnv has seen answered or rejected: how many, at most kRecentRequests, and how
/// many of them missed.
struct RecentMisses {
  std::size_t requests = 0, missed = 0;
};
inline constexpr std::size_t kRecentRequests = 1000;

/// An environment over a board. Threads: one at a time. Same seed, same actions: same steps (emulated).
class BoardEnv {
 public:
  /// `run`: an Episode, or a LiveRun on this machine.
  BoardEnv(const World& world, const EnvConfig& config, std::unique_ptr<TraceRun> run);

  /// Draws a trace, goals and conditions, and runs to the first decision.
  Result<Step> reset(std::uint64_t seed);
  /// Runs on to the next decision, or to the end of the trace (kTruncated: nothing there is final).
  Result<Step> step(const policies::Action& action);

  const policies::ObservationSpec& spec() const noexcept { return run_->runtime().spec(); }
  const policies::ActionSpace& space() const noexcept { return *world_.space; }
  const policies::ReachTable& reach() const noexcept { return run_->runtime().builder().reach(); }
  const TraceRun& run() const noexcept { return *run_; }
  const EnvConfig& config() const noexcept { return config_; }
  RecentMisses recent_misses() const noexcept;

 private:
  World world_;
  EnvConfig config_;
  std::unique_ptr<TraceRun> run_;
  data::Trace trace_;
  double parked_w_ = 0;  // the least idle power in the profile
  double last_decision_s_ = 0;
  double last_energy_j_ = 0;
  std::uint64_t last_switches_ = 0;
  std::vector<std::uint64_t> lost_;  // waiting requests whose miss has been charged already
  std::vector<bool> recent_;         // a ring: whether each of the newest requests missed
  std::size_t oldest_ = 0;           // in a full ring

  int newly_missed();
};

/// The accuracy floors that goals are drawn from: the validated accuracy of each level.
std::vector<double> floors_of(const World& world);

}  // namespace reins::env
