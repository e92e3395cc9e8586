#include "tests/support/cooling_device.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

namespace reins::testing {
namespace {

std::int64_t cap_in_force = 0;  // 0: it is cool

const char* stubborn_name = nullptr;
std::int64_t stubborn_value = 0;
int stubborn_errno = 0;

bool is_named(int fd, std::string_view wanted) {
  std::array<char, 512> name{};
  const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name.data(), name.size());
  return n > 0 && std::string_view(name.data(), static_cast<std::size_t>(n)).ends_with(wanted);
}

/// Not by syscall(): how the offset's 64 bits are passed differs between processors.
ssize_t write_at(int fd, const void* bytes, std::size_t size, off_t at) {
  const iovec whole{const_cast<void*>(bytes), size};
  return ::pwritev(fd, &whole, 1, at);
}

}  // namespace

CoolingDevice::CoolingDevice(std::int64_t cap) noexcept { cap_in_force = cap; }
CoolingDevice::~CoolingDevice() { cap_in_force = 0; }

StubbornFile::StubbornFile(const char* name, std::int64_t made, int sys_errno) noexcept {
  stubborn_name = name;
  stubborn_value = made;
  stubborn_errno = sys_errno;
}
StubbornFile::StubbornFile(const char* name, std::int64_t made) noexcept : StubbornFile(name, made, 0) {}
StubbornFile StubbornFile::refusing(const char* name, int sys_errno) noexcept { return {name, 0, sys_errno}; }
StubbornFile::~StubbornFile() { stubborn_name = nullptr; }

}  // namespace reins::testing

// In place of the C library's, for this program: a plain file cannot answer with less than was written.
extern "C" ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t at) {
  using namespace reins::testing;
  if (stubborn_name != nullptr && is_named(fd, stubborn_name)) {
    if (stubborn_errno != 0) {
      errno = stubborn_errno;
      return -1;
    }
    const std::string made = std::to_string(stubborn_value);
    return write_at(fd, made.data(), made.size(), at) < 0 ? -1 : static_cast<ssize_t>(size);
  }
  if (cap_in_force > 0 && is_named(fd, "max_freq")) {
    const long long wanted = std::atoll(std::string(static_cast<const char*>(bytes), size).c_str());
    const std::string made = std::to_string(std::min<long long>(wanted, cap_in_force));
    return write_at(fd, made.data(), made.size(), at) < 0 ? -1 : static_cast<ssize_t>(size);
  }
  return write_at(fd, bytes, size, at);
}
