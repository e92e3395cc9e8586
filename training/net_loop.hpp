// training/net_loop.hpp: the loop that trains a network of any family: part after part, of each the best epoch kept, a
// checkpoint after every epoch.
#pragma once

#include <torch/torch.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "training/net_batches.hpp"
#include "training/net_config.hpp"

namespace reins::training {

/// While it lives, convolutions and linear layers on this kind of device run in bfloat16 where asked.
class Precision {
 public:
  Precision(bool bfloat16, torch::Device device);
  ~Precision();
  Precision(const Precision&) = delete;
  Precision& operator=(const Precision&) = delete;

 private:
  bool on_;
  torch::Device device_;
};

/// What is trained at one time, while the rest of the network keeps its bits.
struct Part {
  std::string name;                       ///< "group 2"
  std::vector<torch::Tensor> parameters;  ///< what the optimiser moves
  std::vector<torch::Tensor> state;       ///< those and the buffers: what is kept of the best epoch
  std::vector<std::int64_t> judged;       ///< levels, from 0, whose mean validation accuracy chooses the epoch
  double macs = 0;  ///< multiply-accumulates of training on one image: a backward pass counts as two forward ones
};

/// A network in training. Levels and parts count from 0. Calls may throw what libtorch throws.
class NetFamily {
 public:
  virtual ~NetFamily() = default;
  /// All of its weights: what a checkpoint holds.
  virtual torch::nn::Module& module() = 0;
  virtual std::vector<Part> parts() = 0;
  /// Before a part's first epoch, not again at a resume: where its weights start.
  virtual void begin(std::int64_t part) = 0;
  /// Gradients and batch statistics for this part alone; -1: for none.
  virtual void train_only(std::int64_t part) = 0;
  struct Step {
    torch::Tensor loss;    ///< to go backward from
    torch::Tensor logits;  ///< [B, classes] of the largest level in training
  };
  /// `images`: [B, C, H, W], normalised, channels last in memory, on the module's device.
  virtual Step step(std::int64_t part, const torch::Tensor& images, const torch::Tensor& labels, bool bfloat16) = 0;
  /// [B, classes] of a level. The module is in evaluation mode.
  virtual torch::Tensor logits(const torch::Tensor& images, std::int64_t level) = 0;
};

/// Top-1 of `logits` over the images in order, without augmentation, on the device where `module` is; it is put into
/// evaluation mode.
double accuracy_of(torch::nn::Module& module, const std::function<torch::Tensor(const torch::Tensor&)>& logits,
                   const data::ImageSet& images, const Scaling& scaling);

/// An exception of libtorch's as an error, kInternal.
Error from_libtorch(const std::exception& problem);

/// Sets libtorch's thread count and seed: before a family is made, whose first weights are drawn by it. Returns where
/// the run is to train: on the first GPU that libtorch's CUDA can use, where `config.gpu`; else on the CPU. A family is
/// made on the CPU, so that its first weights are the same anywhere, and then moved.
[[nodiscard]] torch::Device prepare_libtorch(const NetTrainConfig& config);

/// Trains a family by SGD on its loss, on the device where its module is; the rate starts anew with each part. Files in
/// `folder`: checkpoint.pt (which goes on on any device), train.log. Keeps references to all but the config.
class NetLoop {
 public:
  NetLoop(const NetTrainConfig& config, std::filesystem::path folder, NetFamily& family, const TrainingImages& images,
          const Scaling& scaling, std::string identity, std::function<bool(const NetTrainProgress&)> progress);

  /// Opens the log, and goes on from the checkpoint where there is one. Errors: usage (a checkpoint without
  /// `config.resume`); mismatch (of another run); those of files. Throws what libtorch throws.
  Status start();
  /// Errors: kGone where `progress` answered false: the last whole epoch is in the checkpoint. Throws as above.
  Status train();

  /// One line, into the log and `lines`.
  void log(const std::string& line);
  /// Whether every part is trained.
  bool whole() const noexcept { return part_ >= static_cast<std::int64_t>(parts_.size()); }
  const std::vector<std::string>& lines() const noexcept { return lines_; }
  const std::filesystem::path& log_path() const noexcept { return log_path_; }
  /// Validation accuracies of the judged levels, in the order of the parts; whole once train() is done.
  const std::vector<double>& levels() const noexcept { return levels_; }

 private:
  /// A part's tensors as they were after its best epoch.
  struct Snapshot {
    double accuracy = -1;
    int epoch = 0;
    std::vector<torch::Tensor> tensors;
  };
  Status run_epoch(const Part& part);
  Status save();
  Status resume();
  Status stopped() const;
  double judge(const Part& part, std::vector<double>* levels);
  double work_before(std::int64_t part, double epoch) const;

  NetTrainConfig config_;
  std::filesystem::path folder_, log_path_, checkpoint_path_;
  NetFamily& family_;
  torch::Device device_;
  std::vector<Part> parts_;
  const TrainingImages& images_;
  const Scaling& scaling_;
  std::string identity_;
  std::function<bool(const NetTrainProgress&)> progress_;
  MonotonicClock clock_;
  std::unique_ptr<torch::optim::SGD> optimizer_;
  std::ofstream log_;
  std::vector<std::string> lines_;
  std::int64_t part_ = 0;
  int epoch_ = 0;
  Snapshot best_;
  std::vector<double> levels_;
  double begin_s_ = 0;
  double done_at_begin_ = 0;
};

}  // namespace reins::training
