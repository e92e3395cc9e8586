// policies/action.hpp: the three knobs and the park point, the slots they are chosen from, and the masks on them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "boards/board.hpp"
#include "boards/governors.hpp"
#include "boards/gpu_governors.hpp"
#include "core/ids.hpp"

namespace reins::policies {

inline constexpr std::size_t kMaxMappings = 8;
inline constexpr std::size_t kMaxLevels = 8;
inline constexpr std::size_t kMaxOpps = 32;
inline constexpr std::size_t kMaxClusters = 4;

/// What a policy decides. An operating point is an index into the mapping's cluster, or a governor that is left to
/// choose.
struct Action {
  MappingId mapping;
  LevelId level;
  OppId opp;                                 ///< ignored where `governor` is set
  OppId park;                                ///< where the mapping's cluster goes when the queue is empty; none: stays
  std::optional<boards::Governor> governor;  ///< static rows: the (emulated or real) kernel chooses
  bool kernel_placed = false;                ///< static rows: the (emulated) kernel chooses the cluster too
  boards::GpuGovernor gpu_governor{};        ///< where `governor` is set: what chooses for GPUs
  friend bool operator==(const Action&, const Action&) noexcept = default;
};

/// One slot a mapping head chooses: name, cluster, and its operating points as relative capacity.
struct MappingSlot {
  std::string name;
  std::string slot;
  ClusterId cluster;
  int cores = 1;
  std::vector<std::int64_t> freq_khz;  ///< ascending, as on the board
  std::vector<float> relative;         ///< freq / top freq of that cluster
  friend bool operator==(const MappingSlot&, const MappingSlot&) = default;
};

/// freq / top freq, in the order given; 1 where the top is 0 (a machine that runs as it runs).
std::vector<float> relative_capacity(const std::vector<std::int64_t>& freq_khz);

/// The choices on one board with one network. Built once; shared by policy, shield and environment.
struct ActionSpace {
  std::string board;
  std::string board_fingerprint;
  std::vector<MappingSlot> mappings;
  std::size_t levels = 0;
  std::size_t clusters = 0;

  /// Errors: unsupported (more mappings, levels or operating points than the fixed limits).
  static Result<ActionSpace> make(const boards::Board& board, std::size_t levels);
  std::size_t max_opps() const noexcept;
  std::size_t opps(MappingId mapping) const noexcept { return mappings[mapping.index()].freq_khz.size(); }
  friend bool operator==(const ActionSpace&, const ActionSpace&) = default;
};

/// Bit i set: choice i is allowed. Never empty in any dimension.
struct ActionMask {
  std::uint32_t mappings = 0;
  std::uint32_t levels = 0;
  std::array<std::uint64_t, kMaxMappings> opps{};  ///< per mapping
  std::array<std::uint64_t, kMaxMappings>
      park{};  ///< per mapping: points that rest at the least power; 0: any of `opps`

  bool allows(MappingId m) const noexcept { return ((mappings >> m.index()) & 1U) != 0; }
  bool allows(LevelId l) const noexcept { return ((levels >> l.index()) & 1U) != 0; }
  bool allows(MappingId m, OppId o) const noexcept { return ((opps[m.index()] >> o.index()) & 1U) != 0; }
  /// Where mapping m may rest: where that costs least. All points take as long to leave, and a short pause is waited
  /// out where the inference ran (park_delay), so nothing speaks for another.
  std::uint64_t parks(std::size_t m) const noexcept { return park[m] != 0 ? park[m] : opps[m]; }
  friend bool operator==(const ActionMask&, const ActionMask&) noexcept = default;
};

}  // namespace reins::policies
