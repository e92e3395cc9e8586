// Built for the machine's own vectors, with multiplications and additions fused.
#include "bench/fma_peak.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace reins::bench {

double fma_per_s() {
#ifdef __AVX512F__
  constexpr int kLanes = 16;
#elif defined(__AVX__)
  constexpr int kLanes = 8;
#else
  constexpr int kLanes = 4;
#endif
  using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));
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

}  // namespace reins::bench
