// evaluation/measured_rows.hpp: measured rows of a board, as `reins board fit` reads them (docs/board-fit.md).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boards/board.hpp"
#include "core/csv.hpp"
#include "core/layer_cost.hpp"

namespace reins::evaluation {

/// What one image costs. Where nobody said, one image is the unit: macs = bytes = launches = 1.
struct Workload {
  std::vector<LayerCost> layers;
  bool known = false;
};

struct MeasuredRow {
  std::string place;  ///< "<file>:<line>"
  MappingId mapping;
  OppId opp;
  std::size_t workload = 0;  ///< in MeasuredRows::workloads
  double batch = 1;
  std::optional<double> busy_cores;  ///< without latency: what the power is of; 0 idle
  std::optional<double> latency_s, power_w, energy_j, throughput_per_s, temperature_c, voltage_v, time_s, heat_w;
  std::optional<std::size_t> rail;  ///< what the power is of; none: the accounting rails
};

struct MeasuredRows {
  std::vector<Workload> workloads;
  std::vector<MeasuredRow> rows;
  std::vector<std::string> unread;  ///< the file's columns that nothing was taken from
  /// Rows whose energy is not power x latency within 5 %, and what the first of them says; power is what is fitted.
  std::size_t disagreeing = 0;
  std::string disagreement;
};

struct RowOptions {
  std::map<std::string, std::string> columns;              ///< ours -> the file's
  std::vector<std::pair<std::string, std::string>> where;  ///< column, text: other rows are passed over
  std::string mapping;                                     ///< of all rows, where the file has no column for it
  std::string rail;                                        ///< likewise; empty: the accounting rails
  std::optional<Workload> workload;                        ///< of rows that do not say their own
  std::vector<Workload> levels;                            ///< of rows with `level`, 1..N
  bool new_frequencies = false;  ///< the measured clusters get the file's frequencies for operating points
};

/// "latency_s=Latency, freq_hz=Frequency" -> ours -> the file's. Errors: usage, for a name that is none of ours.
Result<std::map<std::string, std::string>> parse_columns(std::string_view text);
/// The columns that rows may have, for help and errors.
std::string known_columns();

/// Reads rows for `board`, whose operating points change with `new_frequencies` (voltages drawn through the old ones).
/// A frequency within 0.5 % of an operating point is that one. Errors: garbled (a missing column, text, a number that
/// cannot be, a power, energy and latency apart by a factor of two or more; with file and line), mismatch (a mapping,
/// rail, level or frequency that the board lacks).
Result<MeasuredRows> read_rows(const CsvTable& table, boards::Board& board, const RowOptions& options);

}  // namespace reins::evaluation
