#include "training/controller_trainer.hpp"

#include <algorithm>
#include <limits>

#include "control/settings.hpp"
#include "core/csv.hpp"
#include "core/file.hpp"
#include "training/board_environment.hpp"

namespace reins::training {
namespace {

// Seeds of validation episodes: far from those that the learner draws (64 random bits) and from held-out traces
// (1000...).
constexpr std::uint64_t kValidationSeed = 500'000'000;

/// Mean reward per step over fixed episodes of the greedy policy as it would be deployed.
Result<double> validate(env::BoardEnv& env, const agent::Dqn& dqn, std::int64_t episodes) {
  REINS_ASSIGN(const policies::NetworkForward deployed, policies::NetworkForward::make(dqn.network(true), env.space()));
  double reward = 0;
  std::int64_t steps = 0;
  for (std::int64_t e = 0; e < episodes; ++e) {
    REINS_ASSIGN(env::Step step, env.reset(kValidationSeed + static_cast<std::uint64_t>(e)));
    while (step.end == env::StepEnd::kRunning) {
      REINS_ASSIGN(step,
                   env.step(policies::action_of(deployed.choose(step.observation->vector(), step.observation->mask))));
      reward += step.reward;
      ++steps;
    }
  }
  return steps > 0 ? reward / static_cast<double>(steps) : 0;
}

/// log.csv, kept in memory and rewritten whole at every validation: a killed run leaves the last whole one.
class Log {
 public:
  static Log open(const std::filesystem::path& path, bool resume, std::int64_t steps_so_far) {
    Log log;
    log.path_ = path;
    log.text_ = "steps,episodes,updates,epsilon,mean_reward,loss,value,validation_reward,best_reward,best_at\n";
    if (!resume) return log;
    // Lines behind the checkpoint will be written again.
    if (const auto table = CsvTable::read(path)) {
      for (std::size_t row = 0; row < table->rows(); ++row) {
        const auto steps = table->integer(row, "steps");
        if (!steps.has_value() || *steps > steps_so_far) break;
        for (std::size_t c = 0; c < table->columns().size(); ++c) {
          log.text_ += std::string(table->text(row, table->columns()[c]).value_or("")) +
                       (c + 1 < table->columns().size() ? "," : "\n");
        }
        const auto best = table->number(row, "best_reward");
        const auto at = table->integer(row, "best_at");
        if (best && at) {
          log.best_reward = *best;
          log.best_at = *at;
          log.has_best = true;
        }
      }
    }
    return log;
  }
  Status add(const ControllerProgress& p) {
    for (const double value : {static_cast<double>(p.learner.steps), static_cast<double>(p.learner.episodes),
                               static_cast<double>(p.learner.updates), p.learner.epsilon, p.learner.mean_reward,
                               p.learner.last.loss, p.learner.last.value, p.validation_reward, p.best_reward}) {
      text_ += format_number(value) + ",";
    }
    text_ += std::to_string(p.best_at) + "\n";
    return write_file_atomic(path_, text_);
  }
  double best_reward = 0;
  std::int64_t best_at = 0;
  bool has_best = false;

 private:
  std::filesystem::path path_;
  std::string text_;
};

policies::PolicyFile policy_of(const ControllerRun& run, const agent::Dqn& dqn, const env::BoardEnv& env) {
  policies::PolicyFile file;
  file.space = run.bench->space();
  file.network_fingerprint = run.bench->network().fingerprint;
  file.observation = env.spec();
  file.network = dqn.network(true);
  file.training.algorithm = "dqn";
  file.training.steps = dqn.steps();
  file.training.seed = dqn.config().seed;
  file.training.config = run.config.text;
  file.commit = run.commit;
  file.settings = control::settings_of(run.config.env.runtime);
  file.examples = dqn.examples(32, true);
  return file;
}

}  // namespace

Result<ControllerConfig> ControllerConfig::parse(std::string_view toml, std::string_view where) {
  ControllerConfig c;
  c.text = toml;
  REINS_ASSIGN(const TomlTable root, TomlTable::parse(toml, where));
  if (root.has("dqn")) {
    REINS_ASSIGN(const TomlTable table, root.table("dqn"));
    REINS_ASSIGN(c.dqn, agent::DqnConfig::parse(table));
  }
  if (root.has("env")) {
    REINS_ASSIGN(const TomlTable table, root.table("env"));
    REINS_ASSIGN(c.env, env::EnvConfig::from_toml(table));
  }
  if (root.has("reward")) {
    REINS_ASSIGN(const TomlTable table, root.table("reward"));
    REINS_ASSIGN(c.env.reward, env::RewardConfig::from_toml(table));
  }
  bool worth_is_said = false;
  if (root.has("runtime")) {
    REINS_ASSIGN(const TomlTable table, root.table("runtime"));
    REINS_ASSIGN(c.env.runtime, control::runtime_from_toml(table));
    worth_is_said = table.has("shield_accuracy_worth");
  }
  // What the shield takes for the cheapest is to be what the reward does.
  if (!worth_is_said && c.env.reward.w_energy > 0) {
    c.env.runtime.shield.accuracy_worth = std::min(100.0, c.env.reward.w_acc / c.env.reward.w_energy);
  }
  if (root.has("validation")) {
    REINS_ASSIGN(const TomlTable table, root.table("validation"));
    REINS_ASSIGN(c.validate_every, table.integer_or("every", c.validate_every, 0, 1'000'000'000));
    REINS_ASSIGN(c.validation_episodes, table.integer_or("episodes", c.validation_episodes, 1, 100'000));
    REINS_ASSIGN(c.checkpoint_every, table.integer_or("checkpoint_every", c.checkpoint_every, 0, 1'000'000'000));
    REINS_TRY(table.reject_unknown());
  }
  REINS_TRY(root.reject_unknown());
  return c;
}

Result<ControllerConfig> ControllerConfig::read(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string text, read_file(path, std::size_t{1} << 20));
  return parse(text, path.native());
}

Result<ControllerProgress> train_controller(const ControllerRun& run) {
  const env::World world = run.bench->world();
  env::BoardEnv env(world, run.config.env, run.make_run());
  BoardEnvironment environment(env);
  std::unique_ptr<env::BoardEnv> validation;
  if (run.validate) {
    // Validated as deployed: with the shield.
    env::EnvConfig deployed = run.config.env;
    deployed.shield_off = 0;
    validation = std::make_unique<env::BoardEnv>(world, deployed, run.make_run());
  }

  REINS_ASSIGN(const std::unique_ptr<agent::Dqn> dqn,
               agent::Dqn::make(run.config.dqn, env.spec().size(), run.bench->space(), env.reach()));
  const boards::Board& board = run.bench->board();
  dqn->learns_in("board " + board.name + " (" + board.fingerprint + "), network " + run.bench->network().name + " (" +
                 run.bench->network().fingerprint + ")");
  const std::filesystem::path checkpoint = run.folder / "checkpoint.pt";
  const std::filesystem::path best = run.folder / "best.policy";
  if (run.resume) REINS_TRY(dqn->resume(checkpoint));
  Log log = Log::open(run.folder / "log.csv", run.resume, dqn->steps());

  ControllerProgress state;
  state.best_reward = log.has_best ? log.best_reward : -std::numeric_limits<double>::infinity();
  state.best_at = log.best_at;
  auto save_best = [&](const agent::Dqn& learner) -> Status {
    policies::PolicyFile file = policy_of(run, learner, env);
    file.training.figures["validation_reward"] = state.validation_reward;
    return policies::write_policy(file, best);
  };
  agent::TrainHooks hooks;
  hooks.progress = [&](const agent::TrainProgress& learner) {
    state.learner = learner;
    state.fraction = learner.total > 0 ? static_cast<double>(learner.steps) / static_cast<double>(learner.total) : 1;
    return !run.progress || run.progress(state);
  };
  hooks.evaluate_every = run.config.validate_every;
  hooks.evaluate = [&](const agent::Dqn& learner, const agent::TrainProgress& progress) -> Status {
    state.learner = progress;
    if (validation == nullptr) {
      state.best_at = progress.steps;
      state.best_reward = state.validation_reward = progress.mean_reward;
      REINS_TRY(save_best(learner));
      return log.add(state);
    }
    REINS_ASSIGN(state.validation_reward, validate(*validation, learner, run.config.validation_episodes));
    // The second half starts anew: an early policy that did well on these few episodes has seen too little.
    const std::int64_t half = progress.total / 2;
    const bool anew = state.best_at < half && progress.steps >= half;
    if (anew || state.validation_reward > state.best_reward) {
      state.best_reward = state.validation_reward;
      state.best_at = progress.steps;
      REINS_TRY(save_best(learner));
    }
    return log.add(state);
  };
  hooks.checkpoint_every = run.config.checkpoint_every;
  hooks.checkpoint = [&](const agent::Dqn& learner, const agent::TrainProgress&) { return learner.save(checkpoint); };
  hooks.checkpoint_due = run.checkpoint_due;
  REINS_ASSIGN(state.learner, agent::train(*dqn, environment, hooks));
  state.misses = env.recent_misses();
  REINS_TRY(dqn->save(checkpoint));
  state.fraction = 1;
  return state;
}

Result<policies::PolicyFile> freeze(const std::filesystem::path& folder, const std::map<std::string, double>& figures,
                                    std::optional<double> w_miss) {
  REINS_ASSIGN(policies::PolicyFile file, policies::read_policy(folder / "best.policy"));
  if (w_miss.has_value()) {
    REINS_ASSIGN(const env::RewardConfig reward,
                 env::RewardConfig::of_controller(file.training.config, (folder / "best.policy").native()));
    if (reward.w_miss <= 0) {
      return fail(ErrorKind::kMismatch, "this run was trained with misses for free", folder.native(),
                  "train it with a w_miss above 0");
    }
    REINS_ASSIGN(agent::PricedNetwork priced, agent::priced_network(folder / "checkpoint.pt", file.network.shape,
                                                                    file.network.reach, *w_miss / reward.w_miss));
    file.network = std::move(priced.network);
    file.training.steps = priced.steps;
    file.training.figures.clear();
    file.training.figures["w_miss"] = *w_miss;
    REINS_TRY(policies::decide_examples(file));
  }
  for (const auto& [name, value] : figures) file.training.figures[name] = value;
  return file;
}

}  // namespace reins::training
