// evaluation/report.hpp: the HTML report of a comparison: one file, no script, nothing fetched.
#pragma once

#include <string>
#include <vector>

#include "evaluation/report_plots.hpp"

namespace reins::evaluation {

/// The cell whose first trace shows most: floors and targets changing, load nearest 0.3, bursty before others.
std::size_t showcase_cell(const std::vector<Cell>& cells) noexcept;

/// Runs the first contender (or the Pareto look-up where there is none), Pareto, schedutil with the full network and
/// the oracle over `trace`, each with its time line.
std::vector<ReportTimeline> timelines_for(const env::World& world, const std::vector<Contender>& contenders,
                                          const data::Trace& trace, std::uint64_t seed, const CompareConfig& config);

/// `trace_title`: what the time lines show, in words.
std::string report_html(const Evaluation& evaluation, const std::vector<ReportTimeline>& timelines,
                        std::string_view trace_title, const env::World& world);

}  // namespace reins::evaluation
