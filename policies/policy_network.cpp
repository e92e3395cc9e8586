#include "policies/policy_network.hpp"

#include <algorithm>
#include <cmath>

#include "policies/observation.hpp"

namespace reins::policies {
namespace {

struct Size {
  std::size_t in, out;
  bool bias = true;
};

Size size_of(LayerName name, const NetworkShape& s) noexcept {
  switch (name) {
    case LayerName::kTrunk1:
      return {s.features, s.trunk};
    case LayerName::kTrunk2:
      return {s.trunk, s.trunk};
    case LayerName::kMappingHidden:
      return {s.trunk, s.head};
    case LayerName::kLevelHidden:
      return {s.trunk + s.mappings, s.head};
    case LayerName::kOppHidden:
      return {s.trunk + s.mappings + s.levels, s.head};
    case LayerName::kParkHidden:
      return {s.trunk + s.conditions(), s.head};
    case LayerName::kMappingOut:
      return {s.head, s.mappings};
    case LayerName::kLevelOut:
      return {s.head, s.levels};
    case LayerName::kOppOut:
      return {s.head, s.opps};
    case LayerName::kParkOut:
      return {s.head, s.opps};
    case LayerName::kValueOut:
      return {s.head, 1};
    case LayerName::kOppReach:
      return {1, s.opps, false};
  }
  return {0, 0};
}

}  // namespace

std::string_view name_of(LayerName layer) noexcept {
  constexpr std::array<std::string_view, kLayers> kNames = {
      "trunk1",      "trunk2",    "mapping_hidden", "level_hidden", "opp_hidden", "park_hidden",
      "mapping_out", "level_out", "opp_out",        "park_out",     "value_out",  "opp_reach"};
  return kNames[static_cast<std::size_t>(layer)];
}

NetworkShape NetworkShape::of(std::size_t features, const ActionSpace& space, std::size_t trunk, std::size_t head) {
  return {features, trunk, head, space.mappings.size(), space.levels, space.max_opps()};
}

Status NetworkShape::check() const {
  const auto within = [](std::string_view what, std::size_t value, std::size_t high) -> Status {
    if (value >= 1 && value <= high) return {};
    return fail(ErrorKind::kUnsupported,
                std::to_string(value) + " " + std::string(what) + " (1 to " + std::to_string(high) + " are supported)",
                "policy network");
  };
  REINS_TRY(within("features", features, kMaxFeatures));
  REINS_TRY(within("trunk units", trunk, 256));
  REINS_TRY(within("head units", head, 128));
  REINS_TRY(within("mappings", mappings, kMaxMappings));
  REINS_TRY(within("levels", levels, kMaxLevels));
  REINS_TRY(within("operating points", opps, kMaxOpps));
  if (trunk % 64 != 0 || head % 32 != 0) {
    return fail(ErrorKind::kUnsupported, "the trunk's width must be a multiple of 64, the heads' of 32",
                "policy network");
  }
  return {};
}

PolicyNetwork PolicyNetwork::zeros(const NetworkShape& shape, const ReachTable& reach) {
  PolicyNetwork network;
  network.shape = shape;
  network.reach = reach;
  for (std::size_t i = 0; i < kLayers; ++i) {
    const Size size = size_of(static_cast<LayerName>(i), shape);
    network.layers[i] = {size.in, size.out, std::vector<float>(size.in * size.out),
                         std::vector<float>(size.bias ? size.out : 0)};
  }
  return network;
}

Status PolicyNetwork::check() const {
  REINS_TRY(shape.check());
  for (const auto& points : reach) {
    if (std::any_of(points.begin(), points.end(), [this](std::uint8_t feature) { return feature > shape.features; }))
      return fail(ErrorKind::kGarbled, "names a feature that there is not", "reach of the policy network");
  }
  for (std::size_t i = 0; i < kLayers; ++i) {
    const DenseLayer& layer = layers[i];
    const std::string where = "layer " + std::string(name_of(static_cast<LayerName>(i)));
    const Size size = size_of(static_cast<LayerName>(i), shape);
    if (layer.in != size.in || layer.out != size.out || layer.weight.size() != size.in * size.out ||
        layer.bias.size() != (size.bias ? size.out : 0)) {
      return fail(ErrorKind::kGarbled, "its size does not follow from the network's shape", where);
    }
    const auto finite = [](float w) { return std::isfinite(w); };
    if (!std::all_of(layer.weight.begin(), layer.weight.end(), finite) ||
        !std::all_of(layer.bias.begin(), layer.bias.end(), finite)) {
      return fail(ErrorKind::kGarbled, "a weight is not a finite number", where);
    }
  }
  return {};
}

std::size_t PolicyNetwork::parameters() const noexcept {
  std::size_t count = 0;
  for (const DenseLayer& layer : layers) count += layer.weight.size() + layer.bias.size();
  return count;
}

HeadChoice choice_of(const Action& action) noexcept {
  return {static_cast<std::uint8_t>(action.mapping.value), static_cast<std::uint8_t>(action.level.value),
          static_cast<std::uint8_t>(action.opp.value), static_cast<std::uint8_t>(action.park.value)};
}

Action action_of(const HeadChoice& choice) noexcept {
  return {MappingId(int{choice.mapping}),
          LevelId(int{choice.level}),
          OppId(int{choice.opp}),
          OppId(int{choice.park}),
          std::nullopt,
          false};
}

}  // namespace reins::policies
