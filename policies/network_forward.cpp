#include "policies/network_forward.hpp"

#include <algorithm>
#include <bit>

#include "core/assert.hpp"

// One source, several instruction sets, chosen when the program starts. Sanitizers' run-times are not up yet when the
// resolvers run, so those builds keep to the plain one. This file is compiled without fused multiply-adds
// (CMakeLists.txt): wider vectors then give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define REINS_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define REINS_CLONES
#endif
#define REINS_INLINE inline __attribute__((always_inline))
#define REINS_LAMBDA_INLINE __attribute__((always_inline))

namespace reins::policies {
namespace {

constexpr std::size_t kBlock = 64;
constexpr std::size_t kMaxTrunk = 256;
constexpr std::size_t kMaxHead = 128;
constexpr std::size_t kOut = 32;  // every output layer is padded to this: compilers vectorise narrower ones badly
static_assert(kMaxMappings <= kOut && kMaxLevels <= kOut && kMaxOpps <= kOut);

/// Where each part lies. Wide layers are cut into blocks of 64 outputs, each [in][64]; what the trunk gives to the
/// hidden layers of all four heads is one such layer of 4 x head outputs.
struct Layout {
  struct Head {
    std::size_t conditions, out_bias, out_weight;
  };
  std::size_t trunk1_bias, trunk1, trunk2_bias, trunk2, heads_bias, heads_weight, value_bias, value, opp_reach;
  std::array<Head, 4> heads;
  std::size_t total;

  explicit Layout(const NetworkShape& s) noexcept {
    std::size_t at = 0;
    const auto take = [&at](std::size_t count) {
      const std::size_t here = at;
      at += (count + 15) / 16 * 16;
      return here;
    };
    trunk1_bias = take(s.trunk);
    trunk1 = take(s.features * s.trunk);
    trunk2_bias = take(s.trunk);
    trunk2 = take(s.trunk * s.trunk);
    heads_bias = take(4 * s.head);
    heads_weight = take(s.trunk * 4 * s.head);
    const std::array<std::size_t, 4> conditions = {0, s.mappings, s.mappings + s.levels, s.conditions()};
    for (std::size_t i = 0; i < 4; ++i) {
      heads[i].conditions = take(conditions[i] * s.head);
      heads[i].out_bias = take(kOut);
      heads[i].out_weight = take(s.head * kOut);
    }
    value_bias = take(1);
    value = take(s.head);
    opp_reach = take(s.opps);
    total = at;
  }
};

/// The inputs that are not zero, in order. Of observations (one-hot, presence, ladders) and behind a relu half are, and
/// what a zero adds is zero.
struct Inputs {
  std::uint16_t at[kMaxTrunk];
  float value[kMaxTrunk];
  std::size_t count = 0;

  REINS_INLINE Inputs(const float* x, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      at[count] = static_cast<std::uint16_t>(i);
      value[count] = x[i];
      const std::uint32_t size = std::bit_cast<std::uint32_t>(x[i]) << 1;  // without the sign
      count += (size | (0 - size)) >> 31;                                  // 1 unless zero: no branch to mispredict
    }
  }
};
static_assert(kMaxFeatures <= kMaxTrunk && kMaxHead <= kMaxTrunk);

/// Eight floats that are added and multiplied one by one, whatever the machine's registers hold. Left to itself the
/// compiler makes scalar code of what follows.
using Lanes [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

/// out[0..N) = bias + x W, each output adding its inputs in order.
template <std::size_t N>
REINS_INLINE void dense(const float* bias, const float* weight, const Inputs& x, float* out) noexcept {
  constexpr std::size_t kLanes = 8;
  Lanes sum[N / kLanes];
  for (std::size_t j = 0; j < N / kLanes; ++j) sum[j] = reinterpret_cast<const Lanes*>(bias)[j];
  for (std::size_t i = 0; i < x.count; ++i) {
    const auto* row = reinterpret_cast<const Lanes*>(weight + std::size_t{x.at[i]} * N);
    for (std::size_t j = 0; j < N / kLanes; ++j) sum[j] += x.value[i] * row[j];
  }
  for (std::size_t j = 0; j < N / kLanes; ++j) reinterpret_cast<Lanes*>(out)[j] = sum[j];
}

REINS_INLINE void relu(float* x, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] = x[i] > 0 ? x[i] : 0;
}

constexpr std::size_t kStep = 32;  // a head's width is a multiple of it

/// A packed network at work on one observation.
struct Pass {
  using Points = NetworkForward::Points;
  const float* w;
  const NetworkShape& shape;
  const Layout& at;
  alignas(64) float base[4 * kMaxHead];  // hidden layers of all heads before their conditions
  alignas(64) float unit[kMaxHead];      // hidden layer of the head at hand

  REINS_INLINE Pass(const float* weights, const NetworkShape& s, const Layout& layout) noexcept
      : w(weights), shape(s), at(layout) {}

  REINS_INLINE void run_trunk(const float* features) noexcept {
    alignas(64) float h1[kMaxTrunk];
    alignas(64) float h2[kMaxTrunk];
    const Inputs seen(features, shape.features);
    for (std::size_t b = 0; b < shape.trunk; b += kBlock) {
      dense<kBlock>(w + at.trunk1_bias + b, w + at.trunk1 + b * shape.features, seen, h1 + b);
      relu(h1 + b, kBlock);
    }
    const Inputs first(h1, shape.trunk);
    for (std::size_t b = 0; b < shape.trunk; b += kBlock) {
      dense<kBlock>(w + at.trunk2_bias + b, w + at.trunk2 + b * shape.trunk, first, h2 + b);
      relu(h2 + b, kBlock);
    }
    const Inputs second(h2, shape.trunk);
    for (std::size_t b = 0; b < 4 * shape.head; b += kBlock) {
      dense<kBlock>(w + at.heads_bias + b, w + at.heads_weight + b * shape.trunk, second, base + b);
    }
  }

  REINS_INLINE void add_row(std::size_t i, std::size_t row, float scale) noexcept {
    const float* __restrict add = w + at.heads[i].conditions + row * shape.head;
    float* __restrict to = unit;
    for (std::size_t j = 0; j < shape.head; j += kStep) {
      for (std::size_t k = 0; k < kStep; ++k) to[j + k] += scale * add[j + k];
    }
  }
  /// Hidden layer of head `i` under the conditions that `f` adds, in the order of their rows.
  template <typename F>
  REINS_INLINE void hidden(std::size_t i, F f) noexcept {
    const float* from = base + i * shape.head;
    for (std::size_t j = 0; j < shape.head; ++j) unit[j] = from[j];
    f();
    for (std::size_t j = 0; j < shape.head; j += kStep) relu(unit + j, kStep);
  }

  REINS_INLINE void output(std::size_t i, float* out) const noexcept {
    dense<kOut>(w + at.heads[i].out_bias, w + at.heads[i].out_weight, Inputs(unit, shape.head), out);
  }

  REINS_INLINE void mapping_values(float* out) noexcept {
    hidden(0, [] {});
    output(0, out);
  }
  REINS_INLINE void level_values(std::size_t m, float* out) noexcept {
    hidden(1, [&]() REINS_LAMBDA_INLINE { add_row(1, m, 1); });
    output(1, out);
  }
  REINS_INLINE void opp_values(std::size_t m, std::size_t l, const Points& points, const float* features,
                               float* out) noexcept {
    hidden(2, [&]() REINS_LAMBDA_INLINE {
      add_row(2, m, 1);
      add_row(2, shape.mappings + l, 1);
    });
    output(2, out);
    for (std::size_t o = 0; o < shape.opps; ++o) out[o] += w[at.opp_reach + o] * points.reached(features, m, o);
  }
  REINS_INLINE void park_values(std::size_t m, std::size_t l, std::size_t o, const Points& points,
                                const float* features, float* out) noexcept {
    hidden(3, [&]() REINS_LAMBDA_INLINE {
      const std::size_t of_point = shape.mappings + shape.levels;
      add_row(3, m, 1);
      add_row(3, shape.mappings + l, 1);
      add_row(3, of_point, points.relative[m][o]);
      add_row(3, of_point + 1, points.reached(features, m, o));
      add_row(3, of_point + 2 + o, 1);
    });
    output(3, out);
  }
  /// After mapping_values.
  REINS_INLINE float state_value() const noexcept {
    float sum = w[at.value_bias];
    for (std::size_t i = 0; i < shape.head; ++i) sum += unit[i] * w[at.value + i];
    return sum;
  }
};

REINS_INLINE std::uint8_t pick(const float* values, std::uint64_t mask, std::int64_t draw) noexcept {
  if (draw >= 0) {
    auto nth = static_cast<std::uint64_t>(draw) % static_cast<std::uint64_t>(std::popcount(mask));
    for (; nth > 0; --nth) mask &= mask - 1;
    return static_cast<std::uint8_t>(std::countr_zero(mask));
  }
  int best = std::countr_zero(mask);
  for (mask &= mask - 1; mask != 0; mask &= mask - 1) {
    const int i = std::countr_zero(mask);
    if (values[i] > values[best]) best = i;
  }
  return static_cast<std::uint8_t>(best);
}

REINS_CLONES HeadChoice choose_with(const float* packed, const NetworkShape& shape,
                                    const NetworkForward::Points& points, const float* features, const ActionMask& mask,
                                    const HeadDraws& draws) noexcept {
  const Layout layout(shape);
  Pass pass(packed, shape, layout);
  pass.run_trunk(features);
  alignas(64) float q[kOut];
  HeadChoice choice;
  pass.mapping_values(q);
  choice.mapping = pick(q, mask.mappings, draws[0]);
  pass.level_values(choice.mapping, q);
  choice.level = pick(q, mask.levels, draws[1]);
  pass.opp_values(choice.mapping, choice.level, points, features, q);
  choice.opp = pick(q, mask.opps[choice.mapping], draws[2]);
  pass.park_values(choice.mapping, choice.level, choice.opp, points, features, q);
  choice.park = pick(q, mask.parks(choice.mapping), draws[3]);
  return choice;
}

REINS_CLONES float park_value_with(const float* packed, const NetworkShape& shape, const NetworkForward::Points& points,
                                   const float* features, const HeadChoice& choice) noexcept {
  const Layout layout(shape);
  Pass pass(packed, shape, layout);
  pass.run_trunk(features);
  pass.hidden(0, [] {});
  const float value = pass.state_value();
  alignas(64) float q[kOut];
  pass.park_values(choice.mapping, choice.level, choice.opp, points, features, q);
  return value + q[choice.park];
}

/// Columns [first, first + out) of a wide layer of blocks.
void pack_columns(const float* weight, std::size_t in, std::size_t out, std::size_t first, float* to) noexcept {
  for (std::size_t j = 0; j < out;) {
    const std::size_t block = (first + j) / kBlock, column = (first + j) % kBlock;
    const std::size_t count = std::min(kBlock - column, out - j);
    float* rows = to + block * kBlock * in + column;
    for (std::size_t i = 0; i < in; ++i) std::copy_n(weight + i * out + j, count, rows + i * kBlock);
    j += count;
  }
}

void pack_padded(const DenseLayer& layer, float* bias, float* weight) noexcept {
  std::copy_n(layer.bias.data(), layer.out, bias);
  for (std::size_t i = 0; i < layer.in; ++i)
    std::copy_n(layer.weight.data() + i * layer.out, layer.out, weight + i * kOut);
}

}  // namespace

Result<NetworkForward> NetworkForward::make(const PolicyNetwork& network, const ActionSpace& space) {
  REINS_TRY(network.check());
  const NetworkShape& shape = network.shape;
  if (space.mappings.size() != shape.mappings || space.levels != shape.levels || space.max_opps() != shape.opps) {
    return fail(ErrorKind::kMismatch, "the network's heads do not fit the action space", "board " + space.board);
  }
  NetworkForward forward;
  forward.shape_ = shape;
  forward.packed_.resize(Layout(shape).total);
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    std::copy(space.mappings[m].relative.begin(), space.mappings[m].relative.end(),
              forward.points_.relative[m].begin());
  }
  forward.points_.reach = network.reach;
  forward.load(network);
  return forward;
}

void NetworkForward::load(const PolicyNetwork& network) noexcept {
  REINS_ASSERT(network.shape == shape_);
  const Layout at(shape_);
  float* w = packed_.data();
  const DenseLayer& trunk1 = network[LayerName::kTrunk1];
  const DenseLayer& trunk2 = network[LayerName::kTrunk2];
  std::copy_n(trunk1.bias.data(), shape_.trunk, w + at.trunk1_bias);
  pack_columns(trunk1.weight.data(), shape_.features, shape_.trunk, 0, w + at.trunk1);
  std::copy_n(trunk2.bias.data(), shape_.trunk, w + at.trunk2_bias);
  pack_columns(trunk2.weight.data(), shape_.trunk, shape_.trunk, 0, w + at.trunk2);
  for (std::size_t i = 0; i < 4; ++i) {
    const DenseLayer& hidden = network.layers[static_cast<std::size_t>(LayerName::kMappingHidden) + i];
    const DenseLayer& out = network.layers[static_cast<std::size_t>(LayerName::kMappingOut) + i];
    std::copy_n(hidden.bias.data(), shape_.head, w + at.heads_bias + i * shape_.head);
    pack_columns(hidden.weight.data(), shape_.trunk, shape_.head, i * shape_.head, w + at.heads_weight);
    std::copy(hidden.weight.begin() + static_cast<std::ptrdiff_t>(shape_.trunk * shape_.head), hidden.weight.end(),
              w + at.heads[i].conditions);
    pack_padded(out, w + at.heads[i].out_bias, w + at.heads[i].out_weight);
  }
  const DenseLayer& value = network[LayerName::kValueOut];
  w[at.value_bias] = value.bias[0];
  std::copy_n(value.weight.data(), shape_.head, w + at.value);
  std::copy_n(network[LayerName::kOppReach].weight.data(), shape_.opps, w + at.opp_reach);
}

HeadChoice NetworkForward::choose(std::span<const float> features, const ActionMask& mask,
                                  const HeadDraws& draws) const noexcept {
  REINS_ASSERT(features.size() == shape_.features);
  return choose_with(packed_.data(), shape_, points_, features.data(), mask, draws);
}

float NetworkForward::park_value(std::span<const float> features, const HeadChoice& choice) const noexcept {
  REINS_ASSERT(features.size() == shape_.features);
  return park_value_with(packed_.data(), shape_, points_, features.data(), choice);
}

HeadValues NetworkForward::values(std::span<const float> features, const HeadChoice& choice) const noexcept {
  REINS_ASSERT(features.size() == shape_.features);
  const Layout layout(shape_);
  Pass pass(packed_.data(), shape_, layout);
  pass.run_trunk(features.data());
  HeadValues all;
  alignas(64) float q[kOut];
  pass.mapping_values(q);
  std::copy_n(q, all.mapping.size(), all.mapping.begin());
  all.value = pass.state_value();
  pass.level_values(choice.mapping, q);
  std::copy_n(q, all.level.size(), all.level.begin());
  pass.opp_values(choice.mapping, choice.level, points_, features.data(), q);
  std::copy_n(q, all.opp.size(), all.opp.begin());
  pass.park_values(choice.mapping, choice.level, choice.opp, points_, features.data(), q);
  std::copy_n(q, all.park.size(), all.park.begin());
  return all;
}

}  // namespace reins::policies
