#include "control/energy_account.hpp"

#include <algorithm>
#include <cmath>

namespace reins::control {

std::string_view name_of(EnergySource source) noexcept {
  switch (source) {
    case EnergySource::kNone:
      return "none";
    case EnergySource::kModelled:
      return "modelled";
    case EnergySource::kAttributed:
      return "attributed";
    case EnergySource::kMeasured:
      return "measured";
  }
  return "none";
}

void EnergyAccount::pass(double dt_s, std::optional<double> power_w) noexcept {
  if (dt_s <= 0) return;
  if (!power_w.has_value()) {
    known_ = false;
    return;
  }
  const double energy_j = dt_s * *power_w;
  total_j_ += energy_j * scale_;
  modelled_in_window_j_ += energy_j;
}

void EnergyAccount::measured(double window_s, double power_w) noexcept {
  measured_in_window_j_ += window_s * power_w;
  measured_j_ += window_s * power_w;
  if (++updates_ < config_.updates_per_window) return;
  if (modelled_in_window_j_ > 0) {
    // A scale outside these bounds is a profile of another machine, not a correction of this one.
    const double now = std::clamp(measured_in_window_j_ / modelled_in_window_j_, 0.2, 5.0);
    if (calibrated_) {
      const double off = (now - scale_) / scale_;
      ++spreads_;
      spread_ += std::max(config_.gain, 1.0 / spreads_) * (off * off - spread_);
    }
    scale_ = calibrated_ ? scale_ + config_.gain * (now - scale_) : now;
    calibrated_ = true;
  }
  updates_ = 0;
  modelled_in_window_j_ = 0;
  measured_in_window_j_ = 0;
}

std::optional<double> EnergyAccount::relative_sigma() const noexcept {
  constexpr int kFew = 3;
  return spreads_ < kFew ? std::nullopt : std::optional(std::sqrt(spread_));
}

EnergySource EnergyAccount::source() const noexcept {
  if (!known_) return EnergySource::kNone;
  return calibrated_ ? EnergySource::kAttributed : EnergySource::kModelled;
}

}  // namespace reins::control
