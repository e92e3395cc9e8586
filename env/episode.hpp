// env/episode.hpp: the emulated and the replay driver: one Runtime on one EmulatedBoard through one trace, in virtual
// time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/runtime.hpp"
#include "data/trace.hpp"
#include "env/emulated_board.hpp"
#include "inference/answers.hpp"
#include "policies/policy.hpp"
#include "policies/profile.hpp"

namespace reins::env {

/// What stays the same over episodes: a board with a network on it. Owned by the caller and kept alive.
struct World {
  const boards::Board* board = nullptr;
  const policies::ActionSpace* space = nullptr;
  const policies::Profile* profile = nullptr;
  const std::vector<inference::LevelFacts>* levels = nullptr;
  const inference::Answers* answers = nullptr;  ///< null: no right or wrong answers, validated accuracy only
  bool replay = false;  ///< times and power are drawn from `profile`, not from the board's physics
};

/// A point of the time line that the report draws; one per reply and one per sensor update.
struct TimelinePoint {
  double time_s = 0;
  int level = 0;  ///< 1..N; 0 while no request has been served
  int mapping = -1;
  double freq_khz = 0;
  double latency_s = 0;  ///< of the reply; 0 at sensor updates
  double target_s = 0;   ///< 0: none
  double power_w = 0;
  double temperature_c = 0;
  double energy_j = 0;  ///< accounting rails since the episode began
  bool reply = false;
  bool missed = false;
};

/// Totals of one episode. Energy is the true integral over the accounting rails from the first arrival to the episode's
/// end.
struct EpisodeResult {
  std::uint64_t offered = 0, served = 0, rejected = 0, missed = 0, correct = 0, below_floor = 0;
  double energy_j = 0, active_energy_j = 0;
  double accuracy_sum = 0;  ///< validated accuracy of the served levels
  double overrun_sum = 0;   ///< sum of max(0, latency / target - 1), each cut at 2
  double floor_kept = 1;    ///< share of served requests at or above the accuracy floor in force at their start
  double duration_s = 0;
  double max_temperature_c = 0;
  std::vector<double> latencies_s;  ///< of served requests
  std::vector<std::uint64_t> level_counts;
  control::Counters counters;
  std::vector<TimelinePoint> timeline;

  /// What was not answered is charged the mean of what was, if anything was: work left undone saves nothing (021).
  double energy_per_offered_j() const noexcept {
    if (offered == 0) return 0;
    const double undone = served > 0 ? static_cast<double>(offered - served) / static_cast<double>(served) : 0;
    return (energy_j + undone * active_energy_j) / static_cast<double>(offered);
  }
  double miss_rate() const noexcept {
    return offered > 0 ? static_cast<double>(missed) / static_cast<double>(offered) : 0;
  }
  double mean_accuracy() const noexcept { return served > 0 ? accuracy_sum / static_cast<double>(served) : 0; }
};

/// The goals in force once `row` has come: what it leaves out stays as it was.
policies::Goals goals_after(policies::Goals goals, const data::TraceRow& row) noexcept;

/// One Runtime through one trace, stopped at every decision: emulated or replayed in virtual time, or live on this
/// machine.
class TraceRun {
 public:
  virtual ~TraceRun() = default;
  /// Starts `trace` (kept by reference) afresh. `image_seed` picks which image each request carries.
  virtual void reset(const data::Trace& trace, const BoardConditions& conditions, std::uint64_t image_seed) = 0;
  /// Goals that hold from the start, until the trace says otherwise.
  virtual void set_goals(const policies::Goals& goals) noexcept = 0;
  /// True: a decision is wanted (runtime().observation()). False: the trace has ended. Errors: those of engine and
  /// actuators.
  virtual Result<bool> next_decision() = 0;
  virtual Status decide(const policies::Action& action, std::int64_t decision_ns) = 0;
  /// Replies since they were last cleared, oldest first.
  virtual const std::vector<control::Outcome>& outcomes() const noexcept = 0;
  virtual void clear_outcomes() noexcept = 0;
  virtual const control::Runtime& runtime() const noexcept = 0;
  virtual double now_s() const noexcept = 0;
};

/// The TraceRun in virtual time. `run_to_decision` lets a policy loop (`run_episode`) and a step-wise environment share
/// it.
class Episode final : public TraceRun {
 public:
  Episode(const World& world, const control::RuntimeConfig& config);

  /// Ends where the trace does.
  void reset(const data::Trace& trace, const BoardConditions& conditions, std::uint64_t image_seed) override {
    reset(trace, conditions, image_seed, trace.end_s, false);
  }
  void reset(const data::Trace& trace, const BoardConditions& conditions, std::uint64_t image_seed, double end_s,
             bool timeline);
  void set_goals(const policies::Goals& goals) noexcept override { runtime_->set_goals(goals); }

  /// True: a decision is wanted (observation()). False: the trace has ended.
  bool run_to_decision() noexcept;
  Result<bool> next_decision() override { return run_to_decision(); }
  const policies::Observation& observation() const noexcept { return runtime_->observation(); }
  void decide_now(const policies::Action& action, std::int64_t decision_ns = 1) noexcept;
  Status decide(const policies::Action& action, std::int64_t decision_ns) override {
    decide_now(action, decision_ns);
    return {};
  }

  const std::vector<control::Outcome>& outcomes() const noexcept override { return outcomes_; }
  void clear_outcomes() noexcept override { outcomes_.clear(); }

  const control::Runtime& runtime() const noexcept override { return *runtime_; }
  const EmulatedBoard& board() const noexcept { return board_; }
  const World& world() const noexcept { return world_; }
  double now_s() const noexcept override { return board_.now_s(); }
  /// Time of the next request of the trace; infinity behind the last one.
  double next_arrival_s() const noexcept;
  double end_s() const noexcept { return end_s_; }
  /// Deadlines of the requests that wait behind the one at hand, in order.
  void waiting_deadlines(std::vector<double>& out) const;
  const EpisodeResult& result() const noexcept { return result_; }

 private:
  void carry_out(control::Effects& effects) noexcept;
  void reply(const control::Outcome& outcome) noexcept;
  void mark(bool is_reply, const control::Outcome* outcome);
  void close() noexcept;

  World world_;
  control::RuntimeConfig config_;
  EmulatedBoard board_;
  std::optional<control::Runtime> runtime_;
  const data::Trace* trace_ = nullptr;
  double end_s_ = 0;
  std::size_t next_row_ = 0;
  Rng images_{1};
  bool want_timeline_ = false;
  bool closed_ = false;
  LevelId floor_at_start_{0};  // the floor in force when the running request was decided on
  std::vector<control::Outcome> outcomes_;
  EpisodeResult result_;
};

/// When the last deadline of a trace has passed, or its end where that is later; at most as long behind its end as it
/// is long, or a minute. The same for every policy, and within that no policy saves energy by leaving undone what could
/// still be in time.
double last_deadline_s(const data::Trace& trace) noexcept;

/// Runs a policy through a whole episode, up to last_deadline_s().
EpisodeResult run_episode(Episode& episode, policies::Policy& policy, const data::Trace& trace,
                          const BoardConditions& conditions, std::uint64_t image_seed, bool timeline = false);

}  // namespace reins::env
