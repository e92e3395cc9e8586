// sensors/energy_integrator.hpp: joules of one rail from its readings, and how far they are to be trusted.
#pragma once

#include <cstdint>

#include "sensors/sensor.hpp"

namespace reins::sensors {

/// A counter is differenced (the sensor has unwrapped it). A gauge is integrated by the trapezoid rule over the
/// device's own new values: a value that was only read again counts for nothing, and each stands for the middle of the
/// time in which the device may have taken it. For a device that averages over its period the sum of trapezoids is the
/// sum of averages x period but for half a period at each end.
///
/// The interval is twice the standard uncertainty of the sum, plus what gaps may have held:
///   between two values the power went anywhere from one to the other, and their times are known to within their age:
///     variance (difference)^2 (dt^2 + age^2) / 12 each;
///   noise of each value (relative, as the board file has it): (noise x power x dt)^2 each;
///   rounding to the device's quantum q: q^2 / 12, the same error for as long as the value repeats itself;
///   a gap (failed reads, or no new value for several periods) is bridged, and counted in full: its width is all of the
///     energy it was given. While it lasts it grows with the mean power so far, though no energy is added.
/// What a shunt or a model behind a counter is off by all the time is not in it. Allocates nothing.
class EnergyIntegrator {
 public:
  struct Config {
    double quantum_w = 0;         ///< of a gauge; 0: the smallest step seen between two values
    double noise = 0;             ///< relative sigma of one value of a gauge
    double gap_periods = 3;       ///< no new value for this many of the device's periods, and at least ...
    double gap_least_s = 0.5;     ///< ... this long, is a gap
    double max_power_w = 100000;  ///< a counter that grew faster was reset, and what it says of that time is a gap
  };
  explicit EnergyIntegrator(const Signal& signal) noexcept : EnergyIntegrator(signal, Config{}) {}
  EnergyIntegrator(const Signal& signal, const Config& config) noexcept;

  /// A reading that the sensor gave. The first one begins the account.
  void add(const Reading& reading) noexcept;
  /// A read failed, or what it said is not to be believed. A counter goes on by itself and will say what was drawn
  /// meanwhile, unless it was `reset`.
  void miss(bool reset = false) noexcept;
  /// The value has been the same for so long that it is not believed any more: what it gave since it last changed is
  /// counted as a gap.
  void distrust() noexcept;
  /// The end of the account: a gauge's last value stands for the time up to `now_s`, as its last good one.
  void close(double now_s) noexcept;

  double energy_j() const noexcept { return energy_j_; }
  /// Half-width of the interval that holds the energy with about 95 %; `now_s` for a gap that still lasts.
  double ci_j(double now_s) const noexcept;
  /// Up to here energy_j() is. The first reading's time at the start.
  double until_s() const noexcept { return last_s_; }
  /// Time of the account that gaps took, the present one left out.
  double gap_s() const noexcept { return gap_s_; }

 private:
  void add_count(const Reading& reading) noexcept;
  void add_value(const Reading& reading, double at_s) noexcept;
  void bridge(double energy_j, double width_j, double dt_s) noexcept;
  double mean_w() const noexcept;

  bool counter_;
  double period_s_, gap_limit_s_;
  Config config_;
  bool begun_ = false, missed_ = false, reset_ = false;
  double began_s_ = 0, last_s_ = 0, last_age_s_ = 0;
  double value_ = 0;  ///< newest: watts, or joules of a counter
  std::uint64_t updates_ = 0;
  double energy_j_ = 0, gap_j_ = 0, gap_s_ = 0;
  double variance_j2_ = 0;
  double step_w_ = 0;                   ///< smallest seen between two values
  double repeats_s2_ = 0;               ///< sum of squared lengths of runs of one value
  double repeat_s_ = 0, repeat_j_ = 0;  ///< the run that lasts
};

}  // namespace reins::sensors
