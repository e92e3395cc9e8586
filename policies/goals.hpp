// policies/goals.hpp: what the user asks for; may change at any time.
#pragma once

#include <cstdint>
#include <optional>

namespace reins::policies {

enum class Objective : std::uint8_t { kEnergy, kLatency, kAccuracy };

/// Every goal may be absent.
struct Goals {
  std::optional<double> latency_s;       ///< arrival to reply, queue included
  std::optional<double> energy_j;        ///< per request
  std::optional<double> power_w;         ///< over a 1 s window
  std::optional<double> accuracy_floor;  ///< validated accuracy of the level, in [0, 1]
  Objective objective = Objective::kEnergy;
};

}  // namespace reins::policies
