#include "policies/profile.hpp"

#include <filesystem>

#include "tests/policies/small_board.hpp"
#include "tests/support/matchers.hpp"

namespace reins::policies {
namespace {

using ::reins::testing::IsError;
using ::reins::testing::small_board;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ActionSpace two_level_space() { return *ActionSpace::make(small_board(), 2); }

Profile full_profile(const ActionSpace& space) {
  Profile profile(space);
  profile.version = "0.1.0";
  profile.kernel = "6.1";
  profile.network_fingerprint = "abc";
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
      profile.set_idle({MappingId(m), OppId(o), 0.1 + 0.01 * static_cast<double>(o), 45.5});
      for (std::size_t l = 0; l < space.levels; ++l) {
        ProfilePoint point;
        point.level = LevelId(l);
        point.mapping = MappingId(m);
        point.opp = OppId(o);
        point.latency_s = (1.0 + static_cast<double>(l)) / (3.0 + static_cast<double>(o) + static_cast<double>(m));
        point.p50_s = point.p95_s = point.p99_s = point.latency_s;
        point.energy_j = 0.25;
        point.temperature_c = -3.25;  // outdoors
        point.accuracy = 0.5 + 0.25 * static_cast<double>(l);
        point.n = 30;
        point.source = "emulated";
        profile.set(point);
      }
    }
  }
  return profile;
}

TEST(Profile, SaysWhichGoalsNoPointMeets) {
  const Profile profile = full_profile(two_level_space());
  // Latency (1 + level) / (3 + point + mapping), at best / 9; 0.25 J; idle 0.1 W at least; accuracy 0.5, 0.75.
  EXPECT_EQ(profile.unreachable({}), "");
  Goals goals{0.15, 0.3, 0.2, 0.4};
  EXPECT_EQ(profile.unreachable(goals), "");
  goals.accuracy_floor = 0.75;
  EXPECT_THAT(profile.unreachable(goals),
              HasSubstr("latency 0.15 s is below the fastest profiled time at this accuracy "
                        "floor, 0.222 s"));
  goals = {std::nullopt, 0.2, 0.05, std::nullopt};
  EXPECT_THAT(profile.unreachable(goals), AllOf(HasSubstr("energy 0.2 J"), HasSubstr("0.25 J; power 0.05 W"),
                                                HasSubstr("0.1 W"), Not(HasSubstr("latency"))));
  Profile best_is_less(two_level_space());
  ProfilePoint point = *profile.at(LevelId(0), MappingId(0), OppId(0));
  best_is_less.set(point);
  EXPECT_THAT(best_is_less.unreachable({std::nullopt, std::nullopt, std::nullopt, 0.6}),
              HasSubstr("the best has 0.5 and is what runs"));
  EXPECT_EQ(Profile(two_level_space()).unreachable(goals), "") << "nothing is known";
}

TEST(Profile, AnswersWhatWasSetAndNullElsewhere) {
  const ActionSpace space = two_level_space();
  Profile profile(space);
  EXPECT_EQ(profile.at(LevelId(0), MappingId(0), OppId(0)), nullptr);
  ProfilePoint point;
  point.level = LevelId(1);
  point.mapping = MappingId(2);
  point.opp = OppId(4);
  point.latency_s = 0.02;
  point.accuracy = 0.75;
  profile.set(point);
  ASSERT_NE(profile.at(LevelId(1), MappingId(2), OppId(4)), nullptr);
  EXPECT_EQ(profile.at(LevelId(1), MappingId(2), OppId(4))->latency_s, 0.02);
  EXPECT_EQ(profile.at(LevelId(1), MappingId(0), OppId(4)), nullptr);  // the little cluster has three points
  EXPECT_EQ(profile.at(LevelId(2), MappingId(2), OppId(4)), nullptr);
  EXPECT_EQ(profile.at(LevelId(), MappingId(), OppId()), nullptr);
  EXPECT_FALSE(profile.idle_w(MappingId(2), OppId(4)).has_value());
  EXPECT_FALSE(profile.complete());
  EXPECT_FALSE(profile.has_energy());
  EXPECT_EQ(profile.fastest_s(LevelId(1)), 0.02);
  EXPECT_EQ(profile.accuracy(LevelId(1)), 0.75);
}

TEST(Profile, ReadsBackExactlyWhatItWrote) {
  const ActionSpace space = two_level_space();
  const Profile profile = full_profile(space);
  EXPECT_TRUE(profile.complete());
  EXPECT_TRUE(profile.has_energy());
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "reins_profile.csv";
  ASSERT_OK(profile.write(space, path));
  const auto back = Profile::read(space, path);
  std::filesystem::remove(path);
  ASSERT_OK(back);
  EXPECT_EQ(back->format(space), profile.format(space));
  EXPECT_EQ(back->board, "small");
  EXPECT_EQ(back->board_fingerprint, "00000000deadbeef");
  EXPECT_EQ(back->network_fingerprint, "abc");
  EXPECT_EQ(back->at(LevelId(1), MappingId(1), OppId(3))->latency_s, 2.0 / 7.0);
  EXPECT_EQ(back->idle_w(MappingId(1), OppId(3)), 0.13);
  ASSERT_NE(back->idle(MappingId(1), OppId(3)), nullptr);
  EXPECT_EQ(back->idle(MappingId(1), OppId(3))->temperature_c, 45.5);
  EXPECT_EQ(back->at(LevelId(1), MappingId(1), OppId(3))->temperature_c, -3.25);
  EXPECT_TRUE(back->complete());
}

TEST(Profile, NamesLineAndReasonOfABadRow) {
  const ActionSpace space = two_level_space();
  const std::string header =
      "level,mapping,freq_khz,latency_s,p50_s,p95_s,p99_s,energy_j,energy_ci_j,power_w,accuracy,n,source\n";
  const auto parsed = [&](const std::string& rows) { return Profile::parse(space, header + rows, "t.csv"); };
  const std::string good = "1,big-x2,400000,0.1,0.1,0.1,0.1,,,,0.5,30,measured\n";
  ASSERT_OK(parsed(good));
  EXPECT_THAT(parsed(good + good), IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv:3"), HasSubstr("twice"))));
  EXPECT_THAT(parsed("1,gpu,400000,0.1,0.1,0.1,0.1,,,,0.5,30,measured\n"),
              IsError(ErrorKind::kMismatch, AllOf(HasSubstr("t.csv:2"), HasSubstr("'gpu'"))));
  EXPECT_THAT(parsed("1,big-x2,400001,0.1,0.1,0.1,0.1,,,,0.5,30,measured\n"),
              IsError(ErrorKind::kMismatch, HasSubstr("400001 kHz")));
  EXPECT_THAT(parsed("3,big-x2,400000,0.1,0.1,0.1,0.1,,,,0.5,30,measured\n"),
              IsError(ErrorKind::kMismatch, HasSubstr("level 3")));
  EXPECT_THAT(parsed("1,big-x2,400000,0,0.1,0.1,0.1,,,,0.5,30,measured\n"),
              IsError(ErrorKind::kGarbled, HasSubstr("latency_s")));
  EXPECT_THAT(parsed("1,big-x2,400000,nan,0.1,0.1,0.1,,,,0.5,30,measured\n"),
              IsError(ErrorKind::kGarbled, HasSubstr("latency_s")));
  EXPECT_THAT(parsed("1,big-x2,400000,0.1,0.1,0.1,0.1,-1,,,0.5,30,measured\n"),
              IsError(ErrorKind::kGarbled, HasSubstr("energy_j")));
  EXPECT_THAT(parsed("1,big-x2,400000,0.1,0.1,0.1,0.1,,,,1.5,30,measured\n"),
              IsError(ErrorKind::kGarbled, HasSubstr("accuracy")));
  EXPECT_THAT(
      Profile::parse(space, "level,mapping,freq_khz,power_w,temperature_c\n0,big-x2,400000,0.1,-300\n", "t.csv"),
      IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv:2"), HasSubstr("below -273.15"))));
  EXPECT_THAT(parsed("0,big-x2,400000,,,,,,,,,,\n"), IsError(ErrorKind::kGarbled, HasSubstr("idle row")));
}

TEST(Profile, TellsFromItsQuantilesHowMuchRunTimesVary) {
  Profile profile(two_level_space());
  EXPECT_EQ(profile.relative_sigma(), 0) << "nothing is known";
  auto set = [&](std::size_t level, double p50_s, double p95_s, std::int64_t n) {
    ProfilePoint point;
    point.level = LevelId(level);
    point.mapping = MappingId(0);
    point.opp = OppId(0);
    point.latency_s = p50_s;
    point.p50_s = p50_s;
    point.p95_s = p95_s;
    point.n = n;
    profile.set(point);
  };
  set(0, 0.1, 0.2, 19);
  EXPECT_EQ(profile.relative_sigma(), 0) << "too few runs for a p95";
  set(0, 0.1, 0.1 * (1 + 1.645 * 0.03), 20);
  EXPECT_NEAR(profile.relative_sigma(), 0.03, 1e-12);
}

TEST(Profile, KnowsWhichPointsHoldEveryLevel) {
  const ActionSpace space = two_level_space();
  Profile profile = full_profile(space);
  EXPECT_EQ(profile.measured(MappingId(2)), 0b11111U);
  EXPECT_TRUE(profile.has_idle());
  std::string text = profile.format(space);
  const std::size_t row = text.find("2,big-x2,800000,");
  ASSERT_NE(row, std::string::npos);
  text.erase(row, text.find('\n', row) + 1 - row);
  profile = *Profile::parse(space, text, "t.csv");
  EXPECT_EQ(profile.measured(MappingId(2)), 0b11101U);
  EXPECT_EQ(profile.measured(MappingId(1)), 0b11111U);
}

TEST(Profile, PassesOverMappingsThatTheBoardHasNotWhereItIsToldTo) {
  const ActionSpace space = two_level_space();
  ActionSpace fewer = space;
  fewer.mappings.erase(fewer.mappings.begin() + 1);
  const std::string text = full_profile(space).format(space);
  EXPECT_THAT(Profile::parse(fewer, text, "t.csv"), IsError(ErrorKind::kMismatch, HasSubstr("big-x1")));
  const auto profile = Profile::parse(fewer, text, "t.csv", true);
  ASSERT_OK(profile);
  EXPECT_TRUE(profile->complete());
}

TEST(Profile, SaysWhatIsNoProfileAtAll) {
  EXPECT_THAT(Profile::parse(two_level_space(), "hello world\n", "t.csv"),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv: no profile"), HasSubstr("'level'"))));
}

TEST(Profile, RefusesTheProfileOfAnotherBoard) {
  const ActionSpace space = two_level_space();
  ActionSpace other = space;
  other.board = "other";
  EXPECT_THAT(Profile::parse(other, full_profile(space).format(space), "t.csv"),
              IsError(ErrorKind::kMismatch, HasSubstr("board small, not other")));
}

TEST(Profile, ReportsAMissingFile) {
  EXPECT_THAT(Profile::read(two_level_space(), "/nonexistent/p.csv"),
              IsError(ErrorKind::kNotFound, HasSubstr("p.csv")));
}

}  // namespace
}  // namespace reins::policies
