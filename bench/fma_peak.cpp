// Built for the machine's own vectors, with multiplications and additions fused.
#include "bench/fma_peak.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace reins::bench {

namespace {

#ifdef __AVX512F__
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));

}  // namespace

double fma_per_s() {
  std::array<Vector, 12> sums{};
  Vector a{}, b{};
  for (int i = 0; i < kLanes; ++i) a[i] = 1.0F, b[i] = 1e-9F;
  benchmark::DoNotOptimize(a);
  benchmark::DoNotOptimize(b);
  double best = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    constexpr int kRounds = 100'000;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) {
      for (Vector& sum : sums) sum = sum * a + b;
    }
    benchmark::DoNotOptimize(sums);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    best = std::max(best, kLanes * static_cast<double>(sums.size()) * kRounds / took.count());
  }
  return best;
}

double read_bytes_per_s(std::size_t working_set) {
  constexpr std::size_t kAtOnce = 8;
  const std::size_t blocks = std::max<std::size_t>(1, working_set / (kAtOnce * sizeof(Vector)));
  const std::vector<std::array<Vector, kAtOnce>> data(blocks);  // written, so that each page is one of its own
  const double bytes = static_cast<double>(blocks) * sizeof(data[0]);
  const int passes = static_cast<int>(std::max(1.0, 64e6 / bytes));
  double best = 0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    std::array<Vector, kAtOnce> sums{};
    const auto began = std::chrono::steady_clock::now();
    for (int pass = 0; pass < passes; ++pass) {
      for (const auto& block : data) {
        for (std::size_t i = 0; i < kAtOnce; ++i) sums[i] += block[i];
      }
      benchmark::DoNotOptimize(sums);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    best = std::max(best, passes * bytes / took.count());
  }
  return best;
}

}  // namespace reins::bench
