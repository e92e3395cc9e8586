// training/net_trainer.hpp: trains a group network, one group after the other, and ships it: network file, answers,
// log.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "training/net_config.hpp"

namespace reins::training {

struct NetTrainReport {
  std::filesystem::path network, answers, log;
  std::vector<double> validation_accuracy;  ///< per level, of the weights as trained
  std::vector<double> test_accuracy;        ///< per level, of the weights as shipped, run by our engine
  std::vector<std::string> lines;           ///< what the log says of them
};

/// Trains group 1, then group k with groups 1..k-1 frozen (weights and batch-norm statistics keep their bits), by SGD
/// on the cross-entropy of the level's logits (the mean over its groups) and of the group's own. Group k starts from
/// group k-1's weights, and its rate from the top again (Huang et al. 2017, "Snapshot Ensembles"). Of each group the
/// epoch with the best validation accuracy is kept. With a teacher, each cross-entropy is mixed with the divergence
/// from the teacher's softened answers (teacher.hpp). A checkpoint is written after every epoch. Reads the test images
/// once, at the end, to record what each level answers. Errors: usage, those of the data set and of files; kInternal
/// where libtorch throws. Sets libtorch's thread count. kGone where `progress` answered false: the checkpoint of the
/// last whole epoch is there to resume from.
Result<NetTrainReport> train_network(const NetTrainConfig& config,
                                     const std::function<bool(const NetTrainProgress&)>& progress = {});

}  // namespace reins::training
