#include "apps/profile_command.hpp"

#include <sys/utsname.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/live.hpp"
#include "apps/progress.hpp"
#include "apps/wiring.hpp"
#include "evaluation/profiler.hpp"
#include "inference/engines.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;

struct ProfileOptions {
  std::string board = "host", network, out = "profile.csv";
  double max_seconds = 2;
  std::uint64_t seed = 1;
  LiveOptions live;
  JsonOption json;
};

/// A board that was profiled, and how that went.
struct Profiled {
  boards::Board board;
  policies::ActionSpace space;
  evaluation::ProfileReport report;
};

Result<Profiled> emulate(const ProfileOptions& options, const inference::NetworkFacts& facts) {
  Profiled profiled;
  REINS_ASSIGN(profiled.board, open_emulated_board(options.board));
  REINS_ASSIGN(profiled.space, policies::ActionSpace::make(profiled.board, facts.levels.size()));
  profiled.report.profile = evaluation::profile_emulated(profiled.board, profiled.space, facts, 30, options.seed);
  profiled.report.has_energy = profiled.report.profile.has_energy();
  for (const policies::MappingSlot& slot : profiled.space.mappings)
    profiled.report.points += slot.freq_khz.size() * profiled.space.levels;
  return profiled;
}

Result<Profiled> measure(const ProfileOptions& options, const inference::NetworkFacts& facts) {
  REINS_ASSIGN(const std::unique_ptr<inference::Engine> engine, inference::open_engine(network_of(options.network)));
  REINS_ASSIGN(const control::LiveBoard live, open_live_board(options.board, *engine, options.live));
  Profiled profiled;
  profiled.board = live.board;
  REINS_ASSIGN(profiled.space, policies::ActionSpace::make(profiled.board, facts.levels.size()));
  const MonotonicClock clock;
  REINS_ASSIGN(const auto plant, make_live_plant(live, live.board, *engine, clock, options.live));
  Progress progress("profile");
  evaluation::ProfilerConfig config;
  config.max_seconds = options.max_seconds;
  config.seed = options.seed;
  config.progress = [&progress](double fraction, std::string_view point) { return progress.update(fraction, point); };
  auto report = evaluation::profile_live(profiled.board, profiled.space, facts, *plant, config);
  REINS_TRY(plant->restore());
  if (!report.has_value()) return fail(report.error());
  profiled.report = std::move(*report);
  utsname host{};
  if (::uname(&host) == 0) profiled.report.profile.kernel = host.release;
  return profiled;
}

Status profile(const ProfileOptions& options) {
  REINS_TRY(check_output(options.out));
  REINS_TRY(check_output(options.json));
  const bool live = options.live.on(options.board);
  REINS_ASSIGN(const inference::NetworkFacts facts, read_facts(network_of(options.network)));
  REINS_ASSIGN(Profiled profiled, live ? measure(options, facts) : emulate(options, facts));
  const boards::Board& board = profiled.board;
  const policies::ActionSpace& space = profiled.space;
  evaluation::ProfileReport& report = profiled.report;
  report.profile.version = REINS_VERSION;
  REINS_TRY(report.profile.write(space, options.out));

  nlohmann::json points = nlohmann::json::array();
  if (!options.json.to_stdout()) {
    std::printf("%s with %s: %zu points, %s\n", board.title.c_str(), facts.name.c_str(), report.points,
                live ? "measured" : "emulated");
    std::printf("%-12s %5s %9s %11s %11s %11s %10s\n", "mapping", "level", "MHz", "mean ms", "p95 ms", "mJ", "W");
  }
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.mappings[m].freq_khz.size(); ++o) {
      for (std::size_t l = 0; l < space.levels; ++l) {
        const policies::ProfilePoint* point = report.profile.at(LevelId(l), MappingId(m), OppId(o));
        if (point == nullptr) continue;
        nlohmann::json entry = {{"mapping", space.mappings[m].name},
                                {"level", l + 1},
                                {"freq_khz", space.mappings[m].freq_khz[o]},
                                {"latency_s", point->latency_s},
                                {"p50_s", point->p50_s},
                                {"p95_s", point->p95_s},
                                {"p99_s", point->p99_s},
                                {"n", point->n},
                                {"source", point->source}};
        if (point->energy_j) entry["energy_j"] = *point->energy_j;
        if (point->power_w) entry["power_w"] = *point->power_w;
        points.push_back(entry);
        if (options.json.to_stdout()) continue;
        char energy[32] = "-";
        char power[32] = "-";
        if (point->energy_j) std::snprintf(energy, sizeof energy, "%.2f", *point->energy_j * 1e3);
        if (point->power_w) std::snprintf(power, sizeof power, "%.3f", *point->power_w);
        char mhz[32] = "-";  // no DVFS: the machine runs as it likes
        if (const auto khz = space.mappings[m].freq_khz[o]; khz > 0) {
          std::snprintf(mhz, sizeof mhz, "%.0f", static_cast<double>(khz) / 1e3);
        }
        std::printf("%-12s %5zu %9s %11.3f %11.3f %11s %10s\n", space.mappings[m].name.c_str(), l + 1, mhz,
                    point->latency_s * 1e3, point->p95_s * 1e3, energy, power);
      }
    }
  }
  if (!options.json.to_stdout()) {
    if (report.wide > 0) {
      std::printf("%zu %s known less well than +-3 %% after %.3g s each: a longer --max-seconds helps\n", report.wide,
                  report.wide == 1 ? "point is" : "points are", options.max_seconds);
    }
    if (report.disordered > 0) {
      std::printf(
          "%zu %s over 10 %% longer than the next level at the same setting: other work ran meanwhile, or levels "
          "cost less than handing the work over; measure again on a quiet machine before you train on it\n",
          report.disordered, report.disordered == 1 ? "point takes" : "points take");
    }
    if (!report.has_energy) std::printf("no energy claim: no energy source was read\n");
    std::printf("wrote %s\n", options.out.c_str());
  }
  return options.json.write(nlohmann::json{
      {"board", board.name},
      {"network", facts.name},
      {"energy", report.has_energy},
      {"wide_points", report.wide},
      {"disordered_points", report.disordered},
      {"file", options.out},
      {"points", points}}.dump(2));
}

}  // namespace

void register_profile(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App* command =
      app.add_subcommand("profile", "measure level x mapping x operating point, and write the profile CSV");
  add_board_option(*command, options->board);
  command->add_option("--network", options->network, "network file (default: the shipped one)");
  command->add_option("--out", options->out, "CSV file to write")->capture_default_str();
  command
      ->add_option("--max-seconds", options->max_seconds,
                   "time per point at most, seconds; up to half as much goes before it, on runs that are dropped until "
                   "their times settle within 3 %, and a slow power sensor gets the four updates that two readings of "
                   "this point alone take")
      ->check(within(0.05, 3600.0))
      ->capture_default_str();
  add_live_options(*command, options->live, "measure");
  command->add_option("--seed", options->seed, "of the noise image, and of the emulation")
      ->check(seed_range())
      ->capture_default_str();
  add_json_option(*command, options->json);
  command->footer("Example:\n  reins profile --board host --out profile.csv");
  command->callback([options, &exit_code] {
    const Status status = profile(*options);
    if (!status.has_value()) exit_code = report(status.error());
  });
}

}  // namespace reins::apps
