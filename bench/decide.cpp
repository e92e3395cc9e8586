// bench/decide.cpp: nanoseconds per decision of the frozen policy, at the size `reins train` makes.
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "core/rng.hpp"
#include "policies/frozen_policy.hpp"
#include "policies/policy_file.hpp"

namespace {

using namespace reins;            // NOLINT
using namespace reins::policies;  // NOLINT

/// Two clusters with 13 and 19 operating points, two mappings each: more than the Odroid XU3's two.
ActionSpace xu3_like() {
  ActionSpace space;
  space.board = "bench";
  space.levels = 4;
  space.clusters = 2;
  for (int m = 0; m < 4; ++m) {
    MappingSlot slot;
    slot.name = slot.slot = "m" + std::to_string(m);
    slot.cluster = ClusterId(m / 2);
    const int points = m < 2 ? 13 : 19;
    for (int o = 1; o <= points; ++o) {
      slot.freq_khz.push_back(o * 100000);
      slot.relative.push_back(static_cast<float>(o) / static_cast<float>(points));
    }
    space.mappings.push_back(std::move(slot));
  }
  return space;
}

void decide(benchmark::State& state) {
  const ActionSpace space = xu3_like();
  const auto features = static_cast<std::size_t>(state.range(0));
  const auto head = static_cast<std::size_t>(state.range(1));
  ReachTable reach{};
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o)
      reach[m][o] = static_cast<std::uint8_t>(1 + (m + o) % features);
  }
  PolicyNetwork network = PolicyNetwork::zeros(NetworkShape::of(features, space, 64, head), reach);
  Rng rng(1);
  for (DenseLayer& layer : network.layers) {
    for (float& w : layer.weight) w = static_cast<float>(rng.normal() * std::sqrt(2.0 / static_cast<double>(layer.in)));
  }
  auto policy = FrozenPolicy::make(network, space, Binding::identity(space, features));
  if (!policy) {
    state.SkipWithError(policy.error().line().c_str());
    return;
  }
  // Many observations in turn: one alone would teach the branch predictor.
  std::vector<Observation> observations(256);
  for (Observation& observation : observations) {
    observation.size = features;
    for (std::size_t i = 0; i < features; ++i) observation.features[i] = static_cast<float>(rng.normal());
    observation.mask.mappings = 0b1111;
    observation.mask.levels = 0b1111;
    for (std::size_t m = 0; m < 4; ++m) observation.mask.opps[m] = (std::uint64_t{1} << space.opps(MappingId(m))) - 1;
  }
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(policy->decide(observations[i++ % observations.size()]));
}
BENCHMARK(decide)->ArgNames({"features", "head"})->ArgsProduct({{32, 64, 128}, {32, 64}});

/// The policy that is shipped, on the observations it carries: half of what they hold is zero.
void decide_shipped(benchmark::State& state) {
  const auto file = read_policy(REINS_SOURCE_DIR "/policies/shipped/odroid-xu3.policy");
  if (!file) {
    state.SkipWithError(file.error().line().c_str());
    return;
  }
  const auto policy =
      FrozenPolicy::make(file->network, file->space, Binding::identity(file->space, file->observation.size()));
  if (!policy) {
    state.SkipWithError(policy.error().line().c_str());
    return;
  }
  std::size_t i = 0;
  for (auto _ : state) {
    const PolicyExample& example = file->examples[i++ % file->examples.size()];
    benchmark::DoNotOptimize(policy->decide(example.features, example.mask));
  }
}
BENCHMARK(decide_shipped);

}  // namespace

BENCHMARK_MAIN();
