#include "training/net_trainer.hpp"

#include <torch/torch.h>

#include <cstdio>
#include <optional>

#include "core/file.hpp"
#include "inference/torch/group_module.hpp"
#include "training/net_export.hpp"
#include "training/net_families.hpp"
#include "training/net_loop.hpp"
#include "training/teacher.hpp"

namespace reins::training {
namespace {

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

constexpr std::string_view kShipped = "network ";  // begins the log's last line

/// Of a run that is trained: it may have been stopped before its test images were read, and only then goes on.
Status unread(const std::filesystem::path& log) {
  REINS_ASSIGN(const std::string text, read_file(log, std::size_t{1} << 24));
  if (text.find('\n' + std::string(kShipped)) == std::string::npos) return {};
  return fail(ErrorKind::kUsage, "this run has finished, and its test images are read once", log.string(),
              "take another --out to train anew");
}

/// The last act: the test images, read here for the first time.
Result<NetTrainReport> ship(const NetTrainConfig& config, NetLoop& run, inference::GroupModule& module,
                            const Scaling& scaling, const std::string& identity) {
  REINS_ASSIGN(const data::ImageSet test,
               data::load_images(config.dataset, config.data_folder, data::Split::kTest, config.seed));
  const std::string name =
      config.name.empty() ? config.dataset + "-group" + std::to_string(config.architecture.groups) : config.name;
  auto network = inference::describe(config.architecture, name, test.name, test.title);
  network.notes["training"] = identity;
  network.notes["test_data"] = test.provenance;
  for (std::size_t level = 0; level < run.levels().size(); ++level) {
    network.notes["validation_level" + std::to_string(level + 1)] = percent(run.levels()[level]);
  }
  const auto weights = fold(*module, scaling.mean, scaling.stddev);
  REINS_ASSIGN(const inference::Answers answers, ship_network(network, weights, test, config.out_folder));
  run.log("test: " + test.title + " (" + test.provenance + "), " + std::to_string(test.size()) +
          " images, float16 weights, the engine that serves");
  NetTrainReport report;
  for (std::size_t level = 0; level < answers.levels(); ++level) {
    const auto& facts = network.facts.levels[level];
    char line[160];
    std::snprintf(line, sizeof line,
                  "level %zu: %.3f million multiply-accumulates, %.0f parameters, test accuracy %.4f", level + 1,
                  facts.macs / 1e6, facts.parameters, answers.accuracy(LevelId(level)));
    run.log(line);
    report.test_accuracy.push_back(answers.accuracy(LevelId(level)));
  }
  run.log(std::string(kShipped) + answers.network_fingerprint());
  report.network = config.out_folder / "network.rnet";
  report.answers = config.out_folder / "answers.rans";
  report.log = run.log_path();
  report.validation_accuracy = run.levels();
  report.lines = run.lines();
  return report;
}

}  // namespace

Result<NetTrainReport> train_network(const NetTrainConfig& config,
                                     const std::function<bool(const NetTrainProgress&)>& progress) {
  REINS_TRY(config.validate());
  REINS_ASSIGN(const TrainingImages images, load_training_images(config));
  try {
    const torch::Device device = prepare_libtorch(config);
    const Scaling scaling = scaling_of(images.train);
    std::string identity = identity_of(config, images.train);
    std::optional<Teacher> teacher;
    if (!config.teacher.empty()) {
      REINS_ASSIGN(teacher, Teacher::open(config.teacher, config.distil, images.train, scaling, device));
      identity += " teacher=" + teacher->identity();
    }
    Trainee trainee = incremental_family(config.architecture, config.own_loss, teacher ? &*teacher : nullptr);
    trainee.family->module().to(device);
    NetLoop loop(config, config.out_folder, *trainee.family, images, scaling, identity, progress);
    REINS_TRY(loop.start());
    if (loop.whole()) REINS_TRY(unread(loop.log_path()));
    REINS_TRY(loop.train());
    return ship(config, loop, trainee.networks.front(), scaling, identity);
  } catch (const std::exception& problem) {
    return fail(from_libtorch(problem));
  }
}

}  // namespace reins::training
