#include "bench/int8_network.hpp"

#include <algorithm>
#include <cmath>

namespace reins::bench {
namespace {

using inference::GroupArchitecture;
using inference::NetworkWeights;
using inference::Tensor;

std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }

/// The first stage over pixels 0..255 in place of (pixel / 255 - mean) / stddev.
struct PixelStage {
  std::vector<float> weights, bias;
};
PixelStage over_pixels(const GroupArchitecture& a, const NetworkWeights& weights, std::size_t group) {
  PixelStage stage{weights.groups[group].conv_weights[0].values, weights.groups[group].conv_biases[0].values};
  for (std::size_t i = 0; i < stage.weights.size(); ++i) {
    const std::size_t c = i / 9 % count(a.channels);
    const float scaled = stage.weights[i] / weights.stddev[c];
    stage.bias[i / 9 / count(a.channels)] -= scaled * weights.mean[c];
    stage.weights[i] = scaled / 255;
  }
  return stage;
}

std::vector<std::uint8_t> border_of(const NetworkWeights& weights) {
  std::vector<std::uint8_t> border;
  for (const float mean : weights.mean) {
    border.push_back(static_cast<std::uint8_t>(std::clamp(std::nearbyint(255 * mean), 0.0F, 255.0F)));
  }
  return border;
}

/// [out, in, 3, 3] to [3, 3, in, out], so that the inner loop runs over outputs.
template <typename To, typename From>
std::vector<To> outputs_last(const std::vector<From>& weights, std::size_t out) {
  std::vector<To> packed(weights.size());
  const std::size_t in = weights.size() / 9 / out;
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t c = 0; c < in; ++c) {
      for (std::size_t tap = 0; tap < 9; ++tap) packed[(tap * in + c) * out + o] = weights[(o * in + c) * 9 + tap];
    }
  }
  return packed;
}

/// Channels last, with a border of one pixel.
template <typename Value>
struct Image {
  std::size_t size, channels;
  std::vector<Value> values;
  Image(std::size_t size, std::size_t channels)
      : size(size), channels(channels), values((size + 2) * (size + 2) * channels) {}
  Value* at(std::size_t y, std::size_t x) { return values.data() + (y * (size + 2) + x) * channels; }
  const Value* at(std::size_t y, std::size_t x) const { return values.data() + (y * (size + 2) + x) * channels; }
};

template <typename Value>
Image<Value> image_of(const GroupArchitecture& a, const std::vector<std::uint8_t>& border, const std::uint8_t* pixels) {
  const std::size_t size = count(a.size);
  Image<Value> image(size, count(a.channels));
  for (std::size_t y = 0; y < size + 2; ++y) {
    for (std::size_t x = 0; x < size + 2; ++x) {
      const bool inside = y > 0 && y <= size && x > 0 && x <= size;
      for (std::size_t c = 0; c < image.channels; ++c) {
        image.at(y, x)[c] = inside ? pixels[(c * size + y - 1) * size + x - 1] : border[c];
      }
    }
  }
  return image;
}

/// 3x3 convolution, `finish` per sum and output, then the max-pool.
template <typename Sum, typename Value, typename Finish>
Image<Value> run_stage(const Image<Value>& in, const std::vector<Sum>& weights, bool pool, const Finish& finish) {
  const std::size_t out = weights.size() / 9 / in.channels;
  const std::size_t shrink = pool ? 2 : 1;
  Image<Value> result(in.size / shrink, out);
  std::vector<Sum> sums(out);
  for (std::size_t y = 0; y < in.size; ++y) {
    for (std::size_t x = 0; x < in.size; ++x) {
      std::fill(sums.begin(), sums.end(), Sum{});
      for (std::size_t tap = 0; tap < 9; ++tap) {
        const Value* const from = in.at(y + tap / 3, x + tap % 3);
        for (std::size_t c = 0; c < in.channels; ++c) {
          const Sum value = from[c];
          const Sum* const row = weights.data() + (tap * in.channels + c) * out;
          for (std::size_t o = 0; o < out; ++o) sums[o] += value * row[o];
        }
      }
      // No activation is below zero, so the buffer's zeros do for the pool's first comparison.
      Value* const to = result.at(y / shrink + 1, x / shrink + 1);
      for (std::size_t o = 0; o < out; ++o) to[o] = std::max(to[o], finish(sums[o], o));
    }
  }
  return result;
}

}  // namespace

Int8Weights quantise_weights(std::span<const float> values, std::size_t outputs, int bits) {
  Int8Weights result;
  const auto most = static_cast<float>((1 << (bits - 1)) - 1);
  const std::size_t each = values.size() / outputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    const auto row = values.subspan(o * each, each);
    float largest = 0;
    for (const float v : row) largest = std::max(largest, std::abs(v));
    const float step = largest > 0 ? largest / most : 1;
    result.steps.push_back(step);
    for (const float v : row) {
      result.values.push_back(static_cast<std::int8_t>(std::clamp(std::nearbyint(v / step), -most, most)));
    }
  }
  return result;
}

float range_of(std::span<float> values, double share) {
  const double wanted = std::ceil(share * static_cast<double>(values.size()));
  const auto place = std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(wanted) - 1, 0, std::ssize(values) - 1);
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[count(place)];
}

std::uint8_t requantise(std::int32_t accumulator, float bias, float multiplier) noexcept {
  const float steps = multiplier * (static_cast<float>(accumulator) + bias);
  return static_cast<std::uint8_t>(std::nearbyint(std::clamp(steps, 0.0F, 255.0F)));
}

std::vector<Ranges> calibrate(const GroupArchitecture& a, const NetworkWeights& weights,
                              std::span<const std::uint8_t> images, std::span<const double> shares) {
  std::vector<Ranges> result(shares.size(), Ranges(count(a.groups)));
  const std::size_t image_bytes = count(a.channels * a.size * a.size);
  const std::vector<std::uint8_t> border = border_of(weights);
  for (std::size_t g = 0; g < count(a.groups); ++g) {
    const PixelStage first = over_pixels(a, weights, g);
    std::vector<std::vector<float>> packed, seen(a.stages.size());
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      const std::vector<float>& values = s == 0 ? first.weights : weights.groups[g].conv_weights[s].values;
      packed.push_back(outputs_last<float>(values, count(a.stages[s].channels)));
    }
    for (std::size_t i = 0; i < images.size() / image_bytes; ++i) {
      auto image = image_of<float>(a, border, images.data() + i * image_bytes);
      for (std::size_t s = 0; s < a.stages.size(); ++s) {
        const std::vector<float>& bias = s == 0 ? first.bias : weights.groups[g].conv_biases[s].values;
        image = run_stage(image, packed[s], a.stages[s].pool,
                          [&](float sum, std::size_t o) { return std::max(sum + bias[o], 0.0F); });
        for (std::size_t y = 1; y <= image.size; ++y) {
          seen[s].insert(seen[s].end(), image.at(y, 1), image.at(y, image.size + 1));
        }
      }
    }
    for (std::size_t k = 0; k < shares.size(); ++k) {
      for (std::vector<float>& values : seen) result[k][g].push_back(range_of(values, shares[k]));
    }
  }
  return result;
}

Int8Network quantise(const GroupArchitecture& a, const NetworkWeights& weights, const Ranges& ranges, int weight_bits) {
  Int8Network network{.architecture = a, .groups = {}, .bias = weights.bias.values, .border = border_of(weights)};
  for (std::size_t g = 0; g < count(a.groups); ++g) {
    const PixelStage first = over_pixels(a, weights, g);
    Int8Group& group = network.groups.emplace_back();
    float in_step = 1;  // of a pixel
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      const std::vector<float>& values = s == 0 ? first.weights : weights.groups[g].conv_weights[s].values;
      const std::vector<float>& bias = s == 0 ? first.bias : weights.groups[g].conv_biases[s].values;
      Int8Stage& stage = group.stages.emplace_back();
      stage.weights = quantise_weights(values, bias.size(), weight_bits);
      const float out_step = ranges[g][s] > 0 ? ranges[g][s] / 255 : 1;
      for (std::size_t o = 0; o < bias.size(); ++o) {
        const float step = in_step * stage.weights.steps[o];
        stage.bias.push_back(bias[o] / step);
        stage.multipliers.push_back(step / out_step);
      }
      in_step = out_step;
    }
    group.classifier = quantise_weights(weights.groups[g].classifier.values, count(a.classes), weight_bits);
    for (const float step : group.classifier.steps) group.classifier_scale.push_back(step * in_step);
  }
  return network;
}

std::vector<std::vector<float>> logits_of(const Int8Network& network, std::span<const std::uint8_t> images) {
  const GroupArchitecture& a = network.architecture;
  const std::size_t image_bytes = count(a.channels * a.size * a.size);
  const std::size_t number = images.size() / image_bytes;
  const std::size_t classes = count(a.classes);
  std::vector<float> sums(number * classes);
  std::vector<std::vector<float>> levels;
  for (const Int8Group& group : network.groups) {
    std::vector<std::vector<std::int32_t>> packed;
    for (const Int8Stage& stage : group.stages) {
      packed.push_back(outputs_last<std::int32_t>(stage.weights.values, stage.bias.size()));
    }
    for (std::size_t i = 0; i < number; ++i) {
      auto image = image_of<std::uint8_t>(a, network.border, images.data() + i * image_bytes);
      for (std::size_t s = 0; s < group.stages.size(); ++s) {
        const Int8Stage& stage = group.stages[s];
        image = run_stage(image, packed[s], a.stages[s].pool, [&](std::int32_t sum, std::size_t o) {
          return requantise(sum, stage.bias[o], stage.multipliers[o]);
        });
      }
      for (std::size_t k = 0; k < classes; ++k) {
        std::int32_t sum = 0;
        const std::int8_t* column = group.classifier.values.data() + k * count(a.features());
        for (std::size_t c = 0; c < image.channels; ++c) {
          for (std::size_t y = 1; y <= image.size; ++y) {
            for (std::size_t x = 1; x <= image.size; ++x) sum += *column++ * image.at(y, x)[c];
          }
        }
        sums[i * classes + k] += group.classifier_scale[k] * static_cast<float>(sum);
      }
    }
    std::vector<float>& logits = levels.emplace_back(sums);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      logits[i] = network.bias[i % classes] + logits[i] / static_cast<float>(levels.size());
    }
  }
  return levels;
}

}  // namespace reins::bench
