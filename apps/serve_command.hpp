// apps/serve_command.hpp: `reins serve`: the inference server under a policy, live or on an emulated board paced to
// wall time.
#pragma once

#include <CLI/CLI.hpp>

namespace reins::apps {

void register_serve(CLI::App& app, int& exit_code);

}  // namespace reins::apps
