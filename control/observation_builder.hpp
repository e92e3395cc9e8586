// control/observation_builder.hpp: the one function that turns a situation into features; training and serving both use
// it.
#pragma once

#include <array>

#include "boards/board.hpp"
#include "policies/observation.hpp"
#include "policies/policy_network.hpp"
#include "policies/profile.hpp"

namespace reins::control {

/// Builds the observation table of one board, network and profile, and fills observations by it.
/// Times are scaled by the fastest latency of the full network in the profile, so that the table carries over between
/// boards.
class ObservationBuilder {
 public:
  ObservationBuilder(const boards::Board& board, const policies::ActionSpace& space, const policies::Profile& profile);

  const policies::ObservationSpec& spec() const noexcept { return spec_; }
  double full_latency_s() const noexcept { return full_latency_s_; }
  double energy_ref_j() const noexcept { return energy_ref_j_; }
  /// What that level costs where it is fastest; energy_ref_j() for the full one, and where energy was not profiled.
  double energy_ref_j(LevelId level) const noexcept { return level_ref_j_[level.index()]; }

  /// Which feature says whether a point keeps the pace: its `keeps` entry.
  const policies::ReachTable& reach() const noexcept { return reach_; }

  /// The lowest level whose accuracy meets the floor; the full one where none does or there is no floor to meet below
  /// it.
  LevelId floor_level(const policies::Goals& goals) const noexcept;

  /// Masks and features from `observation.facts`. Allocates nothing.
  void fill(policies::Observation& observation) const noexcept;

 private:
  const boards::Board& board_;
  const policies::ActionSpace& space_;
  const policies::Profile& profile_;
  policies::ObservationSpec spec_;
  double full_latency_s_ = 1;
  double energy_ref_j_ = 1;
  std::array<double, policies::kMaxLevels> level_ref_j_{};
  bool any_dvfs_ = false;
  std::array<std::uint64_t, policies::kMaxMappings> measured_{};  ///< the points that the mask may offer
  std::array<std::uint64_t, policies::kMaxMappings> park_{};      ///< those that rest at the least power
  policies::ReachTable reach_{};
};

}  // namespace reins::control
