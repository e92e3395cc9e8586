// control/recent_rate.hpp: how fast a counter grows, over the last seconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reins::control {

/// Growth per second of a counter over the last `kWindow_s` seconds, or since the first sample where that is less long
/// ago. Samples may come as often as they like; of those closer than the grain only the newest is kept, so a window may
/// be up to one grain longer. Allocates nothing. Threads: one at a time.
class RecentRate {
 public:
  static constexpr double kWindow_s = 10;

  /// `total` at `now_s`; neither may run backwards.
  void sample(double now_s, std::uint64_t total) noexcept;
  /// 0 until two samples lie apart in time.
  double per_s() const noexcept;

 private:
  struct Sample {
    double time_s = 0;
    std::uint64_t total = 0;
  };
  static constexpr std::size_t kGrains = 40;
  std::array<Sample, kGrains + 3> ring_;
  std::size_t first_ = 0, size_ = 0;
  Sample newest_;
};

}  // namespace reins::control
