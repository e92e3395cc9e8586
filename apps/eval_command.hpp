// apps/eval_command.hpp: `reins eval`: policies side by side, as table, JSON and HTML report.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

void register_eval(CLI::App& app, int& exit_code);

}  // namespace reins::apps
