// apps/reins.cpp: the command: one line per subcommand.
#include <CLI/CLI.hpp>

#include "apps/board_command.hpp"
#include "apps/eval_command.hpp"
#include "apps/net_command.hpp"
#include "apps/profile_command.hpp"
#include "apps/restore_command.hpp"
#include "apps/wiring.hpp"
#ifdef REINS_SERVING
#include "apps/serve_command.hpp"
#endif
#ifdef REINS_TRAINING
#include "apps/blas_kernels.hpp"
#include "apps/train_command.hpp"
#endif

int main(int argc, char** argv) {
#ifdef REINS_TRAINING
  reins::apps::take_better_kernels(argc, argv);
#endif
  CLI::App app("Reins: a reinforcement-learned runtime controller for DNN inference on one board", "reins");
  app.set_version_flag("--version", "reins " REINS_VERSION);
  app.require_subcommand(1);
  app.footer("Example:\n  reins eval --grid quick");
  int exit_code = reins::kOk;
  reins::apps::register_board(app, exit_code);
  reins::apps::register_eval(app, exit_code);
  reins::apps::register_net(app, exit_code);
  reins::apps::register_profile(app, exit_code);
  reins::apps::register_restore(app, exit_code);
#ifdef REINS_SERVING
  reins::apps::register_serve(app, exit_code);
#else
  reins::apps::register_absent(app, exit_code, "serve", reins::apps::kNoServing);
#endif
#ifdef REINS_TRAINING
  reins::apps::register_train(app, exit_code);
  reins::apps::register_freeze(app, exit_code);
#else
  for (const char* name : {"train", "freeze"}) {
    reins::apps::register_absent(app, exit_code, name, reins::apps::kNoTraining);
  }
#endif
  return reins::apps::run(app, argc, argv, exit_code);
}
