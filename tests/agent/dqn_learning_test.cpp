#include <algorithm>

#include "agent/dqn.hpp"
#include "core/stats.hpp"
#include "policies/frozen_policy.hpp"
#include "tests/agent/toy_environments.hpp"
#include "tests/support/matchers.hpp"

namespace reins::agent {
namespace {

using ::reins::testing::Contextual;
using ::reins::testing::each_action;
using ::reins::testing::full_mask;
using ::reins::testing::thinned_mask;
using ::reins::testing::TinyMdp;

TEST(DqnLearning, FindsTheExactValuesOfATinySemiMarkovProcess) {
  TinyMdp mdp;
  DqnConfig config;
  config.steps = 20'000;
  config.tau_s = 3;
  config.n_step = 1;
  config.differential = false;
  config.epsilon_start = config.epsilon_end = 1;  // off-policy: the values must be the greedy policy's all the same
  config.replay_capacity = 20'000;
  config.learn_start = 500;
  config.learning_rate_end = 1e-5;
  auto dqn = Dqn::make(config, 3, mdp.action_space());
  ASSERT_OK(dqn);
  ASSERT_OK(train(**dqn, mdp));

  const auto exact = mdp.solve(config.tau_s);
  const auto forward = policies::NetworkForward::make((*dqn)->network(), mdp.action_space());
  ASSERT_OK(forward);
  for (std::size_t s = 0; s < TinyMdp::kStates; ++s) {
    const std::vector<float> x = TinyMdp::one_hot(s);
    const double best = *std::max_element(exact[s].begin(), exact[s].end());
    std::size_t i = 0;
    std::vector<double> errors;
    each_action(mdp.action_space(), [&](const policies::Action& a) {
      errors.push_back(std::abs(static_cast<double>(forward->park_value(x, policies::choice_of(a))) - exact[s][i++]));
    });
    // Values span about 3; a replay of 20,000 holds some 250 samples of each of the 78 state-action pairs.
    EXPECT_LT(quantile_of(errors, 0.9), 0.06) << "state " << s;
    const policies::Action greedy = (*dqn)->greedy(x, full_mask(mdp.action_space()));
    EXPECT_GT(exact[s][mdp.index(greedy)], best - 0.05) << "state " << s;
    // The heads before hold the value of the best that follows.
    const policies::HeadValues values = forward->values(x, policies::choice_of(greedy));
    EXPECT_NEAR(values.value + values.mapping[greedy.mapping.index()], best, 0.05) << "state " << s;
    EXPECT_NEAR(values.value + values.level[greedy.level.index()], best, 0.05) << "state " << s;
    EXPECT_NEAR(values.value + values.opp[greedy.opp.index()], best, 0.05) << "state " << s;
  }
}

/// Share of the allowed actions that are no better than the greedy one, over fresh contexts; and the mean regret.
struct Rank {
  std::vector<double> shares;
  double regret = 0;
};

Rank rank_of(const Dqn& dqn, const Contextual& problem) {
  const auto policy = policies::FrozenPolicy::make(dqn.network(), problem.action_space(),
                                                   policies::Binding::identity(problem.action_space(), 4));
  EXPECT_OK(policy);
  Rank rank;
  Rng rng(999);
  constexpr int kContexts = 500;
  for (int i = 0; i < kContexts; ++i) {
    const std::vector<float> x = Contextual::context(rng);
    const policies::ActionMask mask =
        i % 4 == 0 ? thinned_mask(problem.action_space(), rng) : full_mask(problem.action_space());
    const double mine = problem.worth(x, policy->decide(x, mask));
    double best = -1e9;
    int count = 0, no_better = 0;
    each_action(problem.action_space(), [&](const policies::Action& a) {
      if (!mask.allows(a.mapping) || !mask.allows(a.level) || !mask.allows(a.mapping, a.opp) ||
          !mask.allows(a.mapping, a.park))
        return;
      const double worth = problem.worth(x, a);
      best = std::max(best, worth);
      ++count;
      if (worth <= mine + 1e-9) ++no_better;
    });
    rank.shares.push_back(static_cast<double>(no_better) / count);
    rank.regret += (best - mine) / kContexts;
  }
  return rank;
}

// 932 actions, noise as large as the gaps, an offset of 2 a step, and a shield that changes one action in ten.
// Declared: the median choice is among the best 1 % of what is allowed, nine choices in ten among the best 5 %.
TEST(DqnLearning, LearnsWhichPointFollowsFromMappingAndLevel) {
  Contextual problem;
  DqnConfig config;
  config.steps = 30'000;
  config.epsilon_steps = 15'000;
  config.epsilon_end = 0.1;
  auto dqn = Dqn::make(config, 4, problem.action_space());
  ASSERT_OK(dqn);
  const Rank before = rank_of(**dqn, problem);
  const auto result = train(**dqn, problem);
  ASSERT_OK(result);
  const Rank after = rank_of(**dqn, problem);
  RecordProperty("regret", std::to_string(after.regret));
  EXPECT_LT(quantile_of(before.shares, 0.5), 0.95) << "the problem is too easy to prove anything";
  EXPECT_GT(quantile_of(after.shares, 0.5), 0.99);
  EXPECT_GT(quantile_of(after.shares, 0.1), 0.95);
  EXPECT_LT(after.regret, 0.08);
  EXPECT_EQ(result->steps, 30'000);
  EXPECT_EQ(result->episodes, 600);
  EXPECT_NEAR(result->reward_rate, 19, 2);  // 20 a second less what the choices cost
}

TEST(DqnLearning, GivesTheSameWeightsForTheSameSeedAndOthersForAnother) {
  DqnConfig config;
  config.steps = 1500;
  config.learn_start = 200;
  const auto trained = [&](std::int64_t seed) {
    Contextual problem;
    config.seed = seed;
    auto dqn = Dqn::make(config, 4, problem.action_space());
    EXPECT_OK(dqn);
    EXPECT_OK(train(**dqn, problem));
    return (*dqn)->network();
  };
  const policies::PolicyNetwork one = trained(1);
  EXPECT_EQ(trained(1), one);
  EXPECT_NE(trained(2), one);
}

TEST(DqnLearning, CallsItsHooksAndStopsWhenTold) {
  Contextual problem;
  DqnConfig config;
  config.steps = 2000;
  config.learn_start = 200;
  auto dqn = Dqn::make(config, 4, problem.action_space());
  ASSERT_OK(dqn);
  int reports = 0, evaluations = 0;
  TrainHooks hooks;
  hooks.progress_every = 100;
  hooks.progress = [&](const TrainProgress& p) {
    ++reports;
    EXPECT_EQ(p.total, 2000);
    return p.steps < 1020;
  };
  hooks.evaluate_every = 400;
  hooks.evaluate = [&](const Dqn& learner, const TrainProgress& p) -> Status {
    ++evaluations;
    EXPECT_EQ(learner.steps(), p.steps);
    return {};
  };
  const auto result = train(**dqn, problem, hooks);
  ASSERT_OK(result);
  EXPECT_EQ(result->steps, 1100);  // the episode in which it was told ends there
  EXPECT_EQ(reports, 11);
  EXPECT_EQ(evaluations, 3);  // at 400, 800 and the end
  hooks.evaluate = [](const Dqn&, const TrainProgress&) -> Status { return fail(ErrorKind::kIo, "no room", "disk"); };
  hooks.progress = nullptr;
  EXPECT_THAT(train(**dqn, problem, hooks), ::reins::testing::IsError(ErrorKind::kIo, ::testing::HasSubstr("no room")));
}

}  // namespace
}  // namespace reins::agent
