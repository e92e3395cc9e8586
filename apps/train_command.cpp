#include "apps/train_command.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/commit.hpp"
#include "apps/live.hpp"
#include "apps/progress.hpp"
#include "apps/wiring.hpp"
#include "core/file.hpp"
#include "data/image_set.hpp"
#include "env/live_run.hpp"
#include "inference/engines.hpp"
#include "policies/c_header.hpp"
#include "training/controller_trainer.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;

// Real time is dear: this much of it, and the episode under way, is what a power cut costs at most.
constexpr double kLiveCheckpoint_s = 60;

struct TrainOptions {
  WorkbenchOptions workbench;
  std::string config, out, data;
  std::int64_t steps = 0;
  std::int64_t seed = 1;
  bool resume = false;
  LiveOptions live;
  JsonOption json;
};

struct FreezeOptions {
  std::string run, out, header;
  std::optional<double> w_miss;
  JsonOption json;
};

Result<training::ControllerConfig> config_of(const TrainOptions& options) {
  const fs::path file = options.config.empty() ? default_controller(options.workbench.board) : fs::path(options.config);
  REINS_ASSIGN(training::ControllerConfig config, training::ControllerConfig::read(file));
  if (options.steps > 0) {
    // Schedules keep their shape: a shorter run explores for the same share of it.
    const double ratio = static_cast<double>(options.steps) / static_cast<double>(config.dqn.steps);
    const auto scaled = [ratio](std::int64_t steps, std::int64_t least) {
      return std::max(least, static_cast<std::int64_t>(std::llround(static_cast<double>(steps) * ratio)));
    };
    config.dqn.epsilon_steps = scaled(config.dqn.epsilon_steps, 1);
    if (ratio < 1) {
      config.dqn.average_rate = std::min(1.0, config.dqn.average_rate / ratio);
      config.dqn.learn_start = scaled(config.dqn.learn_start, config.dqn.batch);
      for (std::int64_t* const every : {&config.validate_every, &config.checkpoint_every}) {
        if (*every > 0) *every = scaled(*every, 100);
      }
    }
    config.dqn.steps = options.steps;
  }
  config.dqn.seed = options.seed;
  return config;
}

/// No run is overwritten, and none gone on with that is not there.
Status check_folder(const fs::path& out, bool resume) {
  std::error_code error;
  if (fs::exists(out / "checkpoint.pt", error)) {
    if (resume) return {};
    return fail(ErrorKind::kUsage, "a training run has left its checkpoint here", out.native(),
                "go on with --resume, or take another --out");
  }
  for (const char* const left : {"best.policy", "log.csv"}) {
    if (!fs::exists(out / left, error)) continue;
    return fail(ErrorKind::kUsage,
                std::string("a training run has left its ") + left + " here, and no checkpoint to go on from",
                out.native(), "remove what is left there, or take another --out");
  }
  if (!resume) return {};
  return fail(ErrorKind::kNotFound, "nothing to resume: no checkpoint.pt in this folder", out.native(),
              "leave out --resume to begin");
}

Status train(const TrainOptions& options) {
  const bool replay = !options.workbench.replay.empty();
  const bool live = !replay && options.live.on(options.workbench.board);
  const char* const how = replay ? " (replayed)" : live ? " (live)" : " (emulated)";
  if (live && options.workbench.profile.empty()) {
    return fail(ErrorKind::kUsage, "is needed to train on this machine itself", "--profile",
                "take one with 'reins profile', or train on one with --replay");
  }
  REINS_TRY(check_folder(options.out, options.resume));
  REINS_TRY(check_output(fs::path(options.out) / "log.csv"));
  REINS_TRY(check_output(options.json));
  REINS_ASSIGN(training::ControllerConfig config, config_of(options));
  // Live: the environment runs the real engine at every step.
  const MonotonicClock clock;
  std::unique_ptr<inference::Engine> engine;
  control::LiveBoard bound;
  if (live) {
    REINS_ASSIGN(engine, inference::open_engine(network_of(options.workbench.network)));
    REINS_ASSIGN(bound, open_live_board(options.workbench.board, *engine, options.live));
  } else {
    REINS_ASSIGN(bound.board, options.workbench.replay.empty() ? open_emulated_board(options.workbench.board)
                                                               : open_board(options.workbench.board));
  }
  REINS_ASSIGN(const auto bench, make_workbench(options.workbench, bound.board));

  training::ControllerRun run;
  run.bench = bench.get();
  run.folder = options.out;
  run.resume = options.resume;
  run.commit = REINS_COMMIT;
  const env::World world = bench->world();
  const control::RuntimeConfig runtime = config.env.runtime;

  data::ImageSet images;
  std::unique_ptr<control::LivePlant> plant;  // goes before the images: an inference may be reading one
  if (live) {
    if (options.data.empty()) {
      images = data::make_synthetic(data::Split::kTrain, static_cast<std::uint64_t>(options.seed), 256);
    } else {
      REINS_ASSIGN(images, data::load_images("cifar10", options.data, data::Split::kTrain, 1));
    }
    REINS_ASSIGN(plant, make_live_plant(bound, bench->board(), *engine, clock, options.live));
    // Real time is dear: no episodes only to validate, none without the shield, short ones.
    run.validate = false;
    config.env.shield_off = 0;
    config.env.others = 0;  // other load is what it is here; it cannot be drawn
    config.env.requests = std::min(config.env.requests, 60.0);
    if (config.env.least_latency_s <= 0) config.env.least_latency_s = env::kLeastLive_s;
    run.checkpoint_due = [&clock, last_s = clock.now_s()]() mutable {
      const double now_s = clock.now_s();
      if (now_s - last_s < kLiveCheckpoint_s) return false;
      last_s = now_s;
      return true;
    };
    run.make_run = [&world, &runtime, &plant, &images]() -> std::unique_ptr<env::TraceRun> {
      return std::make_unique<env::LiveRun>(world, runtime, *plant, images);
    };
  } else {
    if (replay) config.env.others = 0;  // what others' load does is in no table
    config.env.least_latency_s = 0;     // virtual time wakes no threads
    run.make_run = [&world, &runtime]() -> std::unique_ptr<env::TraceRun> {
      return std::make_unique<env::Episode>(world, runtime);
    };
  }
  run.config = std::move(config);

  Progress progress("train " + bench->board().name + (live ? "" : how));
  run.progress = [&progress, &run](const training::ControllerProgress& p) {
    return progress.update(p.fraction, progress_note(p, run.validate));
  };
  const auto result = training::train_controller(run);
  progress.done();
  if (plant != nullptr) REINS_TRY(plant->restore());
  if (!result.has_value()) return fail(result.error());
  if (result->learner.steps < result->learner.total) {
    return fail(ErrorKind::kGone,
                "training was interrupted at step " + std::to_string(result->learner.steps) + " of " +
                    std::to_string(result->learner.total),
                options.out, "go on with --resume and the other options as they were");
  }
  const env::RecentMisses& misses = result->misses;
  const double miss_rate =
      static_cast<double>(misses.missed) / static_cast<double>(std::max<std::size_t>(1, misses.requests));
  if (!options.json.to_stdout()) {
    std::printf("trained on %s%s: %lld steps, %lld episodes, seed %lld\n", bench->board().name.c_str(), how,
                static_cast<long long>(result->learner.steps), static_cast<long long>(result->learner.episodes),
                static_cast<long long>(options.seed));
    std::printf("%s reward per step %.4f, at step %lld\n",
                run.validate ? "best validation of the second half (the first is too early to trust):" : "mean",
                result->best_reward, static_cast<long long>(result->best_at));
    if (live && misses.requests > 0) {
      std::printf("missed %.1f %% of its last %zu requests, exploration included\n", 100 * miss_rate, misses.requests);
    }
    std::printf("wrote %s/best.policy; freeze it with: reins freeze --run %s --out FILE\n", options.out.c_str(),
                options.out.c_str());
  }
  return options.json.write(nlohmann::json{
      {"board", bench->board().name},
      {"live", live},
      {"replayed", replay},
      {"steps", result->learner.steps},
      {"episodes", result->learner.episodes},
      {"seed", options.seed},
      {"best_reward", result->best_reward},
      {"best_at", result->best_at},
      {"recent_requests", misses.requests},
      {"recent_miss_rate", miss_rate},
      {"folder", options.out}}.dump(2));
}

Status freeze(const FreezeOptions& options) {
  if (options.out == options.header) {
    return fail(ErrorKind::kUsage, "--out and --c-header name the same file", options.out,
                "give the header another name");
  }
  std::error_code missing;
  if (!fs::exists(fs::path(options.run) / "best.policy", missing)) {
    return fail(ErrorKind::kNotFound, "no training run here: no best.policy in this folder", options.run,
                "train it first with reins train --out");
  }
  REINS_TRY(check_output(options.out));
  REINS_TRY(check_output(options.header));
  REINS_TRY(check_output(options.json));
  REINS_ASSIGN(const policies::PolicyFile file, training::freeze(options.run, {}, options.w_miss));
  REINS_TRY(policies::write_policy(file, options.out));
  if (!options.header.empty()) REINS_TRY(write_file_atomic(options.header, policies::c_header(file)));
  std::error_code error;
  const auto bytes = fs::file_size(options.out, error);
  if (!options.json.to_stdout()) {
    std::printf(
        "froze the policy for %s: %zu parameters, %zu observations, %zu examples replayed; wrote %s (%.1f KB)\n",
        file.space.board.c_str(), file.network.parameters(), file.observation.size(), file.examples.size(),
        options.out.c_str(), error ? 0.0 : static_cast<double>(bytes) / 1e3);
    if (!options.header.empty()) std::printf("wrote %s\n", options.header.c_str());
  }
  return options.json.write(nlohmann::json{
      {"board", file.space.board},
      {"parameters", file.network.parameters()},
      {"observations", file.observation.size()},
      {"examples", file.examples.size()},
      {"file", options.out}}.dump(2));
}

}  // namespace

std::string progress_note(const training::ControllerProgress& progress, bool validated) {
  char note[128];
  std::snprintf(note, sizeof note, "step %lld, reward %.3f", static_cast<long long>(progress.learner.steps),
                progress.learner.mean_reward);
  std::string text = note;
  if (!validated || !std::isfinite(progress.best_reward)) return text;
  const bool second = 2 * progress.best_at >= progress.learner.total;
  std::snprintf(note, sizeof note, ", best of the %s half %.3f", second ? "second" : "first", progress.best_reward);
  return text + note;
}

void register_train(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand(
      "train", "train a controller: in the emulated board, on a measured profile, or live on this machine");
  add_workbench_options(*command, options->workbench);
  command->add_option("--config", options->config, "TOML with [dqn], [env], [reward], [runtime], [validation]");
  command->add_option("--steps", options->steps, "decisions to learn from (default: the configuration's)")
      ->check(CLI::Range(std::int64_t{100}, std::int64_t{1'000'000'000}));
  command->add_option("--seed", options->seed, "of the learner and its episodes")
      ->check(seed_range())
      ->capture_default_str();
  command->add_option("--out", options->out, "folder for checkpoint.pt, best.policy and log.csv")->required();
  command->add_flag("--resume", options->resume,
                    "go on from the checkpoint in --out, with the settings it was begun with; not once it is finished");
  add_live_options(*command, options->live, "train");
  add_replay_option(*command, options->workbench);
  command->get_option("--replay")->excludes("--live");
  command->add_option("--data", options->data,
                      "live: CIFAR-10 folder whose images are inferred (default: synthetic ones)");
  add_json_option(*command, options->json);
  command->footer("Example:\n  reins train --board odroid-xu3 --out run1 --seed 1");
  command->callback([options, &exit_code] {
    const Status status = train(*options);
    if (!status.has_value()) exit_code = report(status.error());
  });
}

void register_freeze(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<FreezeOptions>();
  CLI::App* command = app.add_subcommand("freeze", "turn a training run into a small policy file, or a C99 header");
  command->add_option("--run", options->run, "folder that 'reins train' wrote")->required();
  command->add_option("--out", options->out, "policy file to write")->required();
  command->add_option("--c-header", options->header, "also write the policy as one C99 header");
  command
      ->add_option("--w-miss", options->w_miss,
                   "another price of a missed request than it was trained with (the configuration's "
                   "w_miss): lower saves more energy, higher misses less; no training anew. Takes the "
                   "weights at the end of the run, not those that validated best")
      ->check(within(0, 1000));
  add_json_option(*command, options->json);
  command->footer("Example:\n  reins freeze --run run1 --out xu3.policy");
  command->callback([options, &exit_code] {
    const Status status = freeze(*options);
    if (!status.has_value()) exit_code = report(status.error());
  });
}

}  // namespace reins::apps
