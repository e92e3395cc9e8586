// tests/workload/parts_test.cpp: bins, generated loads, and what a summary says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/rng.hpp"
#include "tests/support/matchers.hpp"
#include "workload/histogram.hpp"
#include "workload/load.hpp"
#include "workload/summary.hpp"

namespace reins::workload {
namespace {

using ::testing::HasSubstr;
using testing::IsError;
using ::testing::Not;

TEST(Histogram, EverySampleLandsInTheBinThatHoldsIt) {
  Rng rng(3);
  std::vector<double> samples;
  for (int i = 0; i < 5000; ++i) samples.push_back(0.001 * std::exp(2 * rng.normal()));
  const std::vector<Bin> bins = log_bins(samples, 8);
  std::size_t total = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    total += bins[i].count;
    EXPECT_NEAR(bins[i].high_s / bins[i].low_s, std::pow(10.0, 1.0 / 8), 1e-9);
    EXPECT_DOUBLE_EQ(bins[i].low_s, i > 0 ? bins[i - 1].high_s : bins[i].low_s);
    const auto inside = std::count_if(samples.begin(), samples.end(), [&](double x) {
      return x >= bins[i].low_s * (1 + 1e-12) && x < bins[i].high_s * (1 - 1e-12);
    });
    EXPECT_NEAR(static_cast<double>(bins[i].count), static_cast<double>(inside), 1);
  }
  EXPECT_EQ(total, samples.size());
  EXPECT_GT(bins.front().count, 0U);
  EXPECT_GT(bins.back().count, 0U);
}

TEST(Histogram, ShowsEveryCountAndABarForEachAboveZero) {
  const std::vector<double> samples = {0.001, 0.0011, 0.1};
  const std::string text = bars(log_bins(samples, 4), 10);
  EXPECT_THAT(text, HasSubstr("1.000 -     1.778 ms |##########| 2\n"));
  EXPECT_THAT(text, HasSubstr("100.000 -   177.828 ms |#####     | 1\n"));
  EXPECT_THAT(text, HasSubstr("|          | 0\n"));
  EXPECT_EQ(bars(log_bins({}, 4)), "");
}

TEST(Histogram, TakesZeroAndNegativeSamples) {
  const std::vector<double> samples = {0, -1};
  ASSERT_EQ(log_bins(samples).size(), 1U);
  EXPECT_EQ(log_bins(samples)[0].count, 2U);
}

TEST(Load, HasTheRateTargetsAndFloorsAskedFor) {
  LoadConfig config;
  config.arrivals = data::Arrivals::kPoisson;
  config.rate_hz = 50;
  config.duration_s = 100;
  config.targets_s = {0.1, 0.3};
  config.floors = {0.5, 0.7};
  const auto trace = make_load(config);
  ASSERT_OK(trace);
  EXPECT_EQ(trace->end_s, 100);
  EXPECT_NEAR(static_cast<double>(trace->rows.size()), 5000, 300);  // four standard deviations of a Poisson count
  std::set<double> targets, floors;
  for (const data::TraceRow& row : trace->rows) {
    targets.insert(row.latency_target_s.value());
    floors.insert(row.accuracy_floor.value());
  }
  EXPECT_EQ(targets, (std::set<double>{0.1, 0.3}));
  EXPECT_EQ(floors, (std::set<double>{0.5, 0.7}));
}

TEST(Load, SetsNoGoalThatWasNotAskedFor) {
  const auto trace = make_load({});
  ASSERT_OK(trace);
  for (const data::TraceRow& row : trace->rows) {
    EXPECT_FALSE(row.latency_target_s.has_value());
    EXPECT_FALSE(row.accuracy_floor.has_value());
  }
}

TEST(Load, SameSeedSameTrace) {
  LoadConfig config;
  const auto once = make_load(config), again = make_load(config);
  EXPECT_EQ(data::format_trace(*once), data::format_trace(*again));
  config.seed = 2;
  EXPECT_NE(data::format_trace(*once), data::format_trace(*make_load(config)));
}

TEST(Load, NamesTheOptionThatIsOutOfRange) {
  LoadConfig config;
  config.rate_hz = 0;
  EXPECT_THAT(make_load(config), IsError(ErrorKind::kUsage, HasSubstr("--rate")));
  config = {};
  config.duration_s = -1;
  EXPECT_THAT(make_load(config), IsError(ErrorKind::kUsage, HasSubstr("--duration")));
  config = {};
  config.targets_s = {0.1, 0};
  EXPECT_THAT(make_load(config), IsError(ErrorKind::kUsage, HasSubstr("--targets")));
  config = {};
  config.floors = {1.5};
  EXPECT_THAT(make_load(config), IsError(ErrorKind::kUsage, HasSubstr("--floors")));
  config = {};
  config.rate_hz = 0.001;
  config.duration_s = 0.1;
  EXPECT_THAT(make_load(config), IsError(ErrorKind::kUsage, HasSubstr("not one request")));
}

/// Ten requests: six served in time, one served late, one each rejected, failed and unanswered.
ReplayResult ten_requests() {
  ReplayResult result;
  result.trace = "poisson";
  result.dataset = "synthetic";
  result.duration_s = 10;
  result.server.dataset = "synthetic";
  result.server.board = "odroid-xu3";
  result.before.energy_j = 2;
  result.before.energy_source = "modelled";
  result.before.switches = 5;
  result.after = result.before;
  result.after->energy_j = 7;
  result.after->switches = 9;
  for (int i = 0; i < 10; ++i) {
    RequestRecord record;
    record.due_s = i;
    record.target_s = 0.1;
    record.label = 3;
    record.fate = Fate::kServed;
    record.latency_s = i == 6 ? 0.2 : 0.01 * (i + 1);
    record.answer.predicted = i < 5 ? 3 : 4;
    record.answer.level = 1 + i % 2;
    record.answer.mapping = "a15";
    result.records.push_back(record);
  }
  result.records[7].fate = Fate::kRejected;
  result.records[8].fate = Fate::kFailed;
  result.records[9].fate = Fate::kUnanswered;
  return result;
}

TEST(Summary, CountsEveryRequestOnce) {
  const Summary s = summarise(ten_requests());
  EXPECT_EQ(s.offered, 10U);
  EXPECT_EQ(s.served, 7U);
  EXPECT_EQ(s.late, 1U);
  EXPECT_EQ(s.rejected, 1U);
  EXPECT_EQ(s.failed, 1U);
  EXPECT_EQ(s.unanswered, 1U);
  EXPECT_EQ(s.missed, 4U);
  EXPECT_DOUBLE_EQ(s.miss_rate(), 0.4);
  EXPECT_DOUBLE_EQ(s.p50_s, 0.04) << "of 10, 20, 30, 40, 50, 60 and 200 ms";
  EXPECT_DOUBLE_EQ(s.max_s, 0.2);
  EXPECT_DOUBLE_EQ(s.accuracy(), 5.0 / 7.0);
  EXPECT_EQ(s.levels, (std::map<int, std::size_t>{{1, 4}, {2, 3}}));
  EXPECT_EQ(s.energy_j, 5) << "the trace's own, not the server's since its start";
  EXPECT_EQ(s.switches, 4U);
  EXPECT_EQ(s.switches_per_s(), 0.4);
  EXPECT_THAT(text_of(s), HasSubstr("4 switches (0.4 per second)"));
  EXPECT_EQ(nlohmann::json::parse(json_of(s))["switches_per_s"], 0.4);
}

TEST(Summary, SaysEmulatedWhereTimeOrEnergyIs) {
  ReplayResult result = ten_requests();
  EXPECT_THAT(text_of(summarise(result)), Not(HasSubstr("emulated")));
  result.server.emulated = true;
  const std::string text = text_of(summarise(result));
  EXPECT_THAT(text, HasSubstr("odroid-xu3 (emulated"));
  EXPECT_THAT(text, HasSubstr("answer, emulated"));
  EXPECT_THAT(text, HasSubstr("5 J emulated, modelled"));
  EXPECT_TRUE(nlohmann::json::parse(json_of(summarise(result)))["emulated"].get<bool>());
}

TEST(Summary, ClaimsNoEnergyWithoutFigures) {
  ReplayResult result = ten_requests();
  result.after->energy_j.reset();
  result.after->energy_source = "none";
  EXPECT_THAT(text_of(summarise(result)), HasSubstr("no energy claim: the server has no energy source"));
  EXPECT_TRUE(nlohmann::json::parse(json_of(summarise(result)))["energy_j"].is_null());
  result = ten_requests();
  result.after->energy_j = 1;
  EXPECT_EQ(summarise(result).energy_j, std::nullopt) << "less than at the start: another server";
  result.after.reset();
  EXPECT_THAT(text_of(summarise(result)), HasSubstr("no energy claim: the server gave no figures at the end"));
}

TEST(Summary, TellsNoAccuracyOnImagesOfAnotherDataSet) {
  ReplayResult result = ten_requests();
  result.server.dataset = "cifar10-jpeg";
  EXPECT_THAT(text_of(summarise(result)), HasSubstr("accuracy  not told"));
  EXPECT_TRUE(nlohmann::json::parse(json_of(summarise(result)))["accuracy"].is_null());
  result.dataset = "cifar10";
  EXPECT_TRUE(summarise(result).labels_apply);
}

TEST(Summary, JsonAndTextHoldUpAgainstOddNames) {
  ReplayResult result = ten_requests();
  result.server.board = "\x1b[2J\xff\"";
  result.records[0].answer.mapping = std::string(3000, 'm');
  EXPECT_EQ(text_of(summarise(result)).find('\x1b'), std::string::npos);
  EXPECT_NO_THROW(nlohmann::json::parse(json_of(summarise(result))));
}

TEST(Summary, OfNothingIsEmptyNotUndefined) {
  const Summary s = summarise({});
  EXPECT_EQ(s.miss_rate(), 0);
  EXPECT_EQ(s.accuracy(), 0);
  EXPECT_FALSE(text_of(s).empty());
  EXPECT_EQ(text_of(s).find("p50"), std::string::npos) << "no latency of nothing";
  EXPECT_TRUE(nlohmann::json::parse(json_of(s))["latency_s"]["p50"].is_null());
}

}  // namespace
}  // namespace reins::workload
