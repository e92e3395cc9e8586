// control/live_board.hpp: what of a board an engine can run on this machine, and how a mapping is asked of it.
#pragma once

#include <string>
#include <vector>

#include "boards/board.hpp"
#include "inference/api/engine.hpp"

namespace reins::control {

/// What `mapping` asks of an engine: its unit, and the first of its cluster's cpus.
inference::Placement placement_of(const boards::Board& board, const boards::Mapping& mapping);

/// Leaves `board` only these of its mappings. Without any of them it is another version of the board: what was learned
/// or measured with all of them is not of this one.
void keep_mappings(boards::Board& board, std::vector<boards::Mapping> kept);

/// A board as one engine can run it.
struct LiveBoard {
  struct LeftOut {
    std::string mapping;
    Error why;
  };
  boards::Board board;  ///< without the mappings that the engine refused; without any, another version of the board
  std::vector<LeftOut> left_out;
};

/// Asks `engine` for every mapping: a GPU's where it runs on CPUs alone, cores that are offline or not this process's.
/// Clusters stay, so that an unused one is still put at its lowest point. Errors: mismatch (no mapping is left).
Result<LiveBoard> bind_board(boards::Board board, inference::Engine& engine);

/// One line for people: which mappings are left out, why, and what remains. Empty where none is.
std::string left_out_line(const LiveBoard& live);

}  // namespace reins::control
