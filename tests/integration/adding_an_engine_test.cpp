// The engine that docs/adding-an-engine.md shows: what the page quotes is what is tested here.
#include <cmath>
#include <cstring>

#include "examples/engine/framework_engine.hpp"
#include "tests/support/count_allocations.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/walkthrough.hpp"

namespace {

using namespace reins;
using namespace reins::inference;
using ::reins::testing::IsError;
using ::testing::HasSubstr;

constexpr std::int64_t kSize = 4;

framework::Model model_of(std::size_t levels) {
  framework::Model model{3 * kSize * kSize, 5, {}};
  for (std::size_t level = 0; level < levels; ++level) {
    std::vector<float> weights(model.inputs * model.classes);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = 0.2F * std::sin(static_cast<float>(i * (level + 1)) + static_cast<float>(level));
    }
    model.weights.push_back(std::move(weights));
  }
  return model;
}

std::vector<std::uint8_t> image() {
  std::vector<std::uint8_t> pixels(3 * kSize * kSize);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(37 * i % 256);
  return pixels;
}

TensorView view_of(const std::vector<std::uint8_t>& pixels) {
  return {pixels.data(), DType::kUint8, {1, 3, kSize, kSize}};
}

class AddingAnEngine : public ::testing::Test {
 protected:
  const framework::Model model_ = model_of(3);
  FrameworkEngine engine_{model_, kSize, {0.5, 0.6, 0.7}, "0123456789abcdef"};
  const std::vector<std::uint8_t> pixels_ = image();

  std::vector<float> fresh(int level) {
    EXPECT_OK(engine_.begin(view_of(pixels_), LevelId(level)));
    const auto answer = engine_.finish();
    EXPECT_OK(answer);
    EXPECT_EQ(answer->level, LevelId(level));
    return {answer->probabilities.begin(), answer->probabilities.end()};
  }
};

TEST_F(AddingAnEngine, ThePageQuotesWhatIsTestedHereAndBuiltInTheConsumer) {
  EXPECT_GT(reins::testing::expect_quotes_hold(REINS_SOURCE_DIR, "docs/adding-an-engine.md"), 40);
}

TEST_F(AddingAnEngine, AnswersAsTheFrameworkItselfDoes) {
  for (int level = 0; level < 3; ++level) {
    framework::Session own(model_);
    std::vector<float> scaled;
    for (const std::uint8_t pixel : pixels_) scaled.push_back((static_cast<float>(pixel) / 255 - 0.5F) / 0.25F);
    own.set_input(scaled.data(), scaled.size());
    std::vector<float> scores(model_.classes);
    own.extract(static_cast<std::size_t>(level), scores.data());
    double sum = 0;
    for (const float score : scores) sum += std::exp(static_cast<double>(score));
    const std::vector<float> probabilities = fresh(level);
    ASSERT_EQ(probabilities.size(), scores.size());
    for (std::size_t k = 0; k < scores.size(); ++k) {
      EXPECT_NEAR(probabilities[k], std::exp(static_cast<double>(scores[k])) / sum, 1e-5);
    }
  }
}

TEST_F(AddingAnEngine, GrowsToTheAnswerOfAFreshRunForOneLevelsWork) {
  const std::vector<float> wanted = fresh(2);
  ASSERT_OK(engine_.begin(view_of(pixels_), LevelId(1)));
  ASSERT_OK(engine_.finish());
  const std::size_t before = engine_.session().computed();
  ASSERT_OK(engine_.grow());
  EXPECT_EQ(engine_.session().computed(), before + 1);
  const auto answer = engine_.finish();
  ASSERT_OK(answer);
  EXPECT_EQ(answer->level, LevelId(2));
  EXPECT_EQ(std::vector<float>(answer->probabilities.begin(), answer->probabilities.end()), wanted);
}

TEST_F(AddingAnEngine, TakesFloatsThatAreNotAligned) {
  std::vector<char> bytes(1 + pixels_.size() * sizeof(float));
  for (std::size_t i = 0; i < pixels_.size(); ++i) {
    const float value = static_cast<float>(pixels_[i]) / 255;
    std::memcpy(bytes.data() + 1 + i * sizeof value, &value, sizeof value);
  }
  const std::vector<float> wanted = fresh(2);
  ASSERT_OK(engine_.begin({bytes.data() + 1, DType::kFloat32, {1, 3, kSize, kSize}}, LevelId(2)));
  const auto answer = engine_.finish();
  ASSERT_OK(answer);
  EXPECT_EQ(std::vector<float>(answer->probabilities.begin(), answer->probabilities.end()), wanted);
}

TEST_F(AddingAnEngine, RefusesWhatTheNetworkOrTheMachineDoesNotHave) {
  EXPECT_THAT(engine_.finish(), IsError(ErrorKind::kUsage, HasSubstr("nothing was begun")));
  EXPECT_THAT(engine_.grow(), IsError(ErrorKind::kUsage, HasSubstr("nothing was begun")));
  EXPECT_THAT(engine_.begin(view_of(pixels_), LevelId(3)), IsError(ErrorKind::kUsage, HasSubstr("level")));
  EXPECT_THAT(engine_.begin(view_of(pixels_), LevelId(-1)), IsError(ErrorKind::kUsage, HasSubstr("level")));
  TensorView wrong = view_of(pixels_);
  wrong.shape[3] = 5;
  EXPECT_THAT(engine_.begin(wrong, LevelId(0)), IsError(ErrorKind::kUsage, HasSubstr("shape")));
  ASSERT_OK(engine_.begin(view_of(pixels_), LevelId(2)));
  EXPECT_THAT(engine_.grow(), IsError(ErrorKind::kUsage, HasSubstr("full network")));
  EXPECT_OK(engine_.place({Unit::kCpu, 1, {0}}));
  EXPECT_THAT(engine_.place({Unit::kGpu, 1, {}}), IsError(ErrorKind::kUnsupported, HasSubstr("CPUs alone")));
  EXPECT_THAT(engine_.place({Unit::kCpu, 1, {100'000}}), IsError(ErrorKind::kUnsupported, HasSubstr("core")));
}

TEST_F(AddingAnEngine, ReturnsWhatTheFrameworkThrows) {
  FrameworkEngine other(model_, kSize + 1, {0.5, 0.6, 0.7}, "another model's");
  const std::vector<std::uint8_t> larger(3 * (kSize + 1) * (kSize + 1));
  const TensorView view{larger.data(), DType::kUint8, {1, 3, kSize + 1, kSize + 1}};
  EXPECT_THAT(other.begin(view, LevelId(0)), IsError(ErrorKind::kInternal, HasSubstr("values")));
  EXPECT_THAT(other.finish(), IsError(ErrorKind::kUsage, HasSubstr("nothing was begun")));
}

TEST_F(AddingAnEngine, AllocatesNothingOnceItHasRun) {
  static_cast<void>(fresh(2));
  bool well = true;
  const Placement here{Unit::kCpu, 1, {0}};
  const long allocations = reins::testing::allocations_in([&] {
    for (int i = 0; i < 10; ++i) {
      well = well && engine_.place(here).has_value() && engine_.begin(view_of(pixels_), LevelId(0)).has_value();
      well = well && engine_.grow().has_value() && engine_.grow().has_value() && engine_.finish().has_value();
    }
  });
  EXPECT_EQ(allocations, 0);
  EXPECT_TRUE(well);
}

}  // namespace
