#include "inference/answers.hpp"

#include "core/file.hpp"
#include "tests/support/matchers.hpp"

namespace reins::inference {
namespace {

using reins::testing::IsError;
using ::testing::HasSubstr;

Result<Answers> table() {
  return Answers::make("net", "0123456789abcdef", "synthetic", "synthetic textured shapes", 10, {1, 2, 3, 4},
                       {{1, 0, 0, 4}, {1, 2, 0, 4}});
}

TEST(AnswersTest, CountsWhatEachLevelGetsRight) {
  auto answers = table();
  ASSERT_OK(answers);
  EXPECT_EQ(answers->levels(), 2U);
  EXPECT_EQ(answers->images(), 4U);
  EXPECT_EQ(answers->accuracy(LevelId(0)), 0.5);
  EXPECT_EQ(answers->accuracy(LevelId(1)), 0.75);
  EXPECT_TRUE(answers->correct(LevelId(1), 1));
  EXPECT_FALSE(answers->correct(LevelId(0), 1));
  EXPECT_EQ(answers->predicted(LevelId(0), 2), 0);
  EXPECT_EQ(answers->label(2), 3);
}

TEST(AnswersTest, SurvivesItsFile) {
  auto answers = table();
  ASSERT_OK(answers);
  auto again = Answers::parse(answers->format(), "answers");
  ASSERT_OK(again);
  EXPECT_EQ(again->format(), answers->format());
  EXPECT_EQ(again->network_fingerprint(), "0123456789abcdef");
  EXPECT_EQ(again->dataset_title(), "synthetic textured shapes");
  EXPECT_EQ(again->accuracy(LevelId(1)), 0.75);
}

TEST(AnswersTest, RefusesCutAndChangedFiles) {
  auto answers = table();
  ASSERT_OK(answers);
  const std::string bytes = answers->format();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THAT(Answers::parse(bytes.substr(0, length), "a.rans"), IsError(ErrorKind::kGarbled, HasSubstr("a.rans")))
        << length;
  }
  std::string changed = bytes;
  changed[changed.find('\x04')] = '\x05';
  EXPECT_FALSE(Answers::parse(changed, "a.rans").has_value());
  EXPECT_THAT(Answers::read("/nonexistent/a.rans"), IsError(ErrorKind::kNotFound, HasSubstr("a.rans")));
}

TEST(AnswersTest, RefusesTablesThatDoNotFit) {
  const auto make = [](std::vector<std::uint8_t> labels, std::vector<std::vector<std::uint8_t>> predicted) {
    return Answers::make("n", "f", "d", "t", 10, std::move(labels), std::move(predicted));
  };
  EXPECT_THAT(make({}, {{}}), IsError(ErrorKind::kMismatch, HasSubstr("no images")));
  EXPECT_THAT(make({1}, {}), IsError(ErrorKind::kMismatch, HasSubstr("no levels")));
  EXPECT_THAT(make({1, 2}, {{1}}), IsError(ErrorKind::kMismatch, HasSubstr("one answer per image")));
  EXPECT_THAT(make({10}, {{1}}), IsError(ErrorKind::kMismatch, HasSubstr("label")));
  EXPECT_THAT(make({1}, {{200}}), IsError(ErrorKind::kMismatch, HasSubstr("beyond")));
}

}  // namespace
}  // namespace reins::inference
