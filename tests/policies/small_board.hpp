// tests/policies/small_board.hpp: a board of two clusters and three mappings, made in memory.
#pragma once

#include "boards/board.hpp"
#include "policies/action.hpp"

namespace reins::testing {

inline boards::Board small_board() {
  boards::Board board;
  board.name = "small";
  board.fingerprint = "00000000deadbeef";
  boards::Cluster little;
  little.name = "little";
  little.cpus = {0, 1};
  little.opps = {{200000, 0.9}, {600000, 1.0}, {1000000, 1.1}};
  boards::Cluster big = little;
  big.name = "big";
  big.cpus = {2, 3};
  big.opps = {{400000, 0.9}, {800000, 0.95}, {1200000, 1.0}, {1600000, 1.1}, {2000000, 1.25}};
  board.clusters = {little, big};
  board.mappings = {{"little-x2", "little-all", ClusterId(0), 2, 1},
                    {"big-x1", "big-one", ClusterId(1), 1, 1},
                    {"big-x2", "big-all", ClusterId(1), 2, 1}};
  return board;
}

inline policies::Action act(int mapping, int level, int opp, int park = -1) {
  return {MappingId(mapping), LevelId(level), OppId(opp), OppId(park), std::nullopt, false};
}

}  // namespace reins::testing
