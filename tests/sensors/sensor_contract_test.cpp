// What every sensor promises, proven on each implementation and on the fake.
#include <functional>
#include <memory>

#include "sensors/catalogue.hpp"
#include "sensors/linux/drivers.hpp"
#include "tests/support/count_allocations.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/faulty_sensor.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::sensors {
namespace {

using testing::FakeClock;
using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

/// How one driver is laid out, opened, and spoilt. `file` is the one whose text is the value.
struct Case {
  std::string name;
  std::string address;
  Quantity quantity;
  std::string file;
  std::string text;                   ///< what the kernel would print
  double value;                       ///< the same in SI
  std::function<void(SysTree&)> lay;  ///< everything but `file`
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"cpufreq", "cpufreq:sys/devices/system/cpu/cpufreq/policy4", Quantity::kFreqKhz,
       "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "1400000", 1400000, [](SysTree&) {}},
      {"devfreq", "sys/class/devfreq/17000000.gpu/cur_freq", Quantity::kFreqKhz,
       "sys/class/devfreq/17000000.gpu/cur_freq", "624750000", 624750, [](SysTree&) {}},
      {"hwmon_power", "hwmon:ina2xx:1", Quantity::kPowerW, "sys/class/hwmon/hwmon3/power1_input", "2345678", 2.345678,
       [](SysTree& t) { t.hwmon(3, "ina2xx"); }},
      {"hwmon_temperature", "hwmon:k10temp:1", Quantity::kTemperatureC, "sys/class/hwmon/hwmon0/temp1_input", "45500",
       45.5, [](SysTree& t) { t.hwmon(0, "k10temp"); }},
      {"hwmon_voltage_x_current", "ina3221:0x40:VDD_IN", Quantity::kPowerW,
       "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon5/curr1_input", "800", 4.0,
       [](SysTree& t) {
         t.put("sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon5/in1_label", "VDD_IN");
         t.put("sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon5/in1_input", "5000");
       }},
      {"iio_input", "ina3221:0x40:1", Quantity::kPowerW,
       "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power1_input", "1234", 1.234, [](SysTree&) {}},
      {"iio_raw", "iio:ina226:2", Quantity::kPowerW, "sys/bus/iio/devices/iio:device0/in_power2_raw", "100", 2.5,
       [](SysTree& t) {
         t.put("sys/bus/iio/devices/iio:device0/name", "ina226");
         t.put("sys/bus/iio/devices/iio:device0/in_power2_scale", "25.0");
       }},
      {"old_ina231", "ina231:0x45", Quantity::kPowerW, "sys/bus/i2c/drivers/INA231/3-0045/sensor_W", "0.072400", 0.0724,
       [](SysTree& t) { t.put("sys/bus/i2c/drivers/INA231/3-0045/enable", "1"); }},
      {"thermal", "thermal:cpu-thermal", Quantity::kTemperatureC, "sys/class/thermal/thermal_zone1/temp", "61000", 61,
       [](SysTree& t) {
         t.thermal(0, "gpu-thermal", "40000");
         t.put("sys/class/thermal/thermal_zone1/type", "cpu-thermal");
       }},
      {"battery_power", "power_supply:BAT0", Quantity::kPowerW, "sys/class/power_supply/BAT0/power_now", "7500000", 7.5,
       [](SysTree& t) {
         t.put("sys/class/power_supply/BAT0/type", "Battery");
         t.put("sys/class/power_supply/BAT0/status", "Discharging");
       }},
      {"battery_charge", "power_supply:*", Quantity::kBatteryFraction, "sys/class/power_supply/BAT0/capacity", "87",
       0.87,
       [](SysTree& t) {
         t.put("sys/class/power_supply/AC/type", "Mains");
         t.put("sys/class/power_supply/BAT0/type", "Battery");
       }},
  };
  return all;
}

class SensorContract : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { GetParam().lay(tree_); }
  Opened open() {
    const Case& c = GetParam();
    return open_sensor(c.address, "here", c.quantity, 0, place_);
  }
  SysTree tree_;
  FakeClock clock_;
  Place place_{tree_.root(), &clock_, 0};
};

TEST_P(SensorContract, ReadsTheKernelsTextInSiUnits) {
  tree_.put(GetParam().file, GetParam().text);
  const auto sensor = open();
  ASSERT_OK(sensor);
  EXPECT_EQ((*sensor)->signal().name, "here");
  EXPECT_EQ((*sensor)->signal().quantity, GetParam().quantity);
  EXPECT_FALSE((*sensor)->signal().source.empty());
  const auto reading = (*sensor)->read();
  ASSERT_OK(reading);
  // Products of decimal texts by powers of ten: a few units in the last place.
  EXPECT_NEAR(reading->value, GetParam().value, 1e-12 * std::abs(GetParam().value));
  EXPECT_EQ(reading->time_s, clock_.now_s());
  EXPECT_GE(reading->age_s, 0);
}

TEST_P(SensorContract, ScalesLinearlySoThatWhatWasWrittenComesBack) {
  tree_.put(GetParam().file, GetParam().text);
  const auto sensor = open();
  ASSERT_OK(sensor);
  // Integer texts twice as large must read twice as large; the old INA231's decimals have a case of their own.
  if (GetParam().text.find('.') != std::string::npos) {
    tree_.put(GetParam().file, "0.144800");
  } else {
    tree_.put(GetParam().file, std::to_string(2 * std::stoll(GetParam().text)));
  }
  const auto reading = (*sensor)->read();
  ASSERT_OK(reading);
  EXPECT_NEAR(reading->value, 2 * GetParam().value, 1e-12 * std::abs(GetParam().value));
}

TEST_P(SensorContract, SeesEveryNewValue) {
  tree_.put(GetParam().file, GetParam().text);
  const auto sensor = open();
  ASSERT_OK(sensor);
  const auto first = (*sensor)->read();
  ASSERT_OK(first);
  tree_.put(GetParam().file, "1");
  clock_.advance(0.5);
  const auto second = (*sensor)->read();
  ASSERT_OK(second);
  EXPECT_NE(second->value, first->value);
  EXPECT_EQ(second->updates, first->updates + 1);
  EXPECT_EQ(second->time_s, first->time_s + 0.5);
  EXPECT_LE(second->age_s, 0.5);
}

TEST_P(SensorContract, ReadsWithoutAllocating) {
  tree_.put(GetParam().file, GetParam().text);
  const auto sensor = open();
  ASSERT_OK(sensor);
  bool ok = false;
  EXPECT_EQ(testing::allocations_in([&] { ok = (*sensor)->read().has_value(); }), 0);
  EXPECT_TRUE(ok);
  tree_.put(GetParam().file, "rubbish");
  EXPECT_EQ(testing::allocations_in([&] { ok = (*sensor)->read().has_value(); }), 0)
      << "an error allocates nothing either";
  EXPECT_FALSE(ok);
}

TEST_P(SensorContract, RefusesWhatIsNoNumberAndRecovers) {
  tree_.put(GetParam().file, GetParam().text);
  const auto sensor = open();
  ASSERT_OK(sensor);
  for (const std::string bad : {"", "abc", "12x", "1 2", "nan", "inf", "-", "1e999", "--1"}) {
    tree_.put(GetParam().file, bad);
    EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGarbled, HasSubstr(GetParam().file))) << "'" << bad << "'";
  }
  tree_.put_raw(GetParam().file, "");
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGarbled, HasSubstr("is empty"))) << "truncated to nothing";
  tree_.put(GetParam().file, std::string(500, '7'));
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGarbled, HasSubstr("more text")));
  tree_.put_raw(GetParam().file, GetParam().text);  // some drivers leave the line end out
  EXPECT_OK((*sensor)->read());
}

TEST_P(SensorContract, SaysGoneOnceItsFileHasLeft) {
  tree_.put(GetParam().file, GetParam().text);
  const auto sensor = open();
  ASSERT_OK(sensor);
  tree_.remove(GetParam().file);
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGone, HasSubstr(GetParam().file)));
}

TEST_P(SensorContract, SaysNotFoundWhereItIsAbsent) {
  const auto sensor = open();
  EXPECT_THAT(sensor, IsError(ErrorKind::kNotFound, ::testing::Not(::testing::IsEmpty())));
}

TEST_P(SensorContract, SaysWhichFileIsGarbledAtOpening) {
  tree_.put(GetParam().file, "rubbish");
  EXPECT_THAT(open(), IsError(ErrorKind::kGarbled, HasSubstr(GetParam().file)));
}

const Case* g_case = nullptr;

TEST_P(SensorContract, SaysDeniedWithoutPermission) {
  tree_.put(GetParam().file, GetParam().text);
  std::filesystem::permissions(tree_.path(GetParam().file), std::filesystem::perms::none);
  g_case = &GetParam();
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path& root) {
        FakeClock clock;
        const auto sensor = open_sensor(g_case->address, "here", g_case->quantity, 0, Place{root, &clock, 0});
        if (sensor) return 1;
        if (sensor.error().kind() != ErrorKind::kDenied) return 2;
        return sensor.error().line().find(g_case->file) == std::string::npos ? 3 : 0;
      },
      tree_);
  if (code == 254) GTEST_SKIP() << "cannot give up root here, so permission cannot be tested";
  EXPECT_EQ(code, 0) << "1: it opened, 2: another kind of error, 3: the file is not named";
}

INSTANTIATE_TEST_SUITE_P(Linux, SensorContract, ::testing::ValuesIn(cases()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(FaultySensor, KeepsTheContractUntilItIsBroken) {
  FakeClock clock;
  testing::FaultySensor sensor({"a15", Quantity::kPowerW, Behaviour::kGauge, 0.2, "fake"}, clock);
  sensor.set(1.5);
  const auto first = sensor.read();
  ASSERT_OK(first);
  EXPECT_EQ(first->value, 1.5);
  EXPECT_EQ(first->age_s, 0);
  sensor.go_stale();
  clock.advance(3);
  const auto stale = sensor.read();
  ASSERT_OK(stale);
  EXPECT_EQ(stale->age_s, 3);
  EXPECT_EQ(stale->updates, first->updates);
  sensor.fail_nth(1, Error(ErrorKind::kIo, "bus error", "fake"));
  EXPECT_THAT(sensor.read(), IsError(ErrorKind::kIo, HasSubstr("bus error")));
  EXPECT_OK(sensor.read());
  sensor.stall(0.02);
  const double before_s = clock.now_s();
  EXPECT_OK(sensor.read());
  EXPECT_DOUBLE_EQ(clock.now_s(), before_s + 0.02);
  sensor.die(Error(ErrorKind::kGone, "left", "fake"));
  EXPECT_THAT(sensor.read(), IsError(ErrorKind::kGone, HasSubstr("left")));
  EXPECT_THAT(sensor.read(), IsError(ErrorKind::kGone, HasSubstr("left")));
}

}  // namespace
}  // namespace reins::sensors
