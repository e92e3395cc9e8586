#include "evaluation/report_summary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/evaluation/made_up.hpp"

namespace reins::evaluation {
namespace {

const SummaryRow* find(const std::vector<SummaryRow>& rows, std::string_view name) {
  const auto at = std::find_if(rows.begin(), rows.end(), [&](const SummaryRow& row) { return row.name == name; });
  return at == rows.end() ? nullptr : &*at;
}

TEST(Summary, AveragesOverCellsUnweightedAndSpreadsOverPolicies) {
  const auto rows = summary_of(testing::made_up_evaluation(), false);
  const SummaryRow* a = find(rows, "a");
  const SummaryRow* both = find(rows, "learned (2 seeds)");
  ASSERT_NE(a, nullptr);
  ASSERT_NE(both, nullptr);
  EXPECT_NEAR(a->at(Metric::kEnergy).mean, (0.4 + 1.2 + 2.0) / 3, 1e-12);
  EXPECT_EQ(a->at(Metric::kEnergy).n, 1U);
  const double b_mean = (0.6 + 0.8 + 2.0) / 3;
  EXPECT_NEAR(both->at(Metric::kEnergy).mean, (1.2 + b_mean) / 2, 1e-12);
  EXPECT_NEAR(both->at(Metric::kEnergy).spread, std::abs(1.2 - b_mean) / std::sqrt(2.0), 1e-12);
  EXPECT_EQ(both->at(Metric::kEnergy).n, 2U);
  // A mean of ratios, not a ratio of means.
  EXPECT_NEAR(a->to_kernel.mean, (0.4 / 1.0 + 1.2 / 2.0 + 2.0 / 2.0) / 3, 1e-12);
}

TEST(Summary, PutsTheOracleLastAndNamesOnlyMainRowsUnlessAskedForAll) {
  const Evaluation evaluation = testing::made_up_evaluation();
  const auto main_rows = summary_of(evaluation, false);
  EXPECT_EQ(main_rows.back().name, "oracle");
  EXPECT_EQ(find(main_rows, "schedutil/all-big full"), nullptr);
  EXPECT_NE(find(summary_of(evaluation, true), "schedutil/all-big full"), nullptr);
}

TEST(Summary, SaysInHowManyCellsARowTookPart) {
  Evaluation evaluation = testing::made_up_evaluation();
  std::erase_if(evaluation.cells[1].rows, [](const Row& row) { return row.name == "pareto"; });
  const auto rows = summary_of(evaluation, false);
  ASSERT_NE(find(rows, "pareto"), nullptr);
  EXPECT_EQ(find(rows, "pareto")->cells, 2U);
}

TEST(Headlines, TakeLoadsUpToSixTenthsAndEachKindOfFloorByItself) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.cells.push_back(testing::cell_of(0.3, "top", 1.0, 1.0, 0.7, 0.7, 0.6));
  const auto headlines = headlines_of(evaluation);
  ASSERT_EQ(headlines.size(), 2U);
  EXPECT_EQ(headlines[0].floors, "changing");
  EXPECT_EQ(headlines[0].cells, 2U);
  EXPECT_EQ(headlines[0].loads, (std::vector<double>{0.1, 0.6}));
  const HeadlineRow& learned = headlines[0].rows.front();
  EXPECT_EQ(learned.kind, RowKind::kLearned);
  // a: (0.4 + 0.6) / 2 = 0.5; b: (0.6 + 0.4) / 2 = 0.5 of schedutil's energy.
  EXPECT_NEAR(learned.to_kernel.mean, 0.5, 1e-12);
  EXPECT_NEAR(learned.to_kernel.spread, 0, 1e-12);
  // a misses as many as schedutil, b 2 points more.
  EXPECT_NEAR(learned.miss_over_kernel.mean, 1.0, 1e-9);
  EXPECT_EQ(headlines[0].rows.back().kind, RowKind::kOracle);
  EXPECT_NEAR(headlines[0].rows.back().to_best_static.mean, (0.35 / 0.8 + 0.7) / 2, 1e-12);
  EXPECT_EQ(headlines[1].floors, "top");
}

TEST(Headlines, LeaveConstantTargetsOutWhereSomeChange) {
  Evaluation evaluation = testing::made_up_evaluation();
  evaluation.cells[1].cell.targets = "5x";
  EXPECT_EQ(headlines_of(evaluation).at(0).cells, 1U);
  for (CellResult& cell : evaluation.cells) cell.cell.targets = "5x";
  EXPECT_EQ(headlines_of(evaluation).at(0).cells, 2U);
}

TEST(Learning, IsComparedWithTheLookUpUnderTheSameShield) {
  Headline headline;
  auto row = [](std::string name, RowKind kind, double to_kernel, double miss_points) {
    HeadlineRow row;
    row.name = std::move(name);
    row.kind = kind;
    row.to_kernel = figure_of({to_kernel});
    row.miss_over_kernel = figure_of({miss_points});
    return row;
  };
  headline.rows = {row("learned", RowKind::kLearned, 0.50, -1)};
  EXPECT_EQ(what_learning_adds(headline), "") << "nothing to compare with";
  headline.rows.push_back(row("pareto", RowKind::kManager, 0.1, 9));
  headline.rows.push_back(row("pareto, shield", RowKind::kManager, 0.53, 0.5));
  EXPECT_THAT(what_learning_adds(headline),
              ::testing::EndsWith(": 3.0 points more saved below schedutil, 1.50 points fewer missed"));
  headline.rows[0] = row("learned", RowKind::kLearned, 0.55, 0.75);
  EXPECT_THAT(what_learning_adds(headline),
              ::testing::EndsWith(": 2.0 points less saved below schedutil, 0.25 points more missed"));
}

TEST(MainRows, AreThoseOfAUsersKernelAndOfAUsersGpu) {
  for (const char* name : {"ondemand/kernel-like full", "schedutil/all-cores full", "schedutil/one-cluster full",
                           "simple_ondemand/gpu full", "nvhost_podgov/igpu full"})
    EXPECT_TRUE(is_main(RowKind::kStatic, name)) << name;
  for (const char* name :
       {"ondemand/all-big full", "ondemand/kernel-like floor level", "simple_ondemand/gpu floor level"})
    EXPECT_FALSE(is_main(RowKind::kStatic, name)) << name;
  EXPECT_TRUE(is_main(RowKind::kOracle, "oracle"));
}

TEST(KernelRow, IsAllCoresWhereABoardHasOneCluster) {
  CellResult cell;
  cell.rows = {testing::row_of("schedutil/all-cores full", RowKind::kStatic, 1, 0)};
  EXPECT_EQ(kernel_row({cell}), "schedutil/all-cores full");
  cell.rows = {testing::row_of("schedutil/one-cluster full", RowKind::kStatic, 1, 0)};
  EXPECT_EQ(kernel_row({cell}), "schedutil/one-cluster full");
  EXPECT_EQ(kernel_row(testing::made_up_evaluation().cells), "schedutil/kernel-like full");
}

}  // namespace
}  // namespace reins::evaluation
