// apps/restore_command.hpp: `reins restore`: puts back what a killed run left.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace reins::apps {

/// Where every command that changes the machine saves what it found, unless told otherwise: /run/reins/state.toml, or
/// $XDG_RUNTIME_DIR/reins/state.toml where this user may not write the former. Gone with a reboot, as the changes are.
std::string default_state_file();

void register_restore(CLI::App& app, int& exit_code);

}  // namespace reins::apps
