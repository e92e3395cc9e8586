// policies/frozen_policy.hpp: a trained policy at work: no libtorch, no allocation, well under a microsecond a
// decision.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "policies/network_forward.hpp"
#include "policies/policy.hpp"

namespace reins::policies {

/// Ties the choices and features of the board a policy was trained on to those of the board it runs on.
class Binding {
 public:
  /// The board it was trained on.
  static Binding identity(const ActionSpace& space, std::size_t features);
  /// A sister board: mappings by slot name, operating points by nearest relative frequency, features by name. Mappings
  /// of `to` whose slot is not in `from` are never chosen while another is allowed. `notes`, where given, gets one
  /// clause per thing that found no counterpart. Errors: mismatch (another number of levels, no slot in common, a
  /// feature that `to_table` lacks or scales otherwise).
  static Result<Binding> sister(const ActionSpace& from, const ObservationSpec& from_table, const ActionSpace& to,
                                const ObservationSpec& to_table, std::string* notes = nullptr);

  bool is_identity() const noexcept { return identity_; }

 private:
  friend class FrozenPolicy;
  bool identity_ = true;
  std::size_t features_ = 0;
  std::size_t mappings_to_ = 0;
  std::array<std::int8_t, kMaxMappings> from_of_{};                        // mapping there -> here, -1: none
  std::array<std::uint8_t, kMaxMappings> opps_from_{};                     // points the policy knows of it
  std::array<std::array<std::uint8_t, kMaxOpps>, kMaxMappings> opp_to_{};  // [mapping here][point known] -> point here
  std::array<std::uint8_t, kMaxFeatures> feature_{};                       // feature known -> feature here
};

class FrozenPolicy final : public Policy {
 public:
  /// `space` is the one the network was trained on. Errors: those of NetworkForward::make.
  static Result<FrozenPolicy> make(const PolicyNetwork& network, const ActionSpace& space, const Binding& binding,
                                   std::string name = "frozen");

  std::string_view name() const noexcept override { return name_; }
  /// Greedy, deterministic. Allocates nothing.
  Action decide(const Observation& observation) noexcept override;
  void reset() noexcept override {}

  /// The same on bare features and mask, in terms of the board that is bound.
  Action decide(std::span<const float> features, const ActionMask& mask) const noexcept;

 private:
  FrozenPolicy(NetworkForward forward, const Binding& binding, std::string name)
      : forward_(std::move(forward)), binding_(binding), name_(std::move(name)) {}
  Action decide_bound(std::span<const float> features, const ActionMask& mask) const noexcept;

  NetworkForward forward_;
  Binding binding_;
  std::string name_;
};

}  // namespace reins::policies
