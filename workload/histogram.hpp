// workload/histogram.hpp: counts in bins of equal width on a logarithmic axis.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace reins::workload {

struct Bin {
  double low_s = 0, high_s = 0;  ///< [low, high)
  std::size_t count = 0;
};

/// Bins at 10^(k/per_decade) seconds, from the one that holds the smallest sample to the one that holds the largest,
/// empty ones between them included. Samples of zero or less count as one nanosecond. No samples, no bins.
std::vector<Bin> log_bins(std::span<const double> samples_s, int per_decade = 8);

/// One line per bin: bounds in ms, a bar of at most `width` characters, the count. Any count above zero has a bar.
std::string bars(std::span<const Bin> bins, std::size_t width = 40);

}  // namespace reins::workload
