#include "control/live_board.hpp"

#include <algorithm>

#include "core/file.hpp"

namespace reins::control {

inference::Placement placement_of(const boards::Board& board, const boards::Mapping& mapping) {
  const boards::Cluster& cluster = board.clusters[mapping.cluster.index()];
  inference::Placement placement;
  placement.unit = cluster.kind == boards::UnitKind::kGpu ? inference::Unit::kGpu : inference::Unit::kCpu;
  placement.threads = std::max(1, mapping.cores);
  const std::size_t count = std::min(cluster.cpus.size(), static_cast<std::size_t>(placement.threads));
  placement.cpus.assign(cluster.cpus.begin(), cluster.cpus.begin() + static_cast<std::ptrdiff_t>(count));
  return placement;
}

void keep_mappings(boards::Board& board, std::vector<boards::Mapping> kept) {
  if (kept.size() < board.mappings.size()) {
    std::string identity = board.fingerprint;
    for (const boards::Mapping& mapping : kept) identity += " " + mapping.name;
    board.fingerprint = fingerprint(identity);
  }
  board.mappings = std::move(kept);
}

Result<LiveBoard> bind_board(boards::Board board, inference::Engine& engine) {
  LiveBoard live;
  std::vector<boards::Mapping> kept;
  for (const boards::Mapping& mapping : board.mappings) {
    const Status placed = engine.place(placement_of(board, mapping));
    if (placed) {
      kept.push_back(mapping);
    } else {
      live.left_out.push_back({mapping.name, placed.error()});
    }
  }
  if (kept.empty()) {
    const std::string why = live.left_out.empty() ? "it has none" : std::string(live.left_out.front().why.what());
    return fail(ErrorKind::kMismatch, "none of this board's mappings can run on this machine: " + why,
                "board " + board.name, "leave out --live to use its emulation, or correct a copy of the board file");
  }
  keep_mappings(board, std::move(kept));
  live.board = std::move(board);
  return live;
}

std::string left_out_line(const LiveBoard& live) {
  if (live.left_out.empty()) return {};
  std::string line = "board " + live.board.name + ": left out ";
  for (std::size_t i = 0; i < live.left_out.size(); ++i) {
    const bool same = i > 0 && live.left_out[i].why.what() == live.left_out[i - 1].why.what();
    if (i > 0) line += same ? ", " : "; ";
    line += live.left_out[i].mapping;
    const bool last_of_kind =
        i + 1 == live.left_out.size() || live.left_out[i + 1].why.what() != live.left_out[i].why.what();
    if (last_of_kind) line += " (" + std::string(live.left_out[i].why.what()) + ")";
  }
  line += "; used are";
  for (const boards::Mapping& mapping : live.board.mappings) line += " " + mapping.name;
  return line;
}

}  // namespace reins::control
