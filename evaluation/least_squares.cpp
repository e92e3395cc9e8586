#include "evaluation/least_squares.hpp"

#include <Eigen/Core>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <unsupported/Eigen/NonLinearOptimization>
#include <unsupported/Eigen/NumericalDiff>

#include "core/stats.hpp"

namespace reins::evaluation {
namespace {

constexpr double kHuber = 1.345;        // 95 % efficient for normal residuals
constexpr double kLeastSigma = 1e-6;    // exact data: no row is an outlier
constexpr double kAssumedSigma = 0.05;  // where there are no more rows than parameters
constexpr double kUsualSigma = 0.02;    // what measurements scatter by at the least
constexpr double kWorse = 4;            // by which chi^2 may rise for a parameter's prior to be as good as its estimate
constexpr double kWorseShare = 0.5;     // of many rows: that share, for they find the model's own errors significant
constexpr double kPull = 1e-5;          // towards the start: decides between parameters that only appear together
constexpr double kNoSlope = 1e-9;       // a singular value that rounding alone could make
constexpr std::size_t kContradict = 3;  // rows that it takes to contradict a prior: two are met by anything
constexpr double kAtMost = 0.999;       // of a bound: stopped by it
constexpr double kBeyond = 1e9;         // half-width over value of what was
constexpr double kZero = 1e-6;          // of its scale: a value that is 0
constexpr int kRounds = 8;              // of weights

double value_of(const Parameter& parameter, double q) {
  if (parameter.domain == Domain::kPositive) return std::min(parameter.least + parameter.scale * q * q, parameter.most);
  return 0.5 * (1 + std::sin(q));
}

double most_of(const Parameter& parameter) { return parameter.domain == Domain::kFraction ? 1.0 : parameter.most; }

double q_of(const Parameter& parameter, double value) {
  if (parameter.domain == Domain::kPositive) return std::sqrt(std::max(value - parameter.least, 0.0) / parameter.scale);
  return std::asin(std::clamp(2 * value - 1, -0.999, 0.999));
}

/// What Eigen's Levenberg-Marquardt wants of a function: the free parameters alone, then the pull to the start.
struct Functor {
  using Scalar = double;
  using InputType = Eigen::VectorXd;
  using ValueType = Eigen::VectorXd;
  using JacobianType = Eigen::MatrixXd;
  enum { InputsAtCompileTime = Eigen::Dynamic, ValuesAtCompileTime = Eigen::Dynamic };

  const std::vector<Parameter>* parameters;
  const std::vector<std::size_t>* free;
  const ResidualFunction* function;
  const std::vector<double>* roots;  // square roots of the weights
  std::vector<double> values;        // of all parameters; the held ones stay
  Eigen::VectorXd begin;

  int inputs() const { return static_cast<int>(free->size()); }
  int values_count() const { return static_cast<int>(roots->size() + free->size()); }

  int operator()(const Eigen::VectorXd& q, Eigen::VectorXd& out) const {
    std::vector<double> all = values;
    for (std::size_t i = 0; i < free->size(); ++i) {
      all[(*free)[i]] = value_of((*parameters)[(*free)[i]], q[static_cast<Eigen::Index>(i)]);
    }
    (*function)(all, {out.data(), roots->size()});
    for (std::size_t i = 0; i < roots->size(); ++i) {
      double& residual = out[static_cast<Eigen::Index>(i)];
      residual = std::isfinite(residual) ? residual * (*roots)[i] : 1e6;
    }
    for (Eigen::Index i = 0; i < q.size(); ++i) {
      out[static_cast<Eigen::Index>(roots->size()) + i] = kPull * (q[i] - begin[i]);
    }
    return 0;
  }
};

struct Differentiable : Functor {
  explicit Differentiable(Functor functor) : Functor(std::move(functor)) {}
  int values() const { return values_count(); }
  int df(const Eigen::VectorXd& q, Eigen::MatrixXd& jacobian) const {
    Eigen::VectorXd high(values_count()), low(values_count());
    for (Eigen::Index i = 0; i < q.size(); ++i) {
      const double step = 1e-5 * std::max(std::abs(q[i]), 0.1);
      Eigen::VectorXd at = q;
      at[i] = q[i] + step;
      (*this)(at, high);
      at[i] = q[i] - step;
      (*this)(at, low);
      jacobian.col(i) = (high - low) / (2 * step);
    }
    return 0;
  }
};

double robust_sigma(std::span<const double> residuals) {
  std::vector<double> sizes;
  sizes.reserve(residuals.size());
  for (const double residual : residuals) sizes.push_back(std::abs(residual));
  return std::max(kLeastSigma, 1.4826 * quantile_of(std::move(sizes), 0.5));
}

/// One fit of the free parameters: `values` goes from start to solution, `roots` to the last weights.
double minimise(const std::vector<Parameter>& parameters, const std::vector<std::size_t>& free,
                const ResidualFunction& function, std::vector<double>& values, std::vector<double>& roots) {
  std::vector<double> residuals(roots.size());
  double before = std::numeric_limits<double>::infinity();
  std::fill(roots.begin(), roots.end(), 1.0);
  for (int round = 0; round < kRounds; ++round) {
    if (!free.empty()) {
      Eigen::VectorXd q(static_cast<Eigen::Index>(free.size()));
      for (std::size_t i = 0; i < free.size(); ++i) {
        q[static_cast<Eigen::Index>(i)] = q_of(parameters[free[i]], values[free[i]]);
      }
      Differentiable functor({&parameters, &free, &function, &roots, values, q});
      Eigen::LevenbergMarquardt<Differentiable> solver(functor);
      solver.parameters.maxfev = 400;
      solver.parameters.ftol = solver.parameters.xtol = 1e-10;
      solver.minimize(q);
      for (std::size_t i = 0; i < free.size(); ++i) {
        values[free[i]] = value_of(parameters[free[i]], q[static_cast<Eigen::Index>(i)]);
      }
    }
    function(values, residuals);
    const double sigma = robust_sigma(residuals);
    double cost = 0;
    for (std::size_t i = 0; i < residuals.size(); ++i) {
      const double size = std::abs(residuals[i]);
      roots[i] = size <= kHuber * sigma ? 1 : std::sqrt(kHuber * sigma / size);
      cost += size <= kHuber * sigma ? size * size : 2 * kHuber * sigma * size - kHuber * kHuber * sigma * sigma;
    }
    if (std::abs(before - cost) <= 1e-6 * cost) return cost;
    before = cost;
  }
  return before;
}

/// Half-widths of the free parameters' 95 % intervals, in their own units.
std::vector<double> half_widths(const std::vector<Parameter>& parameters, const std::vector<std::size_t>& free,
                                const ResidualFunction& function, const std::vector<double>& values,
                                const std::vector<double>& roots, double sigma, double t) {
  const auto rows = static_cast<Eigen::Index>(roots.size());
  const auto columns = static_cast<Eigen::Index>(free.size());
  Eigen::MatrixXd jacobian(rows, columns);
  std::vector<double> scales(free.size()), low(roots.size()), high(roots.size());
  for (std::size_t i = 0; i < free.size(); ++i) {
    const Parameter& parameter = parameters[free[i]];
    const double value = values[free[i]];
    scales[i] = std::max({value, parameter.prior, parameter.scale});
    // Inside the domain: at a bound the difference is one-sided.
    const double step = 1e-5 * scales[i];
    std::vector<double> at = values;
    const double up = std::min(most_of(parameter), value + step);
    const double down = std::max(parameter.least, value - step);
    at[free[i]] = up;
    function(at, high);
    at[free[i]] = down;
    function(at, low);
    for (std::size_t r = 0; r < roots.size(); ++r) {
      const double slope = (high[r] - low[r]) / (up - down) * scales[i] * roots[r];
      jacobian(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(i)) = std::isfinite(slope) ? slope : 0;
    }
  }
  std::vector<double> widths(free.size());
  if (free.empty() || rows == 0) return widths;
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(jacobian, Eigen::ComputeThinU | Eigen::ComputeThinV);
  for (Eigen::Index i = 0; i < columns; ++i) {
    double variance = 0;
    double seen = 0;  // of the parameter's direction, by rows; with fewer rows than parameters some of it is not
    for (Eigen::Index k = 0; k < svd.singularValues().size(); ++k) {
      const double v = svd.matrixV()(i, k);
      const double inverse = 1 / std::max(svd.singularValues()[k], kNoSlope);
      variance += v * v * inverse * inverse;
      seen += v * v;
    }
    if (columns > rows) variance += std::max(0.0, 1 - seen) / (kNoSlope * kNoSlope);
    widths[static_cast<std::size_t>(i)] = t * sigma * std::sqrt(variance) * scales[static_cast<std::size_t>(i)];
  }
  return widths;
}

}  // namespace

double student_t95(std::size_t degrees_of_freedom) noexcept {
  const auto n = static_cast<double>(std::max<std::size_t>(degrees_of_freedom, 1));
  if (degrees_of_freedom <= 1) return 12.706;
  if (degrees_of_freedom == 2) return 4.303;
  // Cornish-Fisher expansion about the normal quantile (Abramowitz & Stegun 26.7.5); within 1 % from 3 on.
  const double z = 1.959964;
  const double z3 = z * z * z;
  const double z5 = z3 * z * z;
  const double z7 = z5 * z * z;
  const double z9 = z7 * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n) +
         (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * n * n * n * n);
}

LeastSquares least_squares(std::vector<Parameter> parameters, std::size_t residuals, const ResidualFunction& function) {
  LeastSquares result;
  result.residuals = residuals;
  result.estimates.resize(parameters.size());
  std::vector<double> values(parameters.size()), roots(residuals, 1.0), widths;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    values[i] = parameters[i].held ? parameters[i].prior : parameters[i].start;
  }
  std::vector<std::size_t> free;
  const auto fit = [&] {
    free.clear();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!parameters[i].held) free.push_back(i);
    }
    // Each from its start: the one before may have gone far along a direction that the data do not know.
    for (const std::size_t i : free) values[i] = parameters[i].start;
    result.cost = minimise(parameters, free, function, values, roots);
  };
  std::vector<bool> needed(parameters.size(), false);  // whose prior the data contradict, however wide its interval
  fit();
  for (;;) {
    const std::size_t spare = residuals > free.size() ? residuals - free.size() : 0;
    // Residuals that are all zero tell no more of a parameter that moves none of them.
    result.sigma =
        spare > 0 ? std::max(std::sqrt(result.cost / static_cast<double>(spare)), kLeastSigma) : kAssumedSigma;
    const double t = spare > 0 ? student_t95(spare) : 1.96;
    widths = half_widths(parameters, free, function, values, roots, result.sigma, t);
    double worst = 1;
    std::vector<double> badness(free.size());
    for (std::size_t i = 0; i < free.size(); ++i) {
      const Parameter& parameter = parameters[free[i]];
      badness[i] = widths[i] / std::max({values[free[i]], parameter.prior, parameter.scale});
      // What the rows ask for lies beyond what there may be: not theirs to tell.
      if (parameter.domain == Domain::kPositive && values[free[i]] >= kAtMost * parameter.most) badness[i] = kBeyond;
      if (!parameter.kept && !needed[free[i]]) worst = std::max(worst, badness[i]);
    }
    std::size_t out = free.size();
    for (std::size_t i = 0; i < free.size(); ++i) {
      if (parameters[free[i]].kept || needed[free[i]] || badness[i] <= 1 || badness[i] < 0.1 * worst) continue;
      if (out == free.size() || parameters[free[i]].tier >= parameters[free[out]].tier) out = i;
    }
    if (out == free.size()) break;
    const std::size_t tried = free[out];
    const std::vector<std::size_t> free_with = free;
    const std::vector<double> values_with = values, roots_with = roots;
    const double cost_with = result.cost;
    const double noise = spare > 0 ? std::max(result.sigma, kUsualSigma) : kUsualSigma;
    parameters[tried].held = true;
    values[tried] = parameters[tried].prior;
    fit();
    const double worse = std::max(kWorse * noise * noise, kWorseShare * cost_with);
    // One that went to the end of what there may be is no estimate, whatever its prior is worth.
    const bool at_most = badness[out] >= kBeyond;
    if (at_most || residuals < kContradict || result.cost - cost_with <= worse) continue;
    parameters[tried].held = false;
    needed[tried] = true;
    free = free_with;
    values = values_with;
    roots = roots_with;
    result.cost = cost_with;
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    result.estimates[i] = {values[i], values[i], values[i], Standing::kPrior};
  }
  // Rows that are all the same, or made without noise, say nothing of what another measurement would give.
  const double usual = result.sigma > kLeastSigma ? 1 : kUsualSigma / result.sigma;
  for (std::size_t i = 0; i < free.size(); ++i) {
    widths[i] *= usual;
    Estimate& estimate = result.estimates[free[i]];
    const Parameter& parameter = parameters[free[i]];
    if (estimate.value < parameter.least + kZero * parameter.scale) estimate.value = parameter.least;
    estimate.low = std::max(parameter.least, estimate.value - widths[i]);
    estimate.high = std::min(most_of(parameter), estimate.value + widths[i]);
    estimate.standing = estimate.low > parameter.least ? Standing::kFitted : Standing::kAtBound;
  }
  result.fitted = free.size();
  return result;
}

}  // namespace reins::evaluation
