#include "env/foresight.hpp"

#include "boards/physics.hpp"

namespace reins::env {

double Foresight::run_s(MappingId mapping, LevelId level, OppId opp) const noexcept {
  const EmulatedBoard& board = episode_->board();
  const boards::Cluster& cluster = board.board().cluster_of(mapping);
  double seconds =
      board.mean_time_s(mapping, level, opp) * board.contention(mapping) * board.next_factor(mapping, level, opp);
  if (board.mapping().valid() && board.mapping() != mapping) seconds += board.board().migration_s;
  // The switch runs beside the inference, at the old frequency: its whole length is an upper bound on what it costs.
  if (board.opp(board.board().mappings[mapping.index()].cluster) != opp) seconds += cluster.switch_s;
  return seconds;
}

}  // namespace reins::env
