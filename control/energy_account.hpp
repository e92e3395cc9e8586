// control/energy_account.hpp: energy of short intervals from a slow sensor: profiled power x time, scaled to what was
// measured.
#pragma once

#include <optional>

#include "control/telemetry.hpp"

namespace reins::control {

/// A rail sensor speaks every 0.2 s while inferences take milliseconds. So each interval is charged its profiled power
/// (busy or idle, known to the Runtime), and the sum over windows of several sensor updates is scaled to what the
/// sensor measured over the same windows. Where there is no sensor the scale stays 1 and the source is "modelled";
/// where the profile has no power, energy is absent.
class EnergyAccount {
 public:
  struct Config {
    int updates_per_window = 5;  ///< sensor updates behind one estimate of the scale; more: steadier and slower. 1..100
    double gain = 0.3;           ///< weight of a new window in the scale's moving average, (0, 1]
  };
  EnergyAccount() noexcept : EnergyAccount(Config{}) {}
  explicit EnergyAccount(const Config& config) noexcept : config_(config) {}

  /// `dt_s` seconds have passed at profiled power `power_w` (absent: the profile has none).
  void pass(double dt_s, std::optional<double> power_w) noexcept;
  /// The sensor's mean power over the last `window_s` seconds.
  void measured(double window_s, double power_w) noexcept;

  /// Scaled energy since the account began, joules.
  double total_j() const noexcept { return total_j_; }
  bool known() const noexcept { return known_; }
  double scale() const noexcept { return scale_; }
  /// Energy that the sensor itself has summed, joules.
  double measured_j() const noexcept { return measured_j_; }
  EnergySource source() const noexcept;
  /// How far windows lie from the scale, relative, exponentially averaged: what an interval's energy is off by when
  /// profile and board part. Absent before a few windows have been seen, and where there is no sensor.
  std::optional<double> relative_sigma() const noexcept;

 private:
  Config config_;
  double total_j_ = 0;
  double modelled_in_window_j_ = 0;
  double measured_in_window_j_ = 0;
  double measured_j_ = 0;
  int updates_ = 0;
  double scale_ = 1;
  double spread_ = 0;  ///< mean square of a window's relative distance from the scale before it
  int spreads_ = 0;    ///< windows behind it
  bool known_ = true;
  bool calibrated_ = false;
};

}  // namespace reins::control
