// control/runtime.hpp: the one class that decides and accounts. A state machine: no I/O, no clock, no threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "control/energy_account.hpp"
#include "control/observation_builder.hpp"
#include "control/shield.hpp"
#include "control/telemetry.hpp"

namespace reins::control {

struct RuntimeConfig {
  std::size_t queue_limit = 256;  ///< requests waiting; beyond it a request is rejected at once. 1..256
  double park_delay_s =
      0.0005;  ///< idle this long, the cluster goes to its park point. Shorter saves, longer spares switches. 0..10
  double decision_interval_s =
      0;                  ///< 0: a decision at every start of service; else the last one stands for this long. 0..60
  bool grow = false;      ///< an answer that is there early goes on to the next level while that one fits its deadline
                          ///< and nobody waits who can still be kept
  bool late_last = true;  ///< a request that no setting can keep in time waits behind those that can be kept
  double late_hold = 3;   ///< where requests come irregularly, such a one is not begun before nobody has come for so
                          ///< many of the fastest runs, lest it be in the way of who is next (but when one comes that
                          ///< is late itself); nor held longer than ten of them past its deadline, nor once an eighth
                          ///< of the places are taken. Needs the shield. 0: no wait. 0..100
  /// How many that are yet to come count. Where they come irregularly and faster than half of what can be served, so
  /// many are expected at the present rate, and are to keep their deadlines at one pace; where they come evenly, what
  /// is here is to end before the next comes, or before one of so many. 0: none. 0..64
  int outlook = 8;
  double rate_tau_s = 1.0;      ///< time constant of the request rate's moving average, seconds. 0.01..60
  double demand_gain = 0.02;    ///< weight of a new gap in the long-run mean gap. 0.0001..1
  double gap_gain = 0.1;        ///< weight of a new gap in the moving averages behind the gaps' variation. 0.001..1
  double slow_down_gain = 0.1;  ///< weight of a new run in the slow-down's moving average. 0..1
  ShieldConfig shield;
  EnergyAccount::Config energy;
};

struct Counters {
  std::uint64_t offered = 0, served = 0, rejected = 0, missed = 0, decisions = 0, switches = 0,
                shield_interventions = 0,
                grown = 0;  ///< requests answered at a higher level than they were started at
};

/// Threads: one at a time. After construction no call allocates, throws or takes a lock. Each call appends to
/// `effects`, to be carried out in order; after an effect kDecide the driver must call `decide` before anything else.
class Runtime {
 public:
  Runtime(const boards::Board& board, const policies::ActionSpace& space, const policies::Profile& profile,
          const RuntimeConfig& config);

  void set_goals(const policies::Goals& goals) noexcept { goals_ = goals; }
  const policies::Goals& goals() const noexcept { return goals_; }

  /// A request comes in. Without a deadline of its own it gets arrival + the latency target. While an inference runs
  /// its operating point may rise, or it may move to other cores (kApply), so that this one and those before it keep
  /// their deadlines.
  void arrive(double now_s, const Request& request, Effects& effects) noexcept;
  /// New sensor values.
  void sensed(double now_s, const Telemetry& telemetry) noexcept;
  /// The inference that was started, or grown, has ended at `level`: a reply, or (kGrow) it goes on and this is called
  /// again. An inference that did not grow as asked is replied to as it is.
  void complete(double now_s, LevelId level, Effects& effects) noexcept;
  /// Timers that are due: parking, another point for the inference under way (kApply), or the start of one held back.
  void advance(double now_s, Effects& effects) noexcept;
  /// When `advance` must be called next; infinity where nothing is planned.
  double next_event_s() const noexcept;

  /// True between an effect kDecide and `decide`.
  bool deciding() const noexcept { return deciding_; }
  const policies::Observation& observation() const noexcept { return observation_; }
  /// The policy's answer. The shield may change it; what is applied is in the effects and in `applied()`.
  void decide(double now_s, const policies::Action& wanted, std::int64_t decision_ns, Effects& effects) noexcept;
  const policies::Action& applied() const noexcept { return applied_; }
  /// Of the inference under way or, while idle, of the last one: applied().level or where it has grown to.
  LevelId level() const noexcept { return level_; }

  const Counters& counters() const noexcept { return counters_; }
  const EnergyAccount& energy() const noexcept { return energy_; }
  /// Brings the energy account up to `now_s`.
  void settle(double now_s) noexcept;
  const ObservationBuilder& builder() const noexcept { return builder_; }
  const policies::ObservationSpec& spec() const noexcept { return builder_.spec(); }
  std::size_t queue_depth() const noexcept { return queue_.size(); }
  /// The i-th request in the queue, 0 = next to be served: the earliest deadline first, those without one last, equals
  /// as they came. With `late_last`, those seen at a decision to be lost are behind all others.
  const Request& waiting(std::size_t i) const noexcept { return queue_[queue_.size() - 1 - i]; }
  bool busy() const noexcept { return busy_; }
  /// The request being served; meaningful while busy().
  const Request& running() const noexcept { return running_.request; }

 private:
  void ask(double now_s, Effects& effects) noexcept;
  /// Lowers facts.pace_s to what keeps those that are expected behind the `run` that are there, each due `target_s`
  /// after it comes.
  void look_ahead(policies::Situation& facts, double run, double fastest_s, double target_s) const noexcept;
  /// Those due before `soonest_s` go behind those that can still be kept.
  void put_lost_last(double soonest_s) noexcept;
  /// Time of the fastest run at the floor's level as it is now, seconds; 0 without a profile of it.
  double fastest_s() const noexcept;
  /// True where what is late anyway may still take its time: less than an eighth of the places are taken.
  bool few(std::size_t waiting) const noexcept { return 8 * waiting < config_.queue_limit; }
  /// True where all that wait are lost as of now, and are to wait on (`late_hold`): plans when to begin one.
  bool holds(double now_s) noexcept;
  /// Coefficient of variation of the gaps between requests; absent before the third request.
  std::optional<double> gap_variation() const noexcept;
  /// Requests come evenly, and no faster than they can be served.
  bool regular() const noexcept;
  /// `joined` has come behind the inference under way: raises its operating point where they need it.
  void hurry(double now_s, std::uint64_t joined, Effects& effects) noexcept;
  /// Plans the next change of the point of the inference under way: up where it would be late, down where it need not
  /// be fast.
  void plan_change(double now_s) noexcept;
  double left() const noexcept;
  /// From `now_s` to the deadline of the inference under way; infinite without one, and where it was lost from the
  /// start (ShieldConfig::ease_late).
  double own_slack_s(double now_s) const noexcept;
  /// Caps and held clusters of the facts as telemetry has them now. True where that changed something.
  bool take_limits() noexcept;
  void retune(double now_s, MappingId mapping, OppId opp, Effects& effects) noexcept;
  /// Brings `done_` up to `now_s`.
  void progress(double now_s, LevelId level) noexcept;
  /// True where the inference that has ended at `level` is to go on to the next one.
  bool may_grow(double now_s, LevelId level) const noexcept;
  void grow(double now_s, Effects& effects) noexcept;
  std::optional<double> present_power_w() const noexcept;

  const boards::Board& board_;
  const policies::ActionSpace& space_;
  const policies::Profile& profile_;
  RuntimeConfig config_;
  ObservationBuilder builder_;
  Shield shield_;
  EnergyAccount energy_;
  policies::Goals goals_;
  Counters counters_;

  std::vector<Request> queue_;  // never more than its limit; the last is served next
  std::size_t lost_ = 0;        // of queue_, at its front
  bool deciding_ = false;
  bool busy_ = false;
  bool running_lost_ = false;  // no setting could keep its deadline when it was decided on
  policies::Observation observation_;
  policies::Action applied_;
  policies::Action decided_;  // the last decision as admitted; what is applied may have changed since
  Outcome running_;
  LevelId level_;
  double done_ = 0, done_at_s_ = 0;   // of the inference under way, as if the slow-down were 1; as of then
  double part_ = 1, part_began_ = 0;  // what runs now: its share of the inference at level_, and done_ when it began
  std::vector<double> slacks_;        // of it and those behind it
  double change_at_s_;                // when it goes to change_to_; infinity: not planned
  OppId change_to_;
  double energy_at_start_j_ = 0;
  double settled_s_ = 0;
  bool started_ = false;
  double park_at_s_, hold_until_s_;
  std::optional<OppId> parked_;  // where the applied mapping's cluster is while idle
  double last_switch_s_ = -1e9;
  double last_decision_s_ = -1e9;
  policies::Goals decided_goals_;

  std::optional<double> last_arrival_s_;
  std::optional<double> rate_hz_;
  double last_target_s_ = 0;                   // of the newest request that has a deadline
  double gap_mean_s_ = 0, gap_square_s2_ = 0;  // moving averages behind the gaps' variation
  double long_gap_s_ = 0;
  std::uint64_t gaps_ = 0;
  std::optional<double> last_latency_s_, last_energy_j_;
  double last_finish_s_ = 0;
  double slow_down_ = 1;
  Telemetry telemetry_;
};

}  // namespace reins::control
