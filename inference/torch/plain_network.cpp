#include "inference/torch/plain_network.hpp"

namespace reins::inference {
namespace {

torch::Tensor to_torch(const Tensor& tensor) {
  return torch::from_blob(const_cast<float*>(tensor.values.data()), tensor.shape, torch::kFloat32).clone();
}

}  // namespace

PlainNetwork::PlainNetwork(const GroupArchitecture& architecture, const NetworkWeights& weights) {
  for (const Stage& stage : architecture.stages) pools_.push_back(stage.pool);
  for (const GroupWeights& group : weights.groups) {
    Path path;
    for (const Tensor& t : group.conv_weights) path.weights.push_back(to_torch(t));
    for (const Tensor& t : group.conv_biases) path.biases.push_back(to_torch(t));
    path.classifier = to_torch(group.classifier);
    paths_.push_back(std::move(path));
  }
  bias_ = to_torch(weights.bias);
  mean_ = to_torch({{1, architecture.channels, 1, 1}, weights.mean});
  stddev_ = to_torch({{1, architecture.channels, 1, 1}, weights.stddev});
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
