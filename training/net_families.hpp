// training/net_families.hpp: what the training loop can train: the group network in three ways, dense networks of each
// size, and two rival dynamic networks.
#pragma once

#include <memory>
#include <vector>

#include "inference/torch/group_module.hpp"
#include "training/net_loop.hpp"
#include "training/rivals.hpp"
#include "training/teacher.hpp"

namespace reins::training {

/// A family, and its networks where our engines can run them: one that has every level, or one per level.
struct Trainee {
  std::unique_ptr<NetFamily> family;
  std::vector<inference::GroupModule> networks;
};

/// Groups one after the other, those before frozen (net_trainer.hpp). Keeps a pointer to the teacher; nullptr: none.
Trainee incremental_family(const inference::GroupArchitecture& architecture, double own_loss, const Teacher* teacher);
/// All groups at once, on the full network's cross-entropy alone: what group pruning without incremental training drops
/// groups from.
Trainee pruned_family(const inference::GroupArchitecture& architecture);
/// A network per level, one after the other, each on the cross-entropy of its own full level.
Trainee static_family(const std::vector<inference::GroupArchitecture>& architectures);
/// Every width at every step, on the mean of their cross-entropies (Yu et al. 2019, algorithm 1, which sums them).
Trainee slimmable_family(const SlimmableArchitecture& architecture);
/// Every exit at every step, on the mean of their cross-entropies.
Trainee early_exit_family(const EarlyExitArchitecture& architecture);

}  // namespace reins::training
