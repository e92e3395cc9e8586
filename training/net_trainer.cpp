#include "training/net_trainer.hpp"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numbers>
#include <sstream>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "inference/torch/group_module.hpp"
#include "training/net_batches.hpp"
#include "training/net_export.hpp"

namespace reins::training {
namespace {

using inference::GroupModule;

constexpr std::int64_t kCheckpointSchema = 1;
constexpr std::size_t kEvaluationBatch = 250;

/// While it lives, convolutions and linear layers run in bfloat16 where asked.
class Precision {
 public:
  explicit Precision(bool bfloat16) : on_(bfloat16) {
    if (!on_) return;
    at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
    at::autocast::set_cpu_enabled(true);
  }
  ~Precision() {
    if (!on_) return;
    at::autocast::clear_cache();  // bfloat16 copies of weights that are about to change
    at::autocast::set_cpu_enabled(false);
  }
  Precision(const Precision&) = delete;
  Precision& operator=(const Precision&) = delete;

 private:
  bool on_;
};

/// A group's tensors as they were after its best epoch.
struct Snapshot {
  double accuracy = -1;
  int epoch = 0;
  std::vector<torch::Tensor> tensors;
};

std::vector<torch::Tensor> tensors_of(GroupModule& module, std::int64_t group) {
  std::vector<torch::Tensor> tensors = module->path(group)->parameters();
  for (auto& buffer : module->path(group)->buffers()) tensors.push_back(buffer);
  if (group == 0) tensors.push_back(module->bias());
  return tensors;
}

void take(GroupModule& module, std::int64_t group, Snapshot& snapshot) {
  torch::NoGradGuard no_grad;
  snapshot.tensors.clear();
  for (auto& tensor : tensors_of(module, group)) snapshot.tensors.push_back(tensor.detach().clone());
}

void put_back(GroupModule& module, std::int64_t group, const Snapshot& snapshot) {
  torch::NoGradGuard no_grad;
  auto tensors = tensors_of(module, group);
  for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].copy_(snapshot.tensors[i]);
}

/// A group starts from the one before it; the learning rate's restart drives it elsewhere (Huang et al. 2017, "Snapshot
/// Ensembles"). From random weights it would spend its epochs on learning again what the frozen groups know.
void copy_path(GroupModule& module, std::int64_t from, std::int64_t to) {
  torch::NoGradGuard no_grad;
  auto copy = [](std::vector<torch::Tensor> source, std::vector<torch::Tensor> target) {
    for (std::size_t i = 0; i < source.size(); ++i) target[i].copy_(source[i]);
  };
  copy(module->path(from)->parameters(), module->path(to)->parameters());
  copy(module->path(from)->buffers(), module->path(to)->buffers());
}

double accuracy_of(GroupModule& module, const data::ImageSet& images, const Scaling& scaling, std::int64_t level) {
  torch::NoGradGuard no_grad;
  module->eval();
  Rng unused(0);
  std::int64_t right = 0;
  for (std::size_t first = 0; first < images.size(); first += kEvaluationBatch) {
    std::vector<std::size_t> indices;
    for (std::size_t i = first; i < std::min(images.size(), first + kEvaluationBatch); ++i) indices.push_back(i);
    const Batch batch = make_batch(images, indices, scaling, false, unused);
    right += module->forward(batch.images, level).argmax(1).eq(batch.labels).sum().item<std::int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(images.size());
}

/// What may differ from one resume to the next.
std::string pace_of(const NetTrainConfig& c) {
  return "epochs=" + std::to_string(c.epochs) + " threads=" + std::to_string(c.threads) +
         (c.bfloat16 ? " bfloat16" : " float32");
}

/// What a checkpoint must agree on with the run that goes on from it.
std::string identity_of(const NetTrainConfig& c, const data::ImageSet& images) {
  std::ostringstream text;
  text << images.name << " images=" << images.size() << " groups=" << c.architecture.groups
       << " stages=" << format_stages(c.architecture.stages) << " batch=" << c.batch << " lr=" << c.learning_rate
       << " momentum=" << c.momentum << " decay=" << c.weight_decay << " own_loss=" << c.own_loss
       << " augment=" << c.augment << " seed=" << c.seed;
  return text.str();
}

std::unique_ptr<torch::optim::SGD> make_optimizer(const NetTrainConfig& config, GroupModule& module,
                                                  std::int64_t group) {
  // Decay pulls weights, not what batch norm scales and shifts by (Goyal et al. 2017, section 5.3).
  std::vector<torch::Tensor> decayed;
  std::vector<torch::Tensor> plain;
  for (auto& p : module->path(group)->parameters()) (p.dim() > 1 ? decayed : plain).push_back(p);
  if (group == 0) plain.push_back(module->bias());
  const auto options = [&](double decay) {
    return std::make_unique<torch::optim::SGDOptions>(torch::optim::SGDOptions(config.learning_rate)
                                                          .momentum(config.momentum)
                                                          .nesterov(config.momentum > 0)
                                                          .weight_decay(decay));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(decayed, options(config.weight_decay));
  groups.emplace_back(plain, options(0));
  return std::make_unique<torch::optim::SGD>(groups, torch::optim::SGDOptions(config.learning_rate));
}

double rate_at(const NetTrainConfig& config, std::int64_t step, std::int64_t steps) {
  const double t = static_cast<double>(step) / static_cast<double>(steps);
  constexpr double kWarmUp = 0.2;
  if (t < kWarmUp) return config.learning_rate * (0.05 + 0.95 * t / kWarmUp);
  return config.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * (t - kWarmUp) / (1 - kWarmUp)));
}

class Run {
 public:
  Run(const NetTrainConfig& config, data::ImageSet train, data::ImageSet validation,
      const std::function<bool(const NetTrainProgress&)>& progress)
      : config_(config), train_(std::move(train)), validation_(std::move(validation)), progress_(progress) {
    torch::set_num_threads(config.threads);
    torch::manual_seed(config.seed);
    scaling_ = scaling_of(train_);
    module_ = GroupModule(config.architecture);
    identity_ = identity_of(config, train_);
  }

  Status start() {
    log_path_ = config_.out_folder / "train.log";
    checkpoint_path_ = config_.out_folder / "checkpoint.pt";
    std::error_code ignored;
    const bool there = std::filesystem::exists(checkpoint_path_, ignored);
    if (there && !config_.resume) {
      return fail(ErrorKind::kUsage, "a training run has left its checkpoint here", checkpoint_path_.string(),
                  "go on with --resume, or take another --out");
    }
    std::filesystem::create_directories(config_.out_folder, ignored);
    log_.open(log_path_, there ? std::ios::app : std::ios::trunc);
    if (!log_) return fail(from_errno(errno, "cannot write the log", log_path_.string()));
    if (there) return resume();
    log("data: " + train_.title + " (" + train_.provenance + "), " + std::to_string(train_.size()) + " training and " +
        std::to_string(validation_.size()) + " validation images");
    log("run: " + identity_ + ", " + pace_of(config_));
    return {};
  }

  Status train() {
    const auto groups = config_.architecture.groups;
    begin_s_ = clock_.now_s();
    done_at_begin_ = work_before(group_, epoch_);
    for (; group_ < groups; ++group_, epoch_ = 0) {
      if (epoch_ == 0 && group_ > 0) copy_path(module_, group_ - 1, group_);
      module_->train_only(group_);
      if (!optimizer_) optimizer_ = make_optimizer(config_, module_, group_);
      for (; epoch_ < config_.epochs;) {
        REINS_TRY(run_epoch());
        REINS_TRY(save());
      }
      if (best_.epoch > 0) put_back(module_, group_, best_);
      const double accuracy = accuracy_of(module_, validation_, scaling_, group_);
      levels_.push_back(accuracy);
      char line[120];
      std::snprintf(line, sizeof line, "level %lld: validation accuracy %.4f (epoch %d kept)",
                    static_cast<long long>(group_ + 1), accuracy, best_.epoch);
      log(line);
      best_ = {};
      optimizer_.reset();
      ++group_;
      epoch_ = 0;
      REINS_TRY(save());
      --group_;
    }
    module_->train_only(-1);
    return {};
  }

  GroupModule& module() { return module_; }
  const Scaling& scaling() const { return scaling_; }
  const data::ImageSet& validation() const { return validation_; }
  const std::vector<double>& levels() const { return levels_; }
  const std::string& identity() const { return identity_; }
  const std::filesystem::path& log_path() const { return log_path_; }

  void log(const std::string& line) {
    log_ << line << '\n';
    log_.flush();
    lines_.push_back(line);
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  Status run_epoch() {
    module_->path(group_)->train();
    // A stream of its own per group and epoch: a resumed run draws what the unbroken one would have drawn.
    Rng rng = Rng(config_.seed).fork(static_cast<std::uint64_t>(group_ * 100'000 + epoch_ + 1));
    const auto order = shuffled(train_.size(), rng);
    const auto batch_size = static_cast<std::size_t>(config_.batch);
    const auto batches = static_cast<std::int64_t>(train_.size() / batch_size);  // the odd rest waits for another order
    const double epoch_begin_s = clock_.now_s();
    double loss_sum = 0;
    std::int64_t right = 0;
    NetTrainProgress report;
    report.group = group_ + 1;
    report.groups = config_.architecture.groups;
    report.epoch = epoch_ + 1;
    report.epochs = config_.epochs;
    report.batches = batches;
    for (std::int64_t b = 0; b < batches; ++b) {
      const double rate = rate_at(config_, epoch_ * batches + b, config_.epochs * batches);
      for (auto& group : optimizer_->param_groups()) static_cast<torch::optim::SGDOptions&>(group.options()).lr(rate);
      const std::span<const std::size_t> indices(order.data() + static_cast<std::size_t>(b) * batch_size, batch_size);
      const Batch batch = make_batch(train_, indices, scaling_, config_.augment, rng);
      torch::Tensor own;
      torch::Tensor others;
      {
        const Precision precision(config_.bfloat16);
        const torch::Tensor images = batch.images.contiguous(torch::MemoryFormat::ChannelsLast);
        if (group_ > 0) others = frozen(images).to(torch::kFloat32);
        own = module_->path(group_)->forward(images).to(torch::kFloat32);
      }
      torch::Tensor logits = module_->bias() + own;
      torch::Tensor loss = torch::nn::functional::cross_entropy(logits, batch.labels);
      if (group_ > 0) {
        logits = module_->bias() + (others + own) / (group_ + 1);
        loss = config_.own_loss * loss + torch::nn::functional::cross_entropy(logits, batch.labels);
      }
      loss_sum += loss.item<double>();
      optimizer_->zero_grad();
      loss.backward();
      optimizer_->step();
      right += logits.argmax(1).eq(batch.labels).sum().item<std::int64_t>();
      report.batch = b + 1;
      report.loss = loss_sum / static_cast<double>(b + 1);
      report.train_accuracy = static_cast<double>(right) / static_cast<double>((b + 1) * config_.batch);
      const double now_s = clock_.now_s();
      report.images_per_s = static_cast<double>((b + 1) * config_.batch) / (now_s - epoch_begin_s);
      const double work = work_before(group_, epoch_ + static_cast<double>(b + 1) / static_cast<double>(batches));
      report.done = work / work_before(config_.architecture.groups, 0);
      report.eta_s = (now_s - begin_s_) * (work_before(config_.architecture.groups, 0) - work) /
                     std::max(1e-9, work - done_at_begin_);
      if (progress_ && b + 1 < batches && !progress_(report)) return stopped();
    }
    const double accuracy = accuracy_of(module_, validation_, scaling_, group_);
    ++epoch_;
    if (accuracy >= best_.accuracy) {
      best_.accuracy = accuracy;
      best_.epoch = epoch_;
      take(module_, group_, best_);
    }
    report.validation_accuracy = accuracy;
    char line[200];
    std::snprintf(line, sizeof line,
                  "group %lld epoch %d/%d: loss %.4f, training accuracy %.4f, validation accuracy %.4f, %.0f images/s",
                  static_cast<long long>(group_ + 1), epoch_, config_.epochs, report.loss, report.train_accuracy,
                  accuracy, report.images_per_s);
    log(line);
    if (progress_ && !progress_(report)) {
      REINS_TRY(save());
      return stopped();
    }
    return {};
  }

  Status stopped() const {
    return fail(ErrorKind::kGone, "training was interrupted", config_.out_folder.string(), "go on with --resume");
  }

  torch::Tensor frozen(const torch::Tensor& images) {
    torch::NoGradGuard no_grad;
    return module_->partial_sum(images, group_ - 1);
  }

  /// In units of one path's forward pass over the training images: training costs about three of them, each frozen
  /// group one.
  double work_before(std::int64_t group, double epoch) const {
    double work = 0;
    for (std::int64_t g = 0; g < group; ++g) work += static_cast<double>(3 + g) * config_.epochs;
    return work + static_cast<double>(3 + group) * epoch;
  }

  Status save() {
    torch::serialize::OutputArchive archive;
    torch::serialize::OutputArchive module;
    module_->save(module);
    archive.write("module", module);
    archive.write("schema", torch::IValue(kCheckpointSchema));
    archive.write("identity", torch::IValue(identity_));
    archive.write("group", torch::IValue(group_));
    archive.write("epoch", torch::IValue(static_cast<std::int64_t>(epoch_)));
    archive.write("best_accuracy", torch::IValue(best_.accuracy));
    archive.write("best_epoch", torch::IValue(static_cast<std::int64_t>(best_.epoch)));
    archive.write("levels", torch::IValue(levels_));
    for (std::size_t i = 0; i < best_.tensors.size(); ++i) archive.write("best" + std::to_string(i), best_.tensors[i]);
    if (optimizer_) {
      torch::serialize::OutputArchive optimizer;
      optimizer_->save(optimizer);
      archive.write("optimizer", optimizer);
    }
    std::ostringstream bytes;
    archive.save_to(bytes);
    return write_file_atomic(checkpoint_path_, bytes.str());
  }

  Status resume() {
    REINS_ASSIGN(const std::string bytes, read_file(checkpoint_path_));
    std::istringstream stream(bytes);
    torch::serialize::InputArchive archive;
    archive.load_from(stream);
    torch::IValue value;
    archive.read("schema", value);
    if (value.toInt() != kCheckpointSchema) {
      return fail(ErrorKind::kMismatch, "a checkpoint of another version", checkpoint_path_.string(), "train anew");
    }
    archive.read("identity", value);
    if (value.toStringRef() != identity_) {
      return fail(ErrorKind::kMismatch, "a checkpoint of another run: " + value.toStringRef(),
                  checkpoint_path_.string(), "resume with the same options, or take another --out");
    }
    torch::serialize::InputArchive module;
    archive.read("module", module);
    module_->load(module);
    archive.read("group", value);
    group_ = value.toInt();
    archive.read("epoch", value);
    epoch_ = static_cast<int>(value.toInt());
    archive.read("best_accuracy", value);
    best_.accuracy = value.toDouble();
    archive.read("best_epoch", value);
    best_.epoch = static_cast<int>(value.toInt());
    archive.read("levels", value);
    levels_ = value.toDoubleVector();
    if (group_ >= config_.architecture.groups) return {};
    module_->train_only(group_);
    if (best_.epoch > 0) {
      const std::size_t count = tensors_of(module_, group_).size();
      for (std::size_t i = 0; i < count; ++i) {
        torch::Tensor tensor;
        archive.read("best" + std::to_string(i), tensor);
        best_.tensors.push_back(tensor);
      }
    }
    torch::serialize::InputArchive optimizer;
    if (archive.try_read("optimizer", optimizer)) {
      optimizer_ = make_optimizer(config_, module_, group_);
      optimizer_->load(optimizer);
    }
    if (epoch_ > 0 || group_ > 0) {
      log("resumed: group " + std::to_string(group_ + 1) + ", " + std::to_string(epoch_) + " epochs done, " +
          pace_of(config_));
    }
    return {};
  }

  NetTrainConfig config_;
  data::ImageSet train_, validation_;
  std::function<bool(const NetTrainProgress&)> progress_;
  MonotonicClock clock_;
  Scaling scaling_;
  GroupModule module_{nullptr};
  std::unique_ptr<torch::optim::SGD> optimizer_;
  std::string identity_;
  std::filesystem::path log_path_, checkpoint_path_;
  std::ofstream log_;
  std::vector<std::string> lines_;
  std::int64_t group_ = 0;
  int epoch_ = 0;
  Snapshot best_;
  std::vector<double> levels_;
  double begin_s_ = 0;
  double done_at_begin_ = 0;
};

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

/// The last act: the test images, read here for the first time.
Result<NetTrainReport> ship(const NetTrainConfig& config, Run& run) {
  REINS_ASSIGN(const data::ImageSet test,
               data::load_images(config.dataset, config.data_folder, data::Split::kTest, config.seed));
  const std::string name =
      config.name.empty() ? config.dataset + "-group" + std::to_string(config.architecture.groups) : config.name;
  auto network = inference::describe(config.architecture, name, test.name, test.title);
  network.notes["training"] = run.identity();
  network.notes["test_data"] = test.provenance;
  for (std::size_t level = 0; level < run.levels().size(); ++level) {
    network.notes["validation_level" + std::to_string(level + 1)] = percent(run.levels()[level]);
  }
  const auto weights = fold(*run.module(), run.scaling().mean, run.scaling().stddev);
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
  report.network = config.out_folder / "network.rnet";
  report.answers = config.out_folder / "answers.rans";
  report.log = run.log_path();
  report.validation_accuracy = run.levels();
  report.lines = run.lines();
  return report;
}

}  // namespace

void fill_defaults(NetTrainConfig& config) {
  if (config.dataset != "synthetic") return;
  config.architecture.stages = {{8, true}, {16, true}, {32, true}};
  config.epochs = 8;
  config.batch = 64;
}

Status NetTrainConfig::validate() const {
  REINS_TRY(architecture.validate());
  const auto usage = [](std::string_view option, std::string_view range) {
    return fail(ErrorKind::kUsage, "out of range", option, range);
  };
  if (epochs < 1 || epochs > 1000) return usage("--epochs", "give 1 to 1000");
  if (batch < 2 || batch > 4096) return usage("--batch", "give 2 to 4096");
  if (!(learning_rate > 0 && learning_rate <= 10)) return usage("--learning-rate", "give a number above 0, up to 10");
  if (!(momentum >= 0 && momentum < 1)) return usage("--momentum", "give 0 up to below 1");
  if (!(weight_decay >= 0 && weight_decay <= 1)) return usage("--weight-decay", "give 0 to 1");
  if (!(own_loss >= 0 && own_loss <= 10)) return usage("--own-loss", "give 0 to 10");
  if (threads < 1 || threads > 256) return usage("--threads", "give 1 to 256");
  if (out_folder.empty()) return usage("--out", "give the folder for the network, its answers and its log");
  return {};
}

Result<NetTrainReport> train_network(const NetTrainConfig& config,
                                     const std::function<bool(const NetTrainProgress&)>& progress) {
  REINS_TRY(config.validate());
  REINS_ASSIGN(data::ImageSet train,
               data::load_images(config.dataset, config.data_folder, data::Split::kTrain, config.seed));
  REINS_ASSIGN(data::ImageSet validation,
               data::load_images(config.dataset, config.data_folder, data::Split::kValidation, config.seed));
  if (config.images > 0 && config.images < train.size()) {
    train.labels.resize(config.images);
    train.pixels.resize(config.images * train.image_bytes());
  }
  if (train.size() < static_cast<std::size_t>(config.batch)) {
    return fail(ErrorKind::kUsage, "a batch is larger than the training set", "--batch");
  }
  try {
    Run run(config, std::move(train), std::move(validation), progress);
    REINS_TRY(run.start());
    REINS_TRY(run.train());
    return ship(config, run);
  } catch (const std::exception& problem) {
    // libtorch's messages go on for pages of stack; the first line says it.
    const std::string text = problem.what();
    return fail(ErrorKind::kInternal, text.substr(0, text.find('\n')), "libtorch");
  }
}

}  // namespace reins::training
