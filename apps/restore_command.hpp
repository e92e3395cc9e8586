// apps/restore_command.hpp: `reins restore`: puts back what a killed run left.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace reins::apps {

/// Where every command that changes the machine saves what it found, unless told otherwise. Gone with a reboot, as the
/// changes are.
inline constexpr const char* kDefaultStateFile = "/run/reins/state.toml";

void register_restore(CLI::App& app, int& exit_code);

}  // namespace reins::apps
