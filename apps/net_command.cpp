#include "apps/net_command.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/progress.hpp"
#include "apps/wiring.hpp"
#include "data/image_set.hpp"
#include "inference/answers.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "inference/worker_team.hpp"
#ifdef REINS_TRAINING
#include "training/net_compare.hpp"
#include "training/net_trainer.hpp"
#endif

namespace reins::apps {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// ---- info ----

struct InfoOptions {
  std::string network;
  bool layers = false;
  JsonOption json;
};

/// Where images come from, in words: a bare "MD5 sums of ..." does not say whose, and why.
std::string in_words(const std::string& provenance) {
  if (!provenance.starts_with("MD5 sums of")) return provenance;
  return "the image files were hashed, to tell which copy of the data set they are: they have the " + provenance;
}

json facts_json(const inference::NetworkFile& file, bool with_layers) {
  const inference::DynamicNetwork& network = file.network();
  json document = {{"name", network.facts.name},
                   {"family", network.family},
                   {"dataset", network.facts.dataset},
                   {"dataset_title", network.dataset_title},
                   {"fingerprint", network.facts.fingerprint},
                   {"file_bytes", file.file_bytes()},
                   {"weights", file.weight_type() == inference::WeightType::kFloat16 ? "float16" : "float32"},
                   {"input_shape", network.facts.input_shape},
                   {"classes", network.facts.classes},
                   {"groups", network.architecture.groups},
                   {"stages", inference::format_stages(network.architecture.stages)},
                   {"notes", network.notes}};
  json& levels = document["levels"] = json::array();
  for (const inference::LevelFacts& level : network.facts.levels) {
    json entry = {{"level", levels.size() + 1},
                  {"macs", level.macs},
                  {"bytes", level.bytes},
                  {"parameters", level.parameters},
                  {"peak_activation_bytes",
                   network.architecture.peak_activation_bytes_of_level(static_cast<std::int64_t>(levels.size()))},
                  {"accuracy", level.accuracy}};
    if (with_layers) {
      for (const LayerCost& layer : level.layers) {
        entry["layers"].push_back({{"macs", layer.macs}, {"bytes", layer.bytes}, {"launches", layer.launches}});
      }
    }
    levels.push_back(std::move(entry));
  }
  return document;
}

void print_layers(const inference::DynamicNetwork& network) {
  std::printf("\n%-18s %10s %10s %8s\n", "layer", "MMACs", "KiB", "launches");
  const std::size_t stages = network.architecture.stages.size();
  const auto& layers = network.facts.levels.back().layers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::size_t stage = i % (stages + 1);
    const std::string name = "group " + std::to_string(i / (stages + 1) + 1) + " " +
                             (stage < stages ? "conv " + std::to_string(stage + 1) : std::string("classifier"));
    std::printf("%-18s %10.3f %10.1f %8.0f\n", name.c_str(), layers[i].macs / 1e6, layers[i].bytes / 1024,
                layers[i].launches);
  }
}

Status info(const InfoOptions& options) {
  const fs::path path = network_of(options.network);
  REINS_ASSIGN(const inference::NetworkFile file, inference::NetworkFile::open(path));
  if (options.json.wanted()) REINS_TRY(options.json.write(facts_json(file, options.layers).dump(2) + "\n"));
  if (options.json.to_stdout()) return {};
  const inference::DynamicNetwork& network = file.network();
  std::printf("%s: %s network of %zu levels, %s, %.2f MB, fingerprint %s\n", network.facts.name.c_str(),
              network.family.c_str(), network.facts.levels.size(),
              file.weight_type() == inference::WeightType::kFloat16 ? "float16" : "float32",
              static_cast<double>(file.file_bytes()) / 1e6, network.facts.fingerprint.c_str());
  std::printf("accuracies on the test images of %s\n\n", network.dataset_title.c_str());
  std::printf("%5s %10s %12s %10s %10s %10s\n", "level", "MMACs", "parameters", "KiB", "peak KiB", "accuracy");
  for (std::size_t i = 0; i < network.facts.levels.size(); ++i) {
    const inference::LevelFacts& level = network.facts.levels[i];
    const double peak = network.architecture.peak_activation_bytes_of_level(static_cast<std::int64_t>(i));
    std::printf("%5zu %10.3f %12.0f %10.1f %10.1f %9.2f%%\n", i + 1, level.macs / 1e6, level.parameters,
                level.bytes / 1024, peak / 1024, 100 * level.accuracy);
  }
  std::printf("\nKiB: touched by one inference, weights and activations; peak KiB: activations held at one time\n");
  if (options.layers) print_layers(network);
  if (!network.notes.empty()) std::printf("\n");
  for (const auto& [key, text] : network.notes) std::printf("%s: %s\n", key.c_str(), in_words(text).c_str());
  return {};
}

void register_info(CLI::App& net, int& exit_code) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command =
      net.add_subcommand("info", "what a network file holds: levels, costs, accuracies, how it was made");
  command->add_option("network", options->network, "network file (default: the shipped CIFAR-10 network)")
      ->type_name("FILE");
  command->add_flag("--layers", options->layers, "every layer's multiply-accumulates, bytes and launches");
  add_json_option(*command, options->json);
  command->footer("Example:\n  reins net info --layers");
  command->callback([options, &exit_code] {
    const Status status = info(*options);
    exit_code = status ? kOk : report(status.error());
  });
}

// ---- eval ----

struct NetEvalOptions {
  std::string network, dataset, data, test_file, record, engine = "auto";
  int threads = 1;
  std::uint64_t seed = 1;
  std::size_t images = 0;
  JsonOption json;
};

Status eval_network(const NetEvalOptions& options) {
  REINS_TRY(check_output(options.record));
  REINS_TRY(check_output(options.json));
  const fs::path path = network_of(options.network);
  REINS_ASSIGN(const auto engine, inference::open_engine(path, {.backend = options.engine}));
  const int cores = inference::allowed_cpus();
  if (options.threads > cores) {
    return fail(ErrorKind::kUsage, "more threads than the " + std::to_string(cores) + " cores of this process",
                "--threads", "give at most that many");
  }
  REINS_TRY(engine->place({.threads = options.threads, .cpus = {}}));
  const inference::NetworkFacts& facts = engine->facts();
  const std::string dataset = options.dataset.empty() ? facts.dataset : options.dataset;
  REINS_ASSIGN(data::ImageSet images, options.test_file.empty()
                                          ? data::load_images(dataset, options.data, data::Split::kTest, options.seed)
                                          : data::load_cifar10_records(options.test_file));
  if (options.test_file.empty()) {  // what is named apart is known to be something else
    if (!images.verified) {
      warn("no checksum vouches for these images: they are of no known copy, with no MD5SUMS beside");
    }
    if (images.name != facts.dataset) {
      warn("the network was made for '" + facts.dataset + "', these images are '" + images.name + "'");
    }
  }
  if (options.images > 0 && options.images < images.size()) {
    images.labels.resize(options.images);
    images.pixels.resize(options.images * images.image_bytes());
  }
  Result<inference::Answers> answers = fail(ErrorKind::kInternal, "not run");
  {
    Progress progress("net eval");
    answers = inference::record_answers(*engine, images, [&](std::size_t done, std::size_t total) {
      return progress.update(static_cast<double>(done) / static_cast<double>(total));
    });
  }
  if (!answers) return fail(answers.error());
  if (!options.record.empty()) REINS_TRY(answers->write(options.record));
  json document = {{"network", facts.name},         {"fingerprint", facts.fingerprint}, {"dataset", images.name},
                   {"dataset_title", images.title}, {"provenance", images.provenance},  {"images", images.size()},
                   {"levels", json::array()}};
  for (std::size_t i = 0; i < answers->levels(); ++i) {
    document["levels"].push_back({{"level", i + 1},
                                  {"macs", facts.levels[i].macs},
                                  {"accuracy", answers->accuracy(LevelId(i))},
                                  {"accuracy_in_file", facts.levels[i].accuracy}});
  }
  if (options.json.wanted()) REINS_TRY(options.json.write(document.dump(2) + "\n"));
  if (options.json.to_stdout()) return {};
  std::printf("%s on %zu test images of %s\n(%s)\n\n", facts.name.c_str(), images.size(), images.title.c_str(),
              in_words(images.provenance).c_str());
  std::printf("%5s %10s %10s %10s\n", "level", "MMACs", "accuracy", "in file");
  for (std::size_t i = 0; i < answers->levels(); ++i) {
    std::printf("%5zu %10.3f %9.2f%% %9.2f%%\n", i + 1, facts.levels[i].macs / 1e6, 100 * answers->accuracy(LevelId(i)),
                100 * facts.levels[i].accuracy);
  }
  return {};
}

void register_net_eval(CLI::App& net, int& exit_code) {
  auto options = std::make_shared<NetEvalOptions>();
  CLI::App* command = net.add_subcommand("eval", "run every level over the test images with the engine that serves");
  command->add_option("network", options->network, "network file (default: the shipped CIFAR-10 network)")
      ->type_name("FILE");
  command->add_option("--dataset", options->dataset, "cifar10 or synthetic (default: what the network was made for)");
  command->add_option("--data", options->data, "folder of CIFAR-10's binary files")->type_name("DIR");
  command
      ->add_option("--test-file", options->test_file,
                   "the records of this file of CIFAR-10's layout, however many, instead of the test images")
      ->type_name("FILE")
      ->excludes("--data");
  command->add_option("--record", options->record, "write each image's answers at every level to this file")
      ->type_name("FILE");
  command->add_option("--images", options->images, "only the first N test images (default: all)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command->add_option("--engine", options->engine, "auto, onednn, portable, avx512, avx2 or baseline")
      ->capture_default_str();
  command->add_option("--threads", options->threads, "worker threads")->capture_default_str();
  command->add_option("--seed", options->seed, "of the synthetic images")->check(seed_range())->capture_default_str();
  add_json_option(*command, options->json);
  command->footer(
      "Examples:\n  reins net eval --data cifar-10-batches-bin\n  reins net eval --test-file some_records.bin");
  command->callback([options, &exit_code] {
    const Status status = eval_network(*options);
    exit_code = status ? kOk : report(status.error());
  });
}

// ---- train ----

#ifdef REINS_TRAINING

/// What `train` and `compare` share.
struct NetTrainOptions {
  training::NetTrainConfig config;
  std::string data, out, stages, teacher;
  std::optional<int> epochs, batch;
  std::optional<double> distil;
  bool no_augment = false;
  JsonOption json;
};

void add_training_options(CLI::App& command, NetTrainOptions& options) {
  training::NetTrainConfig& config = options.config;
  command.add_option("--dataset", config.dataset, "cifar10 (needs --data) or synthetic")->capture_default_str();
  command.add_option("--data", options.data, "folder of CIFAR-10's binary files")->type_name("DIR");
  command.add_option("--groups", config.architecture.groups, "groups, and so levels, up to 8")->capture_default_str();
  command
      .add_option("--stages", options.stages,
                  "channels of one group per stage, p where a pool follows (default by data set)")
      ->type_name("16p,32p,...");
  command.add_option("--batch", options.batch, "images per step, 2 to 4096 (default by data set)");
  command.add_option("--learning-rate", config.learning_rate, "peak of the schedule")
      ->check(within(1e-9, 10.0))
      ->capture_default_str();
  command.add_option("--weight-decay", config.weight_decay, "on weights, not on batch norm")->capture_default_str();
  command.add_option("--images", config.images, "only the first N training images, for a quick trial (default: all)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command.add_flag("--no-augment", options.no_augment, "no random crops and mirrors");
  command.add_flag("--bfloat16", config.bfloat16, "convolutions in bfloat16: faster where the processor has it");
  command.add_option("--seed", config.seed, "of weights, order, augmentation and synthetic images")
      ->check(seed_range())
      ->capture_default_str();
  command.add_option("--threads", config.threads, "of libtorch")->capture_default_str();
}

Result<training::NetTrainConfig> training_config(const NetTrainOptions& options) {
  training::NetTrainConfig config = options.config;
  config.data_folder = options.data;
  config.out_folder = options.out;
  config.teacher = options.teacher;
  config.augment = !options.no_augment;
  training::fill_defaults(config);
  if (options.epochs) config.epochs = *options.epochs;
  if (options.batch) config.batch = *options.batch;
  if (options.distil) {
    if (options.teacher.empty()) {
      return fail(ErrorKind::kUsage, "there is no teacher to learn from", "--distil", "give its file with --teacher");
    }
    config.distil = *options.distil;
  }
  if (!options.stages.empty()) {
    REINS_ASSIGN(config.architecture.stages, inference::parse_stages(options.stages));
  }
  return config;
}

/// "epoch 2/10 loss 1.234 900 images/s" behind the bar.
bool show(Progress& progress, const std::string& what, const training::NetTrainProgress& at) {
  char note[200];
  std::snprintf(note, sizeof note, "%s epoch %d/%d loss %.3f %.0f images/s", what.c_str(), at.epoch, at.epochs, at.loss,
                at.images_per_s);
  return progress.update(at.done, note, at.eta_s);
}

Status train_network(const NetTrainOptions& options) {
  REINS_ASSIGN(const training::NetTrainConfig config, training_config(options));
  std::error_code error;
  const fs::path checkpoint = config.out_folder / "checkpoint.pt";
  if (config.resume && !fs::exists(checkpoint, error)) {
    return fail(ErrorKind::kNotFound, "there is no checkpoint to go on from", checkpoint.native(),
                "leave out --resume to begin");
  }
  Result<training::NetTrainReport> result = fail(ErrorKind::kInternal, "not run");
  {
    Progress progress("net train");
    result = training::train_network(config, [&](const training::NetTrainProgress& at) {
      return show(progress, std::string(at.part_name) + "/" + std::to_string(at.parts), at);
    });
  }
  if (!result) return fail(result.error());
  if (options.json.wanted()) {
    const json document = {{"network", result->network.native()},
                           {"answers", result->answers.native()},
                           {"log", result->log.native()},
                           {"validation_accuracy", result->validation_accuracy},
                           {"test_accuracy", result->test_accuracy}};
    REINS_TRY(options.json.write(document.dump(2) + "\n"));
  }
  if (options.json.to_stdout()) return {};
  std::printf("%5s %12s %10s\n", "level", "validation", "test");
  for (std::size_t i = 0; i < result->test_accuracy.size(); ++i) {
    std::printf("%5zu %11.2f%% %9.2f%%\n", i + 1, 100 * result->validation_accuracy[i], 100 * result->test_accuracy[i]);
  }
  std::printf("network %s\nanswers %s\nlog     %s\n", result->network.c_str(), result->answers.c_str(),
              result->log.c_str());
  return {};
}

void register_net_train(CLI::App& net, int& exit_code) {
  auto options = std::make_shared<NetTrainOptions>();
  training::NetTrainConfig& config = options->config;
  CLI::App* command = net.add_subcommand("train", "train a group network, one group after the other, and ship it");
  command->add_option("--family", config.family, "group: the only one that is trained to be shipped")
      ->capture_default_str();
  command->add_option("--out", options->out, "folder for network.rnet, answers.rans, train.log and the checkpoint")
      ->required()
      ->type_name("DIR");
  command->add_option("--name", config.name, "name of the network (default: <dataset>-group<groups>)");
  command->add_option("--epochs", options->epochs, "epochs per group (default by data set); may change at a resume");
  command
      ->add_option("--teacher", options->teacher, "network file whose full network is learnt from too (distillation)")
      ->type_name("FILE");
  command->add_option("--distil", options->distil, "share of the teacher in the loss, above 0 up to 1 (default 0.5)");
  add_training_options(*command, *options);
  command->add_flag("--resume", config.resume, "go on from the checkpoint in --out");
  add_json_option(*command, options->json);
  command->footer(
      "Examples:\n  reins net train --dataset synthetic --out my-network\n"
      "  reins net train --data cifar-10-batches-bin --out my-network --resume");
  command->callback([options, &exit_code] {
    const Status status = train_network(*options);
    exit_code = status ? kOk : report(status.error());
  });
}

// ---- compare ----

struct CompareOptions {
  NetTrainOptions training;
  std::string only;
};

Status compare(const CompareOptions& options) {
  training::NetCompareConfig config;
  REINS_ASSIGN(config.training, training_config(options.training));
  REINS_ASSIGN(config.rows, training::parse_net_rows(options.only));
  REINS_TRY(check_output(options.training.json));
  Result<training::NetComparison> result = fail(ErrorKind::kInternal, "not run");
  {
    Progress progress("net compare");
    result = training::compare_networks(config, [&](const training::NetCompareProgress& now) {
      std::string what = std::string(training::name_of(now.row)) + ", " + std::string(now.at.part_name);
      if (now.at.parts > 1) what += "/" + std::to_string(now.at.parts);
      return show(progress, what, now.at);
    });
  }
  if (!result) return fail(result.error());
  const JsonOption& json = options.training.json;
  if (json.wanted()) REINS_TRY(json.write(training::comparison_json(*result)));
  if (json.to_stdout()) return {};
  std::printf("%s\nalso in %s/comparison.txt, .csv and .json\n", training::comparison_text(*result).c_str(),
              config.training.out_folder.c_str());
  return {};
}

void register_compare(CLI::App& net, int& exit_code) {
  auto options = std::make_shared<CompareOptions>();
  NetTrainOptions& training = options->training;
  CLI::App* command =
      net.add_subcommand("compare", "train the group network and its rivals alike, and put them side by side");
  command->add_option("--out", training.out, "folder for the table and, per row, log, checkpoint and networks")
      ->required()
      ->type_name("DIR");
  command
      ->add_option(
          "--only", options->only,
          "rows to train now: incremental, pruned, static-groups, static, slimmable, early-exit (default: all); "
          "those that --out has already stay in the table")
      ->type_name("ROW,...");
  command->add_option("--epochs", training.epochs, "for every weight of every row (default by data set)");
  add_training_options(*command, training);
  command->add_flag("--resume", training.config.resume, "go on with the rows in --out; those that are finished stay");
  add_json_option(*command, training.json);
  command->footer(
      "Examples:\n  reins net compare --dataset synthetic --epochs 2 --out families\n"
      "  reins net compare --data cifar-10-batches-bin --epochs 10 --out families --resume");
  command->callback([options, &exit_code] {
    const Status status = compare(*options);
    exit_code = status ? kOk : report(status.error());
  });
}

#else

void register_net_train(CLI::App& net, int& exit_code) { register_absent(net, exit_code, "train", kNoTraining); }
void register_compare(CLI::App& net, int& exit_code) { register_absent(net, exit_code, "compare", kNoTraining); }

#endif

}  // namespace

void register_net(CLI::App& app, int& exit_code) {
  CLI::App* net = app.add_subcommand("net", "dynamic networks: train, compare, evaluate, describe");
  net->footer("Example:\n  reins net info --layers");
  net->require_subcommand(1);
  register_net_train(*net, exit_code);
  register_compare(*net, exit_code);
  register_net_eval(*net, exit_code);
  register_info(*net, exit_code);
}

}  // namespace reins::apps
