// tests/control/made_up.hpp: a board of two clusters with a network of three levels, whose times and powers are round
// numbers.
#pragma once

#include <cmath>

#include "policies/profile.hpp"
#include "tests/policies/small_board.hpp"

namespace reins::testing {

/// Mappings: 0 little-x2 (200, 600, 1000 MHz), 1 big-x1, 2 big-x2 (400, 800, 1200, 1600, 2000 MHz).
struct MadeUp {
  boards::Board board = small_board();
  policies::ActionSpace space;
  policies::Profile profile;

  static constexpr double kAccuracy[3] = {0.5, 0.6, 0.7};

  /// Seconds: the full network takes 0.08 on big-x2 at its top frequency; a level l takes 1/2^(2-l) of that; big-x1
  /// twice, little-x2 four times as long; inversely with the frequency.
  static double time_s(std::size_t level, std::size_t mapping, double relative) {
    constexpr double kSlower[3] = {4, 2, 1};
    return 0.08 / std::pow(2.0, 2.0 - static_cast<double>(level)) * kSlower[mapping] / relative;
  }
  /// Watts while busy: little 0.2 + 0.3 f^2, big-x1 0.5 + 1.5 f^2, big-x2 0.5 + 3.5 f^2, with f relative to the top.
  static double busy_w(std::size_t mapping, double relative) {
    constexpr double kBase[3] = {0.2, 0.5, 0.5};
    constexpr double kDynamic[3] = {0.3, 1.5, 3.5};
    return kBase[mapping] + kDynamic[mapping] * relative * relative;
  }
  /// Watts while idle: little 0.1 + 0.1 f, big 0.2 + 0.8 f.
  static double idle_w(std::size_t mapping, double relative) {
    return mapping == 0 ? 0.1 + 0.1 * relative : 0.2 + 0.8 * relative;
  }

  explicit MadeUp(bool with_energy = true) {
    board.thermal.zone = "soc";
    board.thermal.r_c_per_w = 10;
    board.thermal.c_j_per_c = 0.1;  // one second: it follows the power within the shield's horizon
    board.migration_s = 0.001;
    for (auto& cluster : board.clusters) cluster.switch_s = 0.0002;
    space = *policies::ActionSpace::make(board, 3);
    profile = policies::Profile(space);
    for (std::size_t m = 0; m < space.mappings.size(); ++m) {
      for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
        const double relative =
            static_cast<double>(space.mappings[m].freq_khz[o]) / static_cast<double>(space.mappings[m].freq_khz.back());
        for (std::size_t l = 0; l < 3; ++l) {
          policies::ProfilePoint point;
          point.level = LevelId(l);
          point.mapping = MappingId(m);
          point.opp = OppId(o);
          point.latency_s = time_s(l, m, relative);
          point.accuracy = kAccuracy[l];
          if (with_energy) {
            point.power_w = busy_w(m, relative);
            point.energy_j = *point.power_w * point.latency_s;
          }
          profile.set(point);
        }
        if (with_energy) profile.set_idle({MappingId(m), OppId(o), idle_w(m, relative)});
      }
    }
  }
};

}  // namespace reins::testing
