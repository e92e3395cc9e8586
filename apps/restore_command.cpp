#include "apps/restore_command.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "actuators/restore_file.hpp"
#include "apps/wiring.hpp"

namespace reins::apps {
namespace {

struct RestoreOptions {
  std::string state = default_state_file();
  std::string root = "/";
  JsonOption json;
};

bool still_to_do(const actuators::RestoreReport::Line& line) {
  return line.error && line.error->kind() != ErrorKind::kNotFound && line.error->kind() != ErrorKind::kGone;
}

Result<int> restore(const RestoreOptions& options) {
  REINS_TRY(check_root(options.root));
  REINS_ASSIGN(const actuators::RestoreReport report, actuators::RestoreFile::restore_all(options.state, options.root));
  nlohmann::json lines = nlohmann::json::array();
  int failed = 0;
  std::string first_failure;
  for (const auto& line : report.lines) {
    failed += still_to_do(line) ? 1 : 0;
    lines.push_back({{"path", "/" + line.saved.path}, {"value", line.saved.value}, {"ok", !line.error.has_value()}});
    if (line.error) lines.back()["error"] = line.error->line();
    if (!line.left.empty()) lines.back()["left"] = line.left;
    if (options.json.to_stdout()) continue;
    if (line.error && !still_to_do(line)) {
      std::printf("there is no /%s any more: %s is not put back\n", line.saved.path.c_str(), line.saved.value.c_str());
    } else if (line.error) {
      if (first_failure.empty()) first_failure = line.error->line();
    } else if (!line.left.empty()) {
      std::printf("left %s in /%s: another program has set it since\n", line.left.c_str(), line.saved.path.c_str());
    } else {
      std::printf("put back %s to /%s\n", line.saved.value.c_str(), line.saved.path.c_str());
    }
  }
  if (!first_failure.empty()) {
    const std::string others = failed > 1 ? " (and " + std::to_string(failed - 1) + " more)" : "";
    std::fprintf(stderr, "reins: %s%s\n", first_failure.c_str(), others.c_str());
  }
  if (report.lines.empty() && !options.json.to_stdout()) {
    std::error_code error;
    std::printf("nothing to put back%s\n",
                std::filesystem::exists(options.state, error) ? "" : (": there is no " + options.state).c_str());
  }
  const nlohmann::json document = {{"state", options.state}, {"complete", failed == 0}, {"lines", lines}};
  if (options.json.wanted()) REINS_TRY(options.json.write(document.dump(2) + "\n"));
  return failed == 0 ? kOk : kFailed;
}

}  // namespace

std::string default_state_file() {
  const std::filesystem::path own = "/run/reins";
  const auto writable = [](const std::filesystem::path& folder) { return ::access(folder.c_str(), W_OK | X_OK) == 0; };
  std::error_code error;
  const bool there = std::filesystem::exists(own, error);
  // The controls themselves are locked, so that two runs with two state files do not meet.
  if (!(there ? writable(own) : writable("/run"))) {
    const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime != nullptr && *runtime == '/') return std::string(runtime) + "/reins/state.toml";
  }
  return (own / "state.toml").native();
}

void register_restore(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* command =
      app.add_subcommand("restore", "put back governors, frequencies and quotas that a killed run left");
  command->add_option("--state", options->state, "the file in which the run saved what it found")
      ->capture_default_str()
      ->type_name("FILE");
  command->add_option("--root", options->root, "a tree laid out like /, instead of this machine")
      ->capture_default_str()
      ->type_name("DIR");
  add_json_option(*command, options->json);
  command->footer("Example:\n  sudo reins restore");
  command->callback([options, &exit_code] {
    const Result<int> done = restore(*options);
    exit_code = done ? *done : report(done.error());
  });
}

}  // namespace reins::apps
