// tests/policies/random_network.hpp: networks, features and masks drawn from a seed.
#pragma once

#include <cmath>
#include <vector>

#include "core/rng.hpp"
#include "policies/policy_network.hpp"

namespace reins::testing {

/// Weights as a trained network has them: normal, of variance 2 / inputs.
inline policies::PolicyNetwork random_network(const policies::NetworkShape& shape, std::uint64_t seed) {
  policies::PolicyNetwork network = policies::PolicyNetwork::zeros(shape);
  Rng rng(seed);
  for (policies::DenseLayer& layer : network.layers) {
    const double sigma = std::sqrt(2.0 / static_cast<double>(layer.in));
    for (float& w : layer.weight) w = static_cast<float>(sigma * rng.normal());
    for (float& b : layer.bias) b = static_cast<float>(0.1 * rng.normal());
  }
  for (std::size_t m = 0; m < shape.mappings; ++m) {
    for (std::size_t o = 0; o < shape.opps; ++o)
      network.reach[m][o] = static_cast<std::uint8_t>(rng.below(shape.features + 1));
  }
  return network;
}

inline std::vector<float> random_features(std::size_t count, Rng& rng) {
  std::vector<float> features(count);
  for (float& x : features) x = static_cast<float>(rng.normal());
  return features;
}

/// Any non-empty mask, from one choice to all.
inline policies::ActionMask random_mask(const policies::ActionSpace& space, Rng& rng) {
  const auto bits = [&rng](std::size_t n) {
    const std::uint64_t all = (std::uint64_t{1} << n) - 1;
    const std::uint64_t some = rng.next() & (rng.below(2) == 0 ? rng.next() : ~std::uint64_t{0}) & all;
    return some != 0 ? some : std::uint64_t{1} << rng.below(n);
  };
  policies::ActionMask mask;
  mask.mappings = static_cast<std::uint32_t>(bits(space.mappings.size()));
  mask.levels = static_cast<std::uint32_t>(bits(space.levels));
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    mask.opps[m] = bits(space.opps(MappingId(m)));
    if (rng.below(2) == 0) mask.park[m] = bits(space.opps(MappingId(m))) & mask.opps[m];
  }
  return mask;
}

}  // namespace reins::testing
