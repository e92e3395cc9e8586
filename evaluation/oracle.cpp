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

  runs_.clear();
  double fastest_s = kNever;
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
      if (!mask.allows(MappingId(m), OppId(o))) continue;
      const double time_s = board.mean_time_s(MappingId(m), floor, OppId(o)) * board.contention(MappingId(m));
      runs_.push_back({time_s, board.power_if_w(MappingId(m), OppId(o), floor)});
      fastest_s = std::min(fastest_s, time_s);
    }
  }

  // Of the time to the next arrival, what each of those here has if none is in a hurry.
  const double share_s = (next_arrival_s - now_s) / static_cast<double>(waiting_.size() + 1);

  policies::Action best;
  std::size_t best_late = std::numeric_limits<std::size_t>::max();
  double best_cost = kNever;
  for (std::size_t mi = 0; mi < space.mappings.size(); ++mi) {
    const MappingId m(mi);
    OppId park(0);
    double idle_w = kNever;
    for (std::size_t k = 0; k < space.opps(m); ++k) {
      const double power_w = board.power_if_w(m, OppId(k), std::nullopt, std::max(0.0, next_arrival_s - now_s));
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
        double kept = 0, pace_s = kNever;
        for (const double waiting_deadline_s : waiting_) {
          const double each_s = (waiting_deadline_s - finish_s) / (kept + 1);
          if (each_s < fastest_s) {
            ++late_count;  // the lost are in nobody's way
          } else {
            ++kept;
            pace_s = std::min(pace_s, each_s);
          }
        }
        const double gap_s = next_arrival_s - finish_s;
        double rest_j = kept > 0 ? kNever : idle_w * std::max(0.0, gap_s);
        for (const Run& run : runs_) {
          if (kept == 0 || run.time_s > pace_s) continue;
          const double busy_s = kept * run.time_s;
          rest_j = std::min(rest_j, run.power_w * busy_s + idle_w * std::max(0.0, gap_s - busy_s));
        }
        const double run_j = board.power_if_w(m, o, LevelId(li)) * run_s;
        double cost = run_j + rest_j;
        if (late) cost = run_s > share_s ? 1e6 + run_s : run_j + idle_w * (share_s - run_s);
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
