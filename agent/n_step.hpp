// agent/n_step.hpp: joins consecutive steps into n-step transitions, right at both kinds of episode end.
#pragma once

#include <span>
#include <vector>

#include "agent/environment.hpp"
#include "policies/policy_network.hpp"

namespace reins::agent {

/// From `obs`, `choice` was taken; n steps later (fewer at an episode's end) the world was at `next_obs`.
struct Transition {
  std::span<const float> obs;
  policies::ActionMask mask;    ///< in force at obs
  policies::HeadChoice choice;  ///< as applied
  float reward = 0;             ///< sum over the steps of their rewards, each discounted to obs
  float penalty = 0;            ///< the part of it that is penalty
  float time_s = 0;             ///< the same sum of their durations: what a reward rate is multiplied by
  float discount = 0;           ///< product of gamma exp(-dt/tau) to next_obs; 0: terminated, no bootstrap
  std::span<const float> next_obs;
  policies::ActionMask next_mask;
};

/// Steps of one episode, in order. Sutton & Barto 2018, chapter 7; Sutton, Precup & Singh 1999 for the semi-Markov
/// discount. A reward counts as paid at the start of its step.
class NStepAssembler {
 public:
  NStepAssembler(std::size_t n, double tau_s, std::size_t features, double gamma = 1);

  /// One step of the environment. Returns the transitions it completes: none while fewer than n steps are there, then
  /// one a step, and at an episode's end all that are left (shorter ones). They are valid until the next call.
  std::span<const Transition> push(std::span<const float> obs, const policies::ActionMask& mask,
                                   const policies::HeadChoice& choice, const Step& next);

  /// True between episodes.
  bool empty() const noexcept { return count_ == 0; }
  void clear() noexcept { count_ = 0; }

 private:
  struct Entry {
    std::vector<float> obs;
    policies::ActionMask mask;
    policies::HeadChoice choice;
    double reward = 0, penalty = 0, dt_s = 0;
  };
  Entry& entry(std::size_t i) noexcept { return ring_[(first_ + i) % ring_.size()]; }
  /// The transition of the i-th oldest entry up to the newest.
  Transition joined(std::size_t i, const Step& next);

  double tau_s_, gamma_;
  std::vector<Entry> ring_;
  std::size_t first_ = 0, count_ = 0;
  std::vector<float> next_obs_;
  std::vector<Transition> done_;
};

}  // namespace reins::agent
