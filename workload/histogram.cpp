#include "workload/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace reins::workload {
namespace {

constexpr double kSmallest_s = 1e-9;

}  // namespace

std::vector<Bin> log_bins(std::span<const double> samples_s, int per_decade) {
  if (samples_s.empty()) return {};
  const auto index = [per_decade](double sample_s) {
    return static_cast<long>(std::floor(std::log10(std::max(sample_s, kSmallest_s)) * per_decade));
  };
  const auto edge = [per_decade](long k) { return std::pow(10.0, static_cast<double>(k) / per_decade); };
  const auto [least, most] = std::minmax_element(samples_s.begin(), samples_s.end());
  const long first = index(*least);
  std::vector<Bin> bins(static_cast<std::size_t>(index(*most) - first + 1));
  for (std::size_t i = 0; i < bins.size(); ++i) {
    bins[i].low_s = edge(first + static_cast<long>(i));
    bins[i].high_s = edge(first + static_cast<long>(i) + 1);
  }
  for (const double sample_s : samples_s) ++bins[static_cast<std::size_t>(index(sample_s) - first)].count;
  return bins;
}

std::string bars(std::span<const Bin> bins, std::size_t width) {
  std::size_t most = 1;
  for (const Bin& bin : bins) most = std::max(most, bin.count);
  std::string text;
  for (const Bin& bin : bins) {
    const double share = static_cast<double>(bin.count) / static_cast<double>(most);
    const auto length = static_cast<std::size_t>(std::ceil(share * static_cast<double>(width)));
    char line[96];
    std::snprintf(line, sizeof line, "  %9.3f - %9.3f ms |", bin.low_s * 1e3, bin.high_s * 1e3);
    text += line;
    text.append(length, '#').append(width - length, ' ').append("| ").append(std::to_string(bin.count)).append("\n");
  }
  return text;
}

}  // namespace reins::workload
