#include "evaluation/workbench.hpp"

#include <algorithm>
#include <cmath>

#include "boards/physics.hpp"
#include "control/live_board.hpp"
#include "core/stats.hpp"
#include "env/emulated_board.hpp"

namespace reins::evaluation {
namespace {

struct Measured {
  std::vector<double> latencies_s;
  std::vector<double> power_w;
  std::vector<double> temperature_c;
};

/// Runs (or idles, without a level) until the sensor has updated `updates` times; the first update saw the settling and
/// is dropped, as is what comes before the deepest idle states are reached.
Measured measure(env::EmulatedBoard& emulated, const policies::Action& action, std::optional<LevelId> level,
                 int updates, double deepest_s) {
  Measured measured;
  emulated.apply(action);
  double started_s = emulated.now_s();
  if (level.has_value()) emulated.start(*level);
  bool settling = true;
  const double settled_s = emulated.now_s() + deepest_s;
  const double give_up_s = settled_s + 120;  // a board without sensors updates nothing of its own accord
  while (static_cast<int>(measured.power_w.size()) < updates && emulated.now_s() < give_up_s) {
    emulated.advance(emulated.next_event_s());
    control::Telemetry telemetry;
    if (emulated.take_telemetry(telemetry)) {
      if (!settling) {
        measured.power_w.push_back(telemetry.power_w.value_or(0));
        if (telemetry.temperature_c) measured.temperature_c.push_back(*telemetry.temperature_c);
      }
      settling = telemetry.at_s < settled_s;
    }
    if (level.has_value() && emulated.take_completion()) {
      measured.latencies_s.push_back(emulated.now_s() - started_s);
      started_s = emulated.now_s();
      emulated.start(*level);
    }
  }
  return measured;
}

}  // namespace

policies::Profile profile_emulated(const boards::Board& board, const policies::ActionSpace& space,
                                   const inference::NetworkFacts& network, int updates, std::uint64_t seed) {
  policies::Profile profile(space);
  profile.board = board.name;
  profile.board_fingerprint = board.fingerprint;
  profile.network_fingerprint = network.fingerprint;
  profile.kernel = "emulated";
  bool has_power = false;
  for (const boards::Rail& rail : board.rails) has_power = has_power || (rail.accounting && rail.sensor_period_s > 0);

  const double deepest_s = boards::deepest_idle_s(board);

  env::EmulatedBoard emulated(board, network.levels);
  std::uint64_t point_seed = seed;
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.mappings[m].freq_khz.size(); ++o) {
      policies::Action action;
      action.mapping = MappingId(m);
      action.opp = OppId(o);
      env::BoardConditions conditions;
      for (std::size_t l = 0; l < network.levels.size(); ++l) {
        conditions.seed = ++point_seed;
        emulated.reset(0, conditions);
        action.level = LevelId(l);
        const Measured measured = measure(emulated, action, LevelId(l), updates, deepest_s);
        policies::ProfilePoint point;
        point.level = LevelId(l);
        point.mapping = action.mapping;
        point.opp = action.opp;
        point.latency_s = mean_of(measured.latencies_s);
        point.p50_s = quantile_of(measured.latencies_s, 0.50);
        point.p95_s = quantile_of(measured.latencies_s, 0.95);
        point.p99_s = quantile_of(measured.latencies_s, 0.99);
        point.accuracy = network.levels[l].accuracy;
        point.n = static_cast<std::int64_t>(measured.latencies_s.size());
        point.source = "emulated";
        if (has_power) {
          point.power_w = mean_of(measured.power_w);
          point.energy_j = *point.power_w * point.latency_s;
          point.energy_ci_j = ci95_half_width(measured.power_w) * point.latency_s;
          point.temperature_c = mean_if_any(measured.temperature_c);
        }
        profile.set(point);
      }
      if (!has_power) continue;
      conditions.seed = ++point_seed;
      emulated.reset(0, conditions);
      const Measured at_rest = measure(emulated, action, std::nullopt, updates, deepest_s);
      profile.set_idle({action.mapping, action.opp, mean_of(at_rest.power_w), mean_if_any(at_rest.temperature_c)});
    }
  }
  return profile;
}

Result<std::unique_ptr<Workbench>> Workbench::make(boards::Board board, inference::NetworkFacts network,
                                                   std::optional<inference::Answers> answers,
                                                   const std::optional<std::filesystem::path>& profile, bool replay) {
  std::unique_ptr<Workbench> bench(new Workbench());
  if (network.levels.empty()) return fail(ErrorKind::kGarbled, "the network has no levels", network.name);
  if (answers.has_value() && answers->levels() != network.levels.size()) {
    return fail(ErrorKind::kMismatch, "the recorded answers are of a network with another number of levels",
                network.name, "record them again with 'reins net eval --record'");
  }
  REINS_ASSIGN(bench->space_, policies::ActionSpace::make(board, network.levels.size()));
  if (replay) {
    REINS_ASSIGN(const policies::Profile table, policies::Profile::read(bench->space_, *profile));
    std::vector<boards::Mapping> kept;
    for (std::size_t m = 0; m < board.mappings.size(); ++m) {
      if (table.measured(MappingId(m)) != 0) kept.push_back(board.mappings[m]);
    }
    if (kept.empty()) {
      return fail(ErrorKind::kGarbled, "no mapping has a point at which every level was measured", profile->native(),
                  "measure again with 'reins profile'");
    }
    control::keep_mappings(board, std::move(kept));
    board.tick_s = 0;  // no kernel, no governor
    REINS_ASSIGN(bench->space_, policies::ActionSpace::make(board, network.levels.size()));
  }
  bench->replay_ = replay;
  bench->board_ = std::move(board);
  bench->network_ = std::move(network);
  bench->answers_ = std::move(answers);
  if (profile.has_value()) {
    REINS_ASSIGN(bench->profile_, policies::Profile::read(bench->space_, *profile, replay));
    if (!bench->profile_.network_fingerprint.empty() &&
        bench->profile_.network_fingerprint != bench->network_.fingerprint) {
      return fail(ErrorKind::kMismatch, "the profile was measured with another network", profile->native(),
                  "name that one with --network, or measure again with 'reins profile'");
    }
    if (!replay && !bench->profile_.complete()) {
      return fail(ErrorKind::kGarbled, "the profile lacks some level x mapping x operating point", profile->native(),
                  "measure again with 'reins profile'");
    }
  } else {
    bench->profile_ = profile_emulated(bench->board_, bench->space_, bench->network_, 30, 1);
  }
  return bench;
}

env::World Workbench::world() const noexcept {
  return {&board_, &space_, &profile_, &network_.levels, answers_.has_value() ? &*answers_ : nullptr, replay_};
}

double Workbench::full_latency_s() const noexcept { return profile_.fastest_s(LevelId(network_.levels.size() - 1)); }

}  // namespace reins::evaluation
