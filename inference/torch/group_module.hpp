// inference/torch/group_module.hpp: the incremental group network as a libtorch module: what is trained, and the slow
// reference.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "inference/group_network.hpp"

namespace reins::inference {

/// One path: per stage convolution 3x3 (no bias), batch norm, ReLU, and a max-pool where the stage asks for one; then
/// this group's columns of the classifier. forward: [B, C, H, W] normalised images -> [B, classes] partial logits
/// without bias.
class GroupPathImpl : public torch::nn::Module {
 public:
  explicit GroupPathImpl(const GroupArchitecture& architecture);
  torch::Tensor forward(torch::Tensor x);

 private:
  friend GroupWeights fold(const GroupPathImpl& path);
  std::vector<bool> pools_;
  std::vector<torch::nn::Conv2d> convs_;
  std::vector<torch::nn::BatchNorm2d> norms_;
  torch::nn::Linear classifier_{nullptr};
};
TORCH_MODULE(GroupPath);

/// forward(x, level_index): bias + the mean of the partial logits of groups 0..level_index.
class GroupModuleImpl : public torch::nn::Module {
 public:
  explicit GroupModuleImpl(const GroupArchitecture& architecture);
  torch::Tensor forward(const torch::Tensor& x, std::int64_t level_index);
  /// The sum of the partial logits of groups 0..level_index.
  torch::Tensor partial_sum(const torch::Tensor& x, std::int64_t level_index);

  GroupPath& path(std::int64_t group) { return paths_[static_cast<std::size_t>(group)]; }
  torch::Tensor& bias() { return bias_; }
  const GroupArchitecture& architecture() const noexcept { return architecture_; }

  /// Gradients and batch statistics for `group` alone (and, with group 0, for the bias, which all levels share): every
  /// other tensor, buffers included, keeps its bits.
  void train_only(std::int64_t group);

 private:
  GroupArchitecture architecture_;
  std::vector<GroupPath> paths_;
  torch::Tensor bias_;
};
TORCH_MODULE(GroupModule);

/// Plain weights with batch norm folded into the convolutions: w * gamma / sqrt(var + eps), beta - mean * gamma /
/// sqrt(var + eps).
GroupWeights fold(const GroupPathImpl& path);
NetworkWeights fold(GroupModuleImpl& module, const std::vector<float>& mean, const std::vector<float>& stddev);

}  // namespace reins::inference
