// policies/goals.hpp: what the user asks for; may change at any time.
#pragma once

#include <optional>

namespace reins::policies {

/// Every goal may be absent. What is minimised under them is energy.
struct Goals {
  std::optional<double> latency_s;       ///< arrival to reply, queue included
  std::optional<double> energy_j;        ///< per request
  std::optional<double> power_w;         ///< over a 1 s window
  std::optional<double> accuracy_floor;  ///< validated accuracy of the level, in [0, 1]
  friend bool operator==(const Goals&, const Goals&) = default;
};

}  // namespace reins::policies
