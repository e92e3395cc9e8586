#include "bench/peers/peer.hpp"

namespace reins::bench {

StaticNetwork static_network(const inference::GroupArchitecture& a, const inference::NetworkWeights& weights,
                             std::int64_t groups) {
  StaticNetwork network;
  network.channels = a.channels;
  network.size = a.size;
  network.classes = a.classes;
  for (std::size_t s = 0; s < a.stages.size(); ++s) {
    // All groups read the same image, so the first stage is one dense convolution.
    StaticNetwork::Layer layer{.in = s == 0 ? a.channels : a.input_channels(s) * groups,
                               .out = a.stages[s].channels * groups,
                               .groups = s == 0 ? 1 : groups,
                               .size = a.size_at(s),
                               .pool = a.stages[s].pool,
                               .weights = {},
                               .bias = {}};
    for (std::int64_t g = 0; g < groups; ++g) {
      const inference::GroupWeights& of = weights.groups[static_cast<std::size_t>(g)];
      layer.weights.insert(layer.weights.end(), of.conv_weights[s].values.begin(), of.conv_weights[s].values.end());
      layer.bias.insert(layer.bias.end(), of.conv_biases[s].values.begin(), of.conv_biases[s].values.end());
    }
    network.layers.push_back(std::move(layer));
  }
  network.features = a.features() * groups;
  for (std::int64_t k = 0; k < a.classes; ++k) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* const row = weights.groups[static_cast<std::size_t>(g)].classifier.values.data() + k * a.features();
      for (std::int64_t f = 0; f < a.features(); ++f) {
        network.classifier.push_back(row[f] / static_cast<float>(groups));
      }
    }
  }
  network.bias = weights.bias.values;
  return network;
}

std::vector<StaticNetwork> Setting::levels() const {
  std::vector<StaticNetwork> all;
  for (std::int64_t groups = 1; groups <= architecture.groups; ++groups) {
    all.push_back(static_network(architecture, weights, groups));
  }
  return all;
}

}  // namespace reins::bench
