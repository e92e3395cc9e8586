// inference/torch/plain_network.hpp: a network file's weights run by libtorch's own operators: the reference engine's
// arithmetic, and what a teacher answers with.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "inference/group_network.hpp"

namespace reins::inference {

/// Batch norm is folded in already. Any number of threads may call. Calls throw what libtorch throws.
class PlainNetwork {
 public:
  /// `weights` have passed check_weights. `device`: where the weights are put and images are expected.
  PlainNetwork(const GroupArchitecture& architecture, const NetworkWeights& weights, torch::Device device);
  /// [B, C, H, W], normalised -> [B, classes]: one group's share of the logits, without bias.
  torch::Tensor partial(const torch::Tensor& images, std::size_t group) const;
  /// bias + sum / (level_index + 1), `sum` over the partials of groups 0..level_index.
  torch::Tensor logits(const torch::Tensor& sum, std::size_t level_index) const;
  std::size_t groups() const noexcept { return paths_.size(); }
  const torch::Tensor& mean() const noexcept { return mean_; }      ///< [1, C, 1, 1]
  const torch::Tensor& stddev() const noexcept { return stddev_; }  ///< [1, C, 1, 1]

 private:
  struct Path {
    std::vector<torch::Tensor> weights, biases;
    torch::Tensor classifier;
  };
  std::vector<bool> pools_;
  std::vector<Path> paths_;
  torch::Tensor bias_, mean_, stddev_;
};

}  // namespace reins::inference
