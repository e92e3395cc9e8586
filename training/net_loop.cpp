#include "training/net_loop.hpp"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <sstream>

#include "core/file.hpp"

namespace reins::training {
namespace {

constexpr std::int64_t kCheckpointSchema = 1;
constexpr std::size_t kEvaluationBatch = 250;

/// What may differ from one resume to the next.
std::string pace_of(const NetTrainConfig& c, torch::Device device) {
  return "epochs=" + std::to_string(c.epochs) + " threads=" + std::to_string(c.threads) +
         (c.bfloat16 ? " bfloat16" : " float32") + " device " + device.str();
}

torch::Device device_of(const torch::nn::Module& module) { return module.parameters().front().device(); }

/// libtorch 2.4 gave the devices' switches one name.
void set_bfloat16(torch::Device device, bool on) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_dtype(device.type(), torch::kBFloat16);
  at::autocast::set_autocast_enabled(device.type(), on);
#else
  if (device.is_cuda()) {
    at::autocast::set_autocast_gpu_dtype(torch::kBFloat16);
    at::autocast::set_enabled(on);
  } else {
    at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
    at::autocast::set_cpu_enabled(on);
  }
#endif
}

std::unique_ptr<torch::optim::SGD> make_optimizer(const NetTrainConfig& config, const Part& part) {
  // Decay pulls weights, not what batch norm scales and shifts by (Goyal et al. 2017, section 5.3).
  std::vector<torch::Tensor> decayed;
  std::vector<torch::Tensor> plain;
  for (const auto& p : part.parameters) (p.dim() > 1 ? decayed : plain).push_back(p);
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

}  // namespace

Precision::Precision(bool bfloat16, torch::Device device) : on_(bfloat16), device_(device) {
  if (on_) set_bfloat16(device_, true);
}

Precision::~Precision() {
  if (!on_) return;
  at::autocast::clear_cache();  // bfloat16 copies of weights that are about to change
  set_bfloat16(device_, false);
}

double accuracy_of(torch::nn::Module& module, const std::function<torch::Tensor(const torch::Tensor&)>& logits,
                   const data::ImageSet& images, const Scaling& scaling) {
  torch::NoGradGuard no_grad;
  module.eval();
  const torch::Device device = device_of(module);
  Rng unused(0);
  std::int64_t right = 0;
  for (std::size_t first = 0; first < images.size(); first += kEvaluationBatch) {
    std::vector<std::size_t> indices;
    for (std::size_t i = first; i < std::min(images.size(), first + kEvaluationBatch); ++i) indices.push_back(i);
    const Batch batch = make_batch(images, indices, scaling, false, unused).to(device);
    right += logits(batch.images).argmax(1).eq(batch.labels).sum().item<std::int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(images.size());
}

Error from_libtorch(const std::exception& problem) {
  // libtorch's messages go on for pages of stack; the first line says it.
  const std::string_view text = problem.what();
  return Error(ErrorKind::kInternal, text.substr(0, text.find('\n')), "libtorch");
}

torch::Device prepare_libtorch(const NetTrainConfig& config) {
  torch::set_num_threads(config.threads);
  torch::manual_seed(config.seed);
  if (!config.gpu || !torch::cuda::is_available()) return torch::kCPU;
  // What the log calls float32 is float32, not TF32, and a run differs from its repetition as little as may be.
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  return {torch::kCUDA, 0};
}

NetLoop::NetLoop(const NetTrainConfig& config, std::filesystem::path folder, NetFamily& family,
                 const TrainingImages& images, const Scaling& scaling, std::string identity,
                 std::function<bool(const NetTrainProgress&)> progress)
    : config_(config),
      folder_(std::move(folder)),
      log_path_(folder_ / "train.log"),
      checkpoint_path_(folder_ / "checkpoint.pt"),
      family_(family),
      device_(device_of(family.module())),
      parts_(family.parts()),
      images_(images),
      scaling_(scaling),
      identity_(std::move(identity)),
      progress_(std::move(progress)) {}

Status NetLoop::start() {
  std::error_code ignored;
  const bool there = std::filesystem::exists(checkpoint_path_, ignored);
  if (there && !config_.resume) {
    return fail(ErrorKind::kUsage, "a training run has left its checkpoint here", checkpoint_path_.string(),
                "go on with --resume, or take another --out");
  }
  constexpr const char* kElsewhere = "choose a folder that this user may write";
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  if (failed) return fail(from_errno(failed.value(), "cannot make this folder", folder_.string(), kElsewhere));
  log_.open(log_path_, there ? std::ios::app : std::ios::trunc);
  if (!log_) return fail(from_errno(errno, "cannot write the log", log_path_.string(), kElsewhere));
  if (there) return resume();
  log("data: " + images_.train.title + " (" + images_.train.provenance + "), " + std::to_string(images_.train.size()) +
      " training and " + std::to_string(images_.validation.size()) + " validation images");
  log("run: " + identity_ + ", " + pace_of(config_, device_));
  return {};
}

Status NetLoop::train() {
  begin_s_ = clock_.now_s();
  done_at_begin_ = work_before(part_, epoch_);
  while (!whole()) {
    const Part& part = parts_[static_cast<std::size_t>(part_)];
    if (epoch_ == 0) family_.begin(part_);
    if (!optimizer_) optimizer_ = make_optimizer(config_, part);
    while (epoch_ < config_.epochs) {
      REINS_TRY(run_epoch(part));
      REINS_TRY(save());
    }
    if (best_.epoch > 0) {
      torch::NoGradGuard no_grad;
      for (std::size_t i = 0; i < part.state.size(); ++i) torch::Tensor(part.state[i]).copy_(best_.tensors[i]);
    }
    std::vector<double> levels;
    judge(part, &levels);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      levels_.push_back(levels[i]);
      char line[120];
      std::snprintf(line, sizeof line, "level %lld: validation accuracy %.4f (epoch %d kept)",
                    static_cast<long long>(part.judged[i] + 1), levels[i], best_.epoch);
      log(line);
    }
    best_ = {};
    optimizer_.reset();
    ++part_;
    epoch_ = 0;
    REINS_TRY(save());
  }
  family_.train_only(-1);
  return {};
}

void NetLoop::log(const std::string& line) {
  log_ << line << '\n';
  log_.flush();
  lines_.push_back(line);
}

double NetLoop::judge(const Part& part, std::vector<double>* levels) {
  double sum = 0;
  for (const std::int64_t level : part.judged) {
    const double accuracy = accuracy_of(
        family_.module(), [&](const torch::Tensor& images) { return family_.logits(images, level); },
        images_.validation, scaling_);
    sum += accuracy;
    if (levels != nullptr) levels->push_back(accuracy);
  }
  return sum / static_cast<double>(part.judged.size());
}

Status NetLoop::run_epoch(const Part& part) {
  family_.train_only(part_);
  // A stream of its own per part and epoch: a resumed run draws what the unbroken one would have drawn.
  Rng rng = Rng(config_.seed).fork(static_cast<std::uint64_t>(part_ * 100'000 + epoch_ + 1));
  const data::ImageSet& train = images_.train;
  const auto order = shuffled(train.size(), rng);
  const auto batch_size = static_cast<std::size_t>(config_.batch);
  const auto batches = static_cast<std::int64_t>(train.size() / batch_size);  // the odd rest waits for another order
  const double epoch_begin_s = clock_.now_s();
  double loss_sum = 0;
  std::int64_t right = 0;
  NetTrainProgress report;
  report.part = part_ + 1;
  report.parts = static_cast<std::int64_t>(parts_.size());
  report.part_name = part.name;
  report.epoch = epoch_ + 1;
  report.epochs = config_.epochs;
  report.batches = batches;
  for (std::int64_t b = 0; b < batches; ++b) {
    const double rate = rate_at(config_, epoch_ * batches + b, config_.epochs * batches);
    for (auto& group : optimizer_->param_groups()) static_cast<torch::optim::SGDOptions&>(group.options()).lr(rate);
    const std::span<const std::size_t> indices(order.data() + static_cast<std::size_t>(b) * batch_size, batch_size);
    const Batch batch = make_batch(train, indices, scaling_, config_.augment, rng).to(device_);
    const NetFamily::Step step =
        family_.step(part_, batch.images.contiguous(torch::MemoryFormat::ChannelsLast), batch.labels, config_.bfloat16);
    loss_sum += step.loss.item<double>();
    optimizer_->zero_grad();
    step.loss.backward();
    optimizer_->step();
    right += step.logits.argmax(1).eq(batch.labels).sum().item<std::int64_t>();
    report.batch = b + 1;
    report.loss = loss_sum / static_cast<double>(b + 1);
    report.train_accuracy = static_cast<double>(right) / static_cast<double>((b + 1) * config_.batch);
    const double now_s = clock_.now_s();
    report.images_per_s = static_cast<double>((b + 1) * config_.batch) / (now_s - epoch_begin_s);
    const double work = work_before(part_, epoch_ + static_cast<double>(b + 1) / static_cast<double>(batches));
    const double whole = work_before(report.parts, 0);
    report.done = work / whole;
    report.eta_s = (now_s - begin_s_) * (whole - work) / std::max(1e-9 * whole, work - done_at_begin_);
    if (progress_ && b + 1 < batches && !progress_(report)) return stopped();
  }
  const double accuracy = judge(part, nullptr);
  ++epoch_;
  if (accuracy >= best_.accuracy) {
    torch::NoGradGuard no_grad;
    best_ = {accuracy, epoch_, {}};
    for (const auto& tensor : part.state) best_.tensors.push_back(tensor.detach().clone());
  }
  report.validation_accuracy = accuracy;
  char line[200];
  std::snprintf(
      line, sizeof line, "%s epoch %d/%d: loss %.4f, training accuracy %.4f, validation accuracy %.4f, %.0f images/s",
      part.name.c_str(), epoch_, config_.epochs, report.loss, report.train_accuracy, accuracy, report.images_per_s);
  log(line);
  if (progress_ && !progress_(report)) {
    REINS_TRY(save());
    return stopped();
  }
  return {};
}

Status NetLoop::stopped() const {
  return fail(ErrorKind::kGone, "training was interrupted", folder_.string(), "go on with --resume");
}

double NetLoop::work_before(std::int64_t part, double epoch) const {
  double work = 0;
  for (std::int64_t p = 0; p < part; ++p) work += parts_[static_cast<std::size_t>(p)].macs * config_.epochs;
  return part < static_cast<std::int64_t>(parts_.size()) ? work + parts_[static_cast<std::size_t>(part)].macs * epoch
                                                         : work;
}

Status NetLoop::save() {
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive module;
  family_.module().save(module);
  archive.write("module", module);
  archive.write("schema", torch::IValue(kCheckpointSchema));
  archive.write("identity", torch::IValue(identity_));
  archive.write("group", torch::IValue(part_));  // a part is a group in the first files of this schema
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

Status NetLoop::resume() {
  REINS_ASSIGN(const std::string bytes, read_file(checkpoint_path_));
  std::istringstream stream(bytes);
  torch::serialize::InputArchive archive;
  archive.load_from(stream, device_);  // wherever its tensors were when they were saved
  torch::IValue value;
  archive.read("schema", value);
  if (value.toInt() != kCheckpointSchema) {
    return fail(ErrorKind::kMismatch, "a checkpoint of another version", checkpoint_path_.string(), "train anew");
  }
  archive.read("identity", value);
  if (value.toStringRef() != identity_) {
    return fail(ErrorKind::kMismatch, "a checkpoint of another run: " + value.toStringRef(), checkpoint_path_.string(),
                "resume with the same options, or take another --out");
  }
  torch::serialize::InputArchive module;
  archive.read("module", module);
  family_.module().load(module);
  archive.read("group", value);
  part_ = value.toInt();
  archive.read("epoch", value);
  epoch_ = static_cast<int>(value.toInt());
  archive.read("best_accuracy", value);
  best_.accuracy = value.toDouble();
  archive.read("best_epoch", value);
  best_.epoch = static_cast<int>(value.toInt());
  archive.read("levels", value);
  levels_ = value.toDoubleVector();
  // Loading may have put other tensors into the module.
  parts_ = family_.parts();
  if (whole()) return {};
  const Part& part = parts_[static_cast<std::size_t>(part_)];
  if (best_.epoch > 0) {
    for (std::size_t i = 0; i < part.state.size(); ++i) {
      torch::Tensor tensor;
      archive.read("best" + std::to_string(i), tensor);
      best_.tensors.push_back(tensor);
    }
  }
  torch::serialize::InputArchive optimizer;
  if (archive.try_read("optimizer", optimizer)) {
    optimizer_ = make_optimizer(config_, part);
    optimizer_->load(optimizer);
  }
  if (epoch_ > 0 || part_ > 0) {
    log("resumed: " + part.name + ", " + std::to_string(epoch_) + " epochs done, " + pace_of(config_, device_));
  }
  return {};
}

}  // namespace reins::training
