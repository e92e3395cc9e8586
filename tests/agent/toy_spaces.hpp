// tests/agent/toy_spaces.hpp: small action spaces and masks, made in memory.
#pragma once

#include <initializer_list>
#include <string>

#include "core/rng.hpp"
#include "policies/action.hpp"
#include "policies/observation.hpp"

namespace reins::testing {

/// One mapping per entry, with that many operating points evenly spread.
inline policies::ActionSpace toy_space(std::initializer_list<int> opps, std::size_t levels) {
  policies::ActionSpace space;
  space.board = "toy";
  space.levels = levels;
  space.clusters = 1;
  for (const int count : opps) {
    policies::MappingSlot slot;
    slot.name = slot.slot = "m" + std::to_string(space.mappings.size());
    slot.cluster = ClusterId(0);
    for (int o = 1; o <= count; ++o) slot.freq_khz.push_back(o * 100000);
    slot.relative = policies::relative_capacity(slot.freq_khz);
    space.mappings.push_back(std::move(slot));
  }
  return space;
}

inline policies::ActionMask full_mask(const policies::ActionSpace& space) {
  policies::ActionMask mask;
  mask.mappings = (1U << space.mappings.size()) - 1;
  mask.levels = (1U << space.levels) - 1;
  for (std::size_t m = 0; m < space.mappings.size(); ++m)
    mask.opps[m] = (std::uint64_t{1} << space.opps(MappingId(m))) - 1;
  return mask;
}

/// Each choice stays with probability one half; never empty.
inline policies::ActionMask thinned_mask(const policies::ActionSpace& space, Rng& rng) {
  policies::ActionMask mask = full_mask(space);
  const auto thin = [&rng](auto& bits) {
    const auto kept = bits & static_cast<std::remove_reference_t<decltype(bits)>>(rng.next());
    if (kept != 0) bits = kept;
  };
  thin(mask.mappings);
  thin(mask.levels);
  for (std::size_t m = 0; m < space.mappings.size(); ++m) thin(mask.opps[m]);
  return mask;
}

inline policies::ObservationSpec toy_table(std::size_t features) {
  policies::ObservationSpec table;
  for (std::size_t i = 0; i < features; ++i)
    table.features.push_back({"x" + std::to_string(i), "1", "as it is", false});
  return table;
}

/// Calls f(HeadChoice) for every action of the space.
template <typename F>
void each_action(const policies::ActionSpace& space, F f) {
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t l = 0; l < space.levels; ++l) {
      for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
        for (std::size_t k = 0; k < space.opps(MappingId(m)); ++k) {
          f(policies::Action{MappingId(m), LevelId(l), OppId(o), OppId(k), std::nullopt, false});
        }
      }
    }
  }
}

}  // namespace reins::testing
