// boards/physics.hpp: how a board behaves, as pure functions. Emulator, fit, shield and oracle share them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "boards/board.hpp"
#include "core/layer_cost.hpp"

namespace reins::boards {

/// Amdahl's law: how much faster `cores` cores are than one. Also the mean number of busy cores while they work.
double speed_up(const TimeModel& time, int cores) noexcept;

/// Time that `layers` add to an inference that is already running (no call_cycles): what growing it by a group costs.
double layers_time_s(const Board& board, MappingId mapping, OppId opp, std::span<const LayerCost> layers,
                     double batch = 1) noexcept;

/// Mean time of one inference of `batch` images, seconds, alone on `mapping` at `opp` (roofline per layer, see
/// TimeModel). An operating point of frequency 0 ("as the machine runs it") counts as 1 GHz. A cpu_quota stretches all
/// of it.
double inference_time_s(const Board& board, MappingId mapping, OppId opp, std::span<const LayerCost> layers,
                        double batch = 1) noexcept;

/// Leakage of a cluster at a voltage and temperature, watts.
double leakage_w(const PowerModel& power, double voltage_v, double temperature_c) noexcept;

/// The same as cluster_power_w below at a frequency and voltage that need not be one of the cluster's.
double cluster_power_at_w(const Cluster& cluster, const OperatingPoint& point, double busy_cores,
                          std::size_t idle_state, double temperature_c) noexcept;

/// Power of a cluster with `busy_cores` cores fully busy (0: idle in `idle_state`), watts.
/// Busy: core_w * f * V^2 * busy_cores + idle clock + leakage. Idle: the state's fractions of clock and leakage.
double cluster_power_w(const Cluster& cluster, OppId opp, double busy_cores, std::size_t idle_state,
                       double temperature_c) noexcept;

/// The idle state a cluster is in after `idle_s` seconds idle (the deepest whose residency has passed).
std::size_t idle_state_after(const Cluster& cluster, double idle_s) noexcept;

/// The state of a cluster that nobody wakes.
std::size_t deepest_idle_state(const Cluster& cluster) noexcept;

/// How long all clusters must have been idle for each to be in its deepest state, seconds.
double deepest_idle_s(const Board& board) noexcept;

/// Temperature after `dt_s` seconds at constant power: the exact solution of the RC node.
double temperature_after_c(const Thermal& thermal, double temperature_c, double ambient_c, double power_w,
                           double dt_s) noexcept;

/// What the counted rails draw for each watt of every rail, by place in the board: 1 of a counted rail itself, of a
/// part its upstream_w_per_w times that of the rail that contains it, 0 of what is outside. Counted: `rail` alone, or
/// without it the accounting rails.
std::vector<double> counted_w_per_w(const Board& board, std::optional<std::size_t> rail = std::nullopt);

/// Place of the rail that feeds a cluster; the number of rails where the board has none of that name.
std::size_t rail_of(const Board& board, const Cluster& cluster) noexcept;

/// Bytes of all layers: what the memory rail is charged for.
double bytes_of(std::span<const LayerCost> layers) noexcept;

}  // namespace reins::boards
