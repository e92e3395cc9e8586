// evaluation/workbench.hpp: a board with a network on it, loaded and checked together: what every command starts from.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "env/episode.hpp"
#include "inference/answers.hpp"
#include "inference/api/engine.hpp"

namespace reins::evaluation {

/// Owns what env::World points at. Not movable once `world()` was handed out; made on the heap.
class Workbench {
 public:
  /// `network`: the facts of the network to place on the board (see inference::read_facts). `answers` may be absent;
  /// where given, its levels must be the network's. `profile`: a CSV measured before; absent: the emulated board is
  /// profiled through its sensors. `replay`: runs are drawn from the profile, which may lack points then: a mapping
  /// that it does not hold is none of the board's, as where an engine refused it, and no governor runs. Errors:
  /// mismatch (profile or answers of another network or board); garbled (a profile that lacks points).
  static Result<std::unique_ptr<Workbench>> make(boards::Board board, inference::NetworkFacts network,
                                                 std::optional<inference::Answers> answers,
                                                 const std::optional<std::filesystem::path>& profile,
                                                 bool replay = false);

  Workbench(const Workbench&) = delete;
  Workbench& operator=(const Workbench&) = delete;

  const boards::Board& board() const noexcept { return board_; }
  const inference::NetworkFacts& network() const noexcept { return network_; }
  const policies::ActionSpace& space() const noexcept { return space_; }
  const policies::Profile& profile() const noexcept { return profile_; }
  const std::optional<inference::Answers>& answers() const noexcept { return answers_; }
  env::World world() const noexcept;
  /// What is drawn from a profile has an energy only where that has all of it, idle included.
  bool has_energy() const noexcept { return !replay_ || (profile_.has_energy() && profile_.has_idle()); }
  /// Fastest latency of the full network, seconds.
  double full_latency_s() const noexcept;

 private:
  Workbench() = default;
  boards::Board board_;
  inference::NetworkFacts network_;
  std::optional<inference::Answers> answers_;
  policies::ActionSpace space_;
  policies::Profile profile_;
  bool replay_ = false;
};

/// Measures every level x mapping x operating point of the emulated board as one would on the real one: inferences back
/// to back until the power sensor has updated `updates` times, in virtual time, with sensor noise. Deterministic by
/// seed.
policies::Profile profile_emulated(const boards::Board& board, const policies::ActionSpace& space,
                                   const inference::NetworkFacts& network, int updates, std::uint64_t seed);

}  // namespace reins::evaluation
