#include "inference/torch/plain_network.hpp"

namespace reins::inference {
namespace {

torch::Tensor to_torch(const Tensor& tensor, torch::Device device) {
  return torch::from_blob(const_cast<float*>(tensor.values.data()), tensor.shape, torch::kFloat32).clone().to(device);
}

}  // namespace

PlainNetwork::PlainNetwork(const GroupArchitecture& architecture, const NetworkWeights& weights, torch::Device device) {
  for (const Stage& stage : architecture.stages) pools_.push_back(stage.pool);
  for (const GroupWeights& group : weights.groups) {
    Path path;
    for (const Tensor& t : group.conv_weights) path.weights.push_back(to_torch(t, device));
    for (const Tensor& t : group.conv_biases) path.biases.push_back(to_torch(t, device));
    path.classifier = to_torch(group.classifier, device);
    paths_.push_back(std::move(path));
  }
  bias_ = to_torch(weights.bias, device);
  mean_ = to_torch({{1, architecture.channels, 1, 1}, weights.mean}, device);
  stddev_ = to_torch({{1, architecture.channels, 1, 1}, weights.stddev}, device);
}

torch::Tensor PlainNetwork::partial(const torch::Tensor& images, std::size_t group) const {
  const Path& path = paths_[group];
  torch::Tensor x = images;
  for (std::size_t s = 0; s < path.weights.size(); ++s) {
    x = torch::relu(torch::conv2d(x, path.weights[s], path.biases[s], 1, 1));
    if (pools_[s]) x = torch::max_pool2d(x, 2);
  }
  return torch::linear(x.flatten(1), path.classifier);
}

torch::Tensor PlainNetwork::logits(const torch::Tensor& sum, std::size_t level_index) const {
  return bias_ + sum / static_cast<double>(level_index + 1);
}

}  // namespace reins::inference
