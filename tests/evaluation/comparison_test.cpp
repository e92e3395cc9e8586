// The comparison on the emulated Odroid XU3: what may beat what.
#include "evaluation/comparison.hpp"

#include <set>

#include "policies/baselines.hpp"
#include "tests/evaluation/made_up.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::evaluation {
namespace {

/// One comparison for all tests here: it runs every fixed setting through every trace.
class Comparison : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto bench = testing::make_small_workbench();
    ASSERT_OK(bench);
    bench_ = std::move(*bench);
    GridConfig grid;
    grid.loads = {0.1, 0.6};
    grid.arrivals = {"poisson", "batched"};
    grid.requests = 50;
    grid.traces = 1;
    auto cells = make_grid(grid, bench_->world(), bench_->full_latency_s());
    ASSERT_OK(cells);
    auto results = compare(bench_->world(), std::move(*cells), {}, {});
    ASSERT_OK(results);
    results_ = std::move(*results);
  }
  static void TearDownTestSuite() {
    results_.clear();
    bench_.reset();
  }
  void SetUp() override { ASSERT_EQ(results_.size(), 8U); }

  static inline std::unique_ptr<Workbench> bench_;
  static inline std::vector<CellResult> results_;
};

TEST_F(Comparison, NoSettingThatIsKeptBeatsTheOracleAtEqualMisses) {
  for (const CellResult& cell : results_) {
    const Row* oracle = cell.row("oracle");
    ASSERT_NE(oracle, nullptr);
    for (const Row& row : cell.rows) {
      if (row.kind == RowKind::kOracle || row.miss_rate > oracle->miss_rate) continue;
      EXPECT_GE(row.energy_per_offered_j, oracle->energy_per_offered_j)
          << row.name << " at load " << cell.cell.load << ", " << cell.cell.arrivals << ", " << cell.cell.floors;
    }
  }
}

TEST_F(Comparison, BestStaticIsTheCheapestThatMissesAtMostOnePercentElseTheOneThatMissesLeast) {
  for (const CellResult& cell : results_) {
    const Row* best = cell.row("best static");
    ASSERT_NE(best, nullptr);
    for (const Row& row : cell.rows) {
      if (row.kind != RowKind::kStatic) continue;
      for (std::size_t t = 0; t < cell.trace_count; ++t) {
        if (best->miss_by_trace[t] > 0.01) {
          EXPECT_GE(row.miss_by_trace[t], best->miss_by_trace[t]) << row.name;
        } else if (row.miss_by_trace[t] <= 0.01) {
          EXPECT_GE(row.energy_by_trace_j[t], best->energy_by_trace_j[t]) << row.name;
        }
      }
    }
  }
}

TEST_F(Comparison, EveryRowKeepsTheFloorAndManagersRunNoHigherThanIt) {
  for (const CellResult& cell : results_) {
    for (const Row& row : cell.rows) {
      const bool full = row.name.ends_with(" full");
      if (full || row.kind == RowKind::kManager || row.kind == RowKind::kOracle) {
        EXPECT_EQ(row.floor_kept, 1) << row.name;
      }
      if (full) {
        EXPECT_NEAR(row.mean_accuracy, 0.75, 1e-12) << row.name;
      }
    }
    const Row* rule = cell.row("floor rule");
    ASSERT_NE(rule, nullptr);
    if (cell.cell.floors == "top") {
      EXPECT_NEAR(rule->mean_accuracy, 0.75, 1e-12);
    } else {
      EXPECT_LT(rule->mean_accuracy, 0.75);
    }
  }
}

TEST_F(Comparison, EveryGovernorHasARowForEitherLevelInEveryCell) {
  for (const CellResult& cell : results_) {
    for (const policies::StaticSetting& setting : policies::governor_settings(*bench_->world().board)) {
      const Row* const full = cell.row(setting.name + " full");
      const Row* const at_floor = cell.row(setting.name + " floor level");
      ASSERT_TRUE(full != nullptr && at_floor != nullptr) << setting.name;
      EXPECT_LE(at_floor->mean_accuracy, full->mean_accuracy + 1e-12);
    }
  }
}

TEST_F(Comparison, ThreadsDoNotChangeAFigure) {
  GridConfig grid;
  grid.loads = {0.3};
  grid.arrivals = {"bursty"};
  grid.requests = 20;
  grid.traces = 2;
  grid.floors = {"top"};
  std::vector<std::vector<CellResult>> results;
  for (const unsigned threads : {1U, 2U}) {
    CompareConfig config;
    config.threads = threads;
    auto cells = make_grid(grid, bench_->world(), bench_->full_latency_s());
    ASSERT_OK(cells);
    auto result = compare(bench_->world(), std::move(*cells), {}, config);
    ASSERT_OK(result);
    results.push_back(std::move(*result));
  }
  for (std::size_t c = 0; c < results[0].size(); ++c) {
    for (std::size_t r = 0; r < results[0][c].rows.size(); ++r) {
      EXPECT_EQ(results[0][c].rows[r].name, results[1][c].rows[r].name);
      EXPECT_EQ(results[0][c].rows[r].energy_by_trace_j, results[1][c].rows[r].energy_by_trace_j);
    }
  }
}

// Recorded arrivals: a trace a file and load, at that load; deadlines by this network's time over the file's; floors
// drawn here, for the files have none.
TEST(CameraGrid, ScalesTimesToTheLoadAndDeadlinesToTheNetwork) {
  const auto bench = testing::make_small_workbench();
  ASSERT_OK(bench);
  testing::SysTree tree;
  std::string text = "Time,Frames After Filter,latency_constraint\n";
  for (int second = 0; second < 40; ++second) text += std::to_string(second) + ",2,0.85\n";
  tree.put("one.csv", text).put("two.csv", text);
  const double full_s = (*bench)->full_latency_s();
  GridConfig grid;
  grid.loads = {0.1, 0.5};
  grid.arrivals = {};
  grid.targets = {"changing", "2.5"};
  grid.floors = {"top", "changing"};
  grid.requests = 60;
  grid.camera_files = {tree.path("one.csv"), tree.path("two.csv")};
  const auto cells = make_grid(grid, (*bench)->world(), full_s);
  ASSERT_OK(cells);
  ASSERT_EQ(cells->size(), 4U) << "two loads x two floors: targets are the files' own";
  const std::vector<double> floors = env::floors_of((*bench)->world());
  for (const Cell& cell : *cells) {
    EXPECT_EQ(cell.arrivals, "camera");
    EXPECT_EQ(cell.targets, "own");
    ASSERT_EQ(cell.traces.size(), 2U);
    ASSERT_EQ(cell.seeds.size(), 2U);
    EXPECT_NE(cell.seeds[0], cell.seeds[1]);
    std::set<double> drawn;
    for (const data::Trace& trace : cell.traces) {
      const double span_s = trace.rows.back().time_s - trace.rows.front().time_s;
      const double load = static_cast<double>(trace.rows.size()) * full_s / span_s;
      EXPECT_NEAR(load, cell.load, 0.1 * cell.load);
      for (const data::TraceRow& row : trace.rows) {
        EXPECT_NEAR(*row.latency_target_s, 0.85 * full_s / 0.17, 1e-9) << "InceptionV3 took 0.170 s on that board";
        drawn.insert(*row.accuracy_floor);
      }
    }
    if (cell.floors == "top") {
      EXPECT_EQ(drawn, std::set<double>{floors.back()});
    } else {
      EXPECT_GT(drawn.size(), 1U);
    }
  }
}

TEST(Saving, IsTheMeanOfThePerCellRatios) {
  const std::vector<CellResult> cells = {testing::cell_of(0.1, "top", 1.0, 0.8, 0.4, 0.6, 0.35),
                                         testing::cell_of(0.6, "top", 2.0, 1.0, 1.2, 0.8, 0.7)};
  const auto all = [](const Cell&) { return true; };
  const Saving saving = saving_over(cells, "a", "schedutil/kernel-like full", all);
  EXPECT_DOUBLE_EQ(saving.energy_ratio, (0.4 / 1.0 + 1.2 / 2.0) / 2);
  EXPECT_NEAR(saving.miss_points, 0, 1e-12);
  EXPECT_EQ(saving.cells, 2U);
  EXPECT_NEAR(saving_over(cells, "b", "best static", all).miss_points, 3, 1e-12);
  EXPECT_EQ(saving_over(cells, "a", "best static", [](const Cell& cell) { return cell.load > 0.5; }).energy_ratio, 1.2);
  EXPECT_EQ(saving_over(cells, "nobody", "best static", all).cells, 0U);
}

}  // namespace
}  // namespace reins::evaluation
