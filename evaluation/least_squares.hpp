// evaluation/least_squares.hpp: weighted non-linear least squares over named, bounded parameters, with confidence
// intervals, and with the prior kept where the data say nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace reins::evaluation {

/// Where a parameter may lie. It is fitted as value = least + scale * q^2 (kPositive), no more than `most`, or
/// (1 + sin q) / 2 (kFraction), so that Levenberg-Marquardt, which knows no bounds, stays inside them.
enum class Domain : std::uint8_t { kPositive, kFraction };

struct Parameter {
  std::string name;
  Domain domain = Domain::kPositive;
  double prior = 0;   ///< what it is kept at where the data cannot identify it
  double start = 0;   ///< where the fit begins; above 0
  double scale = 0;   ///< a value at which it matters, for priors and estimates of 0; above 0
  bool held = false;  ///< not fitted: the prior
  int tier = 0;       ///< the higher, the sooner it goes back to its prior
  bool kept = false;  ///< never goes back: whoever asks compares with a fit without it
  double least = 0;   ///< of kPositive alone, as the next
  double most = std::numeric_limits<double>::infinity();
};

enum class Standing : std::uint8_t {
  kFitted,
  kAtBound,  ///< fitted, and its least value, mostly zero, lies within the interval
  kPrior,    ///< the data cannot identify it: the prior is kept
};

struct Estimate {
  double value = 0;
  double low = 0, high = 0;  ///< 95 % interval; of a kept prior: that value
  Standing standing = Standing::kPrior;
};

struct LeastSquares {
  std::vector<Estimate> estimates;  ///< in the order of the parameters
  double sigma = 0;                 ///< standard deviation of the residuals, robust
  double cost = 0;                  ///< sum of squares of the residuals, weighted as in the last round
  std::size_t residuals = 0;
  std::size_t fitted = 0;  ///< parameters that were
};

/// Writes one residual for each row: a relative error, log(model / measured).
using ResidualFunction = std::function<void(std::span<const double> values, std::span<double> residuals)>;

/// Fits. A parameter is identified where the half-width of its 95 % interval (Student's t, first order, from the
/// Jacobian at the solution) is no more than the larger of its value, its prior and its scale, and it is not at `most`;
/// while one is not, the worst is put back to its prior and the rest fitted again. Among equally bad ones (parameters
/// that only appear together) the one of the highest tier goes first, then the one declared last. One whose prior the
/// rows contradict (chi^2 rises by more than 4, and by half) stays, however wide its interval. Rows with residuals
/// beyond 1.345 robust standard deviations are down-weighted (Huber). The interval takes the residuals for independent:
/// where the model is off by more than noise, it is too narrow. With no more rows than parameters a relative error of 5
/// % is assumed.
LeastSquares least_squares(std::vector<Parameter> parameters, std::size_t residuals, const ResidualFunction& function);

/// Two-sided 95 % quantile of Student's t.
double student_t95(std::size_t degrees_of_freedom) noexcept;

}  // namespace reins::evaluation
