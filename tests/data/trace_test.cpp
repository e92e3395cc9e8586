#include "data/trace.hpp"

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "tests/support/matchers.hpp"

namespace reins::data {
namespace {

using ::reins::testing::IsError;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(TraceFile, ReadsGoalsAndWhereTheyAreAbsent) {
  const auto trace = parse_trace(
      "# name = demo\n# end_s = 9.5\ntime_s,app,latency_target_s,accuracy_floor\n0.5,0,0.1,0.7\n1,0,,\n1,1,0.2,\n",
      "t.csv");
  ASSERT_OK(trace);
  EXPECT_EQ(trace->name, "demo");
  EXPECT_EQ(trace->end_s, 9.5);
  ASSERT_EQ(trace->rows.size(), 3u);
  EXPECT_EQ(trace->rows[0].latency_target_s, 0.1);
  EXPECT_EQ(trace->rows[0].accuracy_floor, 0.7);
  EXPECT_EQ(trace->rows[1].latency_target_s, std::nullopt);
  EXPECT_EQ(trace->rows[2].app, 1);
  EXPECT_EQ(trace->rows[2].energy_budget_j, std::nullopt);
}

TEST(TraceFile, WithoutAnEndEndsOneMeanGapBehindItsLastRequest) {
  const auto trace = parse_trace("time_s,app\n1,0\n2,0\n5,0\n", "demo.csv");
  ASSERT_OK(trace);
  EXPECT_EQ(trace->end_s, 7);
  EXPECT_EQ(trace->name, "demo");
}

TEST(TraceFile, ReadsBackWhatItWrote) {
  TraceConfig config;
  config.arrivals = Arrivals::kBursty;
  config.target_factors = {1.1, 5};
  config.floors = {0, 0.6234567891};
  config.segment_s = 3;
  Trace trace = generate_trace(config, 11);
  trace.rows[2].energy_budget_j = 0.25;
  trace.rows[3].power_w = 2.5;
  const auto again = parse_trace(format_trace(trace), "x.csv");
  ASSERT_OK(again);
  EXPECT_EQ(again->name, trace.name);
  EXPECT_EQ(again->end_s, trace.end_s);
  ASSERT_EQ(again->rows.size(), trace.rows.size());
  for (std::size_t i = 0; i < trace.rows.size(); ++i) {
    EXPECT_EQ(again->rows[i].time_s, trace.rows[i].time_s);
    EXPECT_EQ(again->rows[i].latency_target_s, trace.rows[i].latency_target_s);
    EXPECT_EQ(again->rows[i].accuracy_floor, trace.rows[i].accuracy_floor);
    EXPECT_EQ(again->rows[i].energy_budget_j, trace.rows[i].energy_budget_j);
    EXPECT_EQ(again->rows[i].power_w, trace.rows[i].power_w);
  }
}

TEST(TraceFile, RefusesWhatMakesNoSenseNamingTheLine) {
  const auto refused = [](std::string_view text, std::string_view part) {
    EXPECT_THAT(parse_trace(text, "t.csv"),
                IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv"), HasSubstr(std::string(part)))))
        << text;
  };
  refused("time_s,app\n", "at least one request");
  refused("time_s,app\n2,0\n1,0\n", "t.csv:3: time_s goes back");
  refused("time_s,app\n-1,0\n", "t.csv:2: time_s is -1");
  refused("time_s,app\nsoon,0\n", "t.csv:2");
  refused("time_s,app\n1,-1\n", "t.csv:2: app");
  refused("time_s,app,colour\n1,0,3\n", "unknown column 'colour'");
  refused("time_s,app,accuracy_floor\n1,0,71.2\n", "t.csv:2: accuracy_floor is 71.2, outside 0 to 1");
  refused("time_s,app,latency_target_s\n1,0,0\n", "latency_target_s is 0");
  refused("app\n1\n", "time_s");
  refused("# end_s = 3\ntime_s,app\n4,0\n", "end_s lies before");
  refused("# end_s = never\ntime_s,app\n4,0\n", "t.csv");
  EXPECT_THAT(read_trace("/nonexistent.csv"), IsError(ErrorKind::kNotFound, HasSubstr("/nonexistent.csv")));
}

TraceConfig long_config(Arrivals arrivals) {
  TraceConfig config;
  config.arrivals = arrivals;
  config.load = 0.5;
  config.full_latency_s = 0.02;
  config.duration_s = 4000;  // 100 000 requests on average
  return config;
}

/// Variance over mean of the counts in windows of 50 mean gaps: 0 for a clock, 1 for Poisson, more for bursts.
double dispersion(const Trace& trace, double window_s) {
  std::map<long, double> counts;
  for (const TraceRow& row : trace.rows) counts[static_cast<long>(row.time_s / window_s)] += 1;
  const double windows = std::floor(trace.end_s / window_s);
  const double mean = static_cast<double>(trace.rows.size()) / windows;
  double variance = 0;
  for (long i = 0; i < static_cast<long>(windows); ++i) variance += std::pow(counts[i] - mean, 2) / windows;
  return variance / mean;
}

TEST(Generator, MeetsTheLoadWithEveryKindOfArrival) {
  for (const Arrivals arrivals : kArrivals) {
    const Trace trace = generate_trace(long_config(arrivals), 3);
    // Poisson counts spread by 1/sqrt(n) = 0.3 %; bursts by about 5 times that: 3 % is beyond chance for all.
    EXPECT_NEAR(static_cast<double>(trace.rows.size()) / 1e5, 1, 0.03) << name_of(arrivals);
    EXPECT_EQ(trace.end_s, 4000);
    for (std::size_t i = 1; i < trace.rows.size(); ++i) ASSERT_LE(trace.rows[i - 1].time_s, trace.rows[i].time_s);
    EXPECT_LT(trace.rows.back().time_s, 4000);
    EXPECT_EQ(arrivals_named(name_of(arrivals)), arrivals);
  }
  EXPECT_EQ(arrivals_named("sometimes"), std::nullopt);
}

TEST(Generator, ArrivalsDifferInHowTheyCluster) {
  EXPECT_LT(dispersion(generate_trace(long_config(Arrivals::kPeriodic), 3), 2.0), 0.01);
  EXPECT_NEAR(dispersion(generate_trace(long_config(Arrivals::kPoisson), 3), 2.0), 1, 0.15);
  EXPECT_GT(dispersion(generate_trace(long_config(Arrivals::kBursty), 3), 2.0), 4);
}

TEST(Generator, BatchesComeTogetherAtAPeriod) {
  const Trace trace = generate_trace(long_config(Arrivals::kBatched), 3);
  std::map<double, int> sizes;
  for (const TraceRow& row : trace.rows) ++sizes[row.time_s];
  // 4000 s in periods of 12 gaps of 0.04 s; geometric sizes: mean 12 within 3 %, and a 12th of them a single request.
  EXPECT_NEAR(static_cast<double>(sizes.size()), 4000 / (12 * 0.04), 1);
  int single = 0;
  for (auto it = sizes.begin(); std::next(it) != sizes.end(); ++it) {
    EXPECT_NEAR(std::next(it)->first - it->first, 12 * 0.04, 1e-9);
    single += it->second == 1 ? 1 : 0;
  }
  EXPECT_NEAR(single / static_cast<double>(sizes.size()), 1.0 / 12, 0.01);
}

TEST(Generator, SameSeedSameTraceOtherSeedOtherTrace) {
  const TraceConfig config = long_config(Arrivals::kBursty);
  EXPECT_EQ(format_trace(generate_trace(config, 5)), format_trace(generate_trace(config, 5)));
  EXPECT_NE(format_trace(generate_trace(config, 5)), format_trace(generate_trace(config, 6)));
}

TEST(Generator, ConstantGoalsStayAndChangingGoalsTakeEveryValue) {
  TraceConfig config = long_config(Arrivals::kPoisson);
  config.duration_s = 400;
  const Trace constant = generate_trace(config, 1);
  for (const TraceRow& row : constant.rows) {
    EXPECT_EQ(row.latency_target_s, 2.5 * 0.02);
    EXPECT_EQ(row.accuracy_floor, std::nullopt);  // a floor of 0 is none
  }
  config.target_factors = {1.1, 1.5, 2.5, 5};
  config.floors = {0, 0.6, 0.7};
  config.segment_s = 4;
  const Trace changing = generate_trace(config, 1);
  std::set<double> targets;
  std::set<double> floors;
  int changes = 0;
  for (std::size_t i = 0; i < changing.rows.size(); ++i) {
    const TraceRow& row = changing.rows[i];
    ASSERT_TRUE(row.latency_target_s && row.accuracy_floor);
    targets.insert(*row.latency_target_s);
    floors.insert(*row.accuracy_floor);
    if (i > 0 && (row.latency_target_s != changing.rows[i - 1].latency_target_s ||
                  row.accuracy_floor != changing.rows[i - 1].accuracy_floor)) {
      ++changes;
    }
    // The goals are a stream of their own: the arrivals are those of the constant trace.
    EXPECT_EQ(row.time_s, constant.rows[i].time_s);
  }
  EXPECT_EQ(targets.size(), 4u);
  EXPECT_EQ(floors, (std::set<double>{0, 0.6, 0.7}));
  // 400 s in segments of 4 s and a bit (the shortest are a quarter), 11 of 12 draws differ from the one before:
  // about 88.
  EXPECT_GT(changes, 60);
  EXPECT_LT(changes, 110);
}

class CameraFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("camera_" + std::to_string(::getpid()) + ".csv");
    write(
        "Time,Frames After Filter,Camera Index,Throughput,latency_constraint\n"
        "10,2,0,0.4,4\n12,0,1,0.4,4\n14,1,1,0.6,8\n18,3,0,0.6,2\n");
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(std::string_view text) { std::ofstream(path_) << text; }
  std::filesystem::path path_;
};

TEST_F(CameraFile, BecomesRequestsAtTheWantedLoadWithScaledDeadlines) {
  const auto trace = read_camera_trace(path_, 0.5, 0.1, 0.25, 1000);
  ASSERT_OK(trace);
  // 6 requests at a mean gap of 0.1 / 0.5 = 0.2 s: 1.2 s in all, 1 s from first to last; 8 s of the file become 1 s.
  ASSERT_EQ(trace->rows.size(), 6u);
  EXPECT_DOUBLE_EQ(trace->end_s, 1.2);
  EXPECT_EQ(trace->rows[0].time_s, 0);
  EXPECT_EQ(trace->rows[1].time_s, 0);
  EXPECT_DOUBLE_EQ(trace->rows[2].time_s, 0.5);
  EXPECT_DOUBLE_EQ(trace->rows[3].time_s, 1.0);
  EXPECT_EQ(trace->rows[0].latency_target_s, 1.0);
  EXPECT_EQ(trace->rows[2].latency_target_s, 2.0);
  EXPECT_EQ(trace->rows[5].latency_target_s, 0.5);
}

TEST_F(CameraFile, IsCutToTheLongestDurationAtTheSameLoad) {
  const auto trace = read_camera_trace(path_, 0.5, 0.1, 0.25, 0.7);
  ASSERT_OK(trace);
  EXPECT_EQ(trace->rows.size(), 3u);  // 0.7 s hold three mean gaps of 0.2 s
  EXPECT_DOUBLE_EQ(trace->end_s, 0.6);
  EXPECT_DOUBLE_EQ(trace->rows[2].time_s, 0.4);
}

TEST_F(CameraFile, RefusesBrokenFiles) {
  write("Time,Frames After Filter\n1,1\n2,1\n");
  EXPECT_THAT(read_camera_trace(path_, 0.5, 0.1, 1, 60), IsError(ErrorKind::kGarbled, HasSubstr("latency_constraint")));
  write("Time,Frames After Filter,latency_constraint\n2,1,1\n1,1,1\n");
  EXPECT_THAT(read_camera_trace(path_, 0.5, 0.1, 1, 60), IsError(ErrorKind::kGarbled, HasSubstr("goes back")));
  write("Time,Frames After Filter,latency_constraint\n2,1,1\n2,1,1\n");
  EXPECT_THAT(read_camera_trace(path_, 0.5, 0.1, 1, 60), IsError(ErrorKind::kGarbled, HasSubstr("span no time")));
  write("Time,Frames After Filter,latency_constraint\n2,1,1\n3,9,1\n4,1,1\n");
  EXPECT_THAT(read_camera_trace(path_, 0.5, 0.1, 1, 1),
              IsError(ErrorKind::kGarbled, HasSubstr("span no time; ask for more requests")));
  write("Time,Frames After Filter,latency_constraint\n2,1.5,1\n3,1,1\n");
  EXPECT_THAT(read_camera_trace(path_, 0.5, 0.1, 1, 60), IsError(ErrorKind::kGarbled, HasSubstr("no count")));
  EXPECT_THAT(read_camera_trace("/nonexistent.csv", 0.5, 0.1, 1, 60),
              IsError(ErrorKind::kNotFound, HasSubstr("nonexistent")));
}

}  // namespace
}  // namespace reins::data
