// tests/kernel/guest.hpp: the guest that the checks run in: its kernel files, and the chips on its emulated I2C bus.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace reins::kernel_tests {

inline const std::string kBigPolicy = "/sys/devices/system/cpu/cpufreq/policy0";
inline const std::string kLittlePolicy = "/sys/devices/system/cpu/cpufreq/policy1";
inline const std::string kBoardFile = "/reins/board.toml";
inline const std::string kProgram = "/reins/bin/reins";
/// The P-states of guest/platform.asl, kHz.
inline const std::vector<std::int64_t> kBigKhz = {400000, 800000, 1200000, 1600000, 2000000};
inline const std::vector<std::int64_t> kLittleKhz = {300000, 600000, 900000, 1300000};

/// Writes as `echo text > path` does. 0 or the errno with which the kernel refuses.
int put(const std::string& path, const std::string& text);

/// Polls `done` until it holds; false after `patience`. A guest without KVM on a busy machine is slow: no shorter bound
/// is worth having.
bool wait_for(const std::function<bool()>& done, std::chrono::seconds patience = std::chrono::seconds(30));

/// The calling thread runs on this processor alone from here on.
void stay_on(int cpu);

/// The registers of the chips behind i2c-stub, as the chips themselves would set them (SMBus words over /dev/i2c-N,
/// which the bound drivers do not see): an INA226 at 0x40 with a shunt of 10 milliohms, an LM75 at 0x48.
class Chips {
 public:
  static constexpr double kShuntOhm = 0.01;  // what the driver takes where no device tree says otherwise
  Chips();
  ~Chips();
  Chips(const Chips&) = delete;
  Chips& operator=(const Chips&) = delete;

  /// Power register: its step is 25 current steps of 0.00512 V / (calibration x shunt), datasheet 7.5. Hands out what
  /// the register then says, watts; none where the bus refuses.
  std::optional<double> set_power_w(double power_w);
  /// In steps of half a degree.
  bool set_temperature_c(double temperature_c);

 private:
  std::optional<std::uint16_t> word(int address, std::uint8_t reg);
  bool set_word(int address, std::uint8_t reg, std::uint16_t value);
  int bus_ = -1;
};

/// Folder of the emulated bus, e.g. /sys/bus/i2c/devices/i2c-1.
std::string bus_folder();
/// Binds the driver of `chip` ("ina226", "lm75") to it, or takes the device away: as plugging and unplugging does.
bool plug(const std::string& chip);
bool unplug(const std::string& chip);

/// A driver's module, e.g. "lm75", from /modules; with it go and come the devices that it made.
bool load_module(const std::string& name);
bool unload_module(const std::string& name);

}  // namespace reins::kernel_tests
