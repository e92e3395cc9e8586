#include "inference/group_network.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace reins::inference {
namespace {

constexpr double kFloatBytes = 4;

Status check_tensor(const Tensor& tensor, const std::vector<std::int64_t>& shape, std::string_view name) {
  std::int64_t count = 1;
  for (const std::int64_t n : shape) count *= n;
  if (tensor.shape != shape || tensor.values.size() != static_cast<std::size_t>(count)) {
    return fail(ErrorKind::kMismatch, "a tensor's shape is not the one that the network's layers ask for", name);
  }
  for (const float value : tensor.values) {
    if (!std::isfinite(value)) return fail(ErrorKind::kGarbled, "a weight is not a finite number", name);
  }
  return {};
}

}  // namespace

Status GroupArchitecture::validate() const {
  const auto usage = [](std::string_view what) { return fail(ErrorKind::kUsage, what, "group network"); };
  if (groups < 1 || groups > 8) return usage("the number of groups (--groups) is not within 1 to 8");
  if (channels < 1 || channels > 16) return usage("the number of image channels is not within 1 to 16");
  if (size < 4 || size > 512) return usage("the image size is not within 4 to 512");
  if (classes < 2 || classes > 1000) return usage("the number of classes is not within 2 to 1000");
  if (stages.empty() || stages.size() > 8) return usage("the number of stages is not within 1 to 8");
  std::int64_t at = size;
  for (const Stage& stage : stages) {
    if (stage.channels < 1 || stage.channels > 512) return usage("the channels of a stage are not within 1 to 512");
    if (stage.pool) {
      if (at % 2 != 0) return usage("a max-pool stands behind a stage of odd size");
      at /= 2;
    }
  }
  return {};
}

std::int64_t GroupArchitecture::input_channels(std::size_t stage) const noexcept {
  return stage == 0 ? channels : stages[stage - 1].channels;
}

std::int64_t GroupArchitecture::size_at(std::size_t stage) const noexcept {
  std::int64_t at = size;
  for (std::size_t i = 0; i < stage; ++i) {
    if (stages[i].pool) at /= 2;
  }
  return at;
}

std::int64_t GroupArchitecture::features() const noexcept {
  const std::int64_t last = size_at(stages.size());
  return stages.back().channels * last * last;
}

double GroupArchitecture::parameters_of_level(std::int64_t level_index) const noexcept {
  std::int64_t of_group = classes * features();
  for (std::size_t s = 0; s < stages.size(); ++s) of_group += stages[s].channels * (input_channels(s) * 9 + 1);
  return static_cast<double>((level_index + 1) * of_group + classes);
}

double GroupArchitecture::peak_activation_bytes_of_level(std::int64_t level_index) const noexcept {
  const auto area = [this](std::size_t stage) { return size_at(stage) * size_at(stage); };
  const std::int64_t groups_run = level_index + 1;
  std::int64_t most = groups_run * features() + classes;
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const std::int64_t inputs = (s == 0 ? 1 : groups_run) * input_channels(s) * area(s);
    most = std::max(most, inputs + groups_run * stages[s].channels * area(s + 1));
  }
  return kFloatBytes * static_cast<double>(most);
}

double GroupArchitecture::macs_of_level(std::int64_t level_index) const {
  double macs = 0;
  for (const LayerCost& layer : layers_of_level(level_index)) macs += layer.macs;
  return macs;
}

std::vector<LayerCost> GroupArchitecture::layers_of_level(std::int64_t level_index) const {
  std::vector<LayerCost> layers;
  for (std::int64_t group = 0; group <= level_index; ++group) {
    for (std::size_t s = 0; s < stages.size(); ++s) {
      const auto in = static_cast<double>(input_channels(s));
      const auto out = static_cast<double>(stages[s].channels);
      const auto area = static_cast<double>(size_at(s) * size_at(s));
      const auto out_area = static_cast<double>(size_at(s + 1) * size_at(s + 1));
      const double weights = out * (9 * in + 1);
      layers.push_back(
          {.macs = 9 * in * out * area, .bytes = kFloatBytes * (weights + in * area + out * out_area), .launches = 1});
    }
    const auto columns = static_cast<double>(features());
    const auto rows = static_cast<double>(classes);
    layers.push_back({.macs = columns * rows, .bytes = kFloatBytes * (columns * rows + columns + rows), .launches = 1});
  }
  return layers;
}

std::string format_stages(const std::vector<Stage>& stages) {
  std::string text;
  for (const Stage& stage : stages) {
    if (!text.empty()) text += ',';
    text += std::to_string(stage.channels);
    if (stage.pool) text += 'p';
  }
  return text;
}

Result<std::vector<Stage>> parse_stages(std::string_view text) {
  std::vector<Stage> stages;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at < end) {
    Stage stage{.channels = 0, .pool = false};
    const auto [rest, problem] = std::from_chars(at, end, stage.channels);
    if (problem != std::errc() || stage.channels < 1 || stage.channels > 512) break;
    at = rest;
    if (at < end && *at == 'p') {
      stage.pool = true;
      ++at;
    }
    stages.push_back(stage);
    if (at == end) return stages;
    if (*at != ',') break;
    ++at;
  }
  return fail(ErrorKind::kUsage, "stages are channels joined by commas, with p where a max-pool follows", text,
              "an example: 16p,32p,64,64p");
}

Status check_weights(const GroupArchitecture& architecture, const NetworkWeights& weights) {
  REINS_TRY(architecture.validate());
  if (weights.groups.size() != static_cast<std::size_t>(architecture.groups)) {
    return fail(ErrorKind::kMismatch, "the number of groups is not that of the network's layers", "network");
  }
  const auto channels = static_cast<std::size_t>(architecture.channels);
  if (weights.mean.size() != channels || weights.stddev.size() != channels) {
    return fail(ErrorKind::kMismatch, "input scaling needs a mean and a deviation per channel", "network");
  }
  for (std::size_t c = 0; c < channels; ++c) {
    if (!std::isfinite(weights.mean[c]) || !std::isfinite(weights.stddev[c]) || weights.stddev[c] <= 0) {
      return fail(ErrorKind::kGarbled, "input scaling is not finite and positive", "network");
    }
  }
  for (const GroupWeights& group : weights.groups) {
    if (group.conv_weights.size() != architecture.stages.size() ||
        group.conv_biases.size() != architecture.stages.size()) {
      return fail(ErrorKind::kMismatch, "a group lacks a stage", "network");
    }
    for (std::size_t s = 0; s < architecture.stages.size(); ++s) {
      const std::int64_t out = architecture.stages[s].channels;
      REINS_TRY(
          check_tensor(group.conv_weights[s], {out, architecture.input_channels(s), 3, 3}, "convolution weights"));
      REINS_TRY(check_tensor(group.conv_biases[s], {out}, "convolution bias"));
    }
    REINS_TRY(check_tensor(group.classifier, {architecture.classes, architecture.features()}, "classifier"));
  }
  return check_tensor(weights.bias, {architecture.classes}, "classifier bias");
}

}  // namespace reins::inference
