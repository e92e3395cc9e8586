// evaluation/report_plots.hpp: the report's three figures: time line, latency-energy-accuracy front, savings per load.
#pragma once

#include <string>
#include <vector>

#include "evaluation/report_summary.hpp"

namespace reins::evaluation {

/// One policy on the trace that the report shows.
struct ReportTimeline {
  std::string name;
  env::EpisodeResult result;
};

/// Stacked panels over one time axis: level, mapping, frequency, latency against target, power, temperature. All
/// policies share the axes; radio buttons choose which one is drawn (no script).
std::string timeline_figure(const std::vector<ReportTimeline>& timelines, const env::World& world);

/// p95 latency against energy per request, one mark a row, its colour the mean accuracy; the profile's points behind.
std::string front_figure(const Evaluation& evaluation, const env::World& world);

/// Bars of energy saved per load, against schedutil and best static, for changing and top floors; the oracle's ceiling
/// as a line.
std::string savings_figure(const Evaluation& evaluation);

}  // namespace reins::evaluation
