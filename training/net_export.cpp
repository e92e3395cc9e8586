#include "training/net_export.hpp"

#include <cmath>

#include "inference/engines.hpp"
#include "inference/half.hpp"
#include "inference/network_file.hpp"

namespace reins::training {
namespace {

Status round_to_half(std::vector<float>& values) {
  for (float& value : values) {
    const float rounded = inference::from_half(inference::to_half(value));
    if (!(std::abs(rounded) <= inference::kMaxHalf)) {
      return fail(ErrorKind::kUnsupported, "a weight is beyond float16's range", "network", "train with a lower rate");
    }
    value = rounded;
  }
  return {};
}

Status round_to_half(inference::NetworkWeights& weights) {
  for (auto& group : weights.groups) {
    for (auto& tensor : group.conv_weights) REINS_TRY(round_to_half(tensor.values));
    for (auto& tensor : group.conv_biases) REINS_TRY(round_to_half(tensor.values));
    REINS_TRY(round_to_half(group.classifier.values));
  }
  return round_to_half(weights.bias.values);
}

}  // namespace

Result<inference::Answers> ship_network(const inference::DynamicNetwork& network,
                                        const inference::NetworkWeights& weights, const data::ImageSet& test,
                                        const std::filesystem::path& folder,
                                        const std::function<void(std::size_t, std::size_t)>& progress) {
  inference::NetworkWeights rounded = weights;
  REINS_TRY(round_to_half(rounded));
  inference::DynamicNetwork shipped = network;
  REINS_ASSIGN(auto engine, inference::make_portable_engine(shipped, rounded));
  REINS_ASSIGN(const auto first, inference::record_answers(*engine, test, progress));
  for (std::size_t level = 0; level < first.levels(); ++level) {
    shipped.facts.levels[level].accuracy = first.accuracy(LevelId(level));
  }
  const auto path = folder / "network.rnet";
  REINS_TRY(inference::write_network(path, shipped, rounded, inference::WeightType::kFloat16));
  // The fingerprint is that of the finished file, accuracies included: the same answers again, under its name.
  REINS_ASSIGN(const auto file, inference::NetworkFile::open(path));
  std::vector<std::uint8_t> labels;
  std::vector<std::vector<std::uint8_t>> predicted(first.levels());
  for (std::size_t i = 0; i < first.images(); ++i) {
    labels.push_back(static_cast<std::uint8_t>(first.label(i)));
    for (std::size_t level = 0; level < first.levels(); ++level) {
      predicted[level].push_back(static_cast<std::uint8_t>(first.predicted(LevelId(level), i)));
    }
  }
  REINS_ASSIGN(auto answers, inference::Answers::make(first.network(), file.network().facts.fingerprint,
                                                      first.dataset(), first.dataset_title(), first.classes(),
                                                      std::move(labels), std::move(predicted)));
  REINS_TRY(answers.write(folder / "answers.rans"));
  return answers;
}

}  // namespace reins::training
