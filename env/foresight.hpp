// env/foresight.hpp: what an oracle may know and no policy on a board can: true physics, true noise, the next arrival.
#pragma once

#include "env/episode.hpp"

namespace reins::env {

/// A window on the episode that is being run. Policies that are given one when made are oracles, and are named so in
/// tables.
class Foresight {
 public:
  explicit Foresight(const Episode& episode) noexcept : episode_(&episode) {}

  double now_s() const noexcept { return episode_->now_s(); }
  double next_arrival_s() const noexcept { return episode_->next_arrival_s(); }
  double end_s() const noexcept { return episode_->end_s(); }
  const EmulatedBoard& board() const noexcept { return episode_->board(); }
  const World& world() const noexcept { return episode_->world(); }
  void waiting_deadlines(std::vector<double>& out) const { episode_->waiting_deadlines(out); }

  /// True time from now until the inference ends, everything included (noise, contention, delays), at a constant
  /// frequency.
  double run_s(MappingId mapping, LevelId level, OppId opp) const noexcept;

 private:
  const Episode* episode_;
};

}  // namespace reins::env
