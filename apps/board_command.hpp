// apps/board_command.hpp: `reins board`: what a board offers, what is readable and writable here, what is missing and
// how to get it.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

void register_board(CLI::App& app, int& exit_code);

}  // namespace reins::apps
