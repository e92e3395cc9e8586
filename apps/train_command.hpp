// apps/train_command.hpp: `reins train` and `reins freeze`.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

void register_train(CLI::App& app, int& exit_code);
void register_freeze(CLI::App& app, int& exit_code);

}  // namespace reins::apps
