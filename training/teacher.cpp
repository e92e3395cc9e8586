#include "training/teacher.hpp"

#include "core/csv.hpp"
#include "inference/network_file.hpp"

namespace reins::training {
namespace {

constexpr double kTemperature = 4;

torch::Tensor per_channel(const std::vector<float>& values) {
  return torch::tensor(values).view({1, static_cast<std::int64_t>(values.size()), 1, 1});
}

}  // namespace

Result<Teacher> Teacher::open(const std::filesystem::path& file, double share, const data::ImageSet& images,
                              const Scaling& scaling, torch::Device device) {
  REINS_ASSIGN(const inference::NetworkFile network, inference::NetworkFile::open(file));
  const inference::NetworkFacts& facts = network.network().facts;
  if (facts.input_shape != std::array<std::int64_t, 4>{1, images.channels, images.height, images.width} ||
      facts.classes != images.classes) {
    return fail(ErrorKind::kMismatch, "the teacher was made for images of another shape, or for other classes",
                file.string(), "give a network that was trained on this data set");
  }
  REINS_ASSIGN(const inference::NetworkWeights weights, network.weights());
  Teacher teacher(inference::PlainNetwork(network.network().architecture, weights, device));
  // ((x * s + m) - m') / s' for a pixel that the student sees as x.
  teacher.scale_ = per_channel(scaling.stddev).to(device) / teacher.network_.stddev();
  teacher.shift_ = (per_channel(scaling.mean).to(device) - teacher.network_.mean()) / teacher.network_.stddev();
  teacher.share_ = share;
  teacher.macs_ = facts.levels.back().macs;
  teacher.identity_ = facts.fingerprint + " share " + format_number(share);
  return teacher;
}

torch::Tensor Teacher::answer(const torch::Tensor& images) const {
  torch::NoGradGuard no_grad;
  const torch::Tensor x = images * scale_ + shift_;
  torch::Tensor sum = network_.partial(x, 0).to(torch::kFloat32);
  for (std::size_t g = 1; g < network_.groups(); ++g) sum = sum + network_.partial(x, g).to(torch::kFloat32);
  return network_.logits(sum, network_.groups() - 1);
}

torch::Tensor Teacher::loss(const torch::Tensor& student_logits, const torch::Tensor& answer,
                            const torch::Tensor& labels) const {
  const torch::Tensor soft = torch::softmax(answer / kTemperature, 1);
  const torch::Tensor divergence =
      torch::nn::functional::kl_div(torch::log_softmax(student_logits / kTemperature, 1), soft,
                                    torch::nn::functional::KLDivFuncOptions().reduction(torch::kBatchMean));
  return (1 - share_) * torch::nn::functional::cross_entropy(student_logits, labels) +
         share_ * kTemperature * kTemperature * divergence;
}

}  // namespace reins::training
