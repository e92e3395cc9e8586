// tests/support/faulty_actuator.hpp: an actuator that changes nothing but itself, and fails, stalls or rounds on
// demand.
#pragma once

#include <string>
#include <vector>

#include "actuators/actuator.hpp"
#include "tests/support/fake_clock.hpp"

namespace reins::testing {

/// A fake of the world: it keeps the contract of Actuator in everything that a test does not break on purpose.
class FaultyActuator final : public actuators::FrequencyActuator {
 public:
  FaultyActuator(std::string name, std::vector<std::int64_t> khz, FakeClock& clock)
      : name_(std::move(name)), khz_(std::move(khz)), clock_(clock), cap_khz_(khz_.back()), now_(found()) {}

  std::string_view name() const noexcept override { return name_; }
  std::string_view source() const noexcept override { return "fake"; }
  std::span<const std::int64_t> available_khz() const noexcept override { return khz_; }
  bool pins() const noexcept override { return false; }
  Result<std::int64_t> cap_khz() noexcept override { return cap_khz_; }
  Result<actuators::Foreign> look() noexcept override { return actuators::Foreign{}; }
  actuators::Foreign foreign() const noexcept override { return {}; }

  Result<actuators::Setting> apply(const actuators::Setting& setting) noexcept override {
    ++applies_;
    clock_.advance(stall_s_);
    if (applies_ == fail_at_ || broken_) return fail(error_);
    if (const auto* freq = std::get_if<actuators::FreqKhz>(&setting)) {
      auto at = std::lower_bound(khz_.begin(), khz_.end(), freq->khz);
      if (at == khz_.end()) --at;
      while (at != khz_.begin() && *at > cap_khz_) --at;
      now_ = actuators::FreqKhz{*at};
    } else if (std::holds_alternative<actuators::GovernorName>(setting)) {
      now_ = setting;
    } else {
      return fail(ErrorKind::kUnsupported, "takes a frequency or a governor", "fake");
    }
    return now_;
  }
  Result<actuators::Setting> present() noexcept override { return now_; }
  Status restore() noexcept override {
    if (broken_) return fail(error_);
    now_ = found();
    return {};
  }

  /// The n-th apply from now (1: the next) fails with `error`, once.
  void fail_nth(int n, Error error) noexcept {
    fail_at_ = applies_ + n;
    error_ = error;
  }
  /// Every call from now on fails.
  void die(Error error) noexcept {
    broken_ = true;
    error_ = error;
  }
  /// Each apply takes this long on the fake clock.
  void stall(double stall_s) noexcept { stall_s_ = stall_s; }
  /// As a cooling device would.
  void cap(std::int64_t khz) noexcept { cap_khz_ = khz; }
  int applies() const noexcept { return applies_; }

 private:
  static actuators::Setting found() noexcept { return actuators::GovernorName("schedutil"); }

  std::string name_;
  std::vector<std::int64_t> khz_;
  FakeClock& clock_;
  std::int64_t cap_khz_;
  actuators::Setting now_;
  Error error_;
  double stall_s_ = 0;
  int applies_ = 0;
  int fail_at_ = -1;
  bool broken_ = false;
};

}  // namespace reins::testing
