// Sensors on what a real kernel's drivers make of chips, firmware tables and processors.
#include <chrono>
#include <thread>

#include "core/clock.hpp"
#include "sensors/catalogue.hpp"
#include "tests/kernel/fixture.hpp"

namespace reins::kernel_tests {
namespace {

using sensors::Quantity;
using sensors::Sensor;
using testing::IsError;

class Sensors : public OnTheKernel {
 protected:
  Sensor& named(const sensors::Found& found, std::string_view name, Quantity quantity) {
    Sensor* const sensor = found.find(name, quantity);
    if (sensor == nullptr) throw std::runtime_error("no sensor " + std::string(name));  // gtest reports it
    return *sensor;
  }
  static double value_of(Sensor& sensor) {
    const auto reading = sensor.read();
    EXPECT_OK(reading);
    return reading.has_value() ? reading->value : -1;
  }
  MonotonicClock clock_;
  sensors::Place place_{"/", &clock_, 0};
  Chips chips_;
};

// What the chip's registers say by its data sheet is what comes out behind the kernel's driver.
TEST_F(Sensors, ReadTheChipsInTheirUnits) {
  const sensors::Found found = sensors::make_sensors(board_, place_);
  for (const auto& missing : found.missing) ADD_FAILURE() << missing.error.line();
  Sensor& power = named(found, "soc", Quantity::kPowerW);
  Sensor& temperature = named(found, "board", Quantity::kTemperatureC);
  for (const double wanted_w : {0.0, 0.05, 1.0, 2.5, 31.25}) {
    const auto said_w = chips_.set_power_w(wanted_w);
    ASSERT_TRUE(said_w.has_value());
    EXPECT_NEAR(*said_w, wanted_w, 0.0032) << "half a step of the register";
    EXPECT_NEAR(value_of(power), *said_w, 1e-9);
  }
  for (const double wanted_c : {-10.0, 0.0, 25.5, 85.0}) {
    ASSERT_TRUE(chips_.set_temperature_c(wanted_c));
    EXPECT_DOUBLE_EQ(value_of(temperature), wanted_c);
  }
}

TEST_F(Sensors, FindWhatTheKernelHasWithoutBeingToldWhere) {
  const sensors::Found found = sensors::discover(place_);
  // _TMP of platform.asl is 3152 tenths of a kelvin; the kernel takes 273.15 K off, or 273.2 (older ones).
  EXPECT_NEAR(value_of(named(found, "acpitz", Quantity::kTemperatureC)), 42.05, 0.06);
  EXPECT_NEAR(value_of(named(found, "BAT0", Quantity::kPowerW)), 5.4, 1e-6);
  EXPECT_NEAR(value_of(named(found, "BAT0", Quantity::kBatteryFraction)), 27.0 / 36, 1e-6);
  for (const auto& [name, policy] : {std::pair("policy0", kBigPolicy), {"policy1", kLittlePolicy}}) {
    ASSERT_EQ(put(policy + "/scaling_governor", "performance"), 0);
    EXPECT_EQ(value_of(named(found, name, Quantity::kFreqKhz)), name == std::string("policy0") ? 2000000 : 1300000);
    ASSERT_EQ(put(policy + "/scaling_governor", "powersave"), 0);
    EXPECT_EQ(value_of(named(found, name, Quantity::kFreqKhz)), name == std::string("policy0") ? 400000 : 300000);
  }
}

TEST_F(Sensors, DescribeThisMachineAsABoard) {
  const auto host = boards::discover_host("/");
  ASSERT_OK(host);
  ASSERT_EQ(host->clusters.size(), 2U);
  for (const auto& [index, points] : {std::pair(std::size_t{0}, kBigKhz), {std::size_t{1}, kLittleKhz}}) {
    const boards::Cluster& cluster = host->clusters[index];
    EXPECT_EQ(cluster.cpus, std::vector<int>{static_cast<int>(index)});
    EXPECT_EQ(cluster.control, "sys/devices/system/cpu/cpufreq/policy" + std::to_string(index));
    std::vector<std::int64_t> khz;
    for (const boards::OperatingPoint& opp : cluster.opps) khz.push_back(opp.freq_khz);
    EXPECT_EQ(khz, points);
  }
}

// A file kept open on a device that has left answers ENODEV: no value at all, and none of the last either.
TEST_F(Sensors, SayThatAChipWasUnpluggedAndNeverRepeatItsLastValue) {
  for (const auto& [chip, name, quantity] :
       {std::tuple("ina226", "soc", Quantity::kPowerW), std::tuple("lm75", "board", Quantity::kTemperatureC)}) {
    ASSERT_TRUE(chips_.set_power_w(2));
    ASSERT_TRUE(chips_.set_temperature_c(50));
    const sensors::Found found = sensors::make_sensors(board_, place_);
    Sensor& sensor = named(found, name, quantity);
    EXPECT_GT(value_of(sensor), 1);
    ASSERT_TRUE(unplug(chip));
    for (int again = 0; again < 3; ++again) EXPECT_THAT(sensor.read(), IsError(ErrorKind::kGone, HasSubstr("_")));
    EXPECT_FALSE(sensors::make_sensors(board_, place_).missing.empty()) << "looked for anew it is missing";
    ASSERT_TRUE(plug(chip));
    EXPECT_THAT(sensor.read(), IsError(ErrorKind::kGone, HasSubstr("_")))
        << "another device, which may be another chip";
    const sensors::Found again = sensors::make_sensors(board_, place_);
    EXPECT_TRUE(again.missing.empty());
    EXPECT_GT(value_of(named(again, name, quantity)), 1) << "looked for anew it is there";
  }
}

// A driver's module that goes takes its devices with it.
TEST_F(Sensors, SayThatADriverWasUnloaded) {
  const sensors::Found found = sensors::make_sensors(board_, place_);
  Sensor& temperature = named(found, "board", Quantity::kTemperatureC);
  ASSERT_OK(temperature.read());
  ASSERT_TRUE(unload_module("lm75"));
  EXPECT_THAT(temperature.read(), IsError(ErrorKind::kGone, HasSubstr("_")));
  ASSERT_TRUE(load_module("lm75"));
  const auto is_back = [&] { return sensors::make_sensors(board_, place_).missing.empty(); };
  EXPECT_TRUE(wait_for(is_back)) << "the kernel binds the new driver to the chip that is still there";
}

TEST_F(Sensors, AnOfflineProcessorHasNoFrequencyAndNoUtilisation) {
  const sensors::Found found = sensors::make_sensors(board_, place_);
  Sensor& freq = named(found, "little", Quantity::kFreqKhz);
  Sensor& busy = named(found, "little", Quantity::kUtilisation);
  EXPECT_GT(value_of(freq), 0);
  ASSERT_EQ(put("/sys/devices/system/cpu/cpu1/online", "0"), 0);
  const auto off = freq.read();
  EXPECT_FALSE(off.has_value()) << "the kernel says nothing for it; " << (off ? off->value : 0);
  if (!off) std::printf("offline: %s\n", off.error().line().c_str());
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto idle = busy.read();
  if (!idle) std::printf("offline: %s\n", idle.error().line().c_str());
  EXPECT_FALSE(idle.has_value()) << "it is neither busy nor idle; " << (idle ? idle->value : 0);
  ASSERT_EQ(put("/sys/devices/system/cpu/cpu1/online", "1"), 0);
  EXPECT_GT(value_of(freq), 0) << "the same policy again";
}

}  // namespace
}  // namespace reins::kernel_tests
