// training/net_config.hpp: how a network is trained, whatever its family, and where a run stands.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "data/image_set.hpp"
#include "inference/group_network.hpp"

namespace reins::training {

/// Each option: effect; cost; range. None may change within a run; `epochs`, `threads`, `bfloat16` and `gpu` may change
/// at a resume.
struct NetTrainConfig {
  std::string dataset = "cifar10";    ///< "cifar10" or "synthetic"
  std::filesystem::path data_folder;  ///< CIFAR-10's binary files; unused for synthetic
  std::filesystem::path out_folder;   ///< network.rnet, answers.rans, train.log, checkpoint.pt
  std::string family = "group";       ///< the only one that is trained to be shipped
  std::string name;                   ///< of the network; empty: "<dataset>-group<groups>"
  inference::GroupArchitecture architecture;
  int epochs = 12;  ///< per group; time grows with it; 1..1000
  int batch = 128;  ///< images per step; 2..4096
  double learning_rate =
      0.1;                ///< peak: linear warm-up over the first fifth of a group's steps, then a cosine to 0; (0, 10]
  double momentum = 0.9;  ///< Nesterov; [0, 1)
  double weight_decay = 5e-4;  ///< on convolution and classifier weights, not on batch norm and bias; [0, 1]
  double own_loss = 1;  ///< a later group's own cross-entropy, added to that of the mean: keeps it a classifier by
                        ///< itself, so that their mean errs less than each; [0, 10]
  std::filesystem::path teacher;  ///< a network file whose full network the groups learn from, for its forward pass a
                                  ///< step; empty: they learn from the labels alone
  double distil = 0.5;            ///< share of the teacher in each loss, the labels have the rest; (0, 1]
  bool bfloat16 = false;   ///< convolutions in bfloat16, twice as fast where the processor has it; weights stay float32
  bool augment = true;     ///< random crop from a border of 4 zeros, horizontal flip
  std::size_t images = 0;  ///< only the first so many training images, for a quick trial; 0: all
  std::uint64_t seed = 1;  ///< initial weights, order, augmentation, synthetic images
  int threads = 2;         ///< of libtorch; 1..256
  bool gpu = true;  ///< train on the GPU where libtorch has CUDA and one is there (decision 022); without one, or with
                    ///< false: on the CPU, where alone a run has the same bits each time
  bool resume = false;  ///< go on from checkpoint.pt; without it an existing one is an error

  /// Errors: usage, naming the option.
  Status validate() const;
};

/// Stages and epochs that suit `config.dataset`: the shipped network's for CIFAR-10; for the synthetic set a small
/// network that trains in about a minute on two cores.
void fill_defaults(NetTrainConfig& config);

/// What a checkpoint must agree on with the run that goes on from it; on one line. `images`: the training images, as
/// many as are used.
std::string identity_of(const NetTrainConfig& config, const data::ImageSet& images);

/// Images to train on (the first `config.images`) and those that choose epochs. Errors: usage (a batch that is larger
/// than the set), and those of data::load_images.
struct TrainingImages {
  data::ImageSet train, validation;
};
Result<TrainingImages> load_training_images(const NetTrainConfig& config);

/// Where a run stands. Parts, epochs and batches count from 1.
struct NetTrainProgress {
  std::int64_t part = 0, parts = 0;  ///< what is trained at one time: a group, a network of several, or the whole
  std::string_view part_name;        ///< "group 2"; valid during the call
  int epoch = 0, epochs = 0;
  std::int64_t batch = 0, batches = 0;
  double loss = 0;            ///< mean cross-entropy of this epoch so far, nats
  double train_accuracy = 0;  ///< of this epoch so far, on augmented images
  double validation_accuracy =
      -1;  ///< of the levels being trained, their mean; set on an epoch's last report, else negative
  double images_per_s = 0;
  double done = 0;  ///< share of the whole run's work, 0..1
  double eta_s = 0;
};

}  // namespace reins::training
