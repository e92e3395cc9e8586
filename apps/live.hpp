// apps/live.hpp: this machine as a plant, for the commands that run on it.
#pragma once

#include <filesystem>
#include <memory>

#include "control/live_plant.hpp"

namespace reins::apps {

/// Opens sensors and actuators of `board` on this machine and says what is missing. `engine` and `clock` outlive the
/// plant. Errors: mismatch (a named board that this machine is not); those of the state file. `own_board`: the board is
/// "host".
Result<std::unique_ptr<control::LivePlant>> make_live_plant(const boards::Board& board, bool own_board,
                                                            inference::Engine& engine, const Clock& clock,
                                                            const std::filesystem::path& state);

}  // namespace reins::apps
