// evaluation/fit_check.hpp: how good a fitted board is: errors on rows held out, and what its best frequency costs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluation/board_fit.hpp"

namespace reins::evaluation {

struct Split {
  MeasuredRows fitted, held_out;  ///< with the same workloads
};

/// `how`: "none"; "every-other-frequency" (of each mapping's measured frequencies the 2nd, 4th, ... are held out),
/// "other-every-other-frequency" (the 1st, 3rd, ...), or frequencies in MHz: "700,1000". Errors: usage, for anything
/// else and where no row is left or none is held out.
Result<Split> hold_out(const boards::Board& board, const MeasuredRows& rows, std::string_view how);

/// Relative errors |fitted / measured - 1| of one quantity.
struct Errors {
  std::size_t rows = 0;
  double mean = 0, median = 0, p90 = 0, worst = 0;
};

struct RowErrors {
  Errors latency, power, energy;
};
RowErrors errors_of(const BoardFit& fit, const MeasuredRows& rows);

/// What following a prediction to its best frequency costs: measured energy there over the least measured, - 1. One
/// entry per mapping, workload, batch and rail that was measured at four frequencies or more.
struct Regret {
  std::size_t groups = 0;
  double median = 0, p90 = 0, worst = 0;
};

struct Optimum {
  Regret fitted;
  /// The same of a curve with nothing to explain: a polynomial of degree 3 in log f for log energy, through the fitted
  /// rows of that entry alone (degree 2 below six of them), among the frequencies that these span.
  Regret free_curve;
  struct Group {
    MappingId mapping;
    std::size_t workload = 0;
    double batch = 1;
    std::optional<std::size_t> rail = {};  ///< what the rows' energy is of, where they name one
    std::int64_t fitted_khz = 0, measured_khz = 0;
    double regret = 0, free_regret = 0;
  };
  std::vector<Group> groups;
};

/// `all`: candidates and measured energies; `fitted`: what the free curve may see.
Optimum optimum_of(const BoardFit& fit, const MeasuredRows& all, const MeasuredRows& fitted);

}  // namespace reins::evaluation
