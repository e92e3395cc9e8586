// evaluation/report_summary.hpp: what a comparison found, in the figures that table, JSON and report all print.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "evaluation/comparison.hpp"

namespace reins::evaluation {

/// To milliseconds and millijoules; megahertz to kilohertz.
inline constexpr double kMilli = 1e3;

/// A comparison with what a reader must know of it.
struct Evaluation {
  std::string board, board_title, board_notes;
  bool board_provisional = false;
  bool emulated = true;                       ///< times, power and heat are the emulator's
  std::string replayed;                       ///< the profile that times and power were drawn from; empty: none
  std::string left_out;                       ///< rows that a table cannot have, and why; empty: none
  std::vector<std::string> accounting_rails;  ///< none: no energy is claimed
  std::string network, dataset;
  double full_latency_s = 0;          ///< fastest latency of the full network on this board
  std::string answers;                ///< where right and wrong answers come from; empty: validated accuracy only
  std::string traces;                 ///< how the traces came about, in words
  double ambient_c = 0, start_c = 0;  ///< the emulated air and the temperature at the start, in every trace
  double shield_ambient_c = 0;        ///< the air that the shield predicts with: the board file's
  std::uint64_t seed = 0;
  double best_static_miss = 0.01;
  double pareto_margin = 0.10;
  std::string version;
  std::vector<std::string> learned;     ///< names of the policies' rows: one per training seed
  std::vector<std::string> unshielded;  ///< the same without the shield, where asked for
  std::vector<std::string> growing;     ///< the same with answers that grow, where asked for
  std::vector<CellResult> cells;
};

/// The temperatures in one sentence.
std::string heat_in_words(const Evaluation& evaluation);

/// Mean, and sample standard deviation over `n` policies (training seeds); one policy has no spread.
struct Figure {
  double mean = 0;
  double spread = 0;
  std::size_t n = 0;
};
Figure figure_of(const std::vector<double>& samples);

/// What a row says of itself, in Row's units.
enum class Metric : std::uint8_t {
  kEnergy,
  kActiveEnergy,
  kServedEnergy,
  kMissRate,
  kP50,
  kP95,
  kP99,
  kAccuracy,
  kMeasuredAccuracy,
  kFloorKept,
  kReward,
  kSwitches,
  kInterventions,
  kTemperature,
};
inline constexpr std::size_t kMetrics = 14;
/// Stable name with its unit, e.g. "energy_per_offered_j": the key in JSON.
std::string_view name_of(Metric metric) noexcept;
/// None of latency and accuracy where nothing was served.
std::optional<double> value_of(const Row& row, Metric metric) noexcept;

/// A row over all cells that have it: unweighted means over cells; over several policies, mean and spread of those. A
/// cell in which nothing was served says nothing of latency and accuracy.
struct SummaryRow {
  std::string name, detail;
  RowKind kind = RowKind::kStatic;
  std::size_t cells = 0;  ///< it takes part in so many of the cells
  std::array<Figure, kMetrics> metrics;
  Figure to_kernel, to_best_static, to_oracle;  ///< mean of per-cell energy ratios
  const Figure& at(Metric metric) const noexcept { return metrics[static_cast<std::size_t>(metric)]; }
};

/// Name of the row that stands for the kernel: schedutil on its kernel-like placement (or on all cores) with the full
/// network.
std::string kernel_row(const std::vector<CellResult>& cells);

/// Whether a row belongs into the short table: of the governors' those on the kernel-like placement (or all cores) and
/// those on a GPU, with the full network; all that is no governor's.
bool is_main(RowKind kind, std::string_view name) noexcept;

/// Main rows (kernel-like and GPU governors with the full network, best static, floor rule, Pareto, learned, oracle),
/// or all of them. Several policies are shown each, and together as "learned (N seeds)".
std::vector<SummaryRow> summary_of(const Evaluation& evaluation, bool all_rows);

/// Savings over the cells with the given floors, changing targets (all, where none change) and loads of at most 0.6.
struct HeadlineRow {
  std::string name;
  RowKind kind = RowKind::kLearned;
  Figure to_kernel, to_best_static, to_oracle;                       ///< mean of per-cell energy ratios
  Figure miss_over_kernel, miss_over_best_static, miss_over_oracle;  ///< percentage points
};
struct Headline {
  std::string floors;
  std::vector<double> loads;
  std::size_t cells = 0;
  std::vector<HeadlineRow> rows;  ///< learned, managers, oracle (the ceiling)
};
/// The learned policies beside the profile's look-up under the same shield, in one sentence: what profile and shield
/// give, both have. Empty where one is absent.
std::string what_learning_adds(const Headline& headline);
std::vector<Headline> headlines_of(const Evaluation& evaluation);

/// Energy ratio of `names` (policies of one kind) to `base` in one cell, and the misses; n = 0 where a row is absent.
Figure ratio_in(const CellResult& cell, const std::vector<std::string>& names, std::string_view base);
Figure metric_in(const CellResult& cell, const std::vector<std::string>& names, Metric metric);

/// Several policies under one name: "learned" for one, "learned (5 seeds)" for five.
std::string group_name(const std::vector<std::string>& names, std::string_view suffix = {});

}  // namespace reins::evaluation
