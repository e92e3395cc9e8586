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

/// While it lives, whatever this program writes into a file of this name becomes `made`, or fails with `sys_errno`.
/// One at a time.
class StubbornFile {
 public:
  StubbornFile(const char* name, std::int64_t made) noexcept;
  static StubbornFile refusing(const char* name, int sys_errno) noexcept;
  ~StubbornFile();
  StubbornFile(const StubbornFile&) = delete;
  StubbornFile& operator=(const StubbornFile&) = delete;

 private:
  StubbornFile(const char* name, std::int64_t made, int sys_errno) noexcept;
};

}  // namespace reins::testing
