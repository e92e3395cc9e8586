#include "data/trace.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/assert.hpp"
#include "core/csv.hpp"
#include "core/file.hpp"
#include "core/rng.hpp"
#include "core/text.hpp"

namespace reins::data {
namespace {

constexpr std::size_t kMaxRows = 20'000'000;

struct Column {
  std::string_view name;
  std::optional<double> TraceRow::*member;
  double low, high;
};
constexpr std::array<Column, 4> kGoals{{{"latency_target_s", &TraceRow::latency_target_s, 1e-9, 1e6},
                                        {"energy_budget_j", &TraceRow::energy_budget_j, 1e-12, 1e9},
                                        {"power_w", &TraceRow::power_w, 1e-9, 1e6},
                                        {"accuracy_floor", &TraceRow::accuracy_floor, 0, 1}}};

/// The text behind "key = " in a comment of that form.
std::optional<std::string_view> comment_value(const CsvTable& table, std::string_view key) {
  for (const std::string_view comment : table.comments()) {
    const auto equals = comment.find('=');
    if (equals == std::string_view::npos) continue;
    if (trim(comment.substr(0, equals)) == key) return trim(comment.substr(equals + 1));
  }
  return std::nullopt;
}

Result<double> number_in(const CsvTable& table, std::size_t row, std::string_view column, double low, double high) {
  REINS_ASSIGN(const double value, table.number(row, column));
  if (value < low || value > high) {
    return fail(ErrorKind::kGarbled,
                std::string(column) + " is " + format_number(value) + ", outside " + format_number(low) + " to " +
                    format_number(high),
                table.place(row));
  }
  return value;
}

}  // namespace

Result<Trace> parse_trace(std::string_view text, std::string_view where) {
  REINS_ASSIGN(const CsvTable table, CsvTable::parse(text, where));
  for (const std::string& column : table.columns()) {
    const bool known =
        column == "time_s" || column == "app" ||
        std::any_of(kGoals.begin(), kGoals.end(), [&](const Column& goal) { return goal.name == column; });
    if (!known) {
      return fail(ErrorKind::kGarbled, "unknown column '" + column + "'", where,
                  "known: time_s, app, latency_target_s, energy_budget_j, power_w, accuracy_floor");
    }
  }
  if (table.rows() == 0) return fail(ErrorKind::kGarbled, "a trace needs at least one request", where);
  Trace trace;
  trace.name = comment_value(table, "name").value_or(std::filesystem::path(where).stem().native());
  trace.rows.reserve(table.rows());
  for (std::size_t i = 0; i < table.rows(); ++i) {
    TraceRow row;
    REINS_ASSIGN(row.time_s, number_in(table, i, "time_s", 0, 1e9));
    if (!trace.rows.empty() && row.time_s < trace.rows.back().time_s) {
      return fail(ErrorKind::kGarbled, "time_s goes back", table.place(i), "sort the rows by time");
    }
    REINS_ASSIGN(const long long app, table.integer(i, "app"));
    if (app < 0 || app > 1'000'000) return fail(ErrorKind::kGarbled, "app is no application number", table.place(i));
    row.app = static_cast<int>(app);
    for (const Column& goal : kGoals) {
      if (!table.present(i, goal.name)) continue;
      REINS_ASSIGN(row.*goal.member, number_in(table, i, goal.name, goal.low, goal.high));
    }
    trace.rows.push_back(row);
  }
  const double first_s = trace.rows.front().time_s;
  const double last_s = trace.rows.back().time_s;
  if (const auto end = comment_value(table, "end_s")) {
    REINS_ASSIGN(trace.end_s, parse_number(*end, where));
    if (trace.end_s < last_s) return fail(ErrorKind::kGarbled, "end_s lies before the last request", where);
  } else {
    const double gaps = static_cast<double>(trace.rows.size() - 1);
    trace.end_s = last_s + (gaps > 0 ? (last_s - first_s) / gaps : 1.0);
  }
  return trace;
}

Result<Trace> read_trace(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string text, read_file(path, std::size_t{1} << 30));
  return parse_trace(text, path.native());
}

std::string format_trace(const Trace& trace) {
  std::array<bool, kGoals.size()> used{};
  for (const TraceRow& row : trace.rows) {
    for (std::size_t g = 0; g < kGoals.size(); ++g) used[g] = used[g] || (row.*kGoals[g].member).has_value();
  }
  std::string text = "# name = " + trace.name + "\n# end_s = " + format_number(trace.end_s) + "\ntime_s,app";
  for (std::size_t g = 0; g < kGoals.size(); ++g) {
    if (used[g]) (text += ',') += kGoals[g].name;
  }
  text += '\n';
  for (const TraceRow& row : trace.rows) {
    ((text += format_number(row.time_s)) += ',') += std::to_string(row.app);
    for (std::size_t g = 0; g < kGoals.size(); ++g) {
      if (!used[g]) continue;
      text += ',';
      if (const auto& value = row.*kGoals[g].member) text += format_number(*value);
    }
    text += '\n';
  }
  return text;
}

std::string_view name_of(Arrivals arrivals) noexcept {
  constexpr std::array<std::string_view, kArrivals.size()> kNames{"periodic", "poisson", "bursty", "batched"};
  return kNames[static_cast<std::size_t>(arrivals)];
}

std::optional<Arrivals> arrivals_named(std::string_view name) noexcept {
  for (const Arrivals arrivals : kArrivals) {
    if (name_of(arrivals) == name) return arrivals;
  }
  return std::nullopt;
}

namespace {

/// Times of the requests in [0, duration).
std::vector<double> arrival_times(const TraceConfig& config, Rng rng) {
  const double mean_gap_s = config.full_latency_s / config.load;
  std::vector<double> times;
  if (config.arrivals == Arrivals::kPeriodic || config.arrivals == Arrivals::kBatched) {
    const bool batched = config.arrivals == Arrivals::kBatched;
    const double period_s = mean_gap_s * (batched ? kMeanBatch : 1);
    const double phase_s = rng.uniform() * period_s;
    for (std::size_t i = 0; times.size() < kMaxRows; ++i) {
      const double time_s = phase_s + static_cast<double>(i) * period_s;
      if (time_s >= config.duration_s) break;
      do {
        times.push_back(time_s);
      } while (batched && rng.uniform() >= 1 / kMeanBatch);
    }
    return times;
  }
  // Markov-modulated Poisson process. Bursts: 3 x the mean rate for a quarter of the time; lulls: 1/3 of it for the
  // rest, so that 3 * 1/4 + 1/3 * 3/4 = 1. A burst lasts 8 mean gaps on average (24 requests). A plain Poisson process
  // never changes state.
  constexpr double kBurstShare = 0.25;
  constexpr double kBurstGaps = 8;
  const bool bursty = config.arrivals == Arrivals::kBursty;
  bool burst = bursty && rng.uniform() < kBurstShare;
  const auto dwell_s = [&] {
    const double gaps = burst ? kBurstGaps : kBurstGaps * (1 - kBurstShare) / kBurstShare;
    return bursty ? rng.exponential(gaps * mean_gap_s) : config.duration_s;
  };
  double now_s = 0;
  double change_s = dwell_s();
  while (times.size() < kMaxRows) {
    const double factor = !bursty ? 1.0 : burst ? 3.0 : 1.0 / 3.0;
    const double next_s = now_s + rng.exponential(mean_gap_s / factor);
    if (bursty && next_s > change_s) {
      // The exponential has no memory: what is left of this gap is drawn afresh at the new rate.
      now_s = change_s;
      burst = !burst;
      change_s += dwell_s();
      if (now_s >= config.duration_s) break;
      continue;
    }
    if (next_s >= config.duration_s) break;
    now_s = next_s;
    times.push_back(now_s);
  }
  return times;
}

}  // namespace

Trace generate_trace(const TraceConfig& config, std::uint64_t seed) {
  REINS_ASSERT(config.load > 0 && config.full_latency_s > 0 && config.duration_s > 0);
  REINS_ASSERT(!config.target_factors.empty() && !config.floors.empty());
  // Streams of their own: the same seed gives the same arrivals whatever the goals are.
  const Rng root(seed);
  Rng goals = root.fork(2);
  const std::vector<double> times = arrival_times(config, root.fork(1));
  const bool any_floor =
      std::any_of(config.floors.begin(), config.floors.end(), [](double floor) { return floor > 0; });

  Trace trace;
  trace.name =
      std::string(name_of(config.arrivals)) + "-load" + format_number(config.load) + "-seed" + std::to_string(seed);
  trace.end_s = config.duration_s;
  trace.rows.reserve(times.size());
  double segment_end_s = 0;
  double target_s = 0;
  double floor = 0;
  for (const double time_s : times) {
    while (time_s >= segment_end_s) {
      target_s = config.target_factors[goals.index(config.target_factors.size())] * config.full_latency_s;
      floor = config.floors[goals.index(config.floors.size())];
      const double length_s = goals.exponential(config.segment_s);
      segment_end_s = config.segment_s > 0 ? segment_end_s + std::max(length_s, 0.25 * config.segment_s) : INFINITY;
    }
    TraceRow row;
    row.time_s = time_s;
    row.app = config.app;
    row.latency_target_s = target_s;
    if (any_floor) row.accuracy_floor = floor;
    trace.rows.push_back(row);
  }
  return trace;
}

Result<Trace> read_camera_trace(const std::filesystem::path& path, double load, double full_latency_s,
                                double deadline_scale, double max_duration_s) {
  REINS_ASSERT(load > 0 && full_latency_s > 0 && deadline_scale > 0 && max_duration_s > 0);
  REINS_ASSIGN(const CsvTable table, CsvTable::read(path));
  if (table.rows() < 2) return fail(ErrorKind::kGarbled, "camera arrivals need at least two rows", path.native());
  // As many requests as fit into the longest duration at this load; the time scale then follows from their own span.
  const double most = max_duration_s * load / full_latency_s;
  Trace trace;
  trace.name = path.stem().native();
  for (std::size_t i = 0; i < table.rows(); ++i) {
    TraceRow row;
    REINS_ASSIGN(row.time_s, number_in(table, i, "Time", 0, 1e9));
    REINS_ASSIGN(const double frames, number_in(table, i, "Frames After Filter", 0, 1e6));
    REINS_ASSIGN(const double constraint_s, number_in(table, i, "latency_constraint", 1e-9, 1e6));
    if (frames != std::floor(frames))
      return fail(ErrorKind::kGarbled, "'Frames After Filter' is no count", table.place(i));
    if (!trace.rows.empty() && row.time_s < trace.rows.back().time_s) {
      return fail(ErrorKind::kGarbled, "'Time' goes back", table.place(i), "sort the rows by time");
    }
    const bool enough = !trace.rows.empty() && row.time_s > trace.rows.front().time_s;
    if (enough && static_cast<double>(trace.rows.size()) + frames > most) break;
    row.latency_target_s = constraint_s * deadline_scale;
    trace.rows.insert(trace.rows.end(), static_cast<std::size_t>(frames), row);
    if (trace.rows.size() > kMaxRows) return fail(ErrorKind::kGarbled, "too many requests", path.native());
  }
  if (trace.rows.empty() || trace.rows.back().time_s <= trace.rows.front().time_s) {
    return fail(ErrorKind::kGarbled, "the requests span no time", path.native(),
                "ask for more requests, or take another file");
  }
  // n requests in n mean gaps: the trace ends one mean gap behind its last request.
  const double n = static_cast<double>(trace.rows.size());
  const double first_s = trace.rows.front().time_s;
  const double span_s = trace.rows.back().time_s - first_s;
  const double mean_gap_s = full_latency_s / load;
  const double scale = mean_gap_s * (n - 1) / span_s;
  for (TraceRow& row : trace.rows) row.time_s = (row.time_s - first_s) * scale;
  trace.end_s = n * mean_gap_s;
  return trace;
}

}  // namespace reins::data
