// tests/env/made_up.hpp: a board whose physics can be worked out by hand, with a network of three levels on it.
#pragma once

#include <cmath>
#include <vector>

#include "env/episode.hpp"
#include "tests/policies/small_board.hpp"

namespace reins::testing {

/// Mappings: 0 little-x2 (200, 600, 1000 MHz), 1 big-x1, 2 big-x2 (400, 800, 1200, 1600, 2000 MHz). One MAC per cycle
/// and core, nothing else in the time; leakage that does not depend on the temperature.
inline boards::Board hand_board() {
  boards::Board board = small_board();
  for (boards::Cluster& cluster : board.clusters) {
    cluster.rail = cluster.name;
    cluster.switch_s = 0.01;
    cluster.power.core_w_per_mhz_v2 = cluster.name == "big" ? 5e-4 : 1e-4;
    cluster.power.idle_clock_w_per_mhz_v2 = cluster.name == "big" ? 2e-4 : 0;
    cluster.power.leak_w = 0.05;
    cluster.time.bytes_per_s = 1e15;
    cluster.time.noise_sigma = 0.02;
    cluster.idle = {{"wfi", 1, 1, 0, 0}};
  }
  board.clusters[1].idle.push_back({"off", 0, 0.2, 0.002, 0.05});
  for (const char* name : {"little", "big", "mem"}) {
    boards::Rail rail;
    rail.name = name;
    rail.accounting = true;
    rail.sensor = "made-up";
    rail.sensor_period_s = 0.2;
    rail.sensor_quantum_w = 0.01;
    board.rails.push_back(rail);
  }
  board.rails[2].constant_w = 0.1;
  board.rails[2].j_per_byte = 1e-9;
  board.thermal.zone = "soc";
  board.thermal.throttled = {"big"};
  board.migration_s = 0.003;
  board.contention = 0.4;
  return board;
}

/// 0.01, 0.02, 0.04 s on big-x2 at its top frequency.
inline std::vector<inference::LevelFacts> hand_levels() {
  std::vector<inference::LevelFacts> levels;
  for (int l = 0; l < 3; ++l) {
    inference::LevelFacts level;
    level.macs = 40e6 * std::pow(2.0, l);
    level.bytes = 1e6 * std::pow(2.0, l);
    level.accuracy = 0.5 + 0.1 * l;
    level.layers = {{level.macs, level.bytes, 0}};
    levels.push_back(level);
  }
  return levels;
}

/// Power of one cluster in the formula's plainest form. `idle_state`: 0 clock-gated, 1 off.
inline double hand_power_w(const boards::Cluster& cluster, std::size_t opp, int busy_cores, int idle_state = 0) {
  const double mhz = static_cast<double>(cluster.opps[opp].freq_khz) / 1000;
  const double v = cluster.opps[opp].voltage_v;
  const double clock = cluster.power.idle_clock_w_per_mhz_v2 * mhz * v * v * (idle_state == 1 ? 0 : 1);
  const double leak = cluster.power.leak_w * v * (idle_state == 1 ? 0.2 : 1);
  return cluster.power.core_w_per_mhz_v2 * mhz * v * v * busy_cores + clock + leak;
}

/// Board, network and a profile from the same physics.
struct HandWorld {
  boards::Board board = hand_board();
  std::vector<inference::LevelFacts> levels = hand_levels();
  policies::ActionSpace space;
  policies::Profile profile;

  HandWorld() { rebuild(); }
  /// After a change of the board.
  void rebuild() {
    space = *policies::ActionSpace::make(board, levels.size());
    profile = policies::Profile(space);
    env::EmulatedBoard emulated(board, levels);
    for (std::size_t m = 0; m < space.mappings.size(); ++m) {
      for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
        for (std::size_t l = 0; l < levels.size(); ++l) {
          policies::ProfilePoint point;
          point.level = LevelId(l);
          point.mapping = MappingId(m);
          point.opp = OppId(o);
          point.latency_s = emulated.mean_time_s(point.mapping, point.level, point.opp);
          point.power_w = emulated.power_if_w(point.mapping, point.opp, point.level);
          point.energy_j = *point.power_w * point.latency_s;
          point.accuracy = levels[l].accuracy;
          profile.set(point);
        }
        profile.set_idle({MappingId(m), OppId(o), emulated.power_if_w(MappingId(m), OppId(o), std::nullopt)});
      }
    }
  }
  env::World world() const {
    env::World w;
    w.board = &board;
    w.space = &space;
    w.profile = &profile;
    w.levels = &levels;
    return w;
  }
};

/// Runs the board's own events up to `to_s`; the time of a completion on the way, or -1.
inline double run_to(env::EmulatedBoard& board, double to_s) {
  double completed_s = -1;
  for (;;) {
    const double next_s = std::min(board.next_event_s(), to_s);
    board.advance(next_s);
    if (board.take_completion().has_value()) completed_s = board.now_s();
    if (next_s >= to_s) return completed_s;
  }
}

}  // namespace reins::testing
