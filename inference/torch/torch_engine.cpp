#include "inference/torch/torch_engine.hpp"

#include <torch/torch.h>

namespace reins::inference {
namespace {

torch::Tensor to_torch(const Tensor& tensor) {
  return torch::from_blob(const_cast<float*>(tensor.values.data()), tensor.shape, torch::kFloat32).clone();
}

Error from_torch(const std::exception& problem) {
  const std::string_view text = problem.what();
  return Error(ErrorKind::kInternal, text.substr(0, text.find('\n')), "libtorch");
}

struct Path {
  std::vector<torch::Tensor> weights, biases;
  torch::Tensor classifier;
};

class TorchEngine final : public Engine {
 public:
  TorchEngine(const DynamicNetwork& network, const NetworkWeights& weights) : network_(network) {
    for (const GroupWeights& group : weights.groups) {
      Path path;
      for (const Tensor& t : group.conv_weights) path.weights.push_back(to_torch(t));
      for (const Tensor& t : group.conv_biases) path.biases.push_back(to_torch(t));
      path.classifier = to_torch(group.classifier);
      paths_.push_back(std::move(path));
    }
    bias_ = to_torch(weights.bias);
    mean_ = to_torch({{1, network.architecture.channels, 1, 1}, weights.mean});
    stddev_ = to_torch({{1, network.architecture.channels, 1, 1}, weights.stddev});
    probabilities_.resize(static_cast<std::size_t>(network.architecture.classes));
  }

  const NetworkFacts& facts() const noexcept override { return network_.facts; }

  Status place(const Placement& placement) override {
    if (placement.unit != Unit::kCpu)
      return fail(ErrorKind::kUnsupported, "the reference engine runs on CPUs alone", "placement");
    if (placement.threads < 1) return fail(ErrorKind::kUsage, "an engine runs on one thread or more", "placement");
    return {};
  }

  Status begin(const TensorView& input, LevelId level) override {
    if (!level.valid() || level.index() >= paths_.size())
      return fail(ErrorKind::kUsage, "no such level", network_.facts.name);
    if (input.shape != network_.facts.input_shape || input.data == nullptr) {
      return fail(ErrorKind::kUsage, "an input of another shape than the network's", network_.facts.name);
    }
    try {
      torch::NoGradGuard no_grad;
      const bool bytes = input.dtype == DType::kUint8;
      torch::Tensor pixels =
          torch::from_blob(const_cast<void*>(input.data), input.shape, bytes ? torch::kUInt8 : torch::kFloat32)
              .to(torch::kFloat32);
      if (bytes) pixels = pixels / 255;
      image_ = (pixels - mean_) / stddev_;
      sum_ = torch::zeros_like(bias_);
      for (std::size_t g = 0; g <= level.index(); ++g) add(g);
      level_ = level;
    } catch (const std::exception& problem) {
      return fail(from_torch(problem));
    }
    return {};
  }

  Status grow() override {
    if (!sum_.defined()) return fail(ErrorKind::kUsage, "nothing was begun", network_.facts.name);
    if (level_.index() + 1 >= paths_.size())
      return fail(ErrorKind::kUsage, "the full network has run already", network_.facts.name);
    try {
      torch::NoGradGuard no_grad;
      level_ = LevelId(level_.value + 1);
      add(level_.index());
    } catch (const std::exception& problem) {
      return fail(from_torch(problem));
    }
    return {};
  }

  Result<Answer> finish() override {
    if (!sum_.defined()) return fail(ErrorKind::kUsage, "nothing was begun", network_.facts.name);
    try {
      torch::NoGradGuard no_grad;
      const torch::Tensor p = torch::softmax((bias_ + sum_ / (level_.value + 1)).flatten(), 0).contiguous();
      std::copy_n(p.data_ptr<float>(), probabilities_.size(), probabilities_.begin());
      return Answer{.predicted = static_cast<int>(p.argmax().item<std::int64_t>()),
                    .level = level_,
                    .probabilities = probabilities_};
    } catch (const std::exception& problem) {
      return fail(from_torch(problem));
    }
  }

 private:
  void add(std::size_t group) {
    torch::Tensor x = image_;
    for (std::size_t s = 0; s < paths_[group].weights.size(); ++s) {
      x = torch::relu(torch::conv2d(x, paths_[group].weights[s], paths_[group].biases[s], 1, 1));
      if (network_.architecture.stages[s].pool) x = torch::max_pool2d(x, 2);
    }
    sum_ = sum_ + torch::linear(x.flatten(1), paths_[group].classifier);
  }

  DynamicNetwork network_;
  std::vector<Path> paths_;
  torch::Tensor bias_, mean_, stddev_, image_, sum_;
  LevelId level_;
  std::vector<float> probabilities_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_torch_engine(const DynamicNetwork& network, const NetworkWeights& weights) {
  REINS_TRY(check_weights(network.architecture, weights));
  try {
    return std::make_unique<TorchEngine>(network, weights);
  } catch (const std::exception& problem) {
    return fail(from_torch(problem));
  }
}

}  // namespace reins::inference
