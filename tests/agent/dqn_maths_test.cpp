#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <set>

#include "agent/dqn.hpp"
#include "tests/agent/toy_spaces.hpp"
#include "tests/support/matchers.hpp"

namespace reins::agent {
namespace {

using ::reins::testing::full_mask;
using ::reins::testing::IsError;
using ::reins::testing::thinned_mask;
using ::reins::testing::toy_space;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(DqnMaths, MaskedArgmaxLooksAtAllowedValuesOnly) {
  const std::array<float, 4> q = {9, -3, -1, 7};
  EXPECT_EQ(q[masked_argmax(q, 0b1111)], 9.0F);
  EXPECT_EQ(q[masked_argmax(q, 0b0110)], -1.0F);
  EXPECT_EQ(q[masked_argmax(q, 0b0010)], -3.0F);
  EXPECT_EQ(masked_argmax(std::array<float, 3>{1, 2, 2}, 0b111), 1U) << "the lowest among equals";
}

TEST(DqnMaths, TdTargetIsTheDifferentialReturnPlusWhatFollows) {
  // 0.5 * (3 - 2 * 0.75) + 0.9 * 10
  EXPECT_DOUBLE_EQ(td_target(3, 0.75, 2, 0.5, 0.9, 10), 9.75);
  // Terminated: even a bootstrap that is not finite is not looked at.
  EXPECT_DOUBLE_EQ(td_target(3, 0.75, 2, 0.5, 0, std::nan("")), 0.75);
}

TEST(DqnMaths, HuberIsTorchs) {
  for (const double delta : {0.5, 1.0, 3.0}) {
    for (const double error : {-4.0, -1.0, -0.2, 0.0, 0.4, 2.0, 10.0}) {
      torch::Tensor x = torch::tensor(error, torch::kDouble).requires_grad_();
      const torch::Tensor loss = torch::huber_loss(x, torch::tensor(0.0, torch::kDouble), at::Reduction::Sum, delta);
      loss.backward();
      EXPECT_NEAR(huber_loss(error, delta), loss.item<double>(), 1e-12);
      EXPECT_NEAR(huber_slope(error, delta), x.grad().item<double>(), 1e-12);
    }
  }
}

TEST(DqnMaths, AdamIsTorchs) {
  Rng rng(1);
  constexpr std::size_t kCount = 37;
  std::vector<float> params(kCount), first(kCount), second(kCount), grads(kCount);
  for (float& p : params) p = static_cast<float>(rng.normal());
  torch::Tensor reference = torch::tensor(params).clone().requires_grad_();
  torch::optim::Adam adam({reference}, torch::optim::AdamOptions(0.01));
  for (int step = 1; step <= 20; ++step) {
    for (float& g : grads) g = static_cast<float>(rng.normal());
    reference.mutable_grad() = torch::tensor(grads);
    adam.step();
    adam_step(params, grads, first, second, step, 0.01);
  }
  // Float32 through twenty steps of size 0.01 in another order of operations.
  for (std::size_t i = 0; i < kCount; ++i)
    EXPECT_NEAR(params[i], reference[static_cast<std::int64_t>(i)].item<float>(), 2e-6);
}

TEST(DqnConfig, ReadsItsOwnTomlBack) {
  DqnConfig config;
  config.tau_s = 12.5;
  config.n_step = 7;
  config.differential = false;
  config.learning_rate = 3e-5;
  const auto table = TomlTable::parse(config.toml(), "c.toml");
  ASSERT_OK(table);
  const auto back = DqnConfig::parse(*table);
  ASSERT_OK(back);
  EXPECT_EQ(*back, config);
  const auto empty = DqnConfig::parse(*TomlTable::parse("", "c.toml"));
  ASSERT_OK(empty);
  EXPECT_EQ(*empty, DqnConfig{});
}

TEST(DqnConfig, RefusesUnknownKeysAndValuesOutOfRange) {
  const auto parsed = [](const char* text) { return DqnConfig::parse(*TomlTable::parse(text, "c.toml")); };
  EXPECT_THAT(parsed("tau_s = 3\nlearning_rat = 1"),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("c.toml:2"), HasSubstr("learning_rat"))));
  EXPECT_THAT(parsed("n_step = 0"), IsError(ErrorKind::kGarbled, HasSubstr("n_step")));
  EXPECT_THAT(parsed("epsilon_end = 1.5"), IsError(ErrorKind::kGarbled, HasSubstr("epsilon_end")));
  EXPECT_THAT(parsed("double_q = 1"), IsError(ErrorKind::kGarbled, HasSubstr("double_q")));
}

TEST(DqnConfig, DefaultsLieInTheirRanges) {
  const auto table = TomlTable::parse(DqnConfig{}.toml(), "defaults");
  ASSERT_OK(table);
  EXPECT_OK(DqnConfig::parse(*table));
}

std::vector<float> features(std::size_t count, Rng& rng) {
  std::vector<float> x(count);
  for (float& v : x) v = static_cast<float>(rng.normal());
  return x;
}

/// Any of the features for most points, none for the rest.
policies::ReachTable any_reach(std::size_t features) {
  policies::ReachTable reach{};
  Rng rng(8);
  for (auto& points : reach) {
    for (auto& feature : points) feature = static_cast<std::uint8_t>(rng.below(features + 1));
  }
  return reach;
}

TEST(Dqn, FastForwardPassIsTorchsForwardPass) {
  const policies::ActionSpace space = toy_space({5, 19, 13}, 4);
  DqnConfig config;
  config.trunk = 128;
  const auto dqn = Dqn::make(config, 23, space, any_reach(23));
  ASSERT_OK(dqn);
  const auto forward = policies::NetworkForward::make((*dqn)->network(), space);
  ASSERT_OK(forward);
  Rng rng(4);
  const policies::ActionMask mask = full_mask(space);
  for (int i = 0; i < 200; ++i) {
    const std::vector<float> x = features(23, rng);
    const policies::HeadChoice c = forward->choose(
        x, mask, {static_cast<std::int64_t>(rng.below(99)), 3, static_cast<std::int64_t>(rng.below(99)), 1});
    const policies::HeadValues fast = forward->values(x, c), torch = (*dqn)->torch_values(x, c);
    // Sums of up to 128 products of order 1 in float32, added in another order.
    const auto near = [](const auto& a, const auto& b, std::size_t count) {
      for (std::size_t j = 0; j < count; ++j) ASSERT_NEAR(a[j], b[j], 2e-5);
    };
    near(fast.mapping, torch.mapping, 3);
    near(fast.level, torch.level, 4);
    near(fast.opp, torch.opp, 19);
    near(fast.park, torch.park, 19);
    ASSERT_NEAR(fast.value, torch.value, 2e-5);
    ASSERT_EQ((*dqn)->greedy(x, mask), policies::action_of(forward->choose(x, mask)));
  }
}

TEST(Dqn, MovesAGreedyPointByOneOrTwoWithChanceNear) {
  const policies::ActionSpace space = toy_space({9, 9}, 2);
  DqnConfig config;
  config.epsilon_start = config.epsilon_end = 0;
  config.near = 1;
  const auto dqn = Dqn::make(config, 3, space);
  ASSERT_OK(dqn);
  Rng rng(8);
  std::set<int> moves;
  for (int i = 0; i < 500; ++i) {
    const std::vector<float> x = features(3, rng);
    const policies::ActionMask mask = i % 2 == 0 ? full_mask(space) : thinned_mask(space, rng);
    const policies::Action greedy = (*dqn)->greedy(x, mask), action = (*dqn)->act(x, mask);
    ASSERT_EQ(action.mapping, greedy.mapping);
    ASSERT_EQ(action.level, greedy.level);
    // Allowed points from the one to the other.
    const std::uint64_t allowed = mask.opps[greedy.mapping.index()];
    const auto rank = [allowed](OppId o) { return std::popcount(allowed & ((std::uint64_t{1} << o.index()) - 1)); };
    ASSERT_LE(std::abs(rank(action.opp) - rank(greedy.opp)), 2);
    if (i % 2 == 0) moves.insert(rank(action.opp) - rank(greedy.opp));
  }
  EXPECT_GE(moves.size(), 3U) << "up and down, by one and by two, unless the table ends";
}

TEST(Dqn, NeverActsAgainstTheMaskBeforeOrAfterLearning) {
  const policies::ActionSpace space = toy_space({5, 9, 2}, 4);
  DqnConfig config;
  config.learn_start = 64;
  config.epsilon_start = 0.5;
  auto made = Dqn::make(config, 3, space);
  ASSERT_OK(made);
  Dqn& dqn = **made;
  Rng rng(8);
  std::vector<float> x = features(3, rng), next_x;
  policies::ActionMask mask = thinned_mask(space, rng);
  for (int i = 0; i < 3000; ++i) {
    for (const policies::Action& a : {dqn.act(x, mask), dqn.greedy(x, mask)}) {
      ASSERT_TRUE(mask.allows(a.mapping) && mask.allows(a.level) && mask.allows(a.mapping, a.opp) &&
                  mask.allows(a.mapping, a.park));
    }
    next_x = features(3, rng);
    Step next;
    next.obs = next_x;
    next.mask = thinned_mask(space, rng);
    next.reward = rng.normal();
    next.dt_s = rng.uniform();
    next.applied = dqn.act(x, mask);
    next.end = i % 100 == 99 ? StepEnd::kTruncated : StepEnd::kRunning;
    ASSERT_OK(dqn.observe(x, mask, next));
    if (dqn.ready() && i % 10 == 0) {
      ASSERT_OK(dqn.learn());
    }
    x = next_x;
    mask = next.mask;
  }
}

/// One step of two features with a random reward and penalty, and an update once there is enough to learn from.
void learn_from_noise(Dqn& dqn, const policies::ActionMask& mask, Rng& rng) {
  const std::vector<float> x = features(2, rng), next_x = features(2, rng);
  Step next;
  next.obs = next_x;
  next.mask = mask;
  next.penalty = rng.uniform() < 0.2 ? -3 : 0;
  next.reward = rng.normal() + next.penalty;
  next.dt_s = 0.1;
  next.applied = dqn.act(x, mask);
  ASSERT_OK(dqn.observe(x, mask, next));
  if (dqn.ready()) {
    ASSERT_OK(dqn.learn());
  }
}

class DqnParts : public ::testing::TestWithParam<double> {};

TEST_P(DqnParts, LearnNothingThatTheFrozenNetworkDoesNotHold) {
  // A forbidden weight that learnt would be in torch's forward pass but not in the frozen policy's; what each point
  // adds times its reach is learnt outside of torch; and parts of the reward learnt apart have to add up.
  const policies::ActionSpace space = toy_space({4, 6}, 3);
  DqnConfig config;
  config.learn_start = 32;
  config.batch = 32;
  config.penalty_weight = GetParam();
  config.differential = GetParam() == 0;
  auto dqn = Dqn::make(config, 2, space, any_reach(2));
  ASSERT_OK(dqn);
  Rng rng(2);
  const policies::ActionMask mask = full_mask(space);
  for (int i = 0; i < 400; ++i) {
    ASSERT_NO_FATAL_FAILURE(learn_from_noise(**dqn, mask, rng));
  }
  const policies::PolicyNetwork network = (*dqn)->network();
  EXPECT_EQ(network.reach, any_reach(2));
  const auto& by_reach = network[policies::LayerName::kOppReach].weight;
  EXPECT_GT(std::count_if(by_reach.begin(), by_reach.end(), [](float w) { return w != 0; }), 3) << "they have learnt";
  const auto forward = policies::NetworkForward::make(network, space);
  ASSERT_OK(forward);
  for (int i = 0; i < 50; ++i) {
    const std::vector<float> x = features(2, rng);
    const policies::HeadChoice c = forward->choose(x, mask);
    const policies::HeadValues fast = forward->values(x, c), torch = (*dqn)->torch_values(x, c);
    for (std::size_t j = 0; j < 2; ++j) ASSERT_NEAR(fast.mapping[j], torch.mapping[j], 2e-5);
    for (std::size_t j = 0; j < 3; ++j) ASSERT_NEAR(fast.level[j], torch.level[j], 2e-5);
    for (std::size_t j = 0; j < 6; ++j) ASSERT_NEAR(fast.opp[j], torch.opp[j], 2e-5);
    for (std::size_t j = 0; j < 6; ++j) ASSERT_NEAR(fast.park[j], torch.park[j], 2e-5);
    ASSERT_NEAR(fast.value, torch.value, 2e-5);
  }
}
INSTANTIATE_TEST_SUITE_P(TogetherAndApart, DqnParts, ::testing::Values(0.0, 0.5));

TEST(Dqn, TheAveragedNetworkIsTheMeanOfTheWeightsUntilItsRateTakesOver) {
  const policies::ActionSpace space = toy_space({4, 6}, 3);
  for (const double rate : {1e-7, 1.0}) {
    DqnConfig config;
    config.learn_start = 32;
    config.batch = 32;
    config.average_rate = rate;
    auto dqn = Dqn::make(config, 2, space);
    ASSERT_OK(dqn);
    Rng rng(2);
    const policies::ActionMask mask = full_mask(space);
    const auto weights = [&](bool averaged) { return (*dqn)->network(averaged)[policies::LayerName::kParkOut].weight; };
    std::vector<double> sum(weights(false).size());
    for (int i = 0; i < 100; ++i) {
      ASSERT_NO_FATAL_FAILURE(learn_from_noise(**dqn, mask, rng));
      if (!(*dqn)->ready()) continue;
      const auto now = weights(false);
      for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += static_cast<double>(now[j]);
    }
    const auto updates = static_cast<double>((*dqn)->updates());
    ASSERT_GT(updates, 50);
    const auto last = weights(false), averaged = weights(true);
    double moved = 0;
    for (std::size_t j = 0; j < sum.size(); ++j) {
      ASSERT_NEAR(averaged[j], rate == 1 ? static_cast<double>(last[j]) : sum[j] / updates, 1e-5);
      moved += std::abs(static_cast<double>(last[j]) - sum[j] / updates);
    }
    EXPECT_GT(moved, 0.01) << "the last weights are not the mean";
  }
}

TEST(Dqn, RefusesOneRewardRateForTwoParts) {
  DqnConfig config;
  config.penalty_weight = 1;
  EXPECT_THAT(Dqn::make(config, 2, toy_space({4, 6}, 3)),
              IsError(ErrorKind::kUsage, HasSubstr("differential with penalty_weight")));
}

TEST(Dqn, RefusesStepsThatMakeNoSense) {
  const policies::ActionSpace space = toy_space({4, 6}, 3);
  auto dqn = Dqn::make(DqnConfig{}, 2, space);
  ASSERT_OK(dqn);
  std::vector<float> x = {0, 0};
  Step next;
  next.obs = x;
  next.applied = policies::action_of({0, 0, 0, 0});
  next.reward = std::nan("");
  EXPECT_THAT((*dqn)->observe(x, full_mask(space), next), IsError(ErrorKind::kGarbled, HasSubstr("finite")));
  next.reward = 0;
  next.penalty = std::nan("");
  EXPECT_THAT((*dqn)->observe(x, full_mask(space), next), IsError(ErrorKind::kGarbled, HasSubstr("finite")));
  next.penalty = 0;
  next.dt_s = -1;
  EXPECT_THAT((*dqn)->observe(x, full_mask(space), next), IsError(ErrorKind::kGarbled, HasSubstr("finite")));
  next.dt_s = 1;
  next.applied.opp = OppId(4);  // the first mapping has four points
  EXPECT_THAT((*dqn)->observe(x, full_mask(space), next),
              IsError(ErrorKind::kGarbled, HasSubstr("outside the action space")));
  next.applied.opp = OppId();
  EXPECT_THAT((*dqn)->observe(x, full_mask(space), next),
              IsError(ErrorKind::kGarbled, HasSubstr("outside the action space")));
  EXPECT_THAT(Dqn::make(DqnConfig{}, policies::kMaxFeatures + 1, space),
              IsError(ErrorKind::kUnsupported, HasSubstr("features")));
}

}  // namespace
}  // namespace reins::agent
