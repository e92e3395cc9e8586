#include "apps/live.hpp"

#include "actuators/actuator_set.hpp"
#include "apps/wiring.hpp"
#include "sensors/catalogue.hpp"

namespace reins::apps {

Result<std::unique_ptr<control::LivePlant>> make_live_plant(const boards::Board& board, bool own_board,
                                                            inference::Engine& engine, const Clock& clock,
                                                            const std::filesystem::path& state) {
  const std::filesystem::path root = "/";
  if (!own_board) {
    const std::vector<Error> differences = actuators::differences(board, root);
    if (!differences.empty()) {
      return fail(ErrorKind::kMismatch, "this machine is not that board: " + differences.front().line(), board.name,
                  "leave out --live to use its emulation, or see 'reins board --check'");
    }
  }
  actuators::ActuatorSet actuators = actuators::ActuatorSet::make(board, {root, state});
  for (const auto& missing : actuators.missing()) warn(missing.error.line());
  sensors::Found sensors = sensors::make_sensors(board, {root, &clock, 0});
  for (const auto& missing : sensors.missing) warn(missing.error.line());
  auto plant = std::make_unique<control::LivePlant>(board, engine, std::move(actuators), std::move(sensors), clock,
                                                    control::LivePlant::Options{});
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
