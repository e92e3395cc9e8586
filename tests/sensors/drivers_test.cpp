// What is particular to one driver: how it finds its device, wraps, ages, and what it refuses.
#include <cmath>

#include "sensors/catalogue.hpp"
#include "sensors/linux/attribute.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::sensors {
namespace {

using testing::FakeClock;
using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

class Drivers : public ::testing::Test {
 protected:
  Opened open(std::string_view address, Quantity quantity = Quantity::kPowerW, double period_s = 0) {
    return open_sensor(address, "here", quantity, period_s, place_);
  }
  double value(const Opened& sensor) {
    const auto reading = (*sensor)->read();
    EXPECT_OK(reading);
    return reading ? reading->value : std::nan("");
  }
  SysTree tree_;
  FakeClock clock_;
  Place place_{tree_.root(), &clock_, 0};
};

using AttributeTable = Drivers;
TEST_F(AttributeTable, KnowsTheUnitsOfTheKernelsAbi) {
  EXPECT_EQ(kind_of_attribute("power12_input")->scale, 1e-6);
  EXPECT_EQ(kind_of_attribute("energy1_input")->behaviour, Behaviour::kCounter);
  EXPECT_EQ(kind_of_attribute("in_power0_input")->scale, 1e-3);
  EXPECT_EQ(kind_of_attribute("sensor_W")->scale, 1);
  EXPECT_FALSE(kind_of_attribute("power_input").has_value());
  EXPECT_FALSE(kind_of_attribute("power1x_input").has_value());
  EXPECT_FALSE(kind_of_attribute("sensor_V").has_value());
}

using Powercap = Drivers;
TEST_F(Powercap, CountsAcrossTheWrapOfItsCounter) {
  const std::string zone = "sys/class/powercap/intel-rapl:0";
  tree_.put(zone + "/name", "package-0")
      .put(zone + "/energy_uj", "262143000000")
      .put(zone + "/max_energy_range_uj", "262143328850");
  const auto sensor = open("powercap:package-0");
  ASSERT_OK(sensor);
  EXPECT_EQ((*sensor)->signal().quantity, Quantity::kEnergyJ) << "a counter may serve where power is wanted";
  EXPECT_EQ((*sensor)->signal().behaviour, Behaviour::kCounter);
  EXPECT_EQ(value(sensor), 0) << "counts from its opening";
  tree_.put(zone + "/energy_uj", "262143328850");
  EXPECT_NEAR(value(sensor), 0.328850, 1e-9);
  tree_.put(zone + "/energy_uj", "1000000");
  EXPECT_NEAR(value(sensor), 1.328850, 1e-9);
}

TEST_F(Powercap, PrefersTheMsrZoneToItsMmioTwin) {
  for (const std::string zone : {"sys/class/powercap/intel-rapl-mmio:0", "sys/class/powercap/intel-rapl:0"}) {
    tree_.put(zone + "/name", "package-0").put(zone + "/energy_uj", "5").put(zone + "/max_energy_range_uj", "100");
  }
  const auto sensor = open("powercap:package-0");
  ASSERT_OK(sensor);
  EXPECT_EQ((*sensor)->signal().source, "/sys/class/powercap/intel-rapl:0/energy_uj");
  EXPECT_OK(open("sys/class/powercap/intel-rapl:0/energy_uj")) << "a path may hold a colon";
}

using HwmonPower = Drivers;
TEST_F(HwmonPower, RefusesACounterThatRunsBackwardsOnceAndGoesOn) {
  tree_.hwmon(0, "amd_energy");
  tree_.put("sys/class/hwmon/hwmon0/energy1_input", "9000000");
  const auto sensor = open("hwmon:amd_energy:energy1_input", Quantity::kEnergyJ);
  ASSERT_OK(sensor);
  tree_.put("sys/class/hwmon/hwmon0/energy1_input", "1000000");
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGarbled, HasSubstr("ran backwards")));
  tree_.put("sys/class/hwmon/hwmon0/energy1_input", "3000000");
  EXPECT_NEAR(value(sensor), 2.0, 1e-12);
}

TEST_F(HwmonPower, AgesAValueThatTheChipHasNotRenewed) {
  tree_.hwmon(0, "ina231");
  tree_.put("sys/class/hwmon/hwmon0/power1_input", "1000000").put("sys/class/hwmon/hwmon0/update_interval", "200");
  const auto sensor = open("hwmon:ina231:1");
  ASSERT_OK(sensor);
  EXPECT_DOUBLE_EQ((*sensor)->signal().period_s, 0.2);
  const auto first = (*sensor)->read();
  EXPECT_NEAR(first->age_s, 0.2, 1e-9) << "it may be a whole period old";
  clock_.advance(0.05);
  tree_.put("sys/class/hwmon/hwmon0/power1_input", "2000000");
  const auto fresh = (*sensor)->read();
  EXPECT_NEAR(fresh->age_s, 0.05, 1e-9) << "it changed since the last read";
  clock_.advance(0.1);
  const auto same = (*sensor)->read();
  EXPECT_NEAR(same->age_s, 0.15, 1e-9);
  EXPECT_EQ(same->updates, fresh->updates);
  clock_.advance(0.2);
  const auto renewed = (*sensor)->read();
  EXPECT_NEAR(renewed->age_s, 0.2, 1e-9) << "after a period the same text is a new value";
  EXPECT_EQ(renewed->updates, fresh->updates + 1);
}

TEST_F(HwmonPower, IsNoFasterThanItsChipWhateverTheBoardFileSays) {
  tree_.hwmon(0, "ina231");
  tree_.put("sys/class/hwmon/hwmon0/power1_input", "1000000").put("sys/class/hwmon/hwmon0/update_interval", "1000");
  EXPECT_DOUBLE_EQ((*open("hwmon:ina231:1", Quantity::kPowerW, 0.1))->signal().period_s, 1);
  EXPECT_DOUBLE_EQ((*open("hwmon:ina231:1", Quantity::kPowerW, 2))->signal().period_s, 2);
}

TEST_F(HwmonPower, CountsAnUnchangedValueOnceAPeriodHoweverOftenItIsRead) {
  tree_.hwmon(0, "ina231");
  tree_.put("sys/class/hwmon/hwmon0/power1_input", "1000000").put("sys/class/hwmon/hwmon0/update_interval", "200");
  const auto sensor = open("hwmon:ina231:1");
  ASSERT_OK(sensor);
  const std::uint64_t first = (*sensor)->read()->updates;
  for (int read = 0; read < 100; ++read) {
    clock_.advance(0.01);
    EXPECT_LE((*sensor)->read()->age_s, 0.2 + 1e-9);
  }
  const std::uint64_t grown = (*sensor)->read()->updates - first;
  EXPECT_GE(grown, 4U) << "a second at 0.2 s, and a read late for each";
  EXPECT_LE(grown, 5U);
}

TEST_F(HwmonPower, ReportsAStaleChipInsteadOfRepeatingItsLastValue) {
  tree_.hwmon(0, "ina231");
  tree_.put("sys/class/hwmon/hwmon0/power1_input", "1000000");
  const auto sensor = open("hwmon:ina231:1");
  ASSERT_OK(sensor);
  tree_.remove("sys/class/hwmon/hwmon0/power1_input").put("sys/class/hwmon/hwmon0/power1_input", "5");
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGone, HasSubstr("no longer there")));
}

TEST_F(HwmonPower, FindsChannelsByNumberAttributeAndLabel) {
  const std::string chip = tree_.hwmon(7, "ina3221");
  tree_.put(chip + "/in2_label", "VDD_CPU_GPU_CV").put(chip + "/in2_input", "5000").put(chip + "/curr2_input", "1500");
  tree_.put(chip + "/power3_input", "1250000");
  EXPECT_NEAR(value(open("hwmon:ina3221:VDD_CPU_GPU_CV")), 7.5, 1e-12);
  EXPECT_NEAR(value(open("hwmon:ina3221:2")), 7.5, 1e-12);
  EXPECT_NEAR(value(open("hwmon:ina3221:power3_input")), 1.25, 1e-12);
  EXPECT_THAT(open("hwmon:ina3221:VDD_SOC"), IsError(ErrorKind::kNotFound, HasSubstr("VDD_SOC")));
  EXPECT_THAT(open("hwmon:nct6775:1"), IsError(ErrorKind::kNotFound, HasSubstr("nct6775")));
  EXPECT_THAT(open("hwmon:ina3221:power3_input", Quantity::kTemperatureC),
              IsError(ErrorKind::kUsage, HasSubstr("power_w")));
}

using Ina = Drivers;
TEST_F(Ina, FindsTheOldDriverOnAnyBusAndRefusesASensorThatIsOff) {
  const std::string device = "sys/bus/i2c/drivers/INA231/0-0040";
  tree_.put(device + "/enable", "0").put(device + "/sensor_W", "0.000000");
  EXPECT_THAT(open("ina231:0x40"), IsError(ErrorKind::kUnsupported, HasSubstr("echo 1 > enable")));
  tree_.put(device + "/enable", "1").put(device + "/sensor_W", "2.120000");
  EXPECT_DOUBLE_EQ(value(open("ina231:0x40")), 2.12);
  EXPECT_DOUBLE_EQ(value(open("ina231:0-0040")), 2.12);
  EXPECT_THAT(open("ina231:3-0040"), IsError(ErrorKind::kNotFound, HasSubstr("3-0040")));
  EXPECT_THAT(open("ina231:0x41"), IsError(ErrorKind::kNotFound, HasSubstr("modprobe")));
}

TEST_F(Ina, TakesMainlinesHwmonChipAtTheSameAddress) {
  tree_.put("sys/bus/i2c/devices/3-0045/hwmon/hwmon2/power1_input", "92100");
  EXPECT_NEAR(value(open("ina231:0x45")), 0.0921, 1e-12);
}

TEST_F(Ina, CountsChannelsFromZeroOnHwmonToo) {
  const std::string chip = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1";
  tree_.put(chip + "/in1_input", "5000").put(chip + "/curr1_input", "1000");
  tree_.put(chip + "/in3_input", "5000").put(chip + "/curr3_input", "300");
  EXPECT_NEAR(value(open("ina3221:0x40:0")), 5.0, 1e-12);
  EXPECT_NEAR(value(open("ina3221:1-0040:2")), 1.5, 1e-12);
}

TEST_F(Ina, RefusesWhatIsNoAddress) {
  for (const char* bad : {"ina231:", "ina231:0x", "ina231:zz", "ina231:0x99", "ina231:0x400"}) {
    EXPECT_THAT(open(bad), IsError(ErrorKind::kUsage, HasSubstr("write it as 0x40"))) << bad;
  }
}

using Iio = Drivers;
TEST_F(Iio, MultipliesVoltageAndCurrentWhereThereIsNoPower) {
  const std::string device = "sys/bus/iio/devices/iio:device1";
  tree_.put(device + "/name", "ina3221x")
      .put(device + "/in_voltage0_input", "5040")
      .put(device + "/in_current0_input", "250");
  EXPECT_NEAR(value(open("iio:ina3221x:0")), 1.26, 1e-12);
}

TEST_F(Iio, FindsAChannelByTheVendorsRailName) {
  const std::string device = "sys/bus/iio/devices/iio:device0";
  tree_.put(device + "/name", "ina3221x")
      .put(device + "/rail_name_2", "POM_5V_CPU")
      .put(device + "/in_power2_input", "878");
  EXPECT_NEAR(value(open("iio:ina3221x:POM_5V_CPU")), 0.878, 1e-12);
}

TEST_F(Iio, IsNoFasterThanItsDeviceSamples) {
  const std::string device = "sys/bus/iio/devices/iio:device0";
  tree_.put(device + "/name", "ina226").put(device + "/in_power2_input", "878");
  EXPECT_EQ((*open("iio:ina226:2"))->signal().period_s, 0) << "it does not say";
  tree_.put(device + "/in_sampling_frequency", "4");
  EXPECT_DOUBLE_EQ((*open("iio:ina226:2"))->signal().period_s, 0.25);
  EXPECT_DOUBLE_EQ((*open("iio:ina226:2", Quantity::kPowerW, 1))->signal().period_s, 1);
}

TEST_F(Iio, AppliesOffsetBeforeScale) {
  const std::string device = "sys/bus/iio/devices/iio:device0";
  tree_.put(device + "/name", "adc")
      .put(device + "/in_temp_raw", "100")
      .put(device + "/in_temp_offset", "-20")
      .put(device + "/in_temp_scale", "500");
  EXPECT_NEAR(value(open("iio:adc", Quantity::kTemperatureC)), 40, 1e-12);
}

TEST_F(Iio, RefusesAGarbledScale) {
  const std::string device = "sys/bus/iio/devices/iio:device0";
  tree_.put(device + "/name", "adc").put(device + "/in_power0_raw", "100").put(device + "/in_power0_scale", "?");
  EXPECT_THAT(open("iio:adc:0"), IsError(ErrorKind::kGarbled, HasSubstr("in_power0_scale")));
}

using Thermal = Drivers;
TEST_F(Thermal, FindsTheZoneByTypeWhateverItsNumber) {
  tree_.thermal(0, "GPU-therm", "40000");
  tree_.thermal(10, "CPU-therm", "55250");
  EXPECT_DOUBLE_EQ(value(open("thermal:CPU-therm", Quantity::kTemperatureC)), 55.25);
  EXPECT_DOUBLE_EQ(value(open("thermal:thermal_zone0", Quantity::kTemperatureC)), 40);
  EXPECT_THAT(open("thermal:x", Quantity::kTemperatureC),
              IsError(ErrorKind::kNotFound, HasSubstr("GPU-therm, CPU-therm")));
}

TEST_F(Thermal, ReadsBelowZero) {
  tree_.thermal(0, "outside", "-12500");
  EXPECT_DOUBLE_EQ(value(open("thermal:outside", Quantity::kTemperatureC)), -12.5);
}

using PowerSupply = Drivers;
TEST_F(PowerSupply, MultipliesVoltageAndCurrentWhateverTheSignOfCurrent) {
  const std::string battery = "sys/class/power_supply/BAT1";
  tree_.put(battery + "/type", "Battery").put(battery + "/status", "Discharging");
  tree_.put(battery + "/voltage_now", "12000000").put(battery + "/current_now", "-500000");
  EXPECT_NEAR(value(open("power_supply:BAT1")), 6.0, 1e-9);
}

TEST_F(PowerSupply, RefusesABatteryThatCharges) {
  const std::string battery = "sys/class/power_supply/BAT0";
  tree_.put(battery + "/type", "Battery")
      .put(battery + "/status", "Discharging")
      .put(battery + "/power_now", "9000000");
  const auto sensor = open("power_supply:BAT0");
  ASSERT_OK(sensor);
  tree_.put(battery + "/status", "Charging");
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kUnsupported, HasSubstr("unplug the charger")));
}

using Paths = Drivers;
TEST_F(Paths, TakeTheFirstAlternativeThatIsThereWithWildcards) {
  tree_.put("sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input", "2500");
  EXPECT_NEAR(value(open("sys/nowhere/power1_input|sys/bus/i2c/drivers/ina3221x/*-0040/iio:device*/in_power0_input")),
              2.5, 1e-12);
  EXPECT_THAT(open("sys/nowhere/power1_input"), IsError(ErrorKind::kNotFound, HasSubstr("nowhere")));
}

TEST_F(Paths, RefuseAnAttributeOfUnknownUnit) {
  tree_.put("sys/misc/strange", "12");
  EXPECT_THAT(open("sys/misc/strange"), IsError(ErrorKind::kUnsupported, HasSubstr("unit")));
  EXPECT_THAT(open("sys/misc"), IsError(ErrorKind::kUnsupported, HasSubstr("folder")));
}

TEST_F(Paths, AFolderInPlaceOfAFileIsNotFound) {
  tree_.put("sys/class/thermal/thermal_zone0/type", "cpu").put("sys/class/thermal/thermal_zone0/temp/inner", "1");
  EXPECT_THAT(open("thermal:cpu", Quantity::kTemperatureC), IsError(ErrorKind::kNotFound, HasSubstr("folder")));
}

using Addresses = Drivers;
TEST_F(Addresses, OfUnknownDriversListTheKnownOnes) {
  EXPECT_THAT(open("ina999:0x40"),
              IsError(ErrorKind::kUsage, ::testing::AllOf(HasSubstr("ina231"), HasSubstr("powercap"))));
  EXPECT_THAT(open(""), IsError(ErrorKind::kUnsupported, HasSubstr("names no sensor")));
}

// /proc/stat: two looks, the difference counts.
class ProcStat : public Drivers {
 protected:
  void stat(const std::string& cpu0, const std::string& cpu1) {
    tree_.put("proc/stat", "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 " + cpu0 + "\ncpu1 " + cpu1 + "\nintr 5 1 2\nctxt 7");
  }
  /// utime is field 14, stime 15, the cpu 39.
  void thread(int tid, int utime, int stime, int cpu) {
    std::string line = std::to_string(tid) + " (a (odd) name) S";
    for (int field = 4; field <= 52; ++field) {
      line += " " + std::to_string(field == 14 ? utime : field == 15 ? stime : field == 39 ? cpu : 0);
    }
    tree_.put("proc/77/task/" + std::to_string(tid) + "/stat", line);
  }
  Opened utilisation(std::vector<int> cpus, bool others = false) {
    place_.pid = 77;
    return open_utilisation("c", cpus, others, place_);
  }
};

TEST_F(ProcStat, IsTheBusyShareSinceTheLastLook) {
  stat("100 0 0 900 0 0 0 0 0 0", "0 0 0 1000 0 0 0 0 0 0");
  const auto sensor = utilisation({0});
  ASSERT_OK(sensor);
  EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kBusy, HasSubstr("no kernel tick")));
  clock_.advance(1);
  // +30 user, +5 nice, +10 system, +50 idle, +5 iowait: 45 of 100. Guest (last two) is in user already.
  stat("130 5 10 950 5 0 0 0 30 0", "0 0 0 1100 0 0 0 0 0 0");
  EXPECT_DOUBLE_EQ(value(sensor), 0.45);
  clock_.advance(0.02);
  const auto soon = (*sensor)->read();
  ASSERT_OK(soon);
  EXPECT_DOUBLE_EQ(soon->value, 0.45);
  EXPECT_NEAR(soon->age_s, 0.02, 1e-9) << "too soon for a new share: the last one, with its age";
}

TEST_F(ProcStat, AveragesOverTheClustersCpus) {
  stat("0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 0 0");
  const auto sensor = utilisation({0, 1, 5});
  ASSERT_OK(sensor);
  clock_.advance(1);
  stat("100 0 0 0 0 0 0 0 0 0", "0 0 0 100 0 0 0 0 0 0");
  EXPECT_DOUBLE_EQ(value(sensor), 0.5);
}

TEST_F(ProcStat, LeavesOutWhatThisProcessUsedOnThoseCpus) {
  stat("0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 0 0");
  thread(77, 10, 0, 0);
  thread(78, 20, 20, 1);
  const auto sensor = utilisation({0, 1}, true);
  ASSERT_OK(sensor);
  clock_.advance(1);
  stat("80 0 0 20 0 0 0 0 0 0", "50 0 0 50 0 0 0 0 0 0");
  thread(77, 40, 10, 0);  // 40 more
  thread(78, 40, 30, 1);  // 30 more
  thread(79, 10, 0, 5);   // new, elsewhere
  EXPECT_DOUBLE_EQ(value(sensor), (130.0 - 70.0) / 200.0);
  tree_.remove("proc/77/task/78");
  clock_.advance(1);
  stat("180 0 0 20 0 0 0 0 0 0", "50 0 0 150 0 0 0 0 0 0");
  thread(77, 140, 10, 0);
  EXPECT_DOUBLE_EQ(value(sensor), 0) << "all of it is our own";
}

TEST_F(ProcStat, RefusesTruncatedAndGarbledText) {
  stat("0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 0 0");
  const auto sensor = utilisation({0});
  ASSERT_OK(sensor);
  for (const char* bad : {"", "cpu0 1 2", "cpu0 a b c d", "cpux 1 2 3 4", "intr 5"}) {
    clock_.advance(1);
    tree_.put("proc/stat", bad);
    EXPECT_THAT((*sensor)->read(), IsError(ErrorKind::kGarbled, HasSubstr("proc/stat"))) << bad;
  }
}

TEST_F(ProcStat, SaysGoneWhereAllCpusOfTheClusterAreOffline) {
  stat("0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 0 0");
  EXPECT_THAT(utilisation({4, 5}), IsError(ErrorKind::kGone, HasSubstr("online")));
}

TEST_F(ProcStat, AbsentIsNotFound) {
  EXPECT_THAT(utilisation({0}), IsError(ErrorKind::kNotFound, HasSubstr("proc/stat")));
}

TEST(OnlineCpus, ParsesTheKernelsRanges) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-2,5,7-8");
  EXPECT_EQ(online_cpus(tree.root()), (std::vector<int>{0, 1, 2, 5, 7, 8}));
  tree.put("sys/devices/system/cpu/online", "x");
  EXPECT_TRUE(online_cpus(tree.root()).empty());
}

TEST(OnThisMachine, UtilisationOfOneBusyCpuIsReal) {
  MonotonicClock clock;
  const Place place{"/", &clock, 0};
  const std::vector<int> cpus = online_cpus("/");
  if (cpus.empty()) GTEST_SKIP() << "no /sys/devices/system/cpu/online here";
  const auto all = open_utilisation("all", cpus, false, place);
  const auto others = open_utilisation("all", cpus, true, place);
  ASSERT_OK(all);
  ASSERT_OK(others);
  volatile double sink = 0;
  for (const double start_s = clock.now_s(); clock.now_s() - start_s < 0.4;) sink = sink + 1;
  const auto busy = (*all)->read();
  const auto rest = (*others)->read();
  ASSERT_OK(busy);
  ASSERT_OK(rest);
  // One thread spun for 0.4 s, on a machine that may be busy with others: it got some of it, and that is not the
  // others'.
  EXPECT_GT(busy->value, 0.02);
  EXPECT_LE(busy->value, 1.0);
  EXPECT_LT(rest->value, busy->value + 0.05);
}

}  // namespace
}  // namespace reins::sensors
