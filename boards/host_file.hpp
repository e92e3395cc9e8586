// boards/host_file.hpp: a discovered board as a board file.
#pragma once

#include <filesystem>
#include <string>

#include "boards/board.hpp"

namespace reins::boards {

/// The TOML text of a board that discover_host() found: every value, marked `discovered` where the kernel said it and
/// `assumed` where nobody did. parse_board() reads the same board back, but for its fingerprint, which is of the text.
/// `path`: where it is to lie, for the commands it names.
std::string host_board_toml(const Board& board, const std::filesystem::path& path);

}  // namespace reins::boards
