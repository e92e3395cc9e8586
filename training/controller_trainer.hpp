// training/controller_trainer.hpp: trains a controller on a board (emulated or live) and freezes it into a policy file.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/dqn.hpp"
#include "env/board_env.hpp"
#include "evaluation/workbench.hpp"
#include "policies/policy_file.hpp"

namespace reins::training {

/// One TOML file: [dqn], [env], [reward], [runtime], [validation]; every key optional, an unknown one is an error.
struct ControllerConfig {
  agent::DqnConfig dqn;
  env::EnvConfig env;
  std::int64_t validate_every = 5'000;    ///< steps between validations of the greedy policy; 0: only at the end
  std::int64_t validation_episodes = 40;  ///< each as long as a training episode; their seeds are used for nothing else
  std::int64_t checkpoint_every = 20'000;
  std::string text;  ///< the file as it was, for the policy's training facts

  static Result<ControllerConfig> parse(std::string_view toml, std::string_view where);
  static Result<ControllerConfig> read(const std::filesystem::path& path);
};

/// Where a run stands.
struct ControllerProgress {
  agent::TrainProgress learner;
  double fraction = 0;
  double validation_reward = 0;  ///< mean reward per step of the newest validation
  double best_reward = 0;
  std::int64_t best_at = 0;  ///< steps at which the best was found
  env::RecentMisses misses;  ///< of the training itself, so exploration included; at its end alone
};

struct ControllerRun {
  const evaluation::Workbench* bench = nullptr;
  std::function<std::unique_ptr<env::TraceRun>()>
      make_run;  ///< an Episode or a LiveRun; called once for training, once for validation
  ControllerConfig config;
  std::filesystem::path folder;  ///< checkpoint.pt, best.policy, log.csv
  bool resume = false;
  bool validate = true;  ///< false on a live board: validation would double the time
  std::string commit;
  std::function<bool()> checkpoint_due;                     ///< as agent::TrainHooks has it: beside checkpoint_every's
  std::function<bool(const ControllerProgress&)> progress;  ///< false: stop at the end of the episode
};

/// Trains; after every validation that is the best so far (in the second half: of that half), `folder`/best.policy is
/// that policy, whole and checked.
/// Without validation it is the last one. The checkpoint of a finished run has no replay buffer. Errors: those of
/// environment, learner and files; usage (resumed although finished).
Result<ControllerProgress> train_controller(const ControllerRun& run);

/// Reads `folder`/best.policy, adds figures, and hands out what is to be written with policies::write_policy. With
/// `w_miss`: as if a miss had that price, instead of the one it was trained with: energy against misses, without
/// training anew. The weights are then those of `folder`/checkpoint.pt. Errors: those of reading; mismatch (misses were
/// not learnt apart).
Result<policies::PolicyFile> freeze(const std::filesystem::path& folder, const std::map<std::string, double>& figures,
                                    std::optional<double> w_miss = std::nullopt);

}  // namespace reins::training
