// apps/live.hpp: this machine as a plant, for the commands that run on it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "apps/restore_command.hpp"
#include "control/live_board.hpp"
#include "control/live_plant.hpp"

namespace reins::apps {

/// Where a live run works. The engine always runs on this machine itself: `root` moves sensors and actuators alone.
struct LiveOptions {
  bool live = false;  ///< this machine is the named board; with "host" it always is
  std::string root = "/";
  std::string state = default_state_file();
  std::function<Status()> on_sampler{};  ///< see LivePlant::Options
  bool on(const std::string& board) const { return live || board == "host"; }
};

/// --live, --state, --root. `what` is done: "measure", "train", ...
void add_live_options(CLI::App& command, LiveOptions& options, const std::string& what);

/// The board `name` on this machine, with what `engine` runs of it. Changes and prints nothing. Errors: those of
/// open_board; not_found (no such root); mismatch (a named board that this machine is not, or none of whose mappings
/// can run).
Result<control::LiveBoard> open_live_board(const std::string& name, inference::Engine& engine,
                                           const LiveOptions& options);

/// Opens sensors and actuators of `board`, which is `live`'s, and then says what is left out or missing. `board`,
/// `engine` and `clock` outlive the plant. Errors: those of a control without which some mapping cannot be put in
/// force.
Result<std::unique_ptr<control::LivePlant>> make_live_plant(const control::LiveBoard& live, const boards::Board& board,
                                                            inference::Engine& engine, const Clock& clock,
                                                            const LiveOptions& options);

}  // namespace reins::apps
