// apps/board_fit_command.hpp: `reins board fit`: constants of a board file from measured rows.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

/// Below `reins board`.
void register_board_fit(CLI::App& board, int& exit_code);

}  // namespace reins::apps
