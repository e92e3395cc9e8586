// apps/net_command.hpp: `reins net train|eval|info`: dynamic networks.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

/// `train` says that it is missing in a build without libtorch (REINS_TRAINING undefined).
void register_net(CLI::App& app, int& exit_code);

}  // namespace reins::apps
