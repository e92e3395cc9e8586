// tests/support/cooling_device.hpp: what the kernel makes of a maximum frequency while a cooling device caps it.
#pragma once

#include <cstdint>

namespace reins::testing {

/// While it lives, whatever this program writes into a file named scaling_max_freq or max_freq is cut to `cap`.
/// One at a time.
class CoolingDevice {
 public:
  explicit CoolingDevice(std::int64_t cap) noexcept;
  ~CoolingDevice();
  CoolingDevice(const CoolingDevice&) = delete;
  CoolingDevice& operator=(const CoolingDevice&) = delete;
};

}  // namespace reins::testing
