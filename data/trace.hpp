// data/trace.hpp: requests over time with the goals in force, their CSV file, and the seeded generator of traces.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins::data {

/// One request and the goals in force when it is made. Absent goals stay as they were.
struct TraceRow {
  double time_s = 0;
  int app = 0;
  std::optional<double> latency_target_s;
  std::optional<double> energy_budget_j;
  std::optional<double> power_w;
  std::optional<double> accuracy_floor;
};

/// Rows ascend in time. Nobody asks for anything behind `end_s`.
struct Trace {
  std::string name;
  double end_s = 0;
  std::vector<TraceRow> rows;
};

/// CSV: time_s, app, and optional columns latency_target_s, energy_budget_j, power_w, accuracy_floor; the comment
/// "end_s = X". Without that comment the trace ends one mean gap behind its last request.
Result<Trace> read_trace(const std::filesystem::path& path);
Result<Trace> parse_trace(std::string_view text, std::string_view where);
std::string format_trace(const Trace& trace);

enum class Arrivals : std::uint8_t { kPeriodic, kPoisson, kBursty, kBatched };
inline constexpr std::array kArrivals{Arrivals::kPeriodic, Arrivals::kPoisson, Arrivals::kBursty, Arrivals::kBatched};
inline constexpr double kMeanBatch = 12;
std::string_view name_of(Arrivals arrivals) noexcept;
std::optional<Arrivals> arrivals_named(std::string_view name) noexcept;

/// What a generated trace looks like. Times are in seconds of the board that it is made for.
struct TraceConfig {
  Arrivals arrivals = Arrivals::kPoisson;
  double load = 0.3;            ///< mean arrival rate x full-network time at the top frequency
  double full_latency_s = 0.1;  ///< fastest full-network latency of the board
  std::vector<double> target_factors{
      2.5};                       ///< latency targets as multiples of full_latency_s; several: one is drawn per segment
  std::vector<double> floors{0};  ///< accuracy floors; several: one is drawn per segment
  double segment_s =
      0;  ///< mean length of a segment with constant goals (drawn exponential, at least a quarter); 0: the whole trace
  double duration_s = 60;
  int app = 0;
};

/// Same config and seed, same trace, on every machine. Bursty: a two-state Markov-modulated Poisson process whose
/// bursts run at `3 x` the mean rate for a quarter of the time and whose lulls make up for it. Batched: frames at a
/// fixed period bring several requests at once, kMeanBatch on average (geometric). Every row carries its goals; floors
/// that are all 0 are left out. The arrivals do not depend on the goals. load, full_latency_s and duration_s are
/// positive.
Trace generate_trace(const TraceConfig& config, std::uint64_t seed);

/// Camera arrivals (columns Time, Frames After Filter, latency_constraint): a row is its number of requests at that
/// time. Times are scaled so that the load is `load`; deadlines by `deadline_scale` (this network's fastest latency
/// over that of the network behind the file). At most `max_duration_s` long: the first requests are taken, and the
/// scale follows from their span, so that the load holds. Reads the files that shared/measured/loudva_jetson/scenarios
/// holds.
Result<Trace> read_camera_trace(const std::filesystem::path& path, double load, double full_latency_s,
                                double deadline_scale, double max_duration_s);

}  // namespace reins::data
