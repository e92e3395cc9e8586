#include "agent/n_step.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "agent/schedule.hpp"

namespace reins::agent {
namespace {

constexpr double kTau = 2.0;

/// Feeds steps whose observation is their number.
class Feeder {
 public:
  explicit Feeder(std::size_t n, double gamma = 1) : assembler_(n, kTau, 1, gamma) {}
  std::vector<Transition> step(double reward, double dt_s, StepEnd end = StepEnd::kRunning) {
    const std::array<float, 1> obs = {static_cast<float>(at_)};
    next_ = {static_cast<float>(++at_)};
    Step next;
    next.obs = next_;
    next.mask.mappings = static_cast<std::uint32_t>(at_);
    next.reward = reward;
    next.penalty = reward / 4;
    next.dt_s = dt_s;
    next.end = end;
    policies::ActionMask mask;
    mask.mappings = static_cast<std::uint32_t>(at_ - 1);
    const auto done = assembler_.push(obs, mask, {static_cast<std::uint8_t>(at_ - 1), 0, 0, 0}, next);
    return {done.begin(), done.end()};
  }
  bool empty() const { return assembler_.empty(); }

 private:
  NStepAssembler assembler_;
  std::array<float, 1> next_{};
  int at_ = 0;
};

TEST(NStep, JoinsNStepsWithTheDiscountOfTheTimeThatPassed) {
  Feeder feeder(3);
  EXPECT_TRUE(feeder.step(1, 0.5).empty());
  EXPECT_TRUE(feeder.step(10, 1.0).empty());
  const auto done = feeder.step(100, 0.25);
  ASSERT_EQ(done.size(), 1U);
  const double g1 = std::exp(-0.5 / kTau), g2 = std::exp(-1.5 / kTau), g3 = std::exp(-1.75 / kTau);
  EXPECT_FLOAT_EQ(done[0].reward, static_cast<float>(1 + 10 * g1 + 100 * g2));
  EXPECT_FLOAT_EQ(done[0].penalty, done[0].reward / 4);
  EXPECT_FLOAT_EQ(done[0].time_s, static_cast<float>(0.5 + 1.0 * g1 + 0.25 * g2));
  EXPECT_FLOAT_EQ(done[0].discount, static_cast<float>(g3));
  EXPECT_EQ(done[0].obs[0], 0.0F);
  EXPECT_EQ(done[0].choice.mapping, 0);
  EXPECT_EQ(done[0].mask.mappings, 0U);
  EXPECT_EQ(done[0].next_obs[0], 3.0F);
  EXPECT_EQ(done[0].next_mask.mappings, 3U);

  const auto second = feeder.step(1000, 1.0);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].obs[0], 1.0F);
  EXPECT_EQ(second[0].next_obs[0], 4.0F);
  EXPECT_FLOAT_EQ(second[0].reward,
                  static_cast<float>(10 + 100 * std::exp(-1.0 / kTau) + 1000 * std::exp(-1.25 / kTau)));
}

TEST(NStep, DiscountsEachDecisionByGammaBesides) {
  Feeder feeder(2, 0.5);
  feeder.step(1, 0.5);
  const auto done = feeder.step(10, 1.5);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_FLOAT_EQ(done[0].reward, static_cast<float>(1 + 10 * 0.5 * std::exp(-0.5 / kTau)));
  EXPECT_FLOAT_EQ(done[0].discount, static_cast<float>(0.25 * std::exp(-2.0 / kTau)));
}

TEST(NStep, DoesNotBootstrapBehindATermination) {
  Feeder feeder(3);
  feeder.step(1, 1);
  const auto done = feeder.step(2, 1, StepEnd::kTerminated);
  ASSERT_EQ(done.size(), 2U);
  const double g = std::exp(-1 / kTau);
  EXPECT_FLOAT_EQ(done[0].reward, static_cast<float>(1 + 2 * g));
  EXPECT_EQ(done[0].discount, 0.0F);
  EXPECT_FLOAT_EQ(done[1].reward, 2.0F);
  EXPECT_EQ(done[1].discount, 0.0F);
  EXPECT_TRUE(feeder.empty());
}

TEST(NStep, BootstrapsFromTheFinalObservationOfATruncation) {
  Feeder feeder(3);
  for (int i = 0; i < 4; ++i) feeder.step(1, 1);
  const auto done = feeder.step(7, 0.5, StepEnd::kTruncated);
  ASSERT_EQ(done.size(), 3U);  // three are waiting: a whole one and two short ones
  EXPECT_EQ(done[0].obs[0], 2.0F);
  EXPECT_FLOAT_EQ(done[0].discount, static_cast<float>(std::exp(-2.5 / kTau)));
  EXPECT_FLOAT_EQ(done[1].discount, static_cast<float>(std::exp(-1.5 / kTau)));
  EXPECT_FLOAT_EQ(done[1].reward, static_cast<float>(1 + 7 * std::exp(-1 / kTau)));
  EXPECT_FLOAT_EQ(done[2].discount, static_cast<float>(std::exp(-0.5 / kTau)));
  EXPECT_FLOAT_EQ(done[2].reward, 7.0F);
  for (const Transition& t : done) EXPECT_EQ(t.next_obs[0], 5.0F);
  EXPECT_TRUE(feeder.empty());
}

TEST(NStep, LetsNothingOfAnEpisodeIntoTheNext) {
  Feeder feeder(2);
  feeder.step(5, 1);
  feeder.step(5, 1, StepEnd::kTerminated);
  EXPECT_TRUE(feeder.step(1, 1).empty());
  const auto done = feeder.step(1, 1);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].obs[0], 2.0F);
  EXPECT_FLOAT_EQ(done[0].reward, static_cast<float>(1 + std::exp(-1 / kTau)));
}

TEST(NStep, OfOneStepIsThePlainTransition) {
  Feeder feeder(1);
  const auto done = feeder.step(3, 2);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_FLOAT_EQ(done[0].reward, 3.0F);
  EXPECT_FLOAT_EQ(done[0].time_s, 2.0F);
  EXPECT_FLOAT_EQ(done[0].discount, static_cast<float>(std::exp(-1.0)));
}

TEST(LinearSchedule, GoesFromOneEndToTheOtherAndStaysThere) {
  const LinearSchedule schedule{1.0, 0.1, 100};
  EXPECT_EQ(schedule.at(0), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(50), 0.55);
  EXPECT_EQ(schedule.at(100), 0.1);
  EXPECT_EQ(schedule.at(1000000), 0.1);
  EXPECT_EQ(schedule.at(-5), 1.0);
}

}  // namespace
}  // namespace reins::agent
