// policies/baselines.hpp: what Reins is compared with: static settings, the floor rule, the Pareto look-up.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/policy.hpp"
#include "policies/profile.hpp"

namespace reins::policies {

/// One setting kept for a whole trace: an operating point (or a governor) on a placement, a level, a park point.
class StaticPolicy final : public Policy {
 public:
  StaticPolicy(std::string name, const Action& action) : name_(std::move(name)), action_(action) {}
  std::string_view name() const noexcept override { return name_; }
  Action decide(const Observation&) noexcept override { return action_; }
  void reset() noexcept override {}
  const Action& action() const noexcept { return action_; }

 private:
  std::string name_;
  Action action_;
};

/// A fixed operating point and park point with the lowest level that meets the floor now in force.
class FloorRulePolicy final : public Policy {
 public:
  FloorRulePolicy(std::string name, const Action& action) : name_(std::move(name)), action_(action) {}
  std::string_view name() const noexcept override { return name_; }
  Action decide(const Observation& observation) noexcept override;
  void reset() noexcept override {}

 private:
  std::string name_;
  Action action_;
};

/// The runtime managers of Xun et al. (MLCAD 2019) and Dynamic-OFA: the Pareto front of the profiled table, and
/// at every decision its cheapest point that meets the time left (queue wait included) with a margin; where none does,
/// the fastest one. Re-plans at every decision, so at every change of goal, load and temperature (the slow-down scales
/// its latencies).
class ParetoPolicy final : public Policy {
 public:
  /// `margin`: latencies are taken as mean x slow-down x (1 + margin).
  ParetoPolicy(const ActionSpace& space, const Profile& profile, double margin);
  std::string_view name() const noexcept override { return "pareto"; }
  Action decide(const Observation& observation) noexcept override;
  void reset() noexcept override {}
  std::size_t points() const noexcept { return front_.size(); }

 private:
  struct Point {
    LevelId level;
    MappingId mapping;
    OppId opp;
    double latency_s, energy_j;
  };
  double margin_;
  std::vector<Point> front_;  // Pareto points of each level, ascending in energy within a level
};

/// A named static setting and how it is labelled in tables.
struct StaticSetting {
  std::string name;
  Action action;  ///< level is filled in per trace
  bool governor = false;
};

/// The mapping of a cluster with the most cores, where a kernel would spread the work; none where the cluster has none.
MappingId widest_mapping(const boards::Board& board, ClusterId cluster);

/// Every governor on every placement: all-little and all-big (the smallest and the biggest CPU cluster with all its
/// cores) and kernel-like; where all CPU clusters are alike, one-cluster (the first), and all-cores where there is one;
/// then every governor of a GPU on each GPU. None without kernel ticks: no governor runs on a replayed table.
std::vector<StaticSetting> governor_settings(const boards::Board& board);

/// How the names of settings end that place work as a user's kernel does, the nearest first.
inline constexpr std::array<std::string_view, 3> kKernelPlacements = {"/kernel-like", "/one-cluster", "/all-cores"};
/// Whether a governor's setting of this name places work as a user's kernel does, as nearly as the mappings allow.
bool is_kernel_placement(std::string_view name) noexcept;
/// Every fixed operating point of every mapping with every constant park point at or below it, and with none. (A park
/// point above the operating point only adds idle power.)
std::vector<StaticSetting> fixed_settings(const boards::Board& board, const ActionSpace& space);

}  // namespace reins::policies
