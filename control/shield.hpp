// control/shield.hpp: the deterministic last word between policy and actuators: heat, power cap, deadline, dwell time.
#pragma once

#include <optional>
#include <span>

#include "boards/board.hpp"
#include "policies/observation.hpp"
#include "policies/profile.hpp"

namespace reins::control {

struct ShieldConfig {
  bool enabled = true;
  bool admission = true;  ///< change decisions that break something. Off in part of training, where the policy is to
                          ///< learn what a bad decision costs; what is raised while it runs is raised all the same
  double latency_margin = 0.06;   ///< a run time is taken as profile mean x slow-down x (1 + margin), or with three
                                  ///< standard deviations of the profile's run times where that is more. 0..1
  double horizon_s = 2.0;         ///< how far ahead the temperature is predicted, seconds. 0.1..60
  double thermal_margin_c = 1.0;  ///< kept below the throttle point, kelvin. 0..20
  double dwell_s = 0.02;          ///< a lower operating point waits this long after the last change, or as long as the
                          ///< cluster's dwell_s where the board file asks for more; upward moves are exempt. 0..10
  bool rescue = true;  ///< raise the point of an inference under way in time for its own deadline where it runs late.
                       ///< Needs `hurry`
  double start_margin = 0;  ///< as latency_margin, of the point where an inference starts, where `rescue` is on; never
                            ///< more than latency_margin. -0.3..1
  bool ease = true;  ///< lower the point of an inference under way once what is left of it is in nobody's way, and take
                     ///< the cheapest mapping, level and point that are in time where arrivals are regular or deadlines
                     ///< ten times the fastest run away. The former needs `hurry`. Off where answers may grow
  bool ease_late = true;  ///< `ease` an inference whose answer will be late anyway too, and let who joins behind it ask
                          ///< for no more speed than they need
  double late_margin = 0.15;  ///< an inference whose answer will be late anyway starts at the cheapest mapping, level
                              ///< and point that take at most this much longer than the fastest. 0: the fastest. 0..10
  double accuracy_worth = 0.05;  ///< what a unit of accuracy is worth where `ease` looks for the cheapest, in energies
                                 ///< of the floor's level where it is fastest: the reward's w_acc / w_energy. 0..100
  bool move = true;   ///< `hurry` may move the inference under way to other cores too, where no point of its own is
                      ///< enough. Off where the driver cannot
  bool hurry = true;  ///< raise the point of an inference under way for those who join behind it. Off where a driver
                      ///< blocks while the engine runs: then nothing changes while it runs
};

/// What the shield did to an action.
struct Admission {
  policies::Action action;
  bool changed = false;
};

/// Pure given its inputs; allocates nothing. Order of what wins: caps and floors (the mask), lost clusters, heat, power
/// cap, deadline, energy budget, dwell time. Where nothing meets the deadline, what is least late, or within
/// `late_margin` of it.
class Shield {
 public:
  Shield(const boards::Board& board, const policies::ActionSpace& space, const policies::Profile& profile,
         const ShieldConfig& config);

  /// `since_change_s`: time since the operating point last changed.
  Admission admit(const policies::Observation& observation, const policies::Action& wanted,
                  double since_change_s) const noexcept;

  /// For an inference under way at `action`, with `left` (0..1) of it still to do, and the requests behind it, which
  /// run at the floor's level: the slowest operating point, from the present one up, at which all keep their deadlines
  /// if those behind run at that point too; else, where it may move, a point of another mapping of as many threads;
  /// else the highest. Never past a cap, nor to where heat or the power cap would be broken and are not yet. `facts`:
  /// of the decision that started it. `slack_s`: time left to each deadline, its own first; infinite: none.
  policies::Action hurry(const policies::Situation& facts, const policies::Action& action, double left,
                         std::span<const double> slack_s) const noexcept;
  /// True where not even the fastest setting can keep the deadline: the answer will be late anyway.
  bool lost(const policies::Situation& facts) const noexcept;
  /// True where the threads of an inference on `from` can be moved to `to` while they run: other cores, as many.
  bool movable(MappingId from, MappingId to) const noexcept;

  /// What an inference under way is to change to: `wait_s` from now, to `opp`.
  struct Change {
    double wait_s = 0;
    OppId opp;
  };
  /// The last moment to raise an inference under way so that it still keeps its deadline, `slack_s` away; as hurry(),
  /// for that one alone. None: it ends in time as it is, or nothing helps.
  std::optional<Change> rescue(const policies::Situation& facts, const policies::Action& action, double left,
                               double slack_s) const noexcept;
  /// For an inference under way behind which nobody waits: the moment from which speed buys nothing for who may come,
  /// and the cheapest lower point that still ends it in time. That moment: as many new requests, each due `target_s`
  /// after it came and all coming at once, as the highest point can serve in time at all can still be kept when it
  /// finishes this one first. `dwell_s`: what the present point must stand for yet. None: never, or nothing is saved.
  std::optional<Change> ease(const policies::Situation& facts, const policies::Action& action, double left,
                             double slack_s, double target_s, double dwell_s) const noexcept;

  /// Heat, power cap and energy budget hold there; also asked where the shield is off, for a growth is nobody's
  /// decision.
  bool allows(const policies::Situation& facts, MappingId mapping, LevelId level, OppId opp) const noexcept;

  /// Predicted time of one inference with everything that delays its start, seconds.
  double predicted_s(const policies::Situation& facts, MappingId mapping, LevelId level, OppId opp) const noexcept;
  /// The park point of an inference that comes to `mapping` with one of another mapping's.
  static OppId lowest_park(const policies::ActionMask& mask, MappingId mapping) noexcept;
  /// For how long a point of this mapping's cluster stands before a lower one, seconds.
  double dwell_s(MappingId mapping) const noexcept;
  /// The least time, in seconds, for which the board wants an operating point of this mapping's cluster to stand before
  /// it parks lower. 0 where the shield is off.
  double park_dwell_s(MappingId mapping) const noexcept;
  /// As given, but for `latency_margin`, which is the one in force.
  const ShieldConfig& config() const noexcept { return config_; }

 private:
  /// True where the mapping's cluster is one of `clusters`, a bit each.
  bool has(std::uint32_t clusters, MappingId mapping) const noexcept;
  bool rescues() const noexcept { return config_.rescue && config_.hurry; }
  double start_s(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  OppId highest(const policies::Situation& facts, MappingId mapping) const noexcept;
  OppId highest(const policies::Situation& facts, const policies::Action& action) const noexcept;
  bool cool(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  bool within_power(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  bool in_time(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  /// Energy of one inference over what resting as long takes, joules; infinite
  /// where no energy is known.
  double cost_j(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  /// For how long from the decision on a run is in nobody's way: up to the deadline where that is far, to the next
  /// arrival where they are regular and nobody waits; else 0. Seconds.
  double free_s(const policies::Situation& facts) const noexcept;
  /// The mapping, level and point that cost least within that time, or within `late_margin` where the answer is late
  /// anyway, and break nothing that `action` does not; else `action`.
  policies::Action cheapest(const policies::Observation& observation, const policies::Action& action) const noexcept;
  /// Those that wait, and those that are to come (Situation::pace_s), keep their deadlines too if they run no slower.
  bool keeps_pace(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  bool in_budget(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  /// 0 = everything holds; each broken goal sets a bit, the graver the higher.
  unsigned broken(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;
  double mean_power_w(const policies::Situation& facts, MappingId m, LevelId l, OppId o) const noexcept;

  const boards::Board& board_;
  const policies::ActionSpace& space_;
  const policies::Profile& profile_;
  ShieldConfig config_;
};

}  // namespace reins::control
