#include "training/board_environment.hpp"

namespace reins::training {
namespace {

agent::Step translate(const env::Step& from) {
  agent::Step to;
  to.obs = from.observation->vector();
  to.mask = from.observation->mask;
  to.reward = from.reward;
  to.penalty = from.penalty;
  to.dt_s = from.dt_s;
  to.end = from.end == env::StepEnd::kRunning      ? agent::StepEnd::kRunning
           : from.end == env::StepEnd::kTerminated ? agent::StepEnd::kTerminated
                                                   : agent::StepEnd::kTruncated;
  to.applied = from.applied;
  return to;
}

}  // namespace

Result<agent::Step> BoardEnvironment::reset(std::uint64_t seed) {
  REINS_ASSIGN(const env::Step step, env_.reset(seed));
  return translate(step);
}

Result<agent::Step> BoardEnvironment::step(const agent::ActionChoice& action) {
  REINS_ASSIGN(const env::Step step, env_.step(action));
  return translate(step);
}

}  // namespace reins::training
