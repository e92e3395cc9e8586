#include "agent/n_step.hpp"

#include <algorithm>
#include <cmath>

#include "core/assert.hpp"

namespace reins::agent {

NStepAssembler::NStepAssembler(std::size_t n, double tau_s, std::size_t features, double gamma)
    : tau_s_(tau_s), gamma_(gamma), ring_(n), next_obs_(features) {
  REINS_ASSERT(n > 0 && tau_s > 0 && gamma > 0 && gamma <= 1);
  for (Entry& entry : ring_) entry.obs.resize(features);
  done_.reserve(n);
}

std::span<const Transition> NStepAssembler::push(std::span<const float> obs, const policies::ActionMask& mask,
                                                 const policies::HeadChoice& choice, const Step& next) {
  REINS_ASSERT(obs.size() == next_obs_.size() && next.obs.size() == next_obs_.size());
  done_.clear();
  std::copy(next.obs.begin(), next.obs.end(), next_obs_.begin());
  Entry& newest = entry(count_++);
  std::copy(obs.begin(), obs.end(), newest.obs.begin());
  newest.mask = mask;
  newest.choice = choice;
  newest.reward = next.reward;
  newest.penalty = next.penalty;
  newest.dt_s = next.dt_s;
  if (next.end != StepEnd::kRunning) {
    for (std::size_t i = 0; i < count_; ++i) done_.push_back(joined(i, next));
    count_ = 0;
  } else if (count_ == ring_.size()) {
    done_.push_back(joined(0, next));
    first_ = (first_ + 1) % ring_.size();
    --count_;
  }
  return done_;
}

Transition NStepAssembler::joined(std::size_t i, const Step& next) {
  double reward = 0, penalty = 0, time_s = 0, discount = 1;
  for (std::size_t j = i; j < count_; ++j) {
    reward += discount * entry(j).reward;
    penalty += discount * entry(j).penalty;
    time_s += discount * entry(j).dt_s;
    discount *= gamma_ * std::exp(-entry(j).dt_s / tau_s_);
  }
  if (next.end == StepEnd::kTerminated) discount = 0;
  const Entry& from = entry(i);
  return {from.obs,
          from.mask,
          from.choice,
          static_cast<float>(reward),
          static_cast<float>(penalty),
          static_cast<float>(time_s),
          static_cast<float>(discount),
          next_obs_,
          next.mask};
}

}  // namespace reins::agent
