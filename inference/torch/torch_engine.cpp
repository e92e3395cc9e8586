#include "inference/torch/torch_engine.hpp"

#include <torch/torch.h>

#include "inference/torch/plain_network.hpp"

namespace reins::inference {
namespace {

Error from_torch(const std::exception& problem) {
  const std::string_view text = problem.what();
  return Error(ErrorKind::kInternal, text.substr(0, text.find('\n')), "libtorch");
}

class TorchEngine final : public Engine {
 public:
  TorchEngine(const DynamicNetwork& network, const NetworkWeights& weights)
      : network_(network), plain_(network.architecture, weights, torch::kCPU) {
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
    if (!level.valid() || level.index() >= plain_.groups())
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
      image_ = (pixels - plain_.mean()) / plain_.stddev();
      sum_ = torch::zeros({1, network_.architecture.classes});
      for (std::size_t g = 0; g <= level.index(); ++g) add(g);
      level_ = level;
    } catch (const std::exception& problem) {
      return fail(from_torch(problem));
    }
    return {};
  }

  Status grow() override {
    if (!sum_.defined()) return fail(ErrorKind::kUsage, "nothing was begun", network_.facts.name);
    if (level_.index() + 1 >= plain_.groups())
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
      const torch::Tensor p = torch::softmax(plain_.logits(sum_, level_.index()).flatten(), 0).contiguous();
      std::copy_n(p.data_ptr<float>(), probabilities_.size(), probabilities_.begin());
      return Answer{.predicted = static_cast<int>(p.argmax().item<std::int64_t>()),
                    .level = level_,
                    .probabilities = probabilities_};
    } catch (const std::exception& problem) {
      return fail(from_torch(problem));
    }
  }

 private:
  void add(std::size_t group) { sum_ = sum_ + plain_.partial(image_, group); }

  DynamicNetwork network_;
  PlainNetwork plain_;
  torch::Tensor image_, sum_;
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
