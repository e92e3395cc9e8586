// sensors/host.hpp: this machine as a board, with the power monitors that measure it.
#pragma once

#include <filesystem>

#include "boards/board.hpp"

namespace reins::sensors {

/// boards::discover_host() and, where the machine has no RAPL, a rail for every channel of a TI INA power monitor. An
/// input rail by its label (VDD_IN and its like) is what is counted and contains the others; a single rail is counted;
/// where no label says which of several contain which, none is counted and the notes say what to do. Errors: those of
/// discover_host.
Result<boards::Board> discover_board(const std::filesystem::path& root, bool only_usable = false);

}  // namespace reins::sensors
