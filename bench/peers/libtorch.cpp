#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/script.h>
#include <torch/version.h>

#include <filesystem>

#include "bench/peers/peer.hpp"

namespace reins::bench {
namespace {

torch::Tensor tensor(const std::vector<float>& values, std::vector<std::int64_t> shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32).clone();
}

std::vector<float> plain(const torch::Tensor& t) {
  const torch::Tensor c = t.contiguous();
  return {c.data_ptr<float>(), c.data_ptr<float>() + c.numel()};
}

class LibtorchPeer : public Peer {
 public:
  LibtorchPeer(const Setting& setting, Input& input)
      : threads_(setting.threads), input_(torch::from_blob(input.scaled.data(), setting.input_shape())) {}
  void take_turn() override { at::set_num_threads(threads_); }
  std::vector<float> logits() override { return plain(logits_); }

 protected:
  int threads_;
  torch::Tensor input_, logits_;
};

/// A level as a user would write it: its groups in one grouped convolution per stage. Path after path, as the reference
/// modules compute it, takes longer.
class Eager final : public LibtorchPeer {
 public:
  Eager(const Setting& setting, Input& input) : LibtorchPeer(setting, input) {
    for (const StaticNetwork& network : setting.levels()) {
      Level& level = levels_.emplace_back();
      for (const StaticNetwork::Layer& layer : network.layers) {
        level.layers.push_back({tensor(layer.weights, {layer.out, layer.in / layer.groups, 3, 3}),
                                tensor(layer.bias, {layer.out}), layer.groups, layer.pool});
      }
      level.classifier = tensor(network.classifier, {network.classes, network.features});
      level.bias = tensor(network.bias, {network.classes});
    }
  }

  void infer(std::size_t level) override {
    const c10::InferenceMode guard;
    torch::Tensor x = input_;
    for (const Layer& layer : levels_[level].layers) {
      x = torch::relu(torch::conv2d(x, layer.weights, layer.bias, 1, 1, 1, layer.groups));
      if (layer.pool) x = torch::max_pool2d(x, 2);
    }
    logits_ = torch::linear(x.flatten(1), levels_[level].classifier, levels_[level].bias);
  }

 private:
  struct Layer {
    torch::Tensor weights, bias;
    std::int64_t groups = 1;
    bool pool = false;
  };
  struct Level {
    std::vector<Layer> layers;
    torch::Tensor classifier, bias;
  };
  std::vector<Level> levels_;
};

class TorchScript final : public LibtorchPeer {
 public:
  TorchScript(const Setting& setting, Input& input) : LibtorchPeer(setting, input) {
    for (const StaticNetwork& network : setting.levels()) levels_.push_back(compile(network));
  }
  void infer(std::size_t level) override {
    const c10::InferenceMode guard;
    logits_ = levels_[level].forward({input_}).toTensor();
  }

 private:
  static torch::jit::Module compile(const StaticNetwork& network) {
    torch::jit::Module module("Level");
    std::string body;
    for (std::size_t s = 0; s < network.layers.size(); ++s) {
      const StaticNetwork::Layer& layer = network.layers[s];
      const std::string n = std::to_string(s);
      module.register_parameter("w" + n, tensor(layer.weights, {layer.out, layer.in / layer.groups, 3, 3}), false);
      module.register_parameter("b" + n, tensor(layer.bias, {layer.out}), false);
      body += "    x = torch.relu(torch.conv2d(x, self.w" + n + ", self.b" + n + ", [1, 1], [1, 1], [1, 1], " +
              std::to_string(layer.groups) + "))\n";
      if (layer.pool) body += "    x = torch.max_pool2d(x, [2, 2])\n";
    }
    module.register_parameter("w", tensor(network.classifier, {network.classes, network.features}), false);
    module.register_parameter("b", tensor(network.bias, {network.classes}), false);
    module.define("def forward(self, x):\n" + body + "    return torch.linear(torch.flatten(x, 1), self.w, self.b)\n");
    module.eval();
    torch::jit::Module frozen = torch::jit::freeze(module);
    return torch::jit::optimize_for_inference(frozen);
  }

  std::vector<torch::jit::Module> levels_;
};

}  // namespace

std::unique_ptr<Peer> make_eager(const Setting& setting, Input& input) {
  return std::make_unique<Eager>(setting, input);
}
std::unique_ptr<Peer> make_torchscript(const Setting& setting, Input& input) {
  return std::make_unique<TorchScript>(setting, input);
}
std::string libtorch_version() {
  // Its dense layers are as fast as the BLAS that the machine gives it.
  Dl_info blas{};
  void* const sgemm = ::dlsym(RTLD_DEFAULT, "sgemm_");
  if (sgemm == nullptr || ::dladdr(sgemm, &blas) == 0) return TORCH_VERSION;
  return std::string(TORCH_VERSION) + ", BLAS " + std::filesystem::canonical(blas.dli_fname).string();
}

}  // namespace reins::bench
