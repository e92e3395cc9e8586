#include "evaluation/fit_check.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "core/stats.hpp"

namespace reins::evaluation {
namespace {

constexpr std::size_t kLeastFreqs = 4;

std::int64_t khz_of(const boards::Board& board, const MeasuredRow& row) {
  return board.cluster_of(row.mapping).opps[row.opp.index()].freq_khz;
}

Errors errors_from(std::vector<double> sizes) {
  Errors errors;
  errors.rows = sizes.size();
  if (sizes.empty()) return errors;
  errors.mean = mean_of(sizes);
  std::sort(sizes.begin(), sizes.end());
  errors.median = quantile(sizes, 0.5);
  errors.p90 = quantile(sizes, 0.9);
  errors.worst = sizes.back();
  return errors;
}

Regret regret_from(std::vector<double> sizes) {
  const Errors errors = errors_from(std::move(sizes));
  return {errors.rows, errors.median, errors.p90, errors.worst};
}

using Group =
    std::tuple<std::size_t, std::size_t, double, std::optional<std::size_t>>;  // mapping, workload, batch, rail

Group group_of(const MeasuredRow& row) { return {row.mapping.index(), row.workload, row.batch, row.rail}; }

/// log energy over log f through the rows.
class FreeCurve {
 public:
  FreeCurve(const boards::Board& board, const std::vector<const MeasuredRow*>& rows) {
    std::set<std::int64_t> freqs;
    for (const MeasuredRow* row : rows) freqs.insert(khz_of(board, *row));
    const Eigen::Index degree = freqs.size() >= 6 ? 3 : 2;
    if (freqs.size() < 3) return;
    lowest_khz_ = *freqs.begin();
    highest_khz_ = *freqs.rbegin();
    Eigen::MatrixXd a(static_cast<Eigen::Index>(rows.size()), degree + 1);
    Eigen::VectorXd b(static_cast<Eigen::Index>(rows.size()));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto i = static_cast<Eigen::Index>(r);
      const double x = at(khz_of(board, *rows[r]));
      for (Eigen::Index k = 0; k <= degree; ++k) a(i, k) = std::pow(x, static_cast<double>(k));
      b[i] = std::log(*rows[r]->energy_j);
    }
    coefficients_ = a.colPivHouseholderQr().solve(b);
  }
  /// Between the frequencies that it went through: a polynomial says nothing beyond them.
  bool valid_at(std::int64_t khz) const {
    return coefficients_.size() > 0 && khz >= lowest_khz_ && khz <= highest_khz_;
  }
  double operator()(std::int64_t khz) const {
    double sum = 0;
    for (Eigen::Index k = coefficients_.size(); k-- > 0;) sum = sum * at(khz) + coefficients_[k];
    return sum;
  }

 private:
  static double at(std::int64_t khz) { return std::log(static_cast<double>(khz) * 1e-6); }
  Eigen::VectorXd coefficients_;
  std::int64_t lowest_khz_ = 0, highest_khz_ = 0;
};

}  // namespace

Result<Split> hold_out(const boards::Board& board, const MeasuredRows& rows, std::string_view how) {
  Split split;
  split.fitted.workloads = split.held_out.workloads = rows.workloads;
  const bool second = how == "every-other-frequency";
  const bool first = how == "other-every-other-frequency";
  std::set<std::int64_t> listed;
  if (!second && !first && how != "none") {
    std::string_view rest = how;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      const auto mhz = parse_number(rest.substr(0, comma), "--hold-out");
      if (!mhz.has_value() || *mhz <= 0) {
        return fail(ErrorKind::kUsage, "'" + std::string(how) + "' is no way to hold rows out", "--hold-out",
                    "none, every-other-frequency, other-every-other-frequency, or frequencies in MHz: 700,1000");
      }
      listed.insert(std::llround(*mhz * 1e3));
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
  }
  std::map<std::size_t, std::set<std::int64_t>> of_mapping;
  for (const MeasuredRow& row : rows.rows) of_mapping[row.mapping.index()].insert(khz_of(board, row));
  for (const MeasuredRow& row : rows.rows) {
    const std::set<std::int64_t>& freqs = of_mapping[row.mapping.index()];
    const std::int64_t khz = khz_of(board, row);
    const auto rank = std::distance(freqs.begin(), freqs.find(khz));
    const bool out = second ? rank % 2 == 1 : first ? rank % 2 == 0 : listed.contains(khz);
    (out ? split.held_out : split.fitted).rows.push_back(row);
  }
  if (split.fitted.rows.empty() || (how != "none" && split.held_out.rows.empty())) {
    return fail(ErrorKind::kUsage,
                split.fitted.rows.empty() ? "nothing is left to fit" : "no row has a frequency that is held out",
                "--hold-out " + std::string(how));
  }
  return split;
}

RowErrors errors_of(const BoardFit& fit, const MeasuredRows& rows) {
  std::vector<double> latency, power, energy;
  for (const MeasuredRow& row : rows.rows) {
    const double ours_s = row.latency_s ? fit.latency_s(row) : 0;
    const double ours_w = row.power_w ? fit.power_w(row) : 0;
    if (row.latency_s) latency.push_back(std::abs(ours_s / *row.latency_s - 1));
    if (row.power_w) power.push_back(std::abs(ours_w / *row.power_w - 1));
    if (row.energy_j) energy.push_back(std::abs(ours_s * ours_w / *row.energy_j - 1));
  }
  return {errors_from(std::move(latency)), errors_from(std::move(power)), errors_from(std::move(energy))};
}

Optimum optimum_of(const BoardFit& fit, const MeasuredRows& all, const MeasuredRows& fitted) {
  std::map<Group, std::vector<const MeasuredRow*>> groups, seen;
  for (const MeasuredRow& row : all.rows) {
    if (row.energy_j) groups[group_of(row)].push_back(&row);
  }
  for (const MeasuredRow& row : fitted.rows) {
    if (row.energy_j) seen[group_of(row)].push_back(&row);
  }
  Optimum optimum;
  std::vector<double> regrets, free_regrets;
  for (const auto& [group, rows] : groups) {
    // A frequency that was measured more than once counts with its mean, and so does what is made of its rows.
    std::map<std::int64_t, std::vector<double>> measured_j, fitted_j;
    for (const MeasuredRow* row : rows) {
      const std::int64_t khz = khz_of(fit.board, *row);
      measured_j[khz].push_back(*row->energy_j);
      fitted_j[khz].push_back(fit.latency_s(*row) * fit.power_w(*row));
    }
    std::map<std::int64_t, double> ours_j;
    for (const auto& [khz, joules] : fitted_j) ours_j[khz] = mean_of(joules);
    if (measured_j.size() < kLeastFreqs) continue;
    const auto mean_at = [&](std::int64_t khz) { return mean_of(measured_j.at(khz)); };
    Optimum::Group entry{MappingId(std::get<0>(group)), std::get<1>(group), std::get<2>(group), std::get<3>(group)};
    const FreeCurve curve(fit.board, seen[group]);
    entry.fitted_khz = entry.measured_khz = ours_j.begin()->first;
    std::optional<std::int64_t> free_khz;
    for (const auto& [khz, joules] : ours_j) {
      if (joules < ours_j.at(entry.fitted_khz)) entry.fitted_khz = khz;
      if (mean_at(khz) < mean_at(entry.measured_khz)) entry.measured_khz = khz;
      if (curve.valid_at(khz) && (!free_khz || curve(khz) < curve(*free_khz))) free_khz = khz;
    }
    entry.regret = mean_at(entry.fitted_khz) / mean_at(entry.measured_khz) - 1;
    regrets.push_back(entry.regret);
    if (free_khz) {
      entry.free_regret = mean_at(*free_khz) / mean_at(entry.measured_khz) - 1;
      free_regrets.push_back(entry.free_regret);
    }
    optimum.groups.push_back(entry);
  }
  optimum.fitted = regret_from(std::move(regrets));
  optimum.free_curve = regret_from(std::move(free_regrets));
  return optimum;
}

}  // namespace reins::evaluation
