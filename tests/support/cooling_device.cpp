#include "tests/support/cooling_device.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

namespace reins::testing {
namespace {

std::int64_t cap_in_force = 0;  // 0: it is cool

bool is_maximum(int fd) {
  std::array<char, 512> name{};
  const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name.data(), name.size());
  return n > 0 && std::string_view(name.data(), static_cast<std::size_t>(n)).ends_with("max_freq");
}

/// Not by syscall(): how the offset's 64 bits are passed differs between processors.
ssize_t write_at(int fd, const void* bytes, std::size_t size, off_t at) {
  const iovec whole{const_cast<void*>(bytes), size};
  return ::pwritev(fd, &whole, 1, at);
}

}  // namespace

CoolingDevice::CoolingDevice(std::int64_t cap) noexcept { cap_in_force = cap; }
CoolingDevice::~CoolingDevice() { cap_in_force = 0; }

}  // namespace reins::testing

// In place of the C library's, for this program: a plain file cannot answer with less than was written.
extern "C" ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t at) {
  using namespace reins::testing;
  if (cap_in_force > 0 && is_maximum(fd)) {
    const long long wanted = std::atoll(std::string(static_cast<const char*>(bytes), size).c_str());
    const std::string made = std::to_string(std::min<long long>(wanted, cap_in_force));
    return write_at(fd, made.data(), made.size(), at) < 0 ? -1 : static_cast<ssize_t>(size);
  }
  return write_at(fd, bytes, size, at);
}
