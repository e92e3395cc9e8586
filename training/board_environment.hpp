// training/board_environment.hpp: BoardEnv as the abstract environment of a learner.
#pragma once

#include "agent/environment.hpp"
#include "env/board_env.hpp"

namespace reins::training {

class BoardEnvironment final : public agent::Environment {
 public:
  /// Keeps a reference.
  explicit BoardEnvironment(env::BoardEnv& env) : env_(env) {}
  const policies::ObservationSpec& observation_spec() const noexcept override { return env_.spec(); }
  const policies::ActionSpace& action_space() const noexcept override { return env_.space(); }
  Result<agent::Step> reset(std::uint64_t seed) override;
  Result<agent::Step> step(const agent::ActionChoice& action) override;

 private:
  env::BoardEnv& env_;
};

}  // namespace reins::training
