#include "evaluation/oracle.hpp"

#include <algorithm>
#include <limits>

namespace reins::evaluation {

policies::Action OraclePolicy::decide(const policies::Observation& observation) noexcept {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const env::EmulatedBoard& board = foresight_.board();
  const policies::ActionSpace& space = *foresight_.world().space;
  const policies::ActionMask& mask = observation.mask;
  const LevelId floor = observation.facts.floor_level;
  const double now_s = foresight_.now_s();
  const double deadline_s = observation.facts.slack_s.has_value() ? now_s + *observation.facts.slack_s : kNever;
  const double next_arrival_s = std::min(foresight_.next_arrival_s(), foresight_.end_s());
  foresight_.waiting_deadlines(waiting_);

  double fastest_s = kNever;  // of one more inference at the floor level, for those that wait
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
      if (!mask.allows(MappingId(m), OppId(o))) continue;
      fastest_s =
          std::min(fastest_s, board.mean_time_s(MappingId(m), floor, OppId(o)) * board.contention(MappingId(m)));
    }
  }

  policies::Action best;
  std::size_t best_late = std::numeric_limits<std::size_t>::max();
  double best_cost = kNever;
  for (std::size_t mi = 0; mi < space.mappings.size(); ++mi) {
    const MappingId m(mi);
    OppId park(0);
    double idle_w = kNever;
    for (std::size_t k = 0; k < space.opps(m); ++k) {
      const double power_w = board.power_if_w(m, OppId(k), std::nullopt);
      if (power_w < idle_w) {
        idle_w = power_w;
        park = OppId(k);
      }
    }
    for (std::size_t li = floor.index(); li < space.levels; ++li) {
      for (std::size_t oi = 0; oi < space.opps(m); ++oi) {
        const OppId o(oi);
        if (!mask.allows(m, o)) continue;
        const double run_s = foresight_.run_s(m, LevelId(li), o);
        const double finish_s = now_s + run_s;
        const bool late = finish_s > deadline_s;
        std::size_t late_count = late ? 1 : 0;
        double busy_until_s = finish_s;
        for (const double waiting_deadline_s : waiting_) {
          if (busy_until_s + fastest_s > waiting_deadline_s) {
            ++late_count;  // the lost are in nobody's way
          } else {
            busy_until_s += fastest_s;
          }
        }
        const double idle_s = waiting_.empty() ? std::max(0.0, next_arrival_s - finish_s) : 0;
        const double energy_j = board.power_if_w(m, o, LevelId(li)) * run_s + idle_w * idle_s;
        const double cost = late ? 1e6 + run_s : energy_j;
        if (late_count < best_late || (late_count == best_late && cost < best_cost)) {
          best_late = late_count;
          best_cost = cost;
          best.mapping = m;
          best.level = LevelId(li);
          best.opp = o;
          best.park = park;
        }
      }
    }
  }
  return best;
}

}  // namespace reins::evaluation
