#include "sensors/health.hpp"

#include <algorithm>

namespace reins::sensors {

std::string_view name_of(Health health) noexcept {
  switch (health) {
    case Health::kFine:
      return "fine";
    case Health::kFailing:
      return "failing";
    case Health::kStale:
      return "stale";
    case Health::kStuck:
      return "stuck";
  }
  return "unknown";
}

HealthWatch::HealthWatch(const Signal& signal, const Config& config) noexcept
    : may_stick_(signal.quantity == Quantity::kPowerW || signal.quantity == Quantity::kEnergyJ),
      period_s_(signal.period_s),
      stale_s_(std::max(config.stale_least_s, config.stale_periods * signal.period_s)),
      stuck_s_(std::max(config.stuck_least_s, config.stuck_periods * signal.period_s)) {}

Health HealthWatch::judge(const Reading& reading, double now_s, std::uint64_t load_changes) noexcept {
  if (!seen_ || reading.updates != updates_ || period_s_ <= 0) updated_s_ = now_s;
  if (!seen_ || reading.value != value_) {
    changed_s_ = now_s;
    changed_load_ = load_changes;
  }
  seen_ = true;
  updates_ = reading.updates;
  value_ = reading.value;
  if (now_s - updated_s_ > stale_s_ || (period_s_ > 0 && reading.age_s > stale_s_)) return Health::kStale;
  if (may_stick_ && now_s - changed_s_ >= stuck_s_ && load_changes > changed_load_) return Health::kStuck;
  return Health::kFine;
}

Health HealthWatch::see(const Result<Reading>& result, double now_s, std::uint64_t load_changes) noexcept {
  if (first_s_ == 0) first_s_ = now_s;
  const Health before = health_;
  if (result.has_value()) {
    health_ = judge(*result, now_s, load_changes);
  } else if (result.error().kind() == ErrorKind::kBusy && !seen_) {
    health_ = now_s - first_s_ > stale_s_ ? Health::kStale : Health::kFine;
  } else {
    health_ = Health::kFailing;
    error_ = result.error();
  }
  if (before == Health::kFine && health_ != Health::kFine) ++failures_;
  return health_;
}

}  // namespace reins::sensors
