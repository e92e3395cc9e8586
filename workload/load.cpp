#include "workload/load.hpp"

#include <algorithm>

#include "core/csv.hpp"

namespace reins::workload {
namespace {

Status in_range(double value, double low, double high, std::string_view option) {
  if (value >= low && value <= high) return {};
  return fail(ErrorKind::kUsage,
              format_number(value) + " is outside " + format_number(low) + " to " + format_number(high), option);
}

}  // namespace

Result<data::Trace> make_load(const LoadConfig& config) {
  REINS_TRY(in_range(config.rate_hz, 0.001, 1e5, "--rate"));
  REINS_TRY(in_range(config.duration_s, 0.1, 86400, "--duration"));
  REINS_TRY(in_range(config.segment_s, 0.1, 86400, "--segment"));
  REINS_TRY(in_range(config.rate_hz * config.duration_s, 0, 1e7, "--rate x --duration, the number of requests"));
  for (const double target : config.targets_s) REINS_TRY(in_range(target, 1e-6, 3600, "--targets"));
  for (const double floor : config.floors) REINS_TRY(in_range(floor, 0, 1, "--floors"));

  // The generator speaks of loads and of multiples of a board's fastest latency; with a latency of 1 s, these are rates
  // and seconds.
  data::TraceConfig trace_config;
  trace_config.arrivals = config.arrivals;
  trace_config.load = config.rate_hz;
  trace_config.full_latency_s = 1;
  trace_config.target_factors = config.targets_s.empty() ? std::vector<double>{1} : config.targets_s;
  trace_config.floors = config.floors.empty() ? std::vector<double>{0} : config.floors;
  trace_config.segment_s = config.targets_s.size() > 1 || config.floors.size() > 1 ? config.segment_s : 0;
  trace_config.duration_s = config.duration_s;
  data::Trace trace = data::generate_trace(trace_config, config.seed);
  trace.name = std::string(name_of(config.arrivals)) + " at " + format_number(config.rate_hz) + " a second, seed " +
               std::to_string(config.seed);
  for (data::TraceRow& row : trace.rows) {
    if (config.targets_s.empty()) row.latency_target_s.reset();
    if (config.floors.empty()) row.accuracy_floor.reset();
  }
  if (trace.rows.empty()) {
    return fail(ErrorKind::kUsage, "not one request falls into this time", "--rate", "raise --rate or --duration");
  }
  return trace;
}

}  // namespace reins::workload
