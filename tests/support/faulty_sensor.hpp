// tests/support/faulty_sensor.hpp: a sensor that says what a test tells it, and fails, stalls or goes stale on demand.
#pragma once

#include <string>

#include "sensors/sensor.hpp"
#include "tests/support/fake_clock.hpp"

namespace reins::testing {

/// A fake of the world: it keeps the contract of Sensor in everything that a test does not break on purpose.
class FaultySensor final : public sensors::Sensor {
 public:
  FaultySensor(sensors::Signal signal, FakeClock& clock) : signal_(std::move(signal)), clock_(clock) {}

  const sensors::Signal& signal() const noexcept override { return signal_; }

  Result<sensors::Reading> read() noexcept override {
    ++reads_;
    clock_.advance(stall_s_);
    if (reads_ == fail_at_ || broken_) return fail(error_);
    if (!stale_) {
      ++updates_;
      taken_s_ = clock_.now_s();
    }
    return sensors::Reading{value_, clock_.now_s(), clock_.now_s() - taken_s_, updates_};
  }

  void set(double value) noexcept { value_ = value; }
  /// The n-th read from now (1: the next) fails with `error`, once.
  void fail_nth(int n, Error error) noexcept {
    fail_at_ = reads_ + n;
    error_ = error;
  }
  /// Every read from now on fails.
  void die(Error error) noexcept {
    broken_ = true;
    error_ = error;
  }
  /// Each read takes this long on the fake clock.
  void stall(double stall_s) noexcept { stall_s_ = stall_s; }
  /// From now on the value is the last one, with growing age.
  void go_stale(bool stale = true) noexcept { stale_ = stale; }
  int reads() const noexcept { return reads_; }

 private:
  sensors::Signal signal_;
  FakeClock& clock_;
  Error error_;
  double value_ = 0;
  double stall_s_ = 0;
  double taken_s_ = 0;
  std::uint64_t updates_ = 0;
  int reads_ = 0;
  int fail_at_ = -1;
  bool broken_ = false;
  bool stale_ = false;
};

}  // namespace reins::testing
