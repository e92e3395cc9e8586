#include "training/rival_modules.hpp"

namespace reins::training {

SlimmableModuleImpl::SlimmableModuleImpl(const SlimmableArchitecture& architecture) : architecture_(architecture) {
  const inference::GroupArchitecture& full = architecture.widths.back();
  for (std::size_t s = 0; s < full.stages.size(); ++s) {
    convs_.push_back(register_parameter("conv" + std::to_string(s + 1),
                                        torch::empty({full.stages[s].channels, full.input_channels(s), 3, 3})));
    torch::nn::init::kaiming_normal_(convs_.back(), 0, torch::kFanOut, torch::kReLU);
  }
  for (std::size_t level = 0; level < architecture.widths.size(); ++level) {
    norms_.emplace_back();
    for (std::size_t s = 0; s < full.stages.size(); ++s) {
      norms_.back().push_back(register_module("level" + std::to_string(level + 1) + "_norm" + std::to_string(s + 1),
                                              torch::nn::BatchNorm2d(architecture.widths[level].stages[s].channels)));
    }
  }
  classifier_ = register_module("classifier",
                                torch::nn::Linear(torch::nn::LinearOptions(full.features(), full.classes).bias(false)));
  bias_ = register_parameter("bias", torch::zeros({full.classes}));
}

torch::Tensor SlimmableModuleImpl::forward(torch::Tensor x, std::int64_t level_index) {
  const auto level = static_cast<std::size_t>(level_index);
  const inference::GroupArchitecture& width = architecture_.widths[level];
  for (std::size_t s = 0; s < convs_.size(); ++s) {
    const torch::Tensor weight = convs_[s].narrow(0, 0, width.stages[s].channels).narrow(1, 0, width.input_channels(s));
    x = norms_[level][s]->forward(torch::conv2d(x, weight, {}, 1, 1));
    if (width.stages[s].pool) x = torch::max_pool2d(x, 2);
    x = torch::relu(x);
  }
  // Features stand channel by channel, so the first channels' columns are the first columns.
  return torch::linear(x.flatten(1), classifier_->weight.narrow(1, 0, width.features()), bias_);
}

EarlyExitModuleImpl::EarlyExitModuleImpl(const EarlyExitArchitecture& a) : pool_at_exit_(a.trunk.stages.back().pool) {
  for (std::int64_t level = 0; level < a.levels(); ++level) {
    std::vector<Layer> segment;
    if (level == 0) {
      for (std::size_t s = 0; s < a.trunk.stages.size(); ++s) {
        const bool last = s + 1 == a.trunk.stages.size();
        add_layer(segment, a.trunk.input_channels(s), a.trunk.stages[s].channels, a.trunk.stages[s].pool && !last);
      }
    } else {
      add_layer(segment, a.channels(level - 1), a.channels(level), false);
      add_layer(segment, a.channels(level), a.channels(level), false);
    }
    const std::string number = std::to_string(level + 1);
    for (std::size_t i = 0; i < segment.size(); ++i) {
      const std::string name = "segment" + number + "_" + std::to_string(i + 1);
      register_module(name + "_conv", segment[i].conv);
      register_module(name + "_norm", segment[i].norm);
    }
    segments_.push_back(std::move(segment));
    exits_.push_back(register_module("exit" + number, torch::nn::Linear(a.features(level), a.trunk.classes)));
  }
}

void EarlyExitModuleImpl::add_layer(std::vector<Layer>& segment, std::int64_t in, std::int64_t out, bool pool) {
  Layer layer;
  layer.conv = torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1).bias(false));
  layer.norm = torch::nn::BatchNorm2d(out);
  layer.pool = pool;
  torch::nn::init::kaiming_normal_(layer.conv->weight, 0, torch::kFanOut, torch::kReLU);
  segment.push_back(layer);
}

torch::Tensor EarlyExitModuleImpl::run_segment(torch::Tensor x, std::int64_t level_index) {
  for (Layer& layer : segments_[static_cast<std::size_t>(level_index)]) {
    x = layer.norm->forward(layer.conv->forward(x));
    if (layer.pool) x = torch::max_pool2d(x, 2);
    x = torch::relu(x);
  }
  return x;
}

torch::Tensor EarlyExitModuleImpl::run_exit(torch::Tensor x, std::int64_t level_index) {
  if (pool_at_exit_) x = torch::max_pool2d(x, 2);
  return exits_[static_cast<std::size_t>(level_index)]->forward(x.flatten(1));
}

torch::Tensor EarlyExitModuleImpl::forward(const torch::Tensor& x, std::int64_t level_index) {
  torch::Tensor at = x;
  for (std::int64_t level = 0; level <= level_index; ++level) at = run_segment(at, level);
  return run_exit(at, level_index);
}

std::vector<torch::Tensor> EarlyExitModuleImpl::all_exits(torch::Tensor x) {
  std::vector<torch::Tensor> logits;
  for (std::int64_t level = 0; level < static_cast<std::int64_t>(segments_.size()); ++level) {
    x = run_segment(x, level);
    logits.push_back(run_exit(x, level));
  }
  return logits;
}

}  // namespace reins::training
