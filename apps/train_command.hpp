// apps/train_command.hpp: `reins train` and `reins freeze`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "training/controller_trainer.hpp"

namespace reins::apps {

/// What stands behind the progress bar; the best validation once there is one, and of which half of the run it is:
/// the second begins anew.
std::string progress_note(const training::ControllerProgress& progress, bool validated);

void register_train(CLI::App& app, int& exit_code);
void register_freeze(CLI::App& app, int& exit_code);

}  // namespace reins::apps
