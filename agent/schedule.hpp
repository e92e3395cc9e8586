// agent/schedule.hpp: values that change linearly with the step count.
#pragma once

#include <algorithm>
#include <cstdint>

namespace reins::agent {

/// `from` at step 0, `to` at step `over` and for ever after.
struct LinearSchedule {
  double from = 1;
  double to = 0;
  std::int64_t over = 1;

  double at(std::int64_t step) const noexcept {
    if (over <= 0 || step >= over) return to;
    return from + (to - from) * static_cast<double>(std::max<std::int64_t>(step, 0)) / static_cast<double>(over);
  }
};

}  // namespace reins::agent
