#include "inference/torch/group_module.hpp"

namespace reins::inference {
namespace {

Tensor plain(const torch::Tensor& t) {
  const torch::Tensor c = t.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  Tensor out;
  out.shape.assign(c.sizes().begin(), c.sizes().end());
  out.values.assign(c.data_ptr<float>(), c.data_ptr<float>() + c.numel());
  return out;
}

}  // namespace

GroupPathImpl::GroupPathImpl(const GroupArchitecture& architecture) {
  for (std::size_t s = 0; s < architecture.stages.size(); ++s) {
    const Stage& stage = architecture.stages[s];
    const std::string number = std::to_string(s + 1);
    auto options = torch::nn::Conv2dOptions(architecture.input_channels(s), stage.channels, 3).padding(1).bias(false);
    convs_.push_back(register_module("conv" + number, torch::nn::Conv2d(options)));
    norms_.push_back(register_module("norm" + number, torch::nn::BatchNorm2d(stage.channels)));
    pools_.push_back(stage.pool);
    torch::nn::init::kaiming_normal_(convs_.back()->weight, 0, torch::kFanOut, torch::kReLU);
  }
  classifier_ = register_module(
      "classifier",
      torch::nn::Linear(torch::nn::LinearOptions(architecture.features(), architecture.classes).bias(false)));
}

torch::Tensor GroupPathImpl::forward(torch::Tensor x) {
  for (std::size_t s = 0; s < convs_.size(); ++s) {
    x = norms_[s]->forward(convs_[s]->forward(x));
    // The same numbers as ReLU before the pool, on a quarter of the elements.
    if (pools_[s]) x = torch::max_pool2d(x, 2);
    x = torch::relu(x);
  }
  return classifier_->forward(x.flatten(1));
}

GroupModuleImpl::GroupModuleImpl(const GroupArchitecture& architecture) : architecture_(architecture) {
  for (std::int64_t g = 0; g < architecture.groups; ++g) {
    paths_.push_back(register_module("group" + std::to_string(g + 1), GroupPath(architecture)));
  }
  bias_ = register_parameter("bias", torch::zeros({architecture.classes}));
}

torch::Tensor GroupModuleImpl::forward(const torch::Tensor& x, std::int64_t level_index) {
  return bias_ + partial_sum(x, level_index) / (level_index + 1);
}

torch::Tensor GroupModuleImpl::partial_sum(const torch::Tensor& x, std::int64_t level_index) {
  torch::Tensor sum = path(0)->forward(x);
  for (std::int64_t g = 1; g <= level_index; ++g) sum = sum + path(g)->forward(x);
  return sum;
}

void GroupModuleImpl::train_only(std::int64_t group) {
  eval();
  for (auto& parameter : parameters()) {
    parameter.set_requires_grad(false);
    parameter.mutable_grad() = torch::Tensor();
  }
  if (group < 0) return;
  path(group)->train();
  for (auto& parameter : path(group)->parameters()) parameter.set_requires_grad(true);
  if (group == 0) bias_.set_requires_grad(true);
}

GroupWeights fold(const GroupPathImpl& path) {
  torch::NoGradGuard no_grad;
  GroupWeights weights;
  for (std::size_t s = 0; s < path.convs_.size(); ++s) {
    const auto& norm = path.norms_[s];
    // In double: one rounding to float at the end.
    const auto scale =
        norm->weight.to(torch::kFloat64) / torch::sqrt(norm->running_var.to(torch::kFloat64) + norm->options.eps());
    weights.conv_weights.push_back(plain(path.convs_[s]->weight.to(torch::kFloat64) * scale.view({-1, 1, 1, 1})));
    weights.conv_biases.push_back(
        plain(norm->bias.to(torch::kFloat64) - norm->running_mean.to(torch::kFloat64) * scale));
  }
  weights.classifier = plain(path.classifier_->weight);
  return weights;
}

NetworkWeights fold(GroupModuleImpl& module, const std::vector<float>& mean, const std::vector<float>& stddev) {
  NetworkWeights weights;
  for (std::int64_t g = 0; g < module.architecture().groups; ++g) weights.groups.push_back(fold(*module.path(g)));
  weights.bias = plain(module.bias());
  weights.mean = mean;
  weights.stddev = stddev;
  return weights;
}

}  // namespace reins::inference
