#include "inference/running_answer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace reins::inference {

Status check_max_batch(int max_batch) {
  if (max_batch < 1 || max_batch > 64) {
    return fail(ErrorKind::kUsage, "an engine takes batches of 1 to 64 images", "max_batch");
  }
  return {};
}

RunningAnswer::RunningAnswer(const DynamicNetwork& network, const NetworkWeights& weights, std::size_t max_batch)
    : name_(network.facts.name),
      shape_(network.facts.input_shape),
      levels_(weights.groups.size()),
      classes_(static_cast<std::size_t>(network.architecture.classes)),
      bias_(weights.bias.values),
      sums_(max_batch * classes_),
      probabilities_(max_batch * classes_) {
  shape_[0] = static_cast<std::int64_t>(max_batch);
  for (std::size_t c = 0; c < weights.mean.size(); ++c) {
    scale_.push_back(1.0F / weights.stddev[c]);
    shift_.push_back(weights.mean[c] / weights.stddev[c]);
  }
}

Status RunningAnswer::check(const TensorView& input, LevelId level) const {
  if (!level.valid() || level.index() >= levels_) {
    return fail(ErrorKind::kUsage, "no such level", name_, "ask for a level that the network has");
  }
  const bool same_image = std::equal(shape_.begin() + 1, shape_.end(), input.shape.begin() + 1);
  if (!same_image || input.shape[0] < 1 || input.shape[0] > shape_[0] || input.data == nullptr) {
    return fail(ErrorKind::kUsage, "an input of another shape than the network's", name_,
                "give [1, channels, height, width] as reins net info prints them");
  }
  return {};
}

Status RunningAnswer::check_grow() const {
  if (!level_.valid()) return fail(ErrorKind::kUsage, "nothing was begun", name_, "call begin first");
  if (level_.index() + 1 >= levels_) {
    return fail(ErrorKind::kUsage, "the full network has run already", name_);
  }
  return {};
}

void RunningAnswer::scale_input(const TensorView& input, float* out, std::size_t row_stride,
                                std::size_t image_stride) const noexcept {
  const auto channels = static_cast<std::size_t>(shape_[1]);
  const auto height = static_cast<std::size_t>(shape_[2]);
  const auto width = static_cast<std::size_t>(shape_[3]);
  for (std::size_t n = 0; n < static_cast<std::size_t>(input.shape[0]); ++n) {
    for (std::size_t c = 0; c < channels; ++c) {
      const float scale = input.dtype == DType::kUint8 ? scale_[c] / 255.0F : scale_[c];
      for (std::size_t y = 0; y < height; ++y) {
        float* const to = out + n * image_stride + y * row_stride + c;
        const std::size_t from = ((n * channels + c) * height + y) * width;
        if (input.dtype == DType::kUint8) {
          const auto* pixels = static_cast<const std::uint8_t*>(input.data) + from;
          for (std::size_t x = 0; x < width; ++x) to[x * channels] = static_cast<float>(pixels[x]) * scale - shift_[c];
        } else {
          // A client's bytes need not be aligned.
          const auto* pixels = static_cast<const char*>(input.data) + from * sizeof(float);
          for (std::size_t x = 0; x < width; ++x) {
            float value = 0;
            std::memcpy(&value, pixels + x * sizeof(float), sizeof value);
            to[x * channels] = value * scale - shift_[c];
          }
        }
      }
    }
  }
}

void RunningAnswer::begin(std::size_t images) noexcept {
  level_ = LevelId();
  images_ = images;
  std::fill(sums_.begin(), sums_.end(), 0.0F);
}

void RunningAnswer::add(const float* partial_logits) noexcept {
  for (std::size_t i = 0; i < images_ * classes_; ++i) sums_[i] += partial_logits[i];
}

Result<Answer> RunningAnswer::finish() {
  if (!level_.valid()) return fail(ErrorKind::kUsage, "nothing was begun", name_, "call begin first");
  const auto groups = static_cast<float>(level_.index() + 1);
  for (std::size_t n = 0; n < images_; ++n) {
    const float* const sums = sums_.data() + n * classes_;
    float* const p = probabilities_.data() + n * classes_;
    for (std::size_t k = 0; k < classes_; ++k) p[k] = bias_[k] + sums[k] / groups;
    const float top = *std::max_element(p, p + classes_);
    float total = 0;
    for (std::size_t k = 0; k < classes_; ++k) total += p[k] = std::exp(p[k] - top);
    for (std::size_t k = 0; k < classes_; ++k) p[k] /= total;
  }
  const float* const first = probabilities_.data();
  return Answer{.predicted = static_cast<int>(std::max_element(first, first + classes_) - first),
                .level = level_,
                .probabilities = {first, images_ * classes_}};
}

}  // namespace reins::inference
