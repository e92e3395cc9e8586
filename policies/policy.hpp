// policies/policy.hpp: Observation -> Action.
#pragma once

#include <string_view>

#include "policies/observation.hpp"

namespace reins::policies {

/// Threads: one instance, one thread. `decide` allocates nothing, takes no lock and never throws; its action respects
/// `observation.mask`.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual Action decide(const Observation& observation) noexcept = 0;
  /// Back to the state it was made in: called at the start of every trace.
  virtual void reset() noexcept = 0;
};

}  // namespace reins::policies
