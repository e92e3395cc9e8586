// bench/engines.cpp: microseconds per inference of the shipped network, by engine, level and threads, and of a change
// of level; with the share of the FMA peak that this core reaches in the same run (MACs counted as the direct form's).
#include "inference/engines.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/fma_peak.hpp"

namespace {

using namespace reins;             // NOLINT
using namespace reins::inference;  // NOLINT

constexpr const char* kNetwork = REINS_SOURCE_DIR "/assets/networks/cifar10-group4/network.rnet";
constexpr std::array kBackends{"auto", "onednn", "avx512", "avx2", "baseline"};

struct Subject {
  std::unique_ptr<Engine> engine;
  std::vector<std::uint8_t> pixels = std::vector<std::uint8_t>(3 * 32 * 32, 128);
  TensorView input() const { return {pixels.data(), DType::kUint8, {1, 3, 32, 32}}; }
};

/// Skips the benchmark where this build or processor has no such engine.
Subject open(benchmark::State& state, const char* backend, int threads) {
  Subject subject;
  auto engine = open_engine(kNetwork, {.backend = backend});
  if (!engine) {
    state.SkipWithError(engine.error().line().c_str());
    return subject;
  }
  Placement placement;
  placement.threads = threads;
  for (int cpu = 0; cpu < threads; ++cpu) placement.cpus.push_back(cpu);
  if (const Status placed = (*engine)->place(placement); !placed) {
    state.SkipWithError(placed.error().line().c_str());
    return subject;
  }
  subject.engine = std::move(*engine);
  return subject;
}

void infer(benchmark::State& state) {
  static const double peak = bench::fma_per_s();
  const char* backend = kBackends[static_cast<std::size_t>(state.range(0))];
  const Subject subject = open(state, backend, static_cast<int>(state.range(2)));
  if (!subject.engine) return;
  const LevelId level(state.range(1) - 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(subject.engine->begin(subject.input(), level));
    benchmark::DoNotOptimize(subject.engine->finish());
  }
  const double macs = subject.engine->facts().levels[level.index()].macs;
  state.SetLabel(backend);
  state.counters["GMAC/s"] =
      benchmark::Counter(macs * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["of peak"] =
      benchmark::Counter(macs / peak / static_cast<double>(state.range(2)) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(infer)
    ->ArgNames({"engine", "level", "threads"})
    ->ArgsProduct({{0, 1, 2, 3, 4}, {4, 3, 2, 1}, {1, 2}})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

/// The levels in turn: what a change of level costs beyond the mean of the four rows above.
void alternate(benchmark::State& state) {
  const char* backend = kBackends[static_cast<std::size_t>(state.range(0))];
  const Subject subject = open(state, backend, 1);
  if (!subject.engine) return;
  std::int64_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(subject.engine->begin(subject.input(), LevelId(at++ * 3 % 4)));
    benchmark::DoNotOptimize(subject.engine->finish());
  }
  state.SetLabel(backend);
}
BENCHMARK(alternate)->ArgName("engine")->DenseRange(0, 1)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
