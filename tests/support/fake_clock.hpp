// tests/support/fake_clock.hpp: a clock that stands still until a test moves it.
#pragma once

#include "core/clock.hpp"

namespace reins::testing {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(double now_s = 1000) noexcept : now_s_(now_s) {}
  double now_s() const noexcept override { return now_s_; }
  void advance(double dt_s) noexcept { now_s_ += dt_s; }

 private:
  double now_s_;
};

}  // namespace reins::testing
