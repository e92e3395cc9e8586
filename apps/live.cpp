#include "apps/live.hpp"

#include <filesystem>

#include "actuators/actuator_set.hpp"
#include "apps/wiring.hpp"
#include "sensors/catalogue.hpp"

namespace reins::apps {

void add_live_options(CLI::App& command, LiveOptions& options, const std::string& what) {
  command.add_flag("--live", options.live,
                   what +
                       " on this machine, which is the named board (with 'host' always); mappings that the engine "
                       "cannot run, such as a GPU's, are left out");
  command.add_option("--state", options.state, "live: where what was found is saved for 'reins restore'")
      ->capture_default_str()
      ->type_name("FILE");
  command.add_option("--root", options.root, "live: a tree laid out like /, instead of this machine's /sys and /proc")
      ->capture_default_str()
      ->type_name("DIR");
}

Result<control::LiveBoard> open_live_board(const std::string& name, inference::Engine& engine,
                                           const LiveOptions& options) {
  REINS_TRY(check_root(options.root));
  REINS_ASSIGN(boards::Board board, open_board(name, options.root));
  REINS_ASSIGN(control::LiveBoard live, control::bind_board(std::move(board), engine));
  if (name == "host") return live;
  // Bound first: the control of a unit that the engine does not run on need not be there.
  const std::vector<Error> differences = actuators::differences(live.board, options.root);
  if (!differences.empty()) {
    return fail(ErrorKind::kMismatch, "this machine is not that board: " + std::string(differences.front().what()),
                "board " + live.board.name, "leave out --live to use its emulation, or see 'reins board --check'");
  }
  return live;
}

Result<std::unique_ptr<control::LivePlant>> make_live_plant(const control::LiveBoard& live, const boards::Board& board,
                                                            inference::Engine& engine, const Clock& clock,
                                                            const LiveOptions& options) {
  actuators::ActuatorSet actuators = actuators::ActuatorSet::make(board, {options.root, options.state});
  for (const auto& missing : actuators.missing()) {
    if (missing.needed) return fail(missing.error);
  }
  if (const std::string line = control::left_out_line(live); !line.empty()) warn(line);
  for (const auto& missing : actuators.missing()) warn(missing.error.line());
  sensors::Found sensors = sensors::make_sensors(board, {options.root, &clock, 0});
  for (const auto& missing : sensors.missing) warn(missing.error.line());
  for (const Error& cap : actuators::caps(board, options.root)) warn(cap.line());
  auto plant = std::make_unique<control::LivePlant>(board, engine, std::move(actuators), std::move(sensors), clock,
                                                    control::LivePlant::Options{.on_sampler = options.on_sampler});
  REINS_TRY(plant->sampler_status());
  bool dvfs = false;
  for (const boards::Cluster& cluster : board.clusters) dvfs = dvfs || cluster.opps.size() > 1;
  if (!dvfs) {
    warn(
        "no DVFS that this user may use ('reins board' says what is missing): what takes effect here is core "
        "placement, "
        "thread count and level");
  }
  if (!plant->has_energy()) warn("no energy claim: this machine has no energy source that can be read");
  return plant;
}

}  // namespace reins::apps
