// evaluation/table_report.hpp: the tables that `reins eval` prints and the HTML report repeats.
#pragma once

#include <string>
#include <vector>

#include "evaluation/report_summary.hpp"
#include "evaluation/table.hpp"

namespace reins::evaluation {

/// What is compared and on what, one fact a line: board (emulated, provisional), rails, network, traces.
std::string preamble_text(const Evaluation& evaluation);

/// One line a policy: energy, misses, latencies, accuracy, reward, and energy relative to kernel, best static and
/// oracle.
Table summary_table(const Evaluation& evaluation, bool all_rows);
/// Savings of one headline, one line a policy.
Table headline_table(const Headline& headline);
/// "Savings, floors changing: mean of the per-cell ratios over 9 cells, loads 0.1, 0.3, 0.6".
std::string headline_title(const Headline& headline);
/// One line a cell of the grid, the ceiling beside what was reached.
Table cells_table(const Evaluation& evaluation);

/// What the words in the tables mean, for who sees them for the first time.
struct Term {
  std::string word, meaning;
};
std::vector<Term> terms_of(const Evaluation& evaluation);

/// All of the above, as `reins eval` prints it.
std::string evaluation_text(const Evaluation& evaluation, bool all_rows);

}  // namespace reins::evaluation
