#include "control/shield.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <tuple>

#include "boards/physics.hpp"

namespace reins::control {
namespace {

constexpr unsigned kLost = 32, kHot = 16, kOverPower = 8, kLate = 4, kBehind = 2, kOverBudget = 1;
constexpr double kSigmas = 3;        // of run times: docs/decisions/027-margin.md
constexpr double kMostMargin = 0.5;  // a machine this restless would else run everything at its fastest

}  // namespace

Shield::Shield(const boards::Board& board, const policies::ActionSpace& space, const policies::Profile& profile,
               const ShieldConfig& config)
    : board_(board), space_(space), profile_(profile), config_(config) {
  config_.latency_margin = std::max(config.latency_margin, std::min(kMostMargin, kSigmas * profile.relative_sigma()));
}

double Shield::predicted_s(const policies::Situation& facts, MappingId mapping, LevelId level,
                           OppId opp) const noexcept {
  const policies::ProfilePoint* point = profile_.at(level, mapping, opp);
  if (point == nullptr) return 0;
  double seconds = point->latency_s * facts.slow_down * (1 + config_.latency_margin);
  if (facts.present.mapping != mapping && facts.present.mapping.valid()) seconds += board_.migration_s;
  return seconds + board_.cluster_of(mapping).switch_s;
}

double Shield::start_s(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  const double safe_s = predicted_s(facts, m, l, o);
  const policies::ProfilePoint* point = profile_.at(l, m, o);
  if (!rescues() || point == nullptr) return safe_s;
  return safe_s - point->latency_s * facts.slow_down *
                      (config_.latency_margin - std::min(config_.start_margin, config_.latency_margin));
}

double Shield::mean_power_w(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  const policies::ProfilePoint* point = profile_.at(l, m, o);
  if (point == nullptr || !point->power_w.has_value()) return 0;
  // Busy as large a share of the time as the request rate asks for; all of it while a queue waits.
  double duty = 1;
  if (facts.rate_hz.has_value() && facts.queue_depth == 0) duty = std::min(1.0, *facts.rate_hz * point->latency_s);
  const double idle_w = profile_.idle_w(m, OppId(0)).value_or(0);
  return duty * *point->power_w + (1 - duty) * idle_w;
}

bool Shield::cool(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  if (!facts.temperature_c.has_value() || !profile_.has_energy()) return true;
  const double power_w = mean_power_w(facts, m, l, o);
  const double after_c = boards::temperature_after_c(board_.thermal, *facts.temperature_c, board_.thermal.ambient_c,
                                                     power_w, config_.horizon_s);
  // Already above: whatever cools is fine.
  return after_c <= board_.thermal.throttle_c - config_.thermal_margin_c || after_c < *facts.temperature_c;
}

bool Shield::within_power(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  return !facts.goals.power_w.has_value() || mean_power_w(facts, m, l, o) <= *facts.goals.power_w;
}

bool Shield::in_time(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  if (!facts.slack_s.has_value() || predicted_s(facts, m, l, o) <= *facts.slack_s) return true;
  if (!rescues() || start_s(facts, m, l, o) > *facts.slack_s) return false;
  // A start that a raise can save.
  policies::Action start;
  start.mapping = m;
  start.level = l;
  start.opp = o;
  const OppId top = highest(facts, start);
  return o < top && profile_.at(l, m, top) != nullptr &&
         predicted_s(facts, m, l, top) + board_.cluster_of(m).switch_s <= *facts.slack_s;
}

double Shield::cost_j(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  const policies::ProfilePoint* point = profile_.at(l, m, o);
  if (point == nullptr || !point->energy_j.has_value()) return std::numeric_limits<double>::infinity();
  // What ends later rests for less time.
  return *point->energy_j - profile_.idle_w(m, OppId(0)).value_or(0) * point->latency_s * facts.slow_down;
}

double Shield::free_s(const policies::Situation& facts) const noexcept {
  constexpr double kRegular = 0.1;  // of the gaps' variation
  constexpr double kFar = 10;  // times the fastest run: whoever comes meanwhile finds it raised, and as far from late
  if (!facts.slack_s.has_value()) return 0;
  if (*facts.slack_s >= kFar * profile_.fastest_s(facts.floor_level) * facts.slow_down) return *facts.slack_s;
  const double variation = facts.gap_variation.value_or(1);
  if (facts.queue_depth > 0 || !facts.mean_gap_s.has_value() || variation >= kRegular) return 0;
  return std::max(0.0, *facts.mean_gap_s * (1 - 2 * variation) - facts.since_arrival_s);
}

policies::Action Shield::cheapest(const policies::Observation& observation,
                                  const policies::Action& action) const noexcept {
  constexpr double kStay = 1.01;  // a move has to save one part in a hundred
  const policies::Situation& facts = observation.facts;
  const unsigned most = broken(facts, action.mapping, action.level, action.opp);
  double until_s = free_s(facts);
  if (lost(facts)) {
    until_s = config_.late_margin > 0
                  ? predicted_s(facts, action.mapping, action.level, action.opp) * (1 + config_.late_margin)
                  : 0;
  } else if (most != 0 || !config_.ease) {
    return action;
  }
  if (until_s <= 0) return action;
  const policies::ProfilePoint* reference = profile_.fastest(facts.floor_level);
  const double worth_j = config_.accuracy_worth * (reference != nullptr ? reference->energy_j.value_or(0) : 0);
  const auto cost = [&](MappingId m, LevelId l, OppId o) {
    const bool moves = facts.present.mapping.valid() && m != facts.present.mapping;
    return cost_j(facts, m, l, o) * (moves ? kStay : 1) - worth_j * profile_.accuracy(l);
  };
  policies::Action best = action;
  double least_j = cost(action.mapping, action.level, action.opp);
  for (std::size_t m = 0; m < space_.mappings.size(); ++m) {
    const MappingId mapping(m);
    for (std::size_t l = 0; l < space_.levels; ++l) {
      const LevelId level(l);
      for (std::size_t o = 0; o < space_.opps(mapping); ++o) {
        const OppId opp(o);
        if (!observation.mask.allows(level) || !observation.mask.allows(mapping, opp) ||
            profile_.at(level, mapping, opp) == nullptr || cost(mapping, level, opp) >= least_j ||
            broken(facts, mapping, level, opp) > most || predicted_s(facts, mapping, level, opp) > until_s)
          continue;
        least_j = cost(mapping, level, opp);
        best.mapping = mapping;
        best.level = level;
        best.opp = opp;
      }
    }
  }
  return best;
}

bool Shield::lost(const policies::Situation& facts) const noexcept {
  return facts.slack_s.has_value() && *facts.slack_s < profile_.fastest_s(facts.floor_level) * facts.slow_down;
}

bool Shield::keeps_pace(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  return !facts.pace_s.has_value() || start_s(facts, m, l, o) <= *facts.pace_s;
}

bool Shield::in_budget(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  if (!facts.goals.energy_j.has_value()) return true;
  const policies::ProfilePoint* point = profile_.at(l, m, o);
  return point == nullptr || !point->energy_j.has_value() || *point->energy_j <= *facts.goals.energy_j;
}

unsigned Shield::broken(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept {
  return (has(facts.lost, m) ? kLost : 0U) | (cool(facts, m, l, o) ? 0U : kHot) |
         (within_power(facts, m, l, o) ? 0U : kOverPower) | (in_time(facts, m, l, o) ? 0U : kLate) |
         (keeps_pace(facts, m, l, o) ? 0U : kBehind) | (in_budget(facts, m, l, o) ? 0U : kOverBudget);
}

bool Shield::allows(const policies::Situation& facts, MappingId mapping, LevelId level, OppId opp) const noexcept {
  return cool(facts, mapping, level, opp) && within_power(facts, mapping, level, opp) &&
         in_budget(facts, mapping, level, opp);
}

Admission Shield::admit(const policies::Observation& observation, const policies::Action& wanted,
                        double since_change_s) const noexcept {
  if (!config_.enabled || !config_.admission || wanted.governor.has_value() || wanted.kernel_placed)
    return {wanted, false};
  const policies::Situation& facts = observation.facts;
  const policies::ActionMask& mask = observation.mask;
  policies::Action action = wanted;

  const unsigned wanted_broken = broken(facts, action.mapping, action.level, action.opp);
  if (wanted_broken != 0) {
    // The least grave choice. Among equals that are late, the least late: those behind it wait less. Among equals in
    // time, the nearest to what was wanted: same mapping and level first (the operating point that differs least), then
    // whatever the profile says is cheapest.
    using Rank = std::tuple<unsigned, double, double>;
    const auto rank = [&](MappingId m, LevelId l, OppId o, const policies::ProfilePoint& point) -> Rank {
      const unsigned b = broken(facts, m, l, o);
      if ((b & kLate) != 0) return {b, predicted_s(facts, m, l, o), 0};
      const int distance = (m == wanted.mapping ? 0 : 2) + (l == wanted.level ? 0 : 1);
      return {b, static_cast<double>(distance),
              distance == 0 ? std::abs(static_cast<double>(o.value - wanted.opp.value))
                            : point.energy_j.value_or(point.latency_s)};
    };
    const policies::ProfilePoint* asked = profile_.at(wanted.level, wanted.mapping, wanted.opp);
    Rank best = asked != nullptr ? rank(wanted.mapping, wanted.level, wanted.opp, *asked)
                                 : Rank{wanted_broken, std::numeric_limits<double>::infinity(), 0};
    for (std::size_t mi = 0; mi < space_.mappings.size(); ++mi) {
      const MappingId m(mi);
      for (std::size_t li = 0; li < space_.levels; ++li) {
        const LevelId l(li);
        for (std::size_t oi = 0; oi < space_.opps(m); ++oi) {
          const OppId o(oi);
          const policies::ProfilePoint* point = profile_.at(l, m, o);
          if (!mask.allows(l) || !mask.allows(m, o) || point == nullptr) continue;
          const Rank candidate = rank(m, l, o, *point);
          if (candidate < best) {
            best = candidate;
            action.mapping = m;
            action.level = l;
            action.opp = o;
          }
        }
      }
    }
  }

  action = cheapest(observation, action);

  // Dwell: on the same cluster, a lower operating point waits, unless heat or a cap asks for it.
  if (facts.present.mapping.valid() && !facts.present.governor.has_value() &&
      since_change_s < dwell_s(action.mapping) &&
      space_.mappings[facts.present.mapping.index()].cluster == space_.mappings[action.mapping.index()].cluster &&
      action.opp < facts.present.opp && mask.allows(action.mapping, facts.present.opp) &&
      broken(facts, action.mapping, action.level, facts.present.opp) <=
          broken(facts, action.mapping, action.level, action.opp)) {
    action.opp = facts.present.opp;
  }
  if (action.park.valid()) {
    // A park point is an index into the mapping's own cluster.
    const std::uint64_t parks = mask.parks(action.mapping.index());
    if (action.mapping != wanted.mapping || ((parks >> action.park.index()) & 1U) == 0)
      action.park = lowest_park(mask, action.mapping);
  }
  return {action, !(action == wanted)};
}

OppId Shield::lowest_park(const policies::ActionMask& mask, MappingId mapping) noexcept {
  const std::uint64_t parks = mask.parks(mapping.index());
  return OppId(parks != 0 ? std::countr_zero(parks) : 0);  // none: a mapping that the mask does not offer
}

double Shield::dwell_s(MappingId mapping) const noexcept {
  return std::max(config_.dwell_s, board_.cluster_of(mapping).dwell_s);
}

double Shield::park_dwell_s(MappingId mapping) const noexcept {
  return config_.enabled ? board_.cluster_of(mapping).dwell_s : 0;
}

policies::Action Shield::hurry(const policies::Situation& facts, const policies::Action& action, double left,
                               std::span<const double> slack_s) const noexcept {
  policies::Action best = action;
  if (!config_.enabled || !config_.hurry || action.governor.has_value() || action.kernel_placed) return best;
  const double factor = facts.slow_down * (1 + config_.latency_margin);
  const auto keeps = [&](const policies::Action& a) {
    const policies::ProfilePoint* own = profile_.at(a.level, a.mapping, a.opp);
    const policies::ProfilePoint* next = profile_.at(facts.floor_level, a.mapping, a.opp);
    if (own == nullptr || next == nullptr) return false;
    double ready_s = left * own->latency_s * factor;
    if (a.mapping != action.mapping || a.opp != action.opp) ready_s += board_.cluster_of(a.mapping).switch_s;
    if (a.mapping != action.mapping) ready_s += board_.migration_s;
    for (const double slack : slack_s) {
      if (ready_s > slack) return false;
      ready_s += next->latency_s * factor;
    }
    return true;
  };
  const OppId top = highest(facts, action);
  while (best.opp < top && !keeps(best)) best.opp = OppId(best.opp.value + 1);
  if (!config_.move || keeps(best)) return best;
  // Another mapping of as many threads: the cheapest point there at which all are kept; failing that, wherever this one
  // and the next are done soonest.
  const auto two_s = [&](const policies::Action& a) {
    const policies::ProfilePoint* own = profile_.at(a.level, a.mapping, a.opp);
    const policies::ProfilePoint* next = profile_.at(facts.floor_level, a.mapping, a.opp);
    if (own == nullptr || next == nullptr) return std::numeric_limits<double>::infinity();
    return (left * own->latency_s + next->latency_s) * factor + (a.mapping != action.mapping ? board_.migration_s : 0);
  };
  policies::Action soonest = best;
  bool found = false;
  double least_j = std::numeric_limits<double>::infinity();
  for (std::size_t m = 0; m < space_.mappings.size(); ++m) {
    policies::Action other = action;
    other.mapping = MappingId(m);
    if (!movable(action.mapping, other.mapping) || has(facts.lost, other.mapping)) continue;
    const OppId last = highest(facts, other.mapping);
    for (other.opp = has(facts.held, other.mapping) ? last : OppId(0); other.opp <= last;
         other.opp = OppId(other.opp.value + 1)) {
      if (!allows(facts, other.mapping, other.level, other.opp)) continue;
      if (two_s(other) < two_s(soonest)) soonest = other;
      if (!keeps(other)) continue;
      // The slowest where no energy is known.
      const double j = cost_j(facts, other.mapping, other.level, other.opp);
      if (found && !(j < least_j)) continue;
      found = true;
      least_j = j;
      best = other;
    }
  }
  return found ? best : soonest;
}

bool Shield::has(std::uint32_t clusters, MappingId mapping) const noexcept {
  return ((clusters >> space_.mappings[mapping.index()].cluster.index()) & 1U) != 0;
}

bool Shield::movable(MappingId from, MappingId to) const noexcept {
  const boards::Mapping &a = board_.mappings[from.index()], &b = board_.mappings[to.index()];
  return from != to && a.cores == b.cores && a.cpu_quota == b.cpu_quota &&
         board_.cluster_of(from).kind == boards::UnitKind::kCpu && board_.cluster_of(to).kind == boards::UnitKind::kCpu;
}

OppId Shield::highest(const policies::Situation& facts, MappingId mapping) const noexcept {
  return OppId(std::min<std::int32_t>(facts.cap[space_.mappings[mapping.index()].cluster.index()],
                                      static_cast<std::int32_t>(space_.opps(mapping)) - 1));
}

OppId Shield::highest(const policies::Situation& facts, const policies::Action& action) const noexcept {
  const auto grave = [&](OppId opp) {
    return (cool(facts, action.mapping, action.level, opp) ? 0U : kHot) |
           (within_power(facts, action.mapping, action.level, opp) ? 0U : kOverPower);
  };
  OppId top = highest(facts, action.mapping);
  while (top > action.opp && grave(top) > grave(action.opp)) top = OppId(top.value - 1);
  return top;
}

std::optional<Shield::Change> Shield::rescue(const policies::Situation& facts, const policies::Action& action,
                                             double left, double slack_s) const noexcept {
  if (!config_.enabled || !rescues() || action.governor.has_value() || action.kernel_placed) return std::nullopt;
  const double switch_s = board_.cluster_of(action.mapping).switch_s;
  const policies::ProfilePoint* own = profile_.at(action.level, action.mapping, action.opp);
  const OppId top = highest(facts, action);
  if (own == nullptr || top <= action.opp) return std::nullopt;
  const policies::ProfilePoint* fastest = profile_.at(action.level, action.mapping, top);
  if (fastest == nullptr || fastest->latency_s >= own->latency_s) return std::nullopt;
  const double own_s = own->latency_s * facts.slow_down, top_s = fastest->latency_s * facts.slow_down;
  // Running on for x, until the top is in force: x + (left - x / own) top = slack. A run that is off by the margin is
  // off by it at its end, however little of it is left.
  const auto wait_s = [&](double margin) {
    return (slack_s - (left + margin) * top_s) / (1 - top_s / own_s) - switch_s;
  };
  const double last_s = wait_s(config_.latency_margin);
  if (wait_s(0) < 0 || last_s >= (left + config_.latency_margin) * own_s) return std::nullopt;
  return Change{std::max(0.0, last_s), top};
}

std::optional<Shield::Change> Shield::ease(const policies::Situation& facts, const policies::Action& action,
                                           double left, double slack_s, double target_s,
                                           double dwell_s) const noexcept {
  // Without hurry nothing would go up again for who comes.
  if (!config_.enabled || !config_.ease || !config_.hurry || action.governor.has_value() || action.kernel_placed ||
      has(facts.held, action.mapping))
    return std::nullopt;
  const OppId top = highest(facts, action);
  const policies::ProfilePoint* own = profile_.at(action.level, action.mapping, action.opp);
  const policies::ProfilePoint* fastest = profile_.at(action.level, action.mapping, top);
  const policies::ProfilePoint* next = profile_.fastest(facts.floor_level);
  if (own == nullptr || fastest == nullptr || next == nullptr) return std::nullopt;
  const double switch_s = board_.cluster_of(action.mapping).switch_s;
  const double own_s = own->latency_s * facts.slow_down;
  const double margin = 1 + config_.latency_margin;
  const double next_s = next->latency_s * facts.slow_down * margin;
  const double ahead_s = target_s - std::floor(target_s / next_s) * next_s - 2 * switch_s;
  const double then = std::min(left, ahead_s / (fastest->latency_s * facts.slow_down) - config_.latency_margin);
  if (target_s < next_s || then <= 0) return std::nullopt;
  const double wait_s = std::max((left - then) * own_s, dwell_s);
  const double rest = left - wait_s / own_s;
  if (rest <= config_.latency_margin) return std::nullopt;
  const auto cost = [&](OppId opp) { return cost_j(facts, action.mapping, action.level, opp); };
  OppId best = action.opp;
  for (OppId opp(action.opp.value - 1); opp.value >= 0; opp = OppId(opp.value - 1)) {
    const policies::ProfilePoint* point = profile_.at(action.level, action.mapping, opp);
    if (point == nullptr) continue;
    if (wait_s + 2 * switch_s + (rest + config_.latency_margin) * point->latency_s * facts.slow_down > slack_s) break;
    if (cost(opp) < cost(best)) best = opp;
  }
  if (best == action.opp) return std::nullopt;
  return Change{wait_s, best};
}

}  // namespace reins::control
