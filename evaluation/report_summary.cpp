#include "evaluation/report_summary.hpp"

#include <algorithm>
#include <array>

#include "boards/gpu_governors.hpp"
#include "core/stats.hpp"
#include "evaluation/table.hpp"
#include "policies/baselines.hpp"

namespace reins::evaluation {
namespace {

bool any(const Cell&) { return true; }

/// What is said of the requests that were served, where none was, is nothing: neither fast nor wrong.
bool known(const Row& row, Metric metric) {
  switch (metric) {
    case Metric::kServedEnergy:
    case Metric::kP50:
    case Metric::kP95:
    case Metric::kP99:
    case Metric::kAccuracy:
    case Metric::kMeasuredAccuracy:
    case Metric::kFloorKept:
      return row.served > 0;
    default:
      return true;
  }
}

/// Ratios (0) or miss differences in points (1) of each of `names` to `base`, over the cells taken.
struct Against {
  Figure ratio, miss_points;
};

Against against(const std::vector<CellResult>& cells, const std::vector<std::string>& names, std::string_view base,
                const std::function<bool(const Cell&)>& take) {
  std::vector<double> ratios, points;
  for (const std::string& name : names) {
    const Saving saving = saving_over(cells, name, base, take);
    if (saving.cells == 0) continue;
    ratios.push_back(saving.energy_ratio);
    points.push_back(saving.miss_points);
  }
  return {figure_of(ratios), figure_of(points)};
}

/// The rows of `names` together, as one row of the summary.
SummaryRow summarise(const std::vector<CellResult>& cells, const std::vector<std::string>& names, std::string label) {
  SummaryRow out;
  out.name = std::move(label);
  std::array<std::vector<double>, kMetrics> by_name;
  for (const std::string& name : names) {
    std::array<double, kMetrics> sum{};
    std::array<std::size_t, kMetrics> counted{};
    std::size_t seen = 0;
    for (const CellResult& cell : cells) {
      const Row* row = cell.row(name);
      if (row == nullptr) continue;
      out.kind = row->kind;
      if (names.size() == 1) {
        if (seen == 0)
          out.detail = row->detail;
        else if (out.detail != row->detail)
          out.detail = "varies by cell";
      }
      ++seen;
      for (std::size_t m = 0; m < kMetrics; ++m) {
        const auto value = value_of(*row, static_cast<Metric>(m));
        if (!value) continue;
        sum[m] += *value;
        ++counted[m];
      }
    }
    out.cells = std::max(out.cells, seen);
    for (std::size_t m = 0; m < kMetrics; ++m) {
      if (counted[m] > 0) by_name[m].push_back(sum[m] / static_cast<double>(counted[m]));
    }
  }
  for (std::size_t m = 0; m < kMetrics; ++m) out.metrics[m] = figure_of(by_name[m]);
  out.to_kernel = against(cells, names, kernel_row(cells), any).ratio;
  out.to_best_static = against(cells, names, "best static", any).ratio;
  out.to_oracle = against(cells, names, "oracle", any).ratio;
  return out;
}

}  // namespace

bool is_main(RowKind kind, std::string_view name) noexcept {
  if (kind != RowKind::kStatic) return true;
  if (boards::gpu_governor_named(name.substr(0, name.find('/'))).has_value()) return name.ends_with(" full");
  return name.ends_with(" full") && policies::is_kernel_placement(name.substr(0, name.size() - 5));
}

std::string heat_in_words(const Evaluation& evaluation) {
  if (!evaluation.replayed.empty())
    return "not in a profile: every trace stays at " + fixed(evaluation.start_c, 0) + " °C";
  std::string text = "every trace in air of " + fixed(evaluation.ambient_c, 0) + " °C, from " +
                     fixed(evaluation.start_c, 0) + " °C; the shield predicts ";
  if (evaluation.shield_ambient_c == evaluation.ambient_c) return text + "with the same air";
  return text + "with the board file's " + fixed(evaluation.shield_ambient_c, 0) + " °C";
}

Figure figure_of(const std::vector<double>& samples) { return {mean_of(samples), stddev_of(samples), samples.size()}; }

std::string_view name_of(Metric metric) noexcept {
  constexpr std::array<std::string_view, kMetrics> kNames = {"energy_per_offered_j",
                                                             "active_energy_per_offered_j",
                                                             "energy_per_served_j",
                                                             "miss_rate",
                                                             "latency_p50_s",
                                                             "latency_p95_s",
                                                             "latency_p99_s",
                                                             "mean_accuracy",
                                                             "measured_accuracy",
                                                             "floor_kept",
                                                             "reward",
                                                             "switches_per_offered",
                                                             "shield_interventions_per_offered",
                                                             "max_temperature_c"};
  return kNames[static_cast<std::size_t>(metric)];
}

std::optional<double> value_of(const Row& row, Metric metric) noexcept {
  if (!known(row, metric)) return std::nullopt;
  switch (metric) {
    case Metric::kEnergy:
      return row.energy_per_offered_j;
    case Metric::kActiveEnergy:
      return row.active_energy_per_offered_j;
    case Metric::kServedEnergy:
      return row.energy_per_served_j;
    case Metric::kMissRate:
      return row.miss_rate;
    case Metric::kP50:
      return row.p50_s;
    case Metric::kP95:
      return row.p95_s;
    case Metric::kP99:
      return row.p99_s;
    case Metric::kAccuracy:
      return row.mean_accuracy;
    case Metric::kMeasuredAccuracy:
      return row.measured_accuracy;
    case Metric::kFloorKept:
      return row.floor_kept;
    case Metric::kReward:
      return row.reward;
    case Metric::kSwitches:
      return row.switches;
    case Metric::kInterventions:
      return row.shield_interventions;
    case Metric::kTemperature:
      return row.max_temperature_c;
  }
  return 0;
}

std::string kernel_row(const std::vector<CellResult>& cells) {
  std::string row;
  for (const CellResult& cell : cells) {
    for (const std::string_view placement : policies::kKernelPlacements) {
      row = "schedutil" + std::string(placement) + " full";
      if (cell.row(row) != nullptr) return row;
    }
  }
  return row;
}

std::string group_name(const std::vector<std::string>& names, std::string_view suffix) {
  std::string name = "learned" + std::string(suffix);
  if (names.size() > 1) name += " (" + std::to_string(names.size()) + " seeds)";
  return name;
}

std::vector<SummaryRow> summary_of(const Evaluation& evaluation, bool all_rows) {
  const std::vector<CellResult>& cells = evaluation.cells;
  std::vector<std::string> order;
  for (const CellResult& cell : cells) {
    for (const Row& row : cell.rows) {
      if (row.kind == RowKind::kLearned || row.kind == RowKind::kOracle || (!all_rows && !is_main(row.kind, row.name)))
        continue;
      if (std::find(order.begin(), order.end(), row.name) == order.end()) order.push_back(row.name);
    }
  }
  // Governors and placements first, then what searched or planned, as they come.
  std::stable_partition(order.begin(), order.end(),
                        [](const std::string& name) { return name.find('/') != std::string::npos; });
  std::vector<SummaryRow> rows;
  for (const std::string& name : order) rows.push_back(summarise(cells, {name}, name));
  auto add_group = [&](const std::vector<std::string>& names, std::string_view suffix) {
    for (const std::string& name : names) rows.push_back(summarise(cells, {name}, name));
    if (names.size() > 1) rows.push_back(summarise(cells, names, group_name(names, suffix)));
  };
  add_group(evaluation.learned, "");
  add_group(evaluation.unshielded, ", no shield");
  add_group(evaluation.growing, ", grow");
  rows.push_back(summarise(cells, {"oracle"}, "oracle"));
  std::erase_if(rows, [](const SummaryRow& row) { return row.cells == 0; });
  return rows;
}

std::vector<Headline> headlines_of(const Evaluation& evaluation) {
  const std::vector<CellResult>& cells = evaluation.cells;
  auto changes = [](const Cell& cell) { return cell.targets == "changing" || cell.targets == "own"; };
  const bool any_changing = std::any_of(cells.begin(), cells.end(), [&](const auto& c) { return changes(c.cell); });
  const std::string kernel = kernel_row(cells);
  std::vector<Headline> headlines;
  for (const std::string_view floors : {"changing", "top"}) {
    Headline headline;
    headline.floors = floors;
    auto take = [&](const Cell& cell) {
      return cell.floors == floors && cell.load <= 0.6 + 1e-9 && (!any_changing || changes(cell));
    };
    for (const CellResult& cell : cells) {
      if (!take(cell.cell)) continue;
      ++headline.cells;
      if (std::find(headline.loads.begin(), headline.loads.end(), cell.cell.load) == headline.loads.end()) {
        headline.loads.push_back(cell.cell.load);
      }
    }
    if (headline.cells == 0) continue;
    std::sort(headline.loads.begin(), headline.loads.end());
    auto add = [&](const std::vector<std::string>& names, const std::string& label, RowKind kind) {
      HeadlineRow row;
      row.name = label;
      row.kind = kind;
      const Against to_kernel = against(cells, names, kernel, take);
      const Against to_static = against(cells, names, "best static", take);
      const Against to_oracle = against(cells, names, "oracle", take);
      if (to_kernel.ratio.n + to_static.ratio.n + to_oracle.ratio.n == 0) return;
      row.to_kernel = to_kernel.ratio;
      row.to_best_static = to_static.ratio;
      row.to_oracle = to_oracle.ratio;
      row.miss_over_kernel = to_kernel.miss_points;
      row.miss_over_best_static = to_static.miss_points;
      row.miss_over_oracle = to_oracle.miss_points;
      headline.rows.push_back(std::move(row));
    };
    if (!evaluation.learned.empty()) add(evaluation.learned, group_name(evaluation.learned), RowKind::kLearned);
    if (!evaluation.unshielded.empty()) {
      add(evaluation.unshielded, group_name(evaluation.unshielded, ", no shield"), RowKind::kLearned);
    }
    if (!evaluation.growing.empty())
      add(evaluation.growing, group_name(evaluation.growing, ", grow"), RowKind::kLearned);
    for (const std::string_view name :
         std::array<std::string_view, 4>{"best static", "floor rule", "pareto", kShieldedPareto})
      add({std::string(name)}, std::string(name), RowKind::kManager);
    add({"oracle"}, "oracle (ceiling)", RowKind::kOracle);
    if (!headline.rows.empty()) headlines.push_back(std::move(headline));
  }
  return headlines;
}

std::string what_learning_adds(const Headline& headline) {
  const auto row = [&](auto is) {
    const auto found = std::find_if(headline.rows.begin(), headline.rows.end(), is);
    return found == headline.rows.end() ? nullptr : &*found;
  };
  const HeadlineRow* learned = row([](const HeadlineRow& r) { return r.kind == RowKind::kLearned; });
  const HeadlineRow* planned = row([](const HeadlineRow& r) { return r.name == kShieldedPareto; });
  if (learned == nullptr || planned == nullptr || learned->to_kernel.n == 0 || planned->to_kernel.n == 0) return {};
  const double saved = 100 * (planned->to_kernel.mean - learned->to_kernel.mean);
  const double missed = learned->miss_over_kernel.mean - planned->miss_over_kernel.mean;
  return "what learning adds to '" + std::string(kShieldedPareto) +
         "' (the profile's look-up under the same shield): " + fixed(std::abs(saved), 1) +
         (saved < 0 ? " points less" : " points more") + " saved below schedutil, " + fixed(std::abs(missed), 2) +
         (missed > 0 ? " points more" : " points fewer") + " missed";
}

Figure ratio_in(const CellResult& cell, const std::vector<std::string>& names, std::string_view base) {
  std::vector<double> ratios;
  const Row* below = cell.row(base);
  for (const std::string& name : names) {
    const Row* row = cell.row(name);
    if (row == nullptr || below == nullptr || below->energy_per_offered_j <= 0) continue;
    ratios.push_back(row->energy_per_offered_j / below->energy_per_offered_j);
  }
  return figure_of(ratios);
}

Figure metric_in(const CellResult& cell, const std::vector<std::string>& names, Metric metric) {
  std::vector<double> values;
  for (const std::string& name : names) {
    const Row* row = cell.row(name);
    const auto value = row == nullptr ? std::nullopt : value_of(*row, metric);
    if (value) values.push_back(*value);
  }
  return figure_of(values);
}

}  // namespace reins::evaluation
