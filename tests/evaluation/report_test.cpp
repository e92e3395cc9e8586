#include "evaluation/report.hpp"

#include <gtest/gtest.h>

#include <regex>

#include "evaluation/report_svg.hpp"
#include "policies/baselines.hpp"
#include "tests/evaluation/made_up.hpp"
#include "tests/support/matchers.hpp"

namespace reins::evaluation {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Every element that is opened is closed, in order; what HTML leaves open (and what closes itself) is skipped.
bool is_balanced(const std::string& html, std::string* what) {
  const std::vector<std::string> kVoid = {"meta", "input", "br", "!doctype"};
  std::vector<std::string> open;
  const std::regex tag("<(/?)([!a-zA-Z0-9]+)([^<>]*)>");
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    const std::string rest = (*it)[3];
    if (std::find(kVoid.begin(), kVoid.end(), name) != kVoid.end() || rest.ends_with('/')) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
      continue;
    }
    if (open.empty() || open.back() != name) {
      *what = "</" + name + "> closes " + (open.empty() ? "nothing" : open.back());
      return false;
    }
    open.pop_back();
  }
  *what = open.empty() ? "" : "never closed: " + open.back();
  return open.empty();
}

/// A tiny comparison on the emulated XU3, shared by the tests below.
class ReportOnXu3 : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto bench = testing::make_small_workbench();
    ASSERT_OK(bench);
    bench_ = std::move(*bench);
    const env::World world = bench_->world();
    GridConfig grid;
    grid.loads = {0.3};
    grid.arrivals = {"poisson"};
    grid.requests = 40;
    grid.traces = 1;
    auto cells = make_grid(grid, world, bench_->full_latency_s());
    ASSERT_OK(cells);
    const std::size_t shown = showcase_cell(*cells);
    EXPECT_EQ((*cells)[shown].floors, "changing");
    const data::Trace trace = (*cells)[shown].traces.front();
    contenders_ = {{"stand-in <1>", RowKind::kLearned, true, [world](const env::Foresight&) {
                      return std::make_unique<policies::ParetoPolicy>(*world.space, *world.profile, 0.05);
                    }}};
    CompareConfig config;
    config.statics = false;
    timelines_ = timelines_for(world, contenders_, trace, 7, config);
    auto results = compare(world, std::move(*cells), contenders_, config);
    ASSERT_OK(results);
    evaluation_ = testing::made_up_evaluation();
    evaluation_.learned = {"stand-in <1>"};
    evaluation_.cells = std::move(*results);
    html_ = report_html(evaluation_, timelines_, "a trace", world);
  }
  static void TearDownTestSuite() { bench_.reset(); }

  static std::unique_ptr<Workbench> bench_;
  static std::vector<Contender> contenders_;
  static std::vector<ReportTimeline> timelines_;
  static Evaluation evaluation_;
  static std::string html_;
};
std::unique_ptr<Workbench> ReportOnXu3::bench_;
std::vector<Contender> ReportOnXu3::contenders_;
std::vector<ReportTimeline> ReportOnXu3::timelines_;
Evaluation ReportOnXu3::evaluation_;
std::string ReportOnXu3::html_;

TEST_F(ReportOnXu3, IsOneFileThatFetchesNothing) {
  for (const char* outside : {"http://", "https://", "src=", "@import", "<script", "<link", "url(\"", "url('"}) {
    EXPECT_THAT(html_, Not(HasSubstr(outside)));
  }
}

TEST_F(ReportOnXu3, IsBalancedAndEscapesWhatComesFromOutside) {
  std::string what;
  EXPECT_TRUE(is_balanced(html_, &what)) << what;
  EXPECT_THAT(html_, HasSubstr("Toy &lt;board&gt; &amp; &quot;co&quot;"));
  EXPECT_THAT(html_, Not(HasSubstr("stand-in <1>")));
}

TEST_F(ReportOnXu3, DrawsNoCoordinateThatIsNoNumber) {
  EXPECT_THAT(html_, Not(HasSubstr("nan")));
  EXPECT_THAT(html_, Not(HasSubstr("\"inf")));
  EXPECT_EQ(html_.find("cx=\"-\""), std::string::npos);
}

TEST_F(ReportOnXu3, DrawsSavingsAndMissesOfEveryRowShown) {
  const std::size_t from = html_.find("Savings and misses per load");
  ASSERT_NE(from, std::string::npos);
  const std::string figure = html_.substr(from, html_.find("</figure>", from) - from);
  EXPECT_THAT(figure, HasSubstr("floors changing: requests missed, %"));
  const auto count = [&figure](const std::string& text) {
    std::size_t n = 0;
    for (std::size_t at = figure.find(text); at != std::string::npos; at = figure.find(text, at + 1)) ++n;
    return n;
  };
  // Savings against schedutil (best static was not searched here) and misses, for both kinds of floors; and the legend.
  for (const char* bar : {"\"b1\"", "\"b2\"", "\"b4\""}) EXPECT_EQ(count(bar), 2 * 2 + 1U) << bar;
  for (const CellResult& cell : evaluation_.cells) {
    const Row* row = cell.row("pareto, shield");
    ASSERT_NE(row, nullptr);
    char shown[64];
    std::snprintf(shown, sizeof shown, "pareto, shield: %.1f %%", 100 * row->miss_rate);
    EXPECT_THAT(figure, HasSubstr(shown));
  }
}

TEST_F(ReportOnXu3, HasATimeLineOfEachPolicyOnTheSameAxes) {
  ASSERT_EQ(timelines_.size(), 4U);
  EXPECT_EQ(timelines_[0].name, "stand-in <1>");
  EXPECT_EQ(timelines_[2].name, "schedutil/kernel-like full");
  EXPECT_EQ(timelines_[3].name, "oracle");
  for (std::size_t i = 0; i < timelines_.size(); ++i) {
    EXPECT_THAT(html_, HasSubstr("id=\"sheet" + std::to_string(i) + "\""));
    EXPECT_GT(timelines_[i].result.timeline.size(), 40U);
  }
}

TEST_F(ReportOnXu3, MarksEveryMissAndEveryReplyOfATimeLine) {
  const std::string html = timeline_figure({timelines_[0]}, bench_->world());
  std::size_t late = 0, in_time = 0;
  for (const env::TimelinePoint& point : timelines_[0].result.timeline) {
    if (point.reply) ++(point.missed ? late : in_time);
  }
  auto count = [&](const std::string& text) {
    std::size_t n = 0;
    for (std::size_t at = html.find(text); at != std::string::npos; at = html.find(text, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("class=\"miss\""), late);
  EXPECT_EQ(count("class=\"m3\""), in_time);
  EXPECT_EQ(late + in_time, timelines_[0].result.served);
}

TEST(ShowcaseCell, PrefersChangingGoalsAndBurstsAtAMiddlingLoad) {
  std::vector<Cell> cells(4);
  for (Cell& cell : cells) cell.traces.resize(1);
  cells[0] = {0.3, "bursty", "5x", "top", {data::Trace{}}, {1}};
  cells[1] = {0.9, "bursty", "changing", "changing", {data::Trace{}}, {1}};
  cells[2] = {0.3, "bursty", "changing", "changing", {data::Trace{}}, {1}};
  cells[3] = {0.3, "poisson", "changing", "changing", {data::Trace{}}, {1}};
  EXPECT_EQ(showcase_cell(cells), 2U);
}

TEST(Axis, LinearTicksAreRoundAndCoverTheRange) {
  const Axis axis = Axis::linear(0, 1870, 5);
  EXPECT_EQ(axis.low, 0);
  EXPECT_EQ(axis.high, 2000);
  ASSERT_EQ(axis.ticks.size(), 5U);
  EXPECT_EQ(axis.ticks[1].label, "500");
  EXPECT_DOUBLE_EQ(axis.place(500), 0.25);
  const Axis fine = Axis::linear(0, 0.3, 3);
  EXPECT_EQ(fine.ticks.at(1).label, "0.1");
}

TEST(Axis, LogarithmicTicksAreOneTwoFive) {
  const Axis axis = Axis::logarithmic(40, 600);
  std::vector<double> values;
  for (const Axis::Tick& tick : axis.ticks) values.push_back(tick.value);
  EXPECT_EQ(values, (std::vector<double>{50, 100, 200, 500}));
  EXPECT_NEAR(axis.place(axis.low), 0, 1e-12);
  EXPECT_NEAR(axis.place(axis.high), 1, 1e-12);
}

TEST(Axis, AnEmptyRangeStillHasAPlaceForItsValue) {
  const Axis axis = Axis::linear(3, 3, 4);
  EXPECT_GE(axis.place(3), 0);
  EXPECT_LE(axis.place(3), 1);
  EXPECT_FALSE(axis.ticks.empty());
}

}  // namespace
}  // namespace reins::evaluation
