// bench/int8_network.hpp: the group network in 8-bit integers, quantised after training, and a plain forward pass over
// it: what bench_int8 judges accuracy by and checks the fast primitives against.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/group_network.hpp"

namespace reins::bench {

/// Signed, symmetric, one step per output: weight = step * value (Jacob et al., "Quantization and Training of Neural
/// Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018; per channel as in Krishnamoorthi 2018).
struct Int8Weights {
  std::vector<std::int8_t> values;
  std::vector<float> steps;
};
/// `values` [outputs][...]. An output's largest magnitude becomes 127, or what else `bits` (2..8) have for it; ties go
/// to even; zeros alone get step 1.
Int8Weights quantise_weights(std::span<const float> values, std::size_t outputs, int bits = 8);

/// The smallest of `values` that `share` (above 0, at most 1) of them do not exceed; 1: the largest. Reorders them.
float range_of(std::span<float> values, double share);

/// acc + bias, in output steps: rounded, ties to even, kept within 0..255, which is also the ReLU.
std::uint8_t requantise(std::int32_t accumulator, float bias, float multiplier) noexcept;

struct Int8Stage {
  Int8Weights weights;             ///< [out, in, 3, 3]
  std::vector<float> bias;         ///< [out], in steps of the accumulator
  std::vector<float> multipliers;  ///< [out], output steps per step of the accumulator
};
struct Int8Group {
  std::vector<Int8Stage> stages;
  Int8Weights classifier;               ///< [classes, features]
  std::vector<float> classifier_scale;  ///< [classes], logits per step of the accumulator
};

/// Activations are unsigned, one step per stage and group, so that every level shares one weight set. The first stage
/// reads pixels as they are: the input's scaling is folded into its weights, and its border is the pixel nearest zero.
struct Int8Network {
  inference::GroupArchitecture architecture;
  std::vector<Int8Group> groups;
  std::vector<float> bias;           ///< [classes]
  std::vector<std::uint8_t> border;  ///< per image channel
};

/// [group][stage]: the largest activation that 255 stands for.
using Ranges = std::vector<std::vector<float>>;
/// One per share (see range_of), of the same float forward passes over `images` ([N, C, H, W]), zeros counted.
std::vector<Ranges> calibrate(const inference::GroupArchitecture& architecture,
                              const inference::NetworkWeights& weights, std::span<const std::uint8_t> images,
                              std::span<const double> shares);

/// `weights` fit the architecture (inference::check_weights). `weight_bits`: 7 where pairs of products are summed in 16
/// bits, as AVX2 does without VNNI: 2 x 255 x 63 is the most that fits.
Int8Network quantise(const inference::GroupArchitecture& architecture, const inference::NetworkWeights& weights,
                     const Ranges& ranges, int weight_bits = 8);

/// Logits [level][image][classes] of `images` ([N, C, H, W]), in integers up to each group's share of the logits.
std::vector<std::vector<float>> logits_of(const Int8Network& network, std::span<const std::uint8_t> images);

}  // namespace reins::bench
