// evaluation/board_fit.hpp: fits the constants of a board file to measured rows, through the board's own physics.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "evaluation/least_squares.hpp"
#include "evaluation/measured_rows.hpp"

namespace reins::evaluation {

/// What a row's latency is of.
enum class Arrivals : std::uint8_t {
  kAlone,       ///< one batch, served alone
  kClosedLoop,  ///< `batch` clients that send again at once: while one half is served the other half waits
};

struct FitOptions {
  /// Else a shape of V(f) is fitted where rows give power at five frequencies, or at four with 16 rows, and no voltage.
  bool keep_voltages = false;
  std::optional<Arrivals> arrivals = {};      ///< of the measurement; none: the rows decide
  unsigned threads = 1;                       ///< does not change a figure
  std::function<bool(double)> progress = {};  ///< hears the share that is done, about; false: stop
};

/// One key of the board file.
struct FittedKey {
  std::string table;  ///< "cluster gpu time", "cluster gpu power", "cluster gpu", "rail 5v-in", "thermal"
  std::string key;
  double prior = 0;
  Estimate estimate;
  bool writable = true;         ///< false: in units of an image, because nobody said what one costs
  std::vector<double> numbers;  ///< of voltage_v alone: the whole list
  std::string note;             ///< for people: what the estimate of voltage_v is
};

struct BoardFit {
  boards::Board board;  ///< with what was fitted
  std::vector<FittedKey> keys;
  std::vector<Workload> workloads;
  Arrivals arrivals = Arrivals::kAlone;
  double think_s = 0;  ///< between a reply and the next request where nothing else waits: batch / throughput - latency
  double lone_s = 0;   ///< in a closed loop: host work of a request that others hide where they wait
  double latency_sigma = 0;  ///< relative, of the rows that were fitted; 0: none had one
  double power_sigma = 0;
  double temperature_sigma_c = 0;
  bool known_workload = true;  ///< of every row with a latency
  /// Clusters with power at several frequencies, but too few to tell V(f): the base's was taken, and with it the best
  /// frequency is uncertain.
  std::vector<std::string> assumed_voltages;

  /// What the fitted board makes of a row: seconds, as its latency was measured.
  double latency_s(const MeasuredRow& row) const;
  /// Watts of the row's rail or of the accounting rails; while it waits for requests too.
  double power_w(const MeasuredRow& row) const;
};

/// Fits `base` to rows. Time constants are fitted per cluster (relative residuals of the latency), then those of power
/// for all clusters and rails together (relative residuals), then heat (rows with time, temperature and heat or power).
/// What the rows cannot identify stays as `base` has it. Errors: usage (rows that identify nothing: too few; a
/// cluster without frequencies), gone (stopped by `progress`). Deterministic: threads do not change a figure.
Result<BoardFit> fit_board(const boards::Board& base, const MeasuredRows& rows, const FitOptions& options);

}  // namespace reins::evaluation
