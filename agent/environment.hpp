// agent/environment.hpp: the abstract world a learner acts in; it knows spaces, not boards.
#pragma once

#include <cstdint>
#include <span>

#include "core/result.hpp"
#include "policies/action.hpp"
#include "policies/observation.hpp"

namespace reins::agent {

/// How a step ended. Terminated: nothing follows, the value beyond is zero. Truncated: the episode was cut, the world
/// would have gone on, so the value of the final observation still counts.
enum class StepEnd : std::uint8_t { kRunning, kTerminated, kTruncated };

/// What a learner asks for: the four indices of an action; no governor.
using ActionChoice = policies::Action;

/// The situation after a step (or at the start: reward and dt_s are then 0, `applied` means nothing).
struct Step {
  std::span<const float> obs;  ///< as many features as the table has; valid until the next call
  policies::ActionMask mask;   ///< of what is allowed next; empty nowhere
  double reward = 0;           ///< of the step that led here
  double penalty = 0;          ///< the part of `reward` that is rare and large: its noise would hide what the rest says
  double dt_s = 0;             ///< how long that step took; the discount is exp(-dt_s / tau)
  StepEnd end = StepEnd::kRunning;
  ActionChoice
      applied;  ///< what really took effect (a shield may have changed the choice); this is what is learnt from
};

/// Gymnasium's reset and step, semi-Markov. What follows a reset depends on its seed and the actions alone where the
/// world allows it (the emulator does): resume is bit for bit there. Threads: one instance, one thread.
class Environment {
 public:
  virtual ~Environment() = default;
  virtual const policies::ObservationSpec& observation_spec() const noexcept = 0;
  virtual const policies::ActionSpace& action_space() const noexcept = 0;
  /// Starts an episode. Errors of the world (a sensor gone, an engine that fails) end training.
  virtual Result<Step> reset(std::uint64_t seed) = 0;
  /// Only after a step whose end is kRunning, or a reset.
  virtual Result<Step> step(const ActionChoice& action) = 0;
};

}  // namespace reins::agent
