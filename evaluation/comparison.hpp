// evaluation/comparison.hpp: policies side by side on the same traces and seeds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/board_env.hpp"
#include "env/foresight.hpp"
#include "policies/policy.hpp"

namespace reins::evaluation {

/// What a row of a table is.
enum class RowKind : std::uint8_t { kStatic, kBestStatic, kManager, kLearned, kOracle };
/// Row of the Pareto look-up under the shield that the learned policies have.
inline constexpr std::string_view kShieldedPareto = "pareto, shield";
std::string_view name_of(RowKind kind) noexcept;

/// One policy on one or more traces. Means over traces are unweighted; latencies are pooled.
struct Row {
  std::string name;
  RowKind kind = RowKind::kStatic;
  std::string detail;               ///< which setting the best static is, ...
  double energy_per_offered_j = 0;  ///< accounting rails, idle included; see env::EpisodeResult
  double active_energy_per_offered_j = 0;
  double energy_per_served_j = 0;
  double miss_rate = 0;
  double p50_s = 0, p95_s = 0, p99_s = 0;
  double mean_accuracy = 0;         ///< validated accuracy of the levels served
  double measured_accuracy = 0;     ///< right answers of the recorded table over served requests
  double floor_kept = 1;            ///< share of served requests at or above the floor
  double reward = 0;                ///< per offered request
  double switches = 0;              ///< per offered request
  double shield_interventions = 0;  ///< per offered request
  double offered = 0, served = 0;
  double max_temperature_c = 0;
  std::vector<double> energy_by_trace_j, miss_by_trace;  ///< one entry a trace, in the cell's order
};

/// Traces that share their place in the grid.
struct Cell {
  double load = 0;
  std::string arrivals;  ///< periodic, poisson, bursty, batched, camera
  std::string targets;   ///< "1.1x", ..., "changing"
  std::string floors;    ///< "L1".."LN" constant, "changing", "top"
  std::vector<data::Trace> traces;
  std::vector<std::uint64_t> seeds;  ///< of board noise and images, one a trace
};

/// A policy that takes part. `make` is called once per trace and thread.
struct Contender {
  std::string name;
  RowKind kind = RowKind::kLearned;
  bool shield = false;  ///< false: off, whatever `runtime` says
  std::function<std::unique_ptr<policies::Policy>(const env::Foresight&)> make;
  /// What it was trained under; absent: CompareConfig's, as for every baseline.
  std::optional<control::RuntimeConfig> runtime = {};
  std::optional<env::RewardConfig> reward = {};
};

struct CellResult {
  Cell cell;  ///< its traces are dropped to save memory; their number stays in `trace_count`
  std::size_t trace_count = 0;
  std::vector<Row> rows;
  const Row* row(std::string_view name) const noexcept;
};

struct CompareConfig {
  control::RuntimeConfig runtime;  ///< of the baselines and the oracle; all but "pareto, shield" without its shield
  env::RewardConfig reward;        ///< likewise
  bool statics = true;             ///< search best static and floor rule over all fixed settings
  double best_static_miss = 0.01;  ///< best static: the cheapest that misses at most this
  double pareto_margin = 0.10;
  unsigned threads = 1;
  std::function<bool(double fraction)> progress;  ///< returns false to stop; may be empty
};

/// The board's conditions in every trace of a comparison: the noise alone differs.
env::BoardConditions conditions_of(std::uint64_t seed);

/// Runs the governors on their placements, best static, floor rule, Pareto look-up, oracle and the contenders over
/// every cell. Deterministic: the number of threads does not change a figure. Errors: usage (a cell without traces),
/// gone (stopped).
Result<std::vector<CellResult>> compare(const env::World& world, std::vector<Cell> cells,
                                        const std::vector<Contender>& contenders, const CompareConfig& config);

/// Which part of the grid to draw.
struct GridConfig {
  std::vector<double> loads{0.1, 0.3, 0.6, 0.9};
  std::vector<std::string> arrivals{"periodic", "poisson", "bursty"};
  std::vector<std::string> targets{"changing"};        ///< "1.1" "1.5" "2.5" "5" or "changing"
  std::vector<std::string> floors{"changing", "top"};  ///< "drawn" (constant, drawn per trace), "changing", "top"
  double requests = 300;                               ///< per trace
  std::size_t traces = 3;                              ///< per cell
  std::uint64_t seed = 1000;                           ///< held-out seeds begin here; training draws from others
  std::vector<std::filesystem::path> camera_files;     ///< adds the arrivals "camera": one trace a file and load
  double camera_reference_s =
      0.170;  ///< InceptionV3's fastest latency at batch 1 on the slowest board behind the files (Jetson Nano), s
};

/// `full_latency_s`: the board's fastest full-network latency.
Result<std::vector<Cell>> make_grid(const GridConfig& config, const env::World& world, double full_latency_s);

/// Unweighted mean over cells of the ratio row/base of energy per offered request, and of the misses; absent rows are
/// skipped.
struct Saving {
  double energy_ratio = 1;  ///< mean of per-cell ratios
  double miss_points = 0;   ///< mean of (row - base), in percentage points
  std::size_t cells = 0;
};
Saving saving_over(const std::vector<CellResult>& cells, std::string_view row, std::string_view base,
                   const std::function<bool(const Cell&)>& take);

/// One timeline for the report: the contender (or "oracle", "schedutil...") on the given trace.
env::EpisodeResult timeline_of(const env::World& world, const Contender& contender, const data::Trace& trace,
                               std::uint64_t seed, const CompareConfig& config);

}  // namespace reins::evaluation
