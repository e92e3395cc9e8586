// env/emulated_board.hpp: a board in virtual time: run times, power, heat, caps, governors and slow sensors, event by
// event.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "boards/board.hpp"
#include "boards/governors.hpp"
#include "boards/gpu_governors.hpp"
#include "control/telemetry.hpp"
#include "core/rng.hpp"
#include "inference/api/engine.hpp"
#include "policies/profile.hpp"

namespace reins::env {

/// What differs from one episode to the next on the same board.
struct BoardConditions {
  double start_c = 45;
  double ambient_c = 25;  ///< of the emulated air; a board file's thermal.ambient_c is what the shield predicts with
  std::array<double, policies::kMaxClusters> others_util{};  ///< share of each cluster that others use, 0..1
  /// Highest operating point that a limit from outside allows (nvpmodel, a user's scaling_max_freq); absent: the top.
  std::array<std::optional<std::int32_t>, policies::kMaxClusters> limit{};
  std::uint64_t seed = 1;
  bool blind = false;  ///< thermometer and the count of others' load are out of order: both absent
  bool noise = true;   ///< run-time and sensor noise
  bool shield = true;  ///< false: the Runtime's shield changes no decision, whatever its config says
};

/// Deterministic given board, levels, conditions and the calls made. Between events everything but the temperature is
/// constant, so energy is integrated exactly but for leakage, whose temperature is taken at the start of each piece (at
/// most one sensor period long).
/// With a measured table it replays: a run's time is drawn from its point's distribution, power is the point's (idle:
/// the table's idle power), and the temperature stays what the episode began with. What no table holds, a switch's and
/// a migration's time, others' load and the sensor, is the board's. A point that was not measured runs as the nearest
/// one that was.
class EmulatedBoard {
 public:
  /// Keeps references to `board` and `table`, which has each mapping's every level at some point; `levels` is read here
  /// only.
  EmulatedBoard(const boards::Board& board, std::span<const inference::LevelFacts> levels,
                const policies::Profile* table = nullptr);

  void reset(double now_s, const BoardConditions& conditions);
  double now_s() const noexcept { return now_s_; }

  /// Puts an action's mapping and operating point (or governor) in force; clusters it does not use go to their lowest
  /// point (under a governor: to that governor).
  void apply(const policies::Action& action) noexcept;
  /// The mapping's cluster goes to `park`, all others to their lowest point.
  void park(MappingId mapping, OppId park) noexcept;
  /// Starts an inference on the mapping in force. Not while busy.
  void start(LevelId level) noexcept;
  /// The inference that has just ended goes on to `level`, a higher one: time and power are what the whole run would
  /// take beyond the run so far. As fast as that one was by chance; draws nothing. Not while busy.
  void grow(LevelId level) noexcept;

  /// Time of the board's own next event (completion, switch done, tick, sensor update, throttle poll); always finite.
  double next_event_s() const noexcept;
  /// Integrates to `to_s`, at most next_event_s(), and handles what is due then.
  void advance(double to_s) noexcept;
  /// The level of an inference that has just ended; once.
  std::optional<LevelId> take_completion() noexcept;
  /// New sensor values, once per update.
  bool take_telemetry(control::Telemetry& out) noexcept;

  // The truth, for tables, oracle and tests; no policy that learns sees it.
  double energy_j() const noexcept { return energy_j_; }                ///< accounting rails since reset
  double active_energy_j() const noexcept { return active_energy_j_; }  ///< of it, while an inference ran
  double power_w() const noexcept;                                      ///< accounting rails now
  double temperature_c() const noexcept { return temperature_c_; }
  OppId opp(ClusterId cluster) const noexcept { return clusters_[cluster.index()].opp; }
  OppId cap(ClusterId cluster) const noexcept { return OppId(clusters_[cluster.index()].cap); }
  MappingId mapping() const noexcept { return mapping_; }
  bool busy() const noexcept { return busy_; }
  /// Mean time alone, without noise, contention or delays, seconds.
  double mean_time_s(MappingId mapping, LevelId level, OppId opp) const noexcept;
  /// What the next inference's time will be multiplied with.
  double next_factor(MappingId mapping, LevelId level, OppId opp) const noexcept;
  /// Power of the accounting rails, watts, if `mapping` ran (or, without a level, had idled for `idle_s`) at `opp` with
  /// all other clusters at their lowest point, in their deepest idle state unless others use them, at the present
  /// temperature.
  double power_if_w(MappingId mapping, OppId opp, std::optional<LevelId> level, double idle_s = 0) const noexcept;
  /// Run time factor by contention of the mapping's cluster.
  double contention(MappingId mapping) const noexcept;
  const boards::Board& board() const noexcept { return *board_; }
  std::size_t levels() const noexcept { return levels_; }

 private:
  struct ClusterState {
    OppId opp{0};            // in force
    OppId wanted{0};         // asked for, before caps
    double switch_at_s = 0;  // when `next` takes effect
    std::optional<OppId> next;
    std::int32_t cap = 0;
    double idle_since_s = 0;
    double busy_in_tick_s = 0;
    std::optional<boards::GovernorState> governor;
    std::optional<boards::GpuGovernorState> gpu_governor;  // a GPU's, in its place
    double accounted_w_per_w = 0;                          // what the accounting rails draw for each of its watts
  };
  void want(std::size_t cluster, OppId opp) noexcept;
  double cluster_power_w(std::size_t cluster) const noexcept;
  double table_power_w(MappingId mapping, OppId opp, std::optional<LevelId> level) const noexcept;
  double run_s(OppId opp) const noexcept;  // mean time of the running inference, or of the part that it grows by
  double table_run_w(OppId opp) const noexcept;
  double rate_per_s() const noexcept;                    // progress of the running inference, or of that part
  double others_on(std::size_t cluster) const noexcept;  // in capacity units
  void tick() noexcept;
  void enqueue() noexcept;
  void finish() noexcept;
  void sense() noexcept;
  void place(MappingId mapping) noexcept;
  void draw_noise() noexcept;
  bool on(std::size_t cluster) const noexcept;
  std::int32_t limit(std::size_t cluster) const noexcept;

  const boards::Board* board_;
  std::size_t levels_ = 0;
  std::vector<std::vector<std::vector<double>>> time_s_;                  // [mapping][level][opp]
  const policies::Profile* table_ = nullptr;                              // null: physics
  std::vector<std::vector<std::vector<policies::ProfilePoint>>> points_;  // [mapping][level][opp], of the table
  std::vector<double> bytes_;                                             // [level]
  double accounted_constant_w_ = 0;
  double accounted_j_per_byte_ = 0;
  double sensor_period_s_ = 0.2;
  double sensor_quantum_w_ = 0;
  double sensor_noise_ = 0;
  bool has_power_sensor_ = false;

  BoardConditions conditions_;
  Rng rng_{1};
  double now_s_ = 0;
  double temperature_c_ = 25;
  double energy_j_ = 0, active_energy_j_ = 0;
  std::vector<ClusterState> clusters_;
  boards::Pelt task_;
  bool governed_ = false, kernel_placed_ = false;
  MappingId mapping_, last_mapping_;
  bool busy_ = false;
  LevelId level_, below_;  // below_: what level_ grows from; invalid where it has been started
  double remaining_ = 0, noise_ = 1, next_noise_ = 1, stall_until_s_ = 0;
  std::optional<LevelId> completed_;
  double next_tick_s_ = 0, next_sense_s_ = 0, next_poll_s_ = 0, last_tick_s_ = 0;
  double window_j_ = 0;
  std::optional<control::Telemetry> sensed_;
};

}  // namespace reins::env
