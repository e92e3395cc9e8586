// tests/agent/toy_environments.hpp: a tiny semi-Markov decision process and a conditional contextual problem.
#pragma once

#include <array>
#include <cmath>
#include <vector>

#include "agent/environment.hpp"
#include "core/rng.hpp"
#include "tests/agent/toy_spaces.hpp"

namespace reins::testing {

/// Three states seen as one-hot vectors; rewards, durations and successors from a table drawn once. In state 2, level 0
/// on mapping 1 ends the episode for good; all others are cut after 30 steps.
class TinyMdp final : public agent::Environment {
 public:
  static constexpr std::size_t kStates = 3;
  struct Outcome {
    double reward = 0, penalty = 0, dt_s = 0, to_next = 0;  // successor (s + 1) % 3 with this probability, else stays
    bool terminal = false;
  };

  TinyMdp() : space_(toy_space({2, 3}, 2)), table_(toy_table(kStates)) {
    // Each choice is worth something that depends on the one before it.
    Rng rng(77);
    std::array<std::array<double, 4>, 4> by_state{}, by_mapping{}, by_level{}, by_opp{};
    for (auto* effect : {&by_state, &by_mapping, &by_level, &by_opp}) {
      for (auto& row : *effect) {
        for (double& cell : row) cell = rng.uniform(-0.5, 0.5);
      }
    }
    for (std::size_t s = 0; s < kStates; ++s) {
      each_action(space_, [&](const policies::Action& a) {
        const std::size_t m = a.mapping.index(), l = a.level.index(), o = a.opp.index(), k = a.park.index();
        Outcome outcome;
        outcome.reward = by_state[s][m] + by_mapping[m][l] + by_level[l][o] + by_opp[o][k];
        outcome.penalty = by_mapping[m][l];
        outcome.dt_s = 0.5 + 0.4 * static_cast<double>(o + m);
        outcome.to_next = s == 0 || l == 1 ? 0.8 : 0.3;
        outcomes_[s].push_back(outcome);
      });
    }
    each_action(space_, [&](const policies::Action& a) {
      outcomes_[2][index(a)].terminal = a.mapping == MappingId(1) && a.level == LevelId(0);
    });
  }

  std::size_t index(const policies::Action& wanted) const {
    std::size_t at = 0, found = 0;
    each_action(space_, [&](const policies::Action& a) {
      if (a == wanted) found = at;
      ++at;
    });
    return found;
  }
  const Outcome& outcome(std::size_t state, std::size_t action) const { return outcomes_[state][action]; }
  std::size_t actions() const { return outcomes_[0].size(); }

  /// Exact action values by value iteration (Sutton, Precup & Singh 1999): [state][action].
  std::array<std::vector<double>, kStates> solve(double tau_s) const {
    std::array<double, kStates> value{};
    std::array<std::vector<double>, kStates> q;
    for (int sweep = 0; sweep < 5000; ++sweep) {
      std::array<double, kStates> next_value{};
      for (std::size_t s = 0; s < kStates; ++s) {
        q[s].assign(actions(), 0);
        next_value[s] = -1e9;
        for (std::size_t a = 0; a < actions(); ++a) {
          const Outcome& o = outcomes_[s][a];
          const double follows = o.to_next * value[(s + 1) % kStates] + (1 - o.to_next) * value[s];
          q[s][a] = o.reward + (o.terminal ? 0 : std::exp(-o.dt_s / tau_s) * follows);
          next_value[s] = std::max(next_value[s], q[s][a]);
        }
      }
      value = next_value;
    }
    return q;
  }

  const policies::ObservationSpec& observation_spec() const noexcept override { return table_; }
  const policies::ActionSpace& action_space() const noexcept override { return space_; }
  Result<agent::Step> reset(std::uint64_t seed) override {
    rng_ = Rng(seed);
    state_ = rng_.below(kStates);
    steps_ = 0;
    return seen({});
  }
  Result<agent::Step> step(const agent::ActionChoice& action) override {
    const Outcome& o = outcomes_[state_][index(action)];
    if (rng_.uniform() < o.to_next) state_ = (state_ + 1) % kStates;
    agent::Step step;
    step.reward = o.reward;
    step.penalty = o.penalty;
    step.dt_s = o.dt_s;
    step.applied = action;
    step.end = o.terminal       ? agent::StepEnd::kTerminated
               : ++steps_ >= 30 ? agent::StepEnd::kTruncated
                                : agent::StepEnd::kRunning;
    return seen(step);
  }
  static std::vector<float> one_hot(std::size_t state) {
    std::vector<float> x(kStates);
    x[state] = 1;
    return x;
  }

 private:
  agent::Step seen(agent::Step step) {
    obs_ = one_hot(state_);
    step.obs = obs_;
    step.mask = full_mask(space_);
    return step;
  }
  policies::ActionSpace space_;
  policies::ObservationSpec table_;
  std::array<std::vector<Outcome>, kStates> outcomes_;
  Rng rng_{0};
  std::size_t state_ = 0;
  int steps_ = 0;
  std::vector<float> obs_;
};

/// A new context at every step, whatever was done. The best operating point follows from mapping, level and context;
/// the best level from the mapping; a shield of its own halves some operating points, and says so in `applied`.
class Contextual final : public agent::Environment {
 public:
  /// `accidents`: chance of a penalty of 20 that nobody can do anything about.
  explicit Contextual(double accidents = 0)
      : accidents_(accidents), space_(toy_space({8, 12, 5}, 4)), table_(toy_table(4)) {}

  /// Reward without noise. All parts depend on each other: wrong mapping, other best level, other best point.
  double worth(const std::vector<float>& x, const policies::Action& a) const {
    const double m = a.mapping.value, l = a.level.value;
    const auto rel = static_cast<double>(space_.mappings[a.mapping.index()].relative[a.opp.index()]);
    const auto park = static_cast<double>(space_.mappings[a.mapping.index()].relative[a.park.index()]);
    const double x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
    const double mapping = m == 0 ? 0.4 * x0 : m == 1 ? -0.4 * x0 : 0.3 * x3 - 0.1;
    const double best_level = m == 0 ? 1.5 + 1.5 * x1 : m == 1 ? 1.5 - 1.5 * x1 : 2;
    const double best_rel = m == 1 ? 0.3 + 0.2 * l : 0.9 - 0.15 * l + 0.1 * x2;
    const double best_park = rel > 0.6 ? 0.2 : 0.6 + 0.3 * x2;
    return mapping - 0.15 * std::abs(l - best_level) - std::abs(rel - best_rel) - 0.3 * std::abs(park - best_park);
  }

  const policies::ObservationSpec& observation_spec() const noexcept override { return table_; }
  const policies::ActionSpace& action_space() const noexcept override { return space_; }
  Result<agent::Step> reset(std::uint64_t seed) override {
    rng_ = Rng(seed);
    steps_ = 0;
    draw();
    return seen({});
  }
  Result<agent::Step> step(const agent::ActionChoice& action) override {
    agent::Step step;
    step.applied = action;
    if (rng_.uniform() < 0.1) step.applied.opp = OppId(action.opp.value / 2);
    // An offset far above the gaps between actions, and noise as large as they are.
    step.dt_s = rng_.uniform(0.05, 0.15);
    if (accidents_ > 0 && rng_.uniform() < accidents_) step.penalty = -20;
    step.reward = worth(obs_, step.applied) + 20 * step.dt_s + 0.1 * rng_.normal() + step.penalty;
    step.end = ++steps_ >= 50 ? agent::StepEnd::kTruncated : agent::StepEnd::kRunning;
    draw();
    return seen(step);
  }
  static std::vector<float> context(Rng& rng) {
    std::vector<float> x(4);
    for (float& v : x) v = static_cast<float>(rng.uniform(-1, 1));
    return x;
  }

 private:
  void draw() {
    obs_ = context(rng_);
    mask_ = rng_.below(4) == 0 ? thinned_mask(space_, rng_) : full_mask(space_);
    for (std::size_t m = 0; m < space_.mappings.size(); ++m) mask_.opps[m] |= 1;  // the shield's refuge
  }
  agent::Step seen(agent::Step step) const {
    step.obs = obs_;
    step.mask = mask_;
    return step;
  }
  double accidents_;
  policies::ActionSpace space_;
  policies::ObservationSpec table_;
  Rng rng_{0};
  int steps_ = 0;
  std::vector<float> obs_;
  policies::ActionMask mask_;
};

}  // namespace reins::testing
