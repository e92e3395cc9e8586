#include "boards/physics.hpp"

#include <algorithm>
#include <cmath>

#include "boards/by_name.hpp"

namespace reins::boards {

double speed_up(const TimeModel& time, int cores) noexcept {
  return 1.0 / ((1.0 - time.parallel_fraction) + time.parallel_fraction / std::max(cores, 1));
}

namespace {

double frequency_hz(const OperatingPoint& opp) noexcept {
  return opp.freq_khz > 0 ? static_cast<double>(opp.freq_khz) * 1e3 : 1e9;
}

}  // namespace

double layers_time_s(const Board& board, MappingId mapping, OppId opp, std::span<const LayerCost> layers,
                     double batch) noexcept {
  const Mapping& placed = board.mappings[mapping.index()];
  const Cluster& cluster = board.clusters[placed.cluster.index()];
  const TimeModel& model = cluster.time;
  const double freq_hz = frequency_hz(cluster.opps[opp.index()]);
  const double s_per_mac = 1.0 / (model.macs_per_cycle * freq_hz * speed_up(model, placed.cores));
  const double s_per_byte = 1.0 / model.bytes_per_s;
  const double s_per_launch = model.launch_cycles / freq_hz + model.launch_s;
  double time_s = 0;
  for (const LayerCost& layer : layers) {
    const double compute_s = batch * layer.macs * s_per_mac;
    const double memory_s = batch * layer.bytes * s_per_byte;
    const double both_s = std::max(compute_s, memory_s) + (1 - model.overlap) * std::min(compute_s, memory_s);
    time_s += both_s + layer.launches * s_per_launch;
  }
  return time_s / placed.cpu_quota;
}

double inference_time_s(const Board& board, MappingId mapping, OppId opp, std::span<const LayerCost> layers,
                        double batch) noexcept {
  const Mapping& placed = board.mappings[mapping.index()];
  const Cluster& cluster = board.clusters[placed.cluster.index()];
  const double call_hz = frequency_hz(cluster.opps[opp.index()]) * speed_up(cluster.time, placed.cores);
  return cluster.time.call_cycles / call_hz / placed.cpu_quota + layers_time_s(board, mapping, opp, layers, batch);
}

double leakage_w(const PowerModel& power, double voltage_v, double temperature_c) noexcept {
  if (power.leak_w == 0) return 0;
  // (V/Vref)^n exp(k dT) in one exponential.
  return power.leak_w * std::exp(power.leak_voltage_exponent * std::log(voltage_v / power.leak_ref_v) +
                                 power.leak_per_c * (temperature_c - power.leak_ref_c));
}

double cluster_power_at_w(const Cluster& cluster, const OperatingPoint& point, double busy_cores,
                          std::size_t idle_state, double temperature_c) noexcept {
  const double mhz_v2 = static_cast<double>(point.freq_khz) * 1e-3 * point.voltage_v * point.voltage_v;
  const double clock_w = cluster.power.idle_clock_w_per_mhz_v2 * mhz_v2;
  const double leak_w = leakage_w(cluster.power, point.voltage_v, temperature_c);
  if (busy_cores > 0) return cluster.power.core_w_per_mhz_v2 * mhz_v2 * busy_cores + clock_w + leak_w;
  const IdleState& state = cluster.idle[std::min(idle_state, deepest_idle_state(cluster))];
  return clock_w * state.clock_fraction + leak_w * state.leakage_fraction;
}

double cluster_power_w(const Cluster& cluster, OppId opp, double busy_cores, std::size_t idle_state,
                       double temperature_c) noexcept {
  return cluster_power_at_w(cluster, cluster.opps[opp.index()], busy_cores, idle_state, temperature_c);
}

std::size_t idle_state_after(const Cluster& cluster, double idle_s) noexcept {
  std::size_t state = 0;
  for (std::size_t i = 1; i < cluster.idle.size(); ++i) {
    if (idle_s >= cluster.idle[i].residency_s) state = i;
  }
  return state;
}

std::size_t deepest_idle_state(const Cluster& cluster) noexcept { return cluster.idle.size() - 1; }

double deepest_idle_s(const Board& board) noexcept {
  double deepest_s = 0;
  for (const Cluster& cluster : board.clusters) {
    for (const IdleState& state : cluster.idle) deepest_s = std::max(deepest_s, state.residency_s);
  }
  return deepest_s;
}

double temperature_after_c(const Thermal& thermal, double temperature_c, double ambient_c, double power_w,
                           double dt_s) noexcept {
  const double settled_c = ambient_c + power_w * thermal.r_c_per_w;
  return settled_c + (temperature_c - settled_c) * std::exp(-dt_s / (thermal.r_c_per_w * thermal.c_j_per_c));
}

std::size_t rail_of(const Board& board, const Cluster& cluster) noexcept {
  return cluster.rail.empty() ? board.rails.size() : index_of(board.rails, cluster.rail);
}

std::vector<double> counted_w_per_w(const Board& board, std::optional<std::size_t> rail) {
  std::vector<double> w_per_w(board.rails.size(), 0.0);
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < board.rails.size(); ++i) {
    if (rail ? i == *rail : board.rails[i].accounting) open.push_back(i), w_per_w[i] = 1;
  }
  while (!open.empty()) {
    const std::size_t whole = open.back();
    open.pop_back();
    for (const std::string& name : board.rails[whole].contains) {
      const std::size_t part = index_of(board.rails, name);
      if (w_per_w[part] > 0) continue;
      w_per_w[part] = w_per_w[whole] * board.rails[part].upstream_w_per_w;
      open.push_back(part);
    }
  }
  return w_per_w;
}

double bytes_of(std::span<const LayerCost> layers) noexcept {
  double bytes = 0;
  for (const LayerCost& layer : layers) bytes += layer.bytes;
  return bytes;
}

}  // namespace reins::boards
