#include "control/recent_rate.hpp"

namespace reins::control {

void RecentRate::sample(double now_s, std::uint64_t total) noexcept {
  newest_ = {now_s, total};
  const auto at = [this](std::size_t i) -> Sample& { return ring_[(first_ + i) % ring_.size()]; };
  // Those before the last that is old enough to begin the window are done with.
  while (size_ > 1 && at(1).time_s <= now_s - kWindow_s) {
    first_ = (first_ + 1) % ring_.size();
    --size_;
  }
  if (size_ > 0 && now_s - at(size_ - 1).time_s < kWindow_s / kGrains) return;
  at(size_++) = newest_;
}

double RecentRate::per_s() const noexcept {
  if (size_ == 0) return 0;
  const Sample& from = ring_[first_];
  const double span_s = newest_.time_s - from.time_s;
  return span_s > 0 ? static_cast<double>(newest_.total - from.total) / span_s : 0;
}

}  // namespace reins::control
