// bench/learn.cpp: the learner's speed: one update (batch 64, 64 features, the ODROID-XU3's action space), one action.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "agent/dqn.hpp"
#include "core/rng.hpp"

namespace {

using namespace reins;  // NOLINT

constexpr std::size_t kFeatures = 64;

std::unique_ptr<agent::Dqn> filled(std::vector<float>& obs, policies::ActionMask& mask) {
  policies::ActionSpace space;
  space.board = "bench";
  space.levels = 4;
  space.clusters = 2;
  mask.levels = mask.mappings = 0b1111;
  for (int m = 0; m < 4; ++m) {
    policies::MappingSlot slot;
    slot.name = slot.slot = "m" + std::to_string(m);
    slot.cluster = ClusterId(m / 2);
    for (int o = 1; o <= (m < 2 ? 13 : 19); ++o) slot.freq_khz.push_back(o * 100000);
    slot.relative = policies::relative_capacity(slot.freq_khz);
    mask.opps[static_cast<std::size_t>(m)] = (std::uint64_t{1} << slot.freq_khz.size()) - 1;
    space.mappings.push_back(std::move(slot));
  }
  auto dqn = agent::Dqn::make(agent::DqnConfig{}, kFeatures, space);
  if (!dqn) return nullptr;
  Rng rng(1);
  obs.resize(kFeatures);
  for (int i = 0; i < 20000; ++i) {
    std::vector<float> next_obs(kFeatures);
    for (float& x : next_obs) x = static_cast<float>(rng.normal());
    agent::Step next;
    next.obs = next_obs;
    next.mask = mask;
    next.reward = rng.normal();
    next.dt_s = 0.1;
    next.applied = (*dqn)->act(obs, mask);
    if (!(*dqn)->observe(obs, mask, next)) return nullptr;
    obs = next_obs;
  }
  return std::move(*dqn);
}

void update(benchmark::State& state) {
  std::vector<float> obs;
  policies::ActionMask mask;
  const auto dqn = filled(obs, mask);
  if (dqn == nullptr) return state.SkipWithError("no learner");
  for (auto _ : state) {
    if (!dqn->learn()) return state.SkipWithError("no update");
  }
  state.counters["updates_per_s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(update)->Unit(benchmark::kMicrosecond);

void act(benchmark::State& state) {
  std::vector<float> obs;
  policies::ActionMask mask;
  const auto dqn = filled(obs, mask);
  if (dqn == nullptr) return state.SkipWithError("no learner");
  for (auto _ : state) benchmark::DoNotOptimize(dqn->act(obs, mask));
}
BENCHMARK(act);

}  // namespace

BENCHMARK_MAIN();
