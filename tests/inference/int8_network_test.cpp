#include "bench/int8_network.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "inference/engines.hpp"
#include "tests/inference/random_network.hpp"

namespace reins::bench {
namespace {

using namespace reins::inference;  // NOLINT

TEST(QuantiseWeights, GivesEachOutputAStepOfItsOwnAndRoundsToTheNearest) {
  const std::vector<float> values{1.27F, -0.634F, 0.0F, 127.0F, -127.0F, 2.5F, 0, 0, 0};
  const Int8Weights q = quantise_weights(values, 3);
  EXPECT_EQ(q.values, (std::vector<std::int8_t>{127, -63, 0, 127, -127, 2, 0, 0, 0}));
  ASSERT_EQ(q.steps.size(), 3U);
  EXPECT_FLOAT_EQ(q.steps[0], 0.01F);
  EXPECT_FLOAT_EQ(q.steps[1], 1.0F);
  EXPECT_FLOAT_EQ(q.steps[2], 1.0F);
}

TEST(QuantiseWeights, IsNeverOffByMoreThanHalfAStep) {
  Rng rng(7);
  std::vector<float> values(5 * 100);
  for (float& v : values) v = static_cast<float>(rng.normal());
  const Int8Weights q = quantise_weights(values, 5);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float step = q.steps[i / 100];
    EXPECT_LE(std::abs(values[i] - step * static_cast<float>(q.values[i])), 0.5001F * step);
  }
}

TEST(QuantiseWeights, KeepsToFewerBitsWhereAsked) {
  const std::vector<float> values{6.3F, -3.1F, -6.3F};
  const Int8Weights q = quantise_weights(values, 1, 7);
  EXPECT_EQ(q.values, (std::vector<std::int8_t>{63, -31, -63}));
  EXPECT_FLOAT_EQ(q.steps[0], 0.1F);
}

TEST(RangeOf, IsTheValueThatAShareOfThemDoesNotExceed) {
  std::vector<float> values;
  for (int i = 1; i <= 100; ++i) values.push_back(static_cast<float>(i * 37 % 101));  // 1..100 in another order
  EXPECT_EQ(range_of(values, 1), 100);
  EXPECT_EQ(range_of(values, 0.9), 90);
  EXPECT_EQ(range_of(values, 0.001), 1);
}

TEST(Requantise, AddsTheBiasRoundsAndSaturates) {
  EXPECT_EQ(requantise(100, 20, 0.5F), 60);
  EXPECT_EQ(requantise(5, 0, 0.5F), 2);  // a tie goes to even
  EXPECT_EQ(requantise(7, 0, 0.5F), 4);
  EXPECT_EQ(requantise(-100, 20, 0.5F), 0);
  EXPECT_EQ(requantise(100'000, 0, 0.5F), 255);
}

/// One group, one stage of one channel, nothing to round.
TEST(Int8Network, ConvolvesPoolsAndClassifiesAsByHand) {
  GroupArchitecture a;
  a.groups = 1;
  a.channels = 1;
  a.size = 4;
  a.classes = 2;
  a.stages = {{1, true}};
  Int8Network network{.architecture = a, .groups = {}, .bias = {0.5F, -1.0F}, .border = {10}};
  Int8Stage stage;
  stage.weights = {.values = {0, 0, 0, 0, 1, 2, 0, 0, 0}, .steps = {1}};  // the pixel, and twice the one right of it
  stage.bias = {-4};
  stage.multipliers = {1};
  network.groups.push_back({.stages = {stage},
                            .classifier = {.values = {1, 2, 3, 4, -1, 0, 0, 1}, .steps = {1, 1}},
                            .classifier_scale = {0.25F, 2}});
  std::vector<std::uint8_t> pixels(16);
  for (std::size_t i = 0; i < 16; ++i) pixels[i] = static_cast<std::uint8_t>(i);
  // 4y + x + 2 (4y + x + 1) - 4 for x < 3, and 4y + 3 + 2 * 10 - 4 at the border. The largest of each four: 13 at
  // (1, 1), 23 at the border of row 1, 37 at (3, 1), 40 at (3, 2).
  const auto logits = logits_of(network, pixels);
  ASSERT_EQ(logits.size(), 1U);
  EXPECT_FLOAT_EQ(logits[0][0], 0.5F + 0.25F * (13 + 2 * 23 + 3 * 37 + 4 * 40));
  EXPECT_FLOAT_EQ(logits[0][1], -1.0F + 2 * (40 - 13));
}

/// Rounding errors of 8 bits are some hundredths of what the logits span; a wrong scale, layout or bias is of their
/// own size.
TEST(Int8Network, FollowsTheFloatEngineAtEveryLevel) {
  const GroupArchitecture a = reins::testing::small_architecture();
  const NetworkWeights weights = reins::testing::random_weights(a, 3);
  std::vector<std::uint8_t> images;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto image = reins::testing::random_image(a, i);
    images.insert(images.end(), image.begin(), image.end());
  }
  const std::vector<double> shares{1};
  const auto levels = logits_of(quantise(a, weights, calibrate(a, weights, images, shares)[0]), images);

  auto engine = make_engine(describe(a, "small", "random", "random"), weights);
  ASSERT_TRUE(engine) << engine.error().line();
  ASSERT_EQ(levels.size(), 3U);
  const auto classes = static_cast<std::size_t>(a.classes);
  for (std::size_t level = 0; level < levels.size(); ++level) {
    double error = 0;
    double spread = 0;
    for (std::size_t i = 0; i < 20; ++i) {
      const TensorView image{images.data() + i * 3 * 144, DType::kUint8, {1, 3, 12, 12}};
      ASSERT_TRUE((*engine)->begin(image, LevelId(level)));
      const auto answer = (*engine)->finish();
      ASSERT_TRUE(answer);
      // Probabilities give logits up to a constant: class 0 is the measure.
      const float* const q = levels[level].data() + i * classes;
      for (std::size_t k = 1; k < classes; ++k) {
        const double exact = std::log(answer->probabilities[k] / answer->probabilities[0]);
        error += std::pow(q[k] - q[0] - exact, 2);
        spread += exact * exact;
      }
    }
    EXPECT_LT(std::sqrt(error / spread), 0.05) << "level " << level;
    EXPECT_GT(error, 0) << "level " << level;
  }
}

}  // namespace
}  // namespace reins::bench
