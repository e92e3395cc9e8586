// training/net_trainer.hpp: trains a group network, one group after the other, and ships it: network file, answers,
// log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "inference/group_network.hpp"

namespace reins::training {

/// Each option: effect; cost; range. None may change within a run; `epochs`, `threads` and `bfloat16` may change at a
/// resume.
struct NetTrainConfig {
  std::string dataset = "cifar10";    ///< "cifar10" or "synthetic"
  std::filesystem::path data_folder;  ///< CIFAR-10's binary files; unused for synthetic
  std::filesystem::path out_folder;   ///< network.rnet, answers.rans, train.log, checkpoint.pt
  std::string name;                   ///< of the network; empty: "<dataset>-group<groups>"
  inference::GroupArchitecture architecture;
  int epochs = 12;  ///< per group; time grows with it; 1..1000
  int batch = 128;  ///< images per step; 2..4096
  double learning_rate =
      0.1;                ///< peak: linear warm-up over the first fifth of a group's steps, then a cosine to 0; (0, 10]
  double momentum = 0.9;  ///< Nesterov; [0, 1)
  double weight_decay = 5e-4;  ///< on convolution and classifier weights, not on batch norm and bias; [0, 1]
  double own_loss = 1;     ///< a later group's own cross-entropy, added to that of the mean: keeps it a classifier by
                           ///< itself, so that their mean errs less than each; [0, 10]
  bool bfloat16 = false;   ///< convolutions in bfloat16, twice as fast where the processor has it; weights stay float32
  bool augment = true;     ///< random crop from a border of 4 zeros, horizontal flip
  std::size_t images = 0;  ///< only the first so many training images, for a quick trial; 0: all
  std::uint64_t seed = 1;  ///< initial weights, order, augmentation, synthetic images
  int threads = 2;         ///< of libtorch; 1..256
  bool resume = false;     ///< go on from checkpoint.pt; without it an existing one is an error

  /// Errors: usage, naming the option.
  Status validate() const;
};

/// Stages and epochs that suit `config.dataset`: the shipped network's for CIFAR-10; for the synthetic set a small
/// network that trains in about a minute on two cores.
void fill_defaults(NetTrainConfig& config);

/// Where a run stands. Groups, epochs and batches count from 1.
struct NetTrainProgress {
  std::int64_t group = 0, groups = 0;
  int epoch = 0, epochs = 0;
  std::int64_t batch = 0, batches = 0;
  double loss = 0;                  ///< mean cross-entropy of this epoch so far, nats
  double train_accuracy = 0;        ///< of this epoch so far, on augmented images
  double validation_accuracy = -1;  ///< of the level being trained; set on an epoch's last report, else negative
  double images_per_s = 0;
  double done = 0;  ///< share of the whole run's work, 0..1
  double eta_s = 0;
};

struct NetTrainReport {
  std::filesystem::path network, answers, log;
  std::vector<double> validation_accuracy;  ///< per level, of the weights as trained
  std::vector<double> test_accuracy;        ///< per level, of the weights as shipped, run by our engine
  std::vector<std::string> lines;           ///< what the log says of them
};

/// Trains group 1, then group k with groups 1..k-1 frozen (weights and batch-norm statistics keep their bits), by SGD
/// on the cross-entropy of the level's logits (the mean over its groups) and of the group's own. Group k starts from
/// group k-1's weights, and its rate from the top again (Huang et al. 2017, "Snapshot Ensembles"). Of each group the
/// epoch with the best validation accuracy is kept. A checkpoint is written after every epoch. Reads the test images
/// once, at the end, to record what each level answers. Errors: usage, those of the data set and of files; kInternal
/// where libtorch throws. Sets libtorch's thread count. kGone where `progress` answered false: the checkpoint of the
/// last whole epoch is there to resume from.
Result<NetTrainReport> train_network(const NetTrainConfig& config,
                                     const std::function<bool(const NetTrainProgress&)>& progress = {});

}  // namespace reins::training
