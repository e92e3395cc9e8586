// training/rival_modules.hpp: the slimmable and the early-exit network as libtorch modules.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "training/rivals.hpp"

namespace reins::training {

/// forward(x, level_index): [B, C, H, W] normalised images -> [B, classes] logits of that width.
class SlimmableModuleImpl : public torch::nn::Module {
 public:
  explicit SlimmableModuleImpl(const SlimmableArchitecture& architecture);
  torch::Tensor forward(torch::Tensor x, std::int64_t level_index);

 private:
  SlimmableArchitecture architecture_;
  std::vector<torch::Tensor> convs_;                        // [out, in, 3, 3] of the full width
  std::vector<std::vector<torch::nn::BatchNorm2d>> norms_;  // [level][stage]
  torch::nn::Linear classifier_{nullptr};                   // of the full width, without bias
  torch::Tensor bias_;
};
TORCH_MODULE(SlimmableModule);

/// One chain of 3x3 convolutions, each with batch norm and ReLU, and a linear classifier per exit.
class EarlyExitModuleImpl : public torch::nn::Module {
 public:
  explicit EarlyExitModuleImpl(const EarlyExitArchitecture& architecture);
  /// [B, C, H, W] normalised images -> the logits of exit `level_index`, [B, classes]; no other exit is run.
  torch::Tensor forward(const torch::Tensor& x, std::int64_t level_index);
  /// The logits of every exit, in one pass.
  std::vector<torch::Tensor> all_exits(torch::Tensor x);

 private:
  struct Layer {
    torch::nn::Conv2d conv{nullptr};
    torch::nn::BatchNorm2d norm{nullptr};
    bool pool = false;
  };
  void add_layer(std::vector<Layer>& segment, std::int64_t in, std::int64_t out, bool pool);
  torch::Tensor run_segment(torch::Tensor x, std::int64_t level_index);
  torch::Tensor run_exit(torch::Tensor x, std::int64_t level_index);

  bool pool_at_exit_;
  std::vector<std::vector<Layer>> segments_;  // what leads to each exit from the one before
  std::vector<torch::nn::Linear> exits_;
};
TORCH_MODULE(EarlyExitModule);

}  // namespace reins::training
