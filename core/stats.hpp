// core/stats.hpp: percentiles, means and confidence intervals of samples.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace reins {

/// The q-quantile, q in [0, 1], by linear interpolation between order statistics (Hyndman & Fan type 7). Empty -> 0.
double quantile(std::span<const double> sorted, double q) noexcept;
double quantile_of(std::vector<double> samples, double q);

double mean_of(std::span<const double> samples) noexcept;
/// None where there are no samples.
std::optional<double> mean_if_any(std::span<const double> samples) noexcept;
/// Sample standard deviation (n - 1); 0 for fewer than two samples.
double stddev_of(std::span<const double> samples) noexcept;
/// Half-width of the 95 % confidence interval of the mean (Student's t). 0 for fewer than two samples.
double ci95_half_width(std::span<const double> samples) noexcept;

}  // namespace reins
