// inference/running_answer.hpp: what every engine of the group network does besides arithmetic: checks, the scaling of
// its input, the sums of partial logits that a level is made of.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "inference/dynamic_network.hpp"

namespace reins::inference {

/// Of EngineOptions. Errors: usage (not within 1 to 64).
Status check_max_batch(int max_batch);

/// The inference under way: begin, add once per group in their order, settle; to grow, add and settle once more.
/// Allocates in its constructor alone.
class RunningAnswer {
 public:
  RunningAnswer(const DynamicNetwork& network, const NetworkWeights& weights, std::size_t max_batch);

  /// Of a begin. Errors: usage (a level or a shape that the network does not have, more images than max_batch).
  Status check(const TensorView& input, LevelId level) const;
  /// Of a grow. Errors: usage (nothing begun, the full network has run).
  Status check_grow() const;
  /// [N, C, H, W] of `input`, scaled, to channels-last, rows and images that many floats apart.
  void scale_input(const TensorView& input, float* out, std::size_t row_stride,
                   std::size_t image_stride) const noexcept;

  void begin(std::size_t images) noexcept;
  std::size_t images() const noexcept { return images_; }
  /// Partial logits [images][classes] of one group. Group after group, so that growing adds the same numbers in the
  /// same order as a fresh run.
  void add(const float* partial_logits) noexcept;
  void settle(LevelId level) noexcept { level_ = level; }
  LevelId level() const noexcept { return level_; }  ///< not valid where nothing was begun
  /// Errors: usage (nothing begun).
  Result<Answer> finish();

 private:
  std::string name_;
  std::array<std::int64_t, 4> shape_;  // [max batch, C, H, W]
  std::size_t levels_, classes_, images_ = 0;
  std::vector<float> bias_, scale_, shift_, sums_, probabilities_;
  LevelId level_;
};

}  // namespace reins::inference
