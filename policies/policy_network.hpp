// policies/policy_network.hpp: the weights of a conditional policy network, as they lie in files and leave the learner.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "policies/action.hpp"
#include "policies/observation.hpp"

namespace reins::policies {

/// Widths. F features, T trunk, H head, M mapping slots, L levels, P operating points (the most any mapping has).
struct NetworkShape {
  std::size_t features = 0;  ///< 1..kMaxFeatures
  std::size_t trunk = 64;    ///< multiple of 64, at most 256
  std::size_t head = 32;     ///< multiple of 32, at most 128
  std::size_t mappings = 0;
  std::size_t levels = 0;
  std::size_t opps = 0;

  static NetworkShape of(std::size_t features, const ActionSpace& space, std::size_t trunk = 64, std::size_t head = 32);
  /// Errors: unsupported (a width outside its range).
  Status check() const;
  /// Conditioning inputs a head may see: one-hot mapping, one-hot level; of the operating point the relative frequency,
  /// the reach (ReachTable), and one-hot which it is.
  std::size_t conditions() const noexcept { return mappings + levels + 2 + opps; }
  friend bool operator==(const NetworkShape&, const NetworkShape&) noexcept = default;
};

/// Which feature says how well point p of mapping m keeps the pace that is wanted: its number, counted from 1; 0: none.
using ReachTable = std::array<std::array<std::uint8_t, kMaxOpps>, kMaxMappings>;
static_assert(kMaxFeatures < 256);

/// y = bias + x W. Row i of `weight` (in x out, row-major) is what input i adds.
struct DenseLayer {
  std::size_t in = 0, out = 0;
  std::vector<float> weight;
  std::vector<float> bias;
  friend bool operator==(const DenseLayer&, const DenseLayer&) noexcept = default;
};

/// h = relu(trunk2(relu(trunk1(x)))). Each head: out(relu(hidden([h, what was chosen before]))): the mapping from h
/// alone, the level from h and the mapping, the operating point from those and the level, the park point from those and
/// the operating point. `opp_reach` adds to the worth of each operating point a weight of its own times its reach: an
/// edge between two points that keep and do not keep a deadline need not find its way through the trunk. `value` reads
/// the mapping head's hidden layer; it lifts all choices of a state alike, so no decision depends on it, and serves
/// learning.
enum class LayerName : std::uint8_t {
  kTrunk1,
  kTrunk2,
  kMappingHidden,
  kLevelHidden,
  kOppHidden,
  kParkHidden,
  kMappingOut,
  kLevelOut,
  kOppOut,
  kParkOut,
  kValueOut,
  kOppReach,  ///< 1 x P, no bias
};
inline constexpr std::size_t kLayers = 12;
std::string_view name_of(LayerName layer) noexcept;

struct PolicyNetwork {
  NetworkShape shape;
  std::array<DenseLayer, kLayers> layers;
  ReachTable reach{};

  /// All weights zero, all sizes set.
  static PolicyNetwork zeros(const NetworkShape& shape, const ReachTable& reach = {});
  DenseLayer& operator[](LayerName name) noexcept { return layers[static_cast<std::size_t>(name)]; }
  const DenseLayer& operator[](LayerName name) const noexcept { return layers[static_cast<std::size_t>(name)]; }
  /// Errors: unsupported (shape), garbled (a layer's size does not follow from the shape, a weight is not finite, a
  /// reach names no feature).
  Status check() const;
  std::size_t parameters() const noexcept;
  friend bool operator==(const PolicyNetwork&, const PolicyNetwork&) noexcept = default;
};

/// One choice of every head, as indices into the action space the network was trained on.
struct HeadChoice {
  std::uint8_t mapping = 0, level = 0, opp = 0, park = 0;
  friend bool operator==(const HeadChoice&, const HeadChoice&) noexcept = default;
};

/// An action whose four indices are valid and which leaves nothing to a governor, and back.
HeadChoice choice_of(const Action& action) noexcept;
Action action_of(const HeadChoice& choice) noexcept;

}  // namespace reins::policies
