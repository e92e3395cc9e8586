// workload/load.hpp: what to offer a server when there is no recorded trace: arrivals by rate, targets and floors that
// change.
#pragma once

#include <cstdint>
#include <vector>

#include "core/result.hpp"
#include "data/trace.hpp"

namespace reins::workload {

struct LoadConfig {
  data::Arrivals arrivals = data::Arrivals::kBursty;
  double rate_hz = 5;             ///< mean arrivals a second. 0.001..100000
  double duration_s = 30;         ///< 0.1..86400
  std::vector<double> targets_s;  ///< latency targets; several: one is drawn per segment; none: no target is set
  std::vector<double> floors;     ///< accuracy floors in [0, 1], likewise
  double segment_s = 5;           ///< mean time between goal changes, where there are several. 0.1..86400
  std::uint64_t seed = 1;
};

/// Same config, same trace. Errors: usage (a value out of its range, named as its option).
Result<data::Trace> make_load(const LoadConfig& config);

}  // namespace reins::workload
