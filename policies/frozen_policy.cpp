#include "policies/frozen_policy.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "core/assert.hpp"

namespace reins::policies {
namespace {

std::uint8_t nearest(const std::vector<float>& relative, float wanted) noexcept {
  std::size_t best = 0;
  for (std::size_t i = 1; i < relative.size(); ++i) {
    if (std::abs(relative[i] - wanted) < std::abs(relative[best] - wanted)) best = i;
  }
  return static_cast<std::uint8_t>(best);
}

/// The allowed point nearest to `wanted`; the faster of two equally near.
int nearest_allowed(std::uint64_t mask, int wanted) noexcept {
  for (int away = 0; away < static_cast<int>(kMaxOpps); ++away) {
    const int up = wanted + away, down = wanted - away;
    if (up < static_cast<int>(kMaxOpps) && ((mask >> up) & 1U) != 0) return up;
    if (down >= 0 && ((mask >> down) & 1U) != 0) return down;
  }
  return 0;
}

/// "keeps.<mapping>.<point>", in parts; point 0 for every other name.
std::pair<std::string, std::size_t> point_of(const std::string& feature) {
  constexpr std::string_view kLadder = "keeps.";
  const std::size_t dot = feature.rfind('.');
  std::size_t point = 0;
  if (feature.starts_with(kLadder) && dot > kLadder.size())
    std::from_chars(feature.data() + dot + 1, feature.data() + feature.size(), point);
  return {point != 0 ? feature.substr(kLadder.size(), dot - kLadder.size()) : "", point};
}

void note(std::string* notes, const std::string& clause) {
  if (notes == nullptr) return;
  if (!notes->empty()) *notes += "; ";
  *notes += clause;
}

}  // namespace

Binding Binding::identity(const ActionSpace& space, std::size_t features) {
  Binding binding;
  binding.features_ = features;
  binding.mappings_to_ = space.mappings.size();
  return binding;
}

Result<Binding> Binding::sister(const ActionSpace& from, const ObservationSpec& from_table, const ActionSpace& to,
                                const ObservationSpec& to_table, std::string* notes) {
  const std::string where = "board " + to.board;
  if (from.levels != to.levels) {
    return fail(ErrorKind::kMismatch,
                "the policy knows " + std::to_string(from.levels) + " levels, the network here has " +
                    std::to_string(to.levels),
                where, "use a network with as many levels, or train anew");
  }
  Binding binding;
  binding.identity_ = false;
  binding.features_ = from_table.size();
  binding.mappings_to_ = to.mappings.size();
  std::size_t bound = 0;
  for (std::size_t m = 0; m < to.mappings.size(); ++m) {
    const MappingSlot& here = to.mappings[m];
    const auto there = std::find_if(from.mappings.begin(), from.mappings.end(),
                                    [&](const MappingSlot& slot) { return slot.slot == here.slot; });
    if (there == from.mappings.end()) {
      binding.from_of_[m] = -1;
      note(notes, "mapping " + here.name + " has no counterpart and stays unused");
      continue;
    }
    ++bound;
    binding.from_of_[m] = static_cast<std::int8_t>(there - from.mappings.begin());
    binding.opps_from_[m] = static_cast<std::uint8_t>(there->relative.size());
    for (std::size_t o = 0; o < there->relative.size(); ++o) {
      binding.opp_to_[m][o] = nearest(here.relative, there->relative[o]);
    }
  }
  if (bound == 0) {
    return fail(ErrorKind::kMismatch, "no mapping slot in common with board " + from.board, where,
                "train a policy for this board");
  }
  // A point's rung in the ladder is that of the point it is bound to, or of the next slower one that has one.
  const auto counterpart = [&](FeatureSpec wanted) {
    const auto [mapping, point] = point_of(wanted.name);
    for (std::size_t m = 0; point != 0 && m < to.mappings.size(); ++m) {
      if (to.mappings[m].name != mapping || binding.from_of_[m] < 0 || point > binding.opps_from_[m]) continue;
      std::size_t best = 0;
      for (const FeatureSpec& here : to_table.features) {
        const auto [name, rung] = point_of(here.name);
        if (name == mapping && rung <= binding.opp_to_[m][point - 1] + 1U) best = std::max(best, rung);
      }
      if (best != 0) wanted.name = "keeps." + mapping + "." + std::to_string(best);
    }
    return wanted;
  };
  for (std::size_t f = 0; f < from_table.size(); ++f) {
    const FeatureSpec wanted = counterpart(from_table.features[f]);
    const auto here = std::find_if(to_table.features.begin(), to_table.features.end(),
                                   [&](const FeatureSpec& feature) { return feature.name == wanted.name; });
    if (here == to_table.features.end() || !(*here == wanted)) {
      return fail(ErrorKind::kMismatch, "the observation '" + wanted.name + "' is absent here or scaled otherwise",
                  where,
                  "--allow-board binds only boards whose mappings and clusters have the same names, as observations "
                  "carry them; train a policy for this board");
    }
    binding.feature_[f] = static_cast<std::uint8_t>(here - to_table.features.begin());
  }
  return binding;
}

Result<FrozenPolicy> FrozenPolicy::make(const PolicyNetwork& network, const ActionSpace& space, const Binding& binding,
                                        std::string name) {
  REINS_ASSIGN(NetworkForward forward, NetworkForward::make(network, space));
  REINS_ASSERT(binding.features_ == network.shape.features);
  return FrozenPolicy(std::move(forward), binding, std::move(name));
}

Action FrozenPolicy::decide(const Observation& observation) noexcept {
  return decide(observation.vector(), observation.mask);
}

Action FrozenPolicy::decide(std::span<const float> features, const ActionMask& mask) const noexcept {
  return binding_.identity_ ? action_of(forward_.choose(features, mask)) : decide_bound(features, mask);
}

Action FrozenPolicy::decide_bound(std::span<const float> features, const ActionMask& mask) const noexcept {
  const Binding& b = binding_;
  std::array<float, kMaxFeatures> known{};
  for (std::size_t f = 0; f < b.features_; ++f) known[f] = features[b.feature_[f]];

  // What is allowed here, told in the terms the policy was trained in.
  ActionMask there;
  std::array<std::int8_t, kMaxMappings> here_of{};
  there.levels = mask.levels;
  for (std::size_t m = 0; m < b.mappings_to_; ++m) {
    if (b.from_of_[m] < 0 || ((mask.mappings >> m) & 1U) == 0) continue;
    const auto slot = static_cast<std::size_t>(b.from_of_[m]);
    std::uint64_t all = 0, allowed = 0, park = 0;
    for (std::size_t o = 0; o < b.opps_from_[m]; ++o) {
      all |= std::uint64_t{1} << o;
      if (((mask.opps[m] >> b.opp_to_[m][o]) & 1U) != 0) allowed |= std::uint64_t{1} << o;
      if (((mask.park[m] >> b.opp_to_[m][o]) & 1U) != 0) park |= std::uint64_t{1} << o;
    }
    there.mappings |= 1U << slot;
    there.opps[slot] = allowed != 0 ? allowed : all;
    there.park[slot] = park;
    here_of[slot] = static_cast<std::int8_t>(m);
  }
  if (there.mappings == 0) {
    // Only mappings the policy has never seen are allowed: fast and small, so that a target is kept if any choice keeps
    // it.
    const int m = std::countr_zero(mask.mappings);
    const std::uint64_t opps = mask.opps[static_cast<std::size_t>(m)];
    return {MappingId(m),
            LevelId(std::countr_zero(mask.levels)),
            OppId(63 - std::countl_zero(opps)),
            OppId(std::countr_zero(mask.parks(static_cast<std::size_t>(m)))),
            std::nullopt,
            false};
  }
  const HeadChoice choice = forward_.choose({known.data(), b.features_}, there);
  const auto m = static_cast<std::size_t>(here_of[choice.mapping]);
  return {MappingId(m),
          LevelId(int{choice.level}),
          OppId(nearest_allowed(mask.opps[m], b.opp_to_[m][choice.opp])),
          OppId(nearest_allowed(mask.parks(m), b.opp_to_[m][choice.park])),
          std::nullopt,
          false};
}

}  // namespace reins::policies
