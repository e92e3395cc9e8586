// inference/group_network.hpp: the incremental group network (Xun et al. 2019): its shape, its weights and what each
// level costs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/layer_cost.hpp"
#include "core/result.hpp"

namespace reins::inference {

/// One 3x3 convolution (padding 1, stride 1) with bias and ReLU, and a 2x2 max-pool behind it where `pool`.
struct Stage {
  std::int64_t channels = 16;  ///< outputs of one group
  bool pool = true;
  friend bool operator==(const Stage&, const Stage&) = default;
};

/// `groups` independent paths of the same stages from the image to `features()` numbers, then one linear classifier
/// whose columns are split by group: logits of level k = bias + 1/k * sum over groups 1..k of W_j f_j, the mean so that
/// each group is a classifier by itself and the levels' probabilities keep one scale (Xun, Tran-Thanh, Al-Hashimi,
/// Merrett, "Incremental Training and Group Convolution Pruning for Runtime DNN Performance Scaling on Heterogeneous
/// Embedded Platforms", MLCAD 2019). So a level is a prefix of one weight set, and an inference under way can be grown.
struct GroupArchitecture {
  std::int64_t groups = 4;
  std::int64_t channels = 3;
  std::int64_t size = 32;  ///< images are size x size
  std::int64_t classes = 10;
  std::vector<Stage> stages{
      {24, true}, {48, true}, {96, false}, {96, true}};  ///< 45 million MACs, the reported network's scale

  /// Errors: usage (out of range: 1..8 groups, 1..8 stages, 1..512 channels, a pool on an odd size).
  Status validate() const;
  std::int64_t input_channels(std::size_t stage) const noexcept;
  /// Height and width at the input of a stage; with `stages.size()`, behind the last one.
  std::int64_t size_at(std::size_t stage) const noexcept;
  /// Numbers that one group hands to the classifier, in [C, H, W] order.
  std::int64_t features() const noexcept;
  double parameters_of_level(std::int64_t level_index) const noexcept;
  /// Most bytes of one image's float32 activations that are needed at one time: inputs and outputs of the stage for
  /// which they are largest, of all groups of the level, as the engines run stage by stage.
  double peak_activation_bytes_of_level(std::int64_t level_index) const noexcept;
  /// Layers of levels 0..level_index, one entry per group and stage and one per group's share of the classifier;
  /// float32.
  std::vector<LayerCost> layers_of_level(std::int64_t level_index) const;
  double macs_of_level(std::int64_t level_index) const;

  friend bool operator==(const GroupArchitecture&, const GroupArchitecture&) = default;
};

/// "16p,32p,64,64p": channels per stage, p where a max-pool follows.
std::string format_stages(const std::vector<Stage>& stages);
/// Errors: usage (text that is not of that form).
Result<std::vector<Stage>> parse_stages(std::string_view text);

/// A tensor of our own, C-order.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// One group: per stage weights [out, in, 3, 3] and bias [out], batch norm folded in; columns of the classifier
/// [classes, features].
struct GroupWeights {
  std::vector<Tensor> conv_weights;
  std::vector<Tensor> conv_biases;
  Tensor classifier;
};

/// The whole network: groups in their order, the classifier's bias [classes], and the scaling of its input:
/// (pixel / 255 - mean) / stddev per channel.
struct NetworkWeights {
  std::vector<GroupWeights> groups;
  Tensor bias;
  std::vector<float> mean;
  std::vector<float> stddev;
};

/// Every tensor there and of the shape that `architecture` asks for, every value finite. Errors: mismatch, garbled.
Status check_weights(const GroupArchitecture& architecture, const NetworkWeights& weights);

}  // namespace reins::inference
