// An emulated board paced by a clock, with an engine that answers.
#include "env/emulated_plant.hpp"

#include "tests/env/made_up.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/support/matchers.hpp"

namespace reins::env {
namespace {

using testing::act;

class Paced : public ::testing::Test {
 protected:
  Paced() {
    conditions_.noise = false;
    plant_.emplace(board_, &engine_, clock_, conditions_);
    EXPECT_TRUE(plant_->apply(act(2, 0, 4)).has_value());
    clock_.advance(0.1);
  }
  /// What has ended once the clock has gone on by `dt_s`.
  std::optional<control::PlantCompletion> after(double dt_s) {
    clock_.advance(dt_s);
    const auto ended = plant_->poll_completion(plant_->now_s());
    EXPECT_TRUE(ended.has_value());
    return ended.value_or(std::nullopt);
  }

  boards::Board made_ = testing::hand_board();
  std::vector<inference::LevelFacts> levels_ = testing::hand_levels();  // 0.01, 0.02 and 0.04 s
  EmulatedBoard board_{made_, levels_};
  testing::FakeClock clock_;
  testing::FakeEngine engine_;
  BoardConditions conditions_;
  std::optional<EmulatedPlant> plant_;
  const std::array<unsigned char, 4> image_ = {27, 0, 0, 0};
  const inference::TensorView view_{image_.data(), inference::DType::kUint8, {1, 1, 2, 2}};
};

TEST_F(Paced, AGrowthTakesTheBoardsTimeAndTheEnginesAnswer) {
  ASSERT_OK(plant_->start(LevelId(0), view_));
  auto ended = after(0.013);  // the cluster was off: 2 ms to wake it
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->level, LevelId(0));
  EXPECT_EQ(ended->predicted, 7);
  ASSERT_OK(plant_->grow(LevelId(1)));
  EXPECT_FALSE(after(0.0095).has_value());
  ended = after(0.001);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->level, LevelId(1));
  EXPECT_EQ(ended->predicted, 8);
}

TEST_F(Paced, TheFirstAnswerStandsWhereTheEngineDoesNotGrow) {
  engine_.grows = false;
  ASSERT_OK(plant_->start(LevelId(0), view_));
  ASSERT_TRUE(after(0.013).has_value());
  ASSERT_OK(plant_->grow(LevelId(1)));
  const auto ended = after(0.0105);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->level, LevelId(0));
  EXPECT_EQ(ended->predicted, 7);
}

}  // namespace
}  // namespace reins::env
