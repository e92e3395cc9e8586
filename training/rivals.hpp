// training/rivals.hpp: networks that do each level's work in another way, at the multiply-accumulates of the group
// network's levels: their shapes and what they cost. Our engines run the dense ones alone.
#pragma once

#include <cstdint>
#include <vector>

#include "inference/group_network.hpp"

namespace reins::training {

/// One path (groups = 1) of the group network's stages, all widened by one factor so that it costs what level
/// `level_index` of `groups` costs, as nearly as whole channels allow (the default network: within 0.2 %). Level 0: one
/// group as it is. Errors: usage (more than 512 channels in a stage).
Result<inference::GroupArchitecture> dense_of(const inference::GroupArchitecture& groups, std::int64_t level_index);

/// A slimmable network (Yu, Yang, Xu, Yang, Huang, "Slimmable Neural Networks", ICLR 2019): one weight set, of which
/// level k uses the first channels of every layer, as many as a dense network of that cost has; batch norm is kept per
/// width, so it cannot be folded into the shared weights.
struct SlimmableArchitecture {
  std::vector<inference::GroupArchitecture>
      widths;  ///< per level, groups = 1; channels never shrink from one to the next

  /// Errors: those of dense_of.
  static Result<SlimmableArchitecture> of(const inference::GroupArchitecture& groups);
  double macs(std::int64_t level_index) const;
  /// Weights that the level uses, with a scale and a shift per channel.
  double parameters(std::int64_t level_index) const;
  /// The full width's weights, with the scales and shifts of all widths.
  double resident_parameters() const;
};

/// A network with early exits (Teerapittayanon, McDanel, Kung, "BranchyNet", ICPR 2016): one chain of convolutions. Up
/// to exit 1 it is one group's path; each level further adds two 3x3 convolutions at the last stage's size. An exit is
/// the last stage's max-pool, where it has one, and a linear classifier. Which exit answers is the level, chosen by who
/// asks and not by the image, as in all the other families; exits before it are not run.
struct EarlyExitArchitecture {
  inference::GroupArchitecture trunk;  ///< groups = 1
  std::vector<std::int64_t> widths;    ///< channels of the convolutions before exit k, k from 2

  /// Errors: usage (what GroupArchitecture refuses).
  static Result<EarlyExitArchitecture> of(const inference::GroupArchitecture& groups);
  std::int64_t levels() const noexcept { return static_cast<std::int64_t>(widths.size()) + 1; }
  /// Channels before an exit, and height and width of the image there.
  std::int64_t channels(std::int64_t level_index) const noexcept;
  std::int64_t size() const noexcept { return trunk.size_at(trunk.stages.size() - 1); }
  /// Numbers that an exit's classifier sees.
  std::int64_t features(std::int64_t level_index) const noexcept;
  double exit_macs(std::int64_t level_index) const noexcept;
  double macs(std::int64_t level_index) const noexcept;
  /// What the level runs, batch norm folded.
  double parameters(std::int64_t level_index) const noexcept;
  /// The chain and all exits.
  double resident_parameters() const noexcept;
};

}  // namespace reins::training
