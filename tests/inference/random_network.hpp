// tests/inference/random_network.hpp: a small group network with seeded random weights, and random images for it.
#pragma once

#include <cmath>
#include <vector>

#include "core/rng.hpp"
#include "inference/dynamic_network.hpp"

namespace reins::testing {

inline inference::GroupArchitecture small_architecture() {
  inference::GroupArchitecture a;
  a.groups = 3;
  a.size = 12;
  // Channels off the vector width, a row off the tile width, a stage with and one without a pool.
  a.stages = {{5, true}, {20, false}, {16, true}};
  return a;
}

inline inference::Tensor random_tensor(std::vector<std::int64_t> shape, double scale, Rng& rng) {
  std::size_t count = 1;
  for (const std::int64_t n : shape) count *= static_cast<std::size_t>(n);
  inference::Tensor tensor{std::move(shape), std::vector<float>(count)};
  for (float& v : tensor.values) v = static_cast<float>(scale * rng.normal());
  return tensor;
}

inline inference::NetworkWeights random_weights(const inference::GroupArchitecture& a, std::uint64_t seed) {
  Rng rng(seed);
  inference::NetworkWeights weights;
  for (std::int64_t g = 0; g < a.groups; ++g) {
    inference::GroupWeights group;
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      const std::int64_t in = a.input_channels(s);
      const std::int64_t out = a.stages[s].channels;
      group.conv_weights.push_back(random_tensor({out, in, 3, 3}, std::sqrt(2.0 / static_cast<double>(9 * in)), rng));
      group.conv_biases.push_back(random_tensor({out}, 0.1, rng));
    }
    const double scale = 1 / std::sqrt(static_cast<double>(a.features()));
    group.classifier = random_tensor({a.classes, a.features()}, scale, rng);
    weights.groups.push_back(std::move(group));
  }
  weights.bias = random_tensor({a.classes}, 0.1, rng);
  weights.mean = {0.49F, 0.48F, 0.45F};
  weights.stddev = {0.25F, 0.24F, 0.26F};
  return weights;
}

inline std::vector<std::uint8_t> random_image(const inference::GroupArchitecture& a, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::uint8_t> image(static_cast<std::size_t>(a.channels * a.size * a.size));
  for (auto& pixel : image) pixel = static_cast<std::uint8_t>(rng.below(256));
  return image;
}

inline inference::TensorView view_of(const std::vector<std::uint8_t>& image, const inference::GroupArchitecture& a) {
  return {.data = image.data(), .dtype = inference::DType::kUint8, .shape = {1, a.channels, a.size, a.size}};
}

}  // namespace reins::testing
