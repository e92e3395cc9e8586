// evaluation/json.hpp: a comparison as JSON, for machines.
#pragma once

#include <string>

#include "evaluation/report_summary.hpp"

namespace reins::evaluation {

/// Everything the table prints and every row of every cell, SI units in the keys; ends in '\n'. Keys: schema, board,
/// network, traces, summary, headlines, cells.
std::string evaluation_json(const Evaluation& evaluation);

}  // namespace reins::evaluation
