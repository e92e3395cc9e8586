#include "tests/kernel/guest.hpp"

#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <thread>

#include "core/kernel_file.hpp"

namespace reins::kernel_tests {
namespace {

constexpr int kIna226 = 0x40;
constexpr int kLm75 = 0x48;

/// The chips send the high byte first, SMBus words the low one.
std::uint16_t swapped(std::uint16_t value) noexcept { return static_cast<std::uint16_t>((value >> 8) | (value << 8)); }

std::string address_of(const std::string& chip) { return chip == "lm75" ? "0x48" : "0x40"; }

}  // namespace

int put(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const std::string line = text + "\n";
  const ssize_t n = ::write(fd, line.data(), line.size());
  const int code = n < 0 ? errno : 0;
  ::close(fd);
  return code;
}

bool wait_for(const std::function<bool()>& done, std::chrono::seconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

std::string bus_folder() {
  for (const auto& bus : find_paths("/", "sys/bus/i2c/devices/i2c-*")) {
    if (first_line(bus / "name").starts_with("SMBus stub")) return bus.native();
  }
  return {};
}

bool plug(const std::string& chip) { return put(bus_folder() + "/new_device", chip + " " + address_of(chip)) == 0; }

bool unplug(const std::string& chip) { return put(bus_folder() + "/delete_device", address_of(chip)) == 0; }

bool load_module(const std::string& name) {
  const int fd = ::open(("/modules/" + name + ".ko").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool loaded = ::syscall(SYS_finit_module, fd, "", 0) == 0;
  ::close(fd);
  return loaded;
}

bool unload_module(const std::string& name) { return ::syscall(SYS_delete_module, name.c_str(), O_NONBLOCK) == 0; }

Chips::Chips() {
  const std::string folder = bus_folder();
  if (!folder.empty()) bus_ = ::open(("/dev/" + folder.substr(folder.rfind('/') + 1)).c_str(), O_RDWR | O_CLOEXEC);
}

Chips::~Chips() {
  if (bus_ >= 0) ::close(bus_);
}

std::optional<std::uint16_t> Chips::word(int address, std::uint8_t reg) {
  i2c_smbus_data data{};
  i2c_smbus_ioctl_data call{I2C_SMBUS_READ, reg, I2C_SMBUS_WORD_DATA, &data};
  // Forced: a driver holds the address.
  if (::ioctl(bus_, I2C_SLAVE_FORCE, address) < 0 || ::ioctl(bus_, I2C_SMBUS, &call) < 0) return std::nullopt;
  return swapped(data.word);
}

bool Chips::set_word(int address, std::uint8_t reg, std::uint16_t value) {
  i2c_smbus_data data{};
  data.word = swapped(value);
  i2c_smbus_ioctl_data call{I2C_SMBUS_WRITE, reg, I2C_SMBUS_WORD_DATA, &data};
  return ::ioctl(bus_, I2C_SLAVE_FORCE, address) >= 0 && ::ioctl(bus_, I2C_SMBUS, &call) >= 0;
}

std::optional<double> Chips::set_power_w(double power_w) {
  const auto calibration = word(kIna226, 0x05);
  if (!calibration || *calibration == 0) return std::nullopt;
  const double step_w = 25 * 0.00512 / (*calibration * kShuntOhm);
  const double steps = std::clamp(std::round(power_w / step_w), 0.0, 65535.0);
  if (!set_word(kIna226, 0x03, static_cast<std::uint16_t>(steps))) return std::nullopt;
  return steps * step_w;
}

bool Chips::set_temperature_c(double temperature_c) {
  const auto halves = static_cast<std::int16_t>(std::lround(std::clamp(temperature_c, -55.0, 125.0) * 2));
  return set_word(kLm75, 0x00, static_cast<std::uint16_t>(halves << 7));
}

}  // namespace reins::kernel_tests
