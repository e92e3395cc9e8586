// tests/evaluation/made_up.hpp: comparisons with figures that can be checked by hand, and a small network on the Odroid
// XU3.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evaluation/report_summary.hpp"
#include "evaluation/workbench.hpp"
#include "inference/group_network.hpp"

namespace reins::testing {

inline evaluation::Row row_of(std::string name, evaluation::RowKind kind, double energy_j, double miss_rate) {
  evaluation::Row row;
  row.name = std::move(name);
  row.kind = kind;
  row.energy_per_offered_j = energy_j;
  row.miss_rate = miss_rate;
  row.p50_s = 0.08;
  row.p95_s = 0.10 + miss_rate;
  row.p99_s = 0.12;
  row.mean_accuracy = 0.75;
  row.offered = 100;
  row.served = 100;
  row.energy_by_trace_j = {energy_j};
  row.miss_by_trace = {miss_rate};
  return row;
}

/// schedutil and best static at `kernel_j` and `static_j`, two learned policies, oracle.
inline evaluation::CellResult cell_of(double load, std::string floors, double kernel_j, double static_j, double a_j,
                                      double b_j, double oracle_j) {
  using evaluation::RowKind;
  evaluation::CellResult result;
  result.cell.load = load;
  result.cell.arrivals = "poisson";
  result.cell.targets = "changing";
  result.cell.floors = std::move(floors);
  result.cell.seeds = {1};
  result.trace_count = 1;
  result.rows = {row_of("schedutil/all-big full", RowKind::kStatic, kernel_j * 2, 0.0),
                 row_of("schedutil/kernel-like full", RowKind::kStatic, kernel_j, 0.02),
                 row_of("best static", RowKind::kBestStatic, static_j, 0.01),
                 row_of("floor rule", RowKind::kManager, static_j, 0.01),
                 row_of("pareto", RowKind::kManager, static_j / 2, 0.05),
                 row_of("oracle", RowKind::kOracle, oracle_j, 0.01),
                 row_of("a", RowKind::kLearned, a_j, 0.02),
                 row_of("b", RowKind::kLearned, b_j, 0.04)};
  return result;
}

inline evaluation::Evaluation made_up_evaluation() {
  evaluation::Evaluation evaluation;
  evaluation.board = "toy";
  evaluation.board_title = "Toy <board> & \"co\"";
  evaluation.board_notes = "assumed: all of it";
  evaluation.board_provisional = true;
  evaluation.accounting_rails = {"big", "little"};
  evaluation.network = "net";
  evaluation.full_latency_s = 0.05;
  evaluation.traces = "two cells";
  evaluation.learned = {"a", "b"};
  evaluation.cells = {cell_of(0.1, "changing", 1.0, 0.8, 0.4, 0.6, 0.35),
                      cell_of(0.6, "changing", 2.0, 1.0, 1.2, 0.8, 0.7),
                      cell_of(0.9, "changing", 2.0, 1.0, 2.0, 2.0, 1.0)};
  return evaluation;
}

/// The default group network with made-up accuracies, on the emulated Odroid XU3.
inline Result<std::unique_ptr<evaluation::Workbench>> make_small_workbench() {
  const inference::GroupArchitecture architecture;
  inference::NetworkFacts facts;
  facts.name = "made up";
  facts.fingerprint = "0";
  for (std::int64_t level = 0; level < architecture.groups; ++level) {
    inference::LevelFacts one;
    one.layers = architecture.layers_of_level(level);
    one.accuracy = 0.6 + 0.05 * static_cast<double>(level);
    for (const LayerCost& layer : one.layers) {
      one.macs += layer.macs;
      one.bytes += layer.bytes;
    }
    facts.levels.push_back(std::move(one));
  }
  REINS_ASSIGN(boards::Board board, boards::find_board("odroid-xu3", std::string(REINS_SOURCE_DIR) + "/boards"));
  return evaluation::Workbench::make(std::move(board), std::move(facts), std::nullopt, std::nullopt);
}

}  // namespace reins::testing
