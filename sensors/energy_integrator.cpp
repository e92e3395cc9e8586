#include "sensors/energy_integrator.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace reins::sensors {

EnergyIntegrator::EnergyIntegrator(const Signal& signal, const Config& config) noexcept
    : counter_(signal.behaviour == Behaviour::kCounter),
      period_s_(signal.period_s),
      gap_limit_s_(std::max(config.gap_least_s, config.gap_periods * signal.period_s)),
      config_(config) {}

double EnergyIntegrator::mean_w() const noexcept {
  if (last_s_ > began_s_) return energy_j_ / (last_s_ - began_s_);
  return counter_ ? 0 : value_;
}

void EnergyIntegrator::bridge(double energy_j, double width_j, double dt_s) noexcept {
  energy_j_ += energy_j;
  gap_j_ += width_j;
  gap_s_ += dt_s;
}

void EnergyIntegrator::add(const Reading& reading) noexcept {
  // A gauge's value was taken within its age, and a read of one without a period is a new one.
  const bool fresh = counter_ || period_s_ <= 0 || reading.updates != updates_;
  const double at_s = counter_ ? reading.time_s : reading.time_s - reading.age_s / 2;
  if (!begun_) {
    begun_ = true;
    began_s_ = last_s_ = at_s;
    value_ = reading.value;
  } else if (fresh && counter_) {
    add_count(reading);
  } else if (fresh) {
    add_value(reading, std::max(at_s, last_s_));
  }
  if (!fresh) return;
  updates_ = reading.updates;
  last_age_s_ = reading.age_s;
  missed_ = reset_ = false;
}

void EnergyIntegrator::add_count(const Reading& reading) noexcept {
  const double dt_s = reading.time_s - last_s_;
  const double grown_j = reading.value - std::exchange(value_, reading.value);
  const double mean_before_w = mean_w();
  const bool impossible = grown_j < 0 || grown_j > config_.max_power_w * std::max(dt_s, 1e-3);
  if (reset_ || impossible) {
    const double likely_j = std::max(mean_before_w * dt_s, impossible ? 0 : grown_j);
    bridge(likely_j, likely_j, dt_s);
  } else {
    energy_j_ += grown_j;
  }
  last_s_ = reading.time_s;
}

void EnergyIntegrator::add_value(const Reading& reading, double at_s) noexcept {
  const double dt_s = at_s - std::exchange(last_s_, at_s);
  const double before_w = std::exchange(value_, reading.value);
  const double step_w = std::abs(value_ - before_w);
  const double energy_j = (before_w + value_) / 2 * dt_s;
  if (step_w > 0) {
    if (step_w_ <= 0 || step_w < step_w_) step_w_ = step_w;
    repeats_s2_ += repeat_s_ * repeat_s_;
    repeat_s_ = repeat_j_ = 0;
  }
  if (missed_ || dt_s > gap_limit_s_) {
    const double highest_w = std::max({before_w, value_, began_s_ < last_s_ ? energy_j_ / (last_s_ - began_s_) : 0.0});
    bridge(energy_j, std::abs(highest_w) * dt_s, dt_s);
    return;
  }
  energy_j_ += energy_j;
  repeat_s_ += dt_s;
  repeat_j_ += energy_j;
  const double noise_j = config_.noise * value_ * dt_s;
  const double age_s = reading.age_s;
  variance_j2_ += step_w * step_w * (dt_s * dt_s + age_s * age_s) / 12 + noise_j * noise_j;
}

void EnergyIntegrator::miss(bool reset) noexcept {
  missed_ = true;
  reset_ = reset_ || reset;
}

void EnergyIntegrator::distrust() noexcept {
  missed_ = true;
  gap_j_ += std::abs(repeat_j_);
  gap_s_ += repeat_s_;
  repeat_s_ = repeat_j_ = 0;
}

void EnergyIntegrator::close(double now_s) noexcept {
  const double tail_s = now_s - last_s_;
  if (!begun_ || counter_ || missed_ || tail_s <= 0 || tail_s > gap_limit_s_) return;
  const double tail_j = value_ * tail_s;
  energy_j_ += tail_j;
  variance_j2_ += tail_j * tail_j / 3;  // it may have been anything from none to twice as much
  last_s_ = now_s;
}

double EnergyIntegrator::ci_j(double now_s) const noexcept {
  double variance_j2 = variance_j2_;
  if (counter_) {
    // Both ends: a counter that its device renews now and then is behind by up to its age.
    const double end_j = mean_w() * last_age_s_;
    variance_j2 += 2 * end_j * end_j / 12;
  } else {
    const double quantum_w = config_.quantum_w > 0 ? config_.quantum_w : step_w_;
    variance_j2 += quantum_w * quantum_w / 12 * (repeats_s2_ + repeat_s_ * repeat_s_);
  }
  double width_j = 2 * std::sqrt(variance_j2) + gap_j_;
  const double silent_s = now_s - last_s_;
  if (begun_ && silent_s > 0 && (missed_ || silent_s > gap_limit_s_)) width_j += std::abs(mean_w()) * silent_s;
  return width_j;
}

}  // namespace reins::sensors
