#include "core/stats.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace reins {

double quantile(std::span<const double> sorted, double q) noexcept {
  if (sorted.empty()) return 0;
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(position);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (position - static_cast<double>(low));
}

double quantile_of(std::vector<double> samples, double q) {
  std::sort(samples.begin(), samples.end());
  return quantile(samples, q);
}

double mean_of(std::span<const double> samples) noexcept {
  if (samples.empty()) return 0;
  double sum = 0;
  for (const double x : samples) sum += x;
  return sum / static_cast<double>(samples.size());
}

std::optional<double> mean_if_any(std::span<const double> samples) noexcept {
  return samples.empty() ? std::nullopt : std::optional(mean_of(samples));
}

double stddev_of(std::span<const double> samples) noexcept {
  if (samples.size() < 2) return 0;
  const double mean = mean_of(samples);
  double sum = 0;
  for (const double x : samples) sum += (x - mean) * (x - mean);
  return std::sqrt(sum / static_cast<double>(samples.size() - 1));
}

double ci95_half_width(std::span<const double> samples) noexcept {
  const std::size_t n = samples.size();
  if (n < 2) return 0;
  // Two-sided 97.5 % quantiles of Student's t for 1..30 degrees of freedom; beyond, the normal's is within 2 %.
  static constexpr std::array<double, 30> kT = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                                2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                                2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  const double t = n - 1 <= kT.size() ? kT[n - 2] : 1.96;
  return t * stddev_of(samples) / std::sqrt(static_cast<double>(n));
}

}  // namespace reins
