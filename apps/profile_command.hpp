// apps/profile_command.hpp: `reins profile`.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

void register_profile(CLI::App& app, int& exit_code);

}  // namespace reins::apps
