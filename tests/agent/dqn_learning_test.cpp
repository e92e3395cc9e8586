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
using ::reins::testing::toy_space;
using ::reins::testing::toy_table;

/// With a weight of the penalty's own loss, or 0.
class DqnExact : public ::testing::TestWithParam<double> {};

TEST_P(DqnExact, FindsTheValuesOfATinySemiMarkovProcess) {
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
  config.penalty_weight = GetParam();
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

INSTANTIATE_TEST_SUITE_P(PenaltyTogetherAndApart, DqnExact, ::testing::Values(0.0, 1.0));

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

// Three steps in a hundred meet with a penalty forty times the gaps between actions.
TEST(DqnLearning, RarePenaltiesHideLessOfTheRestWhereTheyAreLearntApart) {
  const auto regret = [](double penalty_weight) {
    Contextual problem(0.03);
    DqnConfig config;
    config.steps = 30'000;
    config.epsilon_steps = 15'000;
    config.epsilon_end = 0.1;
    config.huber = 30;
    config.differential = false;
    config.gamma = 0.5;
    config.penalty_weight = penalty_weight;
    auto dqn = Dqn::make(config, 4, problem.action_space());
    EXPECT_OK(dqn);
    EXPECT_OK(train(**dqn, problem));
    return rank_of(**dqn, problem).regret;
  };
  const double together = regret(0), apart = regret(0.05);
  RecordProperty("together", std::to_string(together));
  RecordProperty("apart", std::to_string(apart));
  EXPECT_LT(apart, 0.8 * together);
}

/// One mapping of 19 points that cost the more the faster they are, and a ladder of features that says from which one
/// on the deadline is kept. Too slow costs twenty times what the next point costs.
class Deadlines final : public Environment {
 public:
  static constexpr std::size_t kPoints = 19;
  Deadlines() : space_(toy_space({kPoints}, 1)), table_(toy_table(kPoints)), mask_(full_mask(space_)) {
    mask_.park[0] = 1;
  }
  const policies::ObservationSpec& observation_spec() const noexcept override { return table_; }
  const policies::ActionSpace& action_space() const noexcept override { return space_; }
  static policies::ReachTable reach() {
    policies::ReachTable reach{};
    for (std::size_t o = 0; o < kPoints; ++o) reach[0][o] = static_cast<std::uint8_t>(o + 1);
    return reach;
  }
  const policies::ActionMask& mask() const noexcept { return mask_; }
  std::span<const float> needs(std::size_t point) {
    for (std::size_t o = 0; o < kPoints; ++o) ladder_[o] = o >= point ? 1.0F : 0.0F;
    return ladder_;
  }
  Result<Step> reset(std::uint64_t seed) override {
    rng_ = Rng(seed);
    left_ = 50;
    return draw({});
  }
  Result<Step> step(const ActionChoice& action) override {
    Step step;
    step.reward = -0.05 * static_cast<double>(action.opp.value) - (action.opp.index() < need_ ? 1.0 : 0.0);
    step.dt_s = 1;
    step.applied = action;
    if (--left_ == 0) step.end = StepEnd::kTerminated;
    return draw(step);
  }

 private:
  Step draw(Step step) {
    need_ = rng_.below(kPoints);
    step.obs = needs(need_);
    step.mask = mask_;
    return step;
  }
  policies::ActionSpace space_;
  policies::ObservationSpec table_;
  policies::ActionMask mask_;
  Rng rng_{1};
  std::size_t need_ = 0;
  int left_ = 0;
  std::array<float, kPoints> ladder_{};
};

// Declared: with the reach the slowest point that keeps the deadline in at least 17 of 19 situations and nowhere one
// that does not; without it the edge is blurred within the same number of steps.
TEST(DqnLearning, FindsTheEdgeBetweenPointsByTheirReach) {
  const auto right = [](const policies::ReachTable& reach, int* late) {
    Deadlines problem;
    DqnConfig config;
    config.steps = 16'000;
    config.epsilon_steps = 4'000;
    config.epsilon_end = 0.3;
    config.near = 0.3;
    config.learning_rate = 3e-3;
    config.gamma = 0.01;
    config.differential = false;
    auto dqn = Dqn::make(config, Deadlines::kPoints, problem.action_space(), reach);
    EXPECT_OK(dqn);
    EXPECT_OK(train(**dqn, problem));
    int exact = 0;
    for (std::size_t need = 0; need < Deadlines::kPoints; ++need) {
      const std::size_t chosen = (*dqn)->greedy(problem.needs(need), problem.mask()).opp.index();
      exact += chosen == need ? 1 : 0;
      *late += chosen < need ? 1 : 0;
    }
    return exact;
  };
  int late = 0, late_without = 0;
  const int with = right(Deadlines::reach(), &late), without = right({}, &late_without);
  RecordProperty("exact with", std::to_string(with));
  RecordProperty("exact without", std::to_string(without));
  EXPECT_GE(with, 17);
  EXPECT_EQ(late, 0);
  EXPECT_LT(without, with);
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
