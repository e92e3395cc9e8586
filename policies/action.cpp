#include "policies/action.hpp"

#include <algorithm>

namespace reins::policies {

std::vector<float> relative_capacity(const std::vector<std::int64_t>& freq_khz) {
  std::vector<float> relative;
  for (const std::int64_t khz : freq_khz) {
    const double share = freq_khz.back() > 0 ? static_cast<double>(khz) / static_cast<double>(freq_khz.back()) : 1;
    relative.push_back(static_cast<float>(share));
  }
  return relative;
}

Result<ActionSpace> ActionSpace::make(const boards::Board& board, std::size_t levels) {
  const auto too_many = [&](std::string_view what, std::size_t count, std::size_t limit) {
    return fail(
        ErrorKind::kUnsupported,
        std::to_string(count) + " " + std::string(what) + ", and a policy holds at most " + std::to_string(limit),
        "board " + board.name);
  };
  if (levels == 0)
    return fail(ErrorKind::kUsage, "a network without levels leaves nothing to choose", "board " + board.name);
  if (levels > kMaxLevels) return too_many("levels", levels, kMaxLevels);
  if (board.mappings.empty()) return fail(ErrorKind::kUnsupported, "the board has no mapping", "board " + board.name);
  if (board.mappings.size() > kMaxMappings) return too_many("mappings", board.mappings.size(), kMaxMappings);
  if (board.clusters.size() > kMaxClusters) return too_many("clusters", board.clusters.size(), kMaxClusters);

  ActionSpace space;
  space.board = board.name;
  space.board_fingerprint = board.fingerprint;
  space.levels = levels;
  space.clusters = board.clusters.size();
  for (const boards::Mapping& mapping : board.mappings) {
    const boards::Cluster& cluster = board.clusters[mapping.cluster.index()];
    if (cluster.opps.empty()) {
      return fail(ErrorKind::kUnsupported, "cluster " + cluster.name + " has no operating point",
                  "board " + board.name);
    }
    if (cluster.opps.size() > kMaxOpps) return too_many("operating points", cluster.opps.size(), kMaxOpps);
    MappingSlot slot{.name = mapping.name,
                     .slot = mapping.slot,
                     .cluster = mapping.cluster,
                     .cores = mapping.cores,
                     .freq_khz = {},
                     .relative = {}};
    for (const boards::OperatingPoint& point : cluster.opps) slot.freq_khz.push_back(point.freq_khz);
    slot.relative = relative_capacity(slot.freq_khz);
    space.mappings.push_back(std::move(slot));
  }
  return space;
}

std::size_t ActionSpace::max_opps() const noexcept {
  std::size_t most = 0;
  for (const MappingSlot& slot : mappings) most = std::max(most, slot.freq_khz.size());
  return most;
}

}  // namespace reins::policies
