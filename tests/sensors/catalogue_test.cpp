// The sensors a board names, those a machine has, and what is said about those that are missing.
#include "sensors/catalogue.hpp"

#include "tests/support/fake_clock.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::sensors {
namespace {

using testing::FakeClock;
using ::testing::HasSubstr;
using testing::SysTree;

boards::Board small_board() {
  boards::Board board;
  boards::Cluster cluster;
  cluster.name = "big";
  cluster.cpus = {0, 1};
  cluster.opps = {{200000, 0.9}, {2000000, 1.3}};
  cluster.control = "sys/devices/system/cpu/cpufreq/policy0";
  boards::Cluster gpu;
  gpu.name = "gpu";
  gpu.kind = boards::UnitKind::kGpu;
  gpu.opps = {{177000, 0.8}};
  gpu.control = "sys/devices/gpu.0/devfreq/*|sys/class/devfreq/*.gpu";
  board.clusters = {cluster, gpu};
  boards::Rail rail;
  rail.name = "big";
  rail.sensor = "ina231:0x40";
  rail.sensor_period_s = 0.2;
  board.rails = {rail};
  board.thermal.zone = "cpu-thermal";
  return board;
}

class CatalogueTest : public ::testing::Test {
 protected:
  void lay() {
    tree_.cpufreq(0, {200000, 2000000});
    tree_.devfreq("11800000.gpu", {177000, 600000});
    tree_.put("proc/stat", "cpu  0 0 0 0\ncpu0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0");
    tree_.put("proc/self/task/1/stat", "1 (x) S");
    tree_.put("sys/bus/i2c/drivers/INA231/3-0040/sensor_W", "1.5").put("sys/bus/i2c/drivers/INA231/3-0040/enable", "1");
    tree_.thermal(2, "cpu-thermal", "50000");
    tree_.put("sys/devices/system/cpu/online", "0-1");
  }
  SysTree tree_;
  FakeClock clock_;
  Place place_{tree_.root(), &clock_, 0};
};

TEST_F(CatalogueTest, OpensAllThatABoardNames) {
  lay();
  const Found found = make_sensors(small_board(), place_);
  for (const Missing& missing : found.missing) ADD_FAILURE() << missing.name << ": " << missing.error.line();
  EXPECT_NE(found.find("big", Quantity::kFreqKhz), nullptr);
  EXPECT_NE(found.find("big", Quantity::kUtilisation), nullptr);
  EXPECT_NE(found.find("big", Quantity::kOthersUtilisation), nullptr);
  ASSERT_NE(found.find("gpu", Quantity::kFreqKhz), nullptr);
  EXPECT_EQ(found.find("gpu", Quantity::kFreqKhz)->read()->value, 177000);
  EXPECT_EQ(found.find("gpu", Quantity::kUtilisation), nullptr);
  ASSERT_NE(found.find("big", Quantity::kPowerW), nullptr);
  EXPECT_EQ(found.find("big", Quantity::kPowerW)->signal().period_s, 0.2);
  ASSERT_NE(found.find("board", Quantity::kTemperatureC), nullptr);
  EXPECT_EQ(found.find("board", Quantity::kTemperatureC)->read()->value, 50);
}

TEST_F(CatalogueTest, ListsWhatIsMissingWithOneLineEach) {
  const Found found = make_sensors(small_board(), place_);
  EXPECT_TRUE(found.sensors.empty());
  ASSERT_EQ(found.missing.size(), 6U);
  for (const Missing& missing : found.missing) {
    EXPECT_FALSE(missing.name.empty());
    EXPECT_EQ(missing.error.line().find('\n'), std::string::npos);
    EXPECT_EQ(missing.error.kind(), ErrorKind::kNotFound) << missing.error.line();
  }
  EXPECT_THAT(found.missing[4].error.line(), HasSubstr("modprobe ina2xx"));
}

TEST_F(CatalogueTest, DiscoversWhatABoardFileDoesNotName) {
  lay();
  tree_.hwmon(1, "nvme");
  tree_.put("sys/class/hwmon/hwmon1/temp1_input", "38850").put("sys/class/hwmon/hwmon1/temp1_label", "Composite");
  tree_.hwmon(2, "ina3221");
  tree_.put("sys/class/hwmon/hwmon2/in1_input", "5000").put("sys/class/hwmon/hwmon2/curr1_input", "100");
  tree_.put("sys/class/hwmon/hwmon2/in7_input", "5000");  // a voltage alone is no power
  tree_.put("sys/class/powercap/intel-rapl:0/name", "package-0").put("sys/class/powercap/intel-rapl:0/energy_uj", "1");
  tree_.put("sys/class/powercap/intel-rapl/enabled", "1");
  tree_.put("sys/class/power_supply/BAT0/type", "Battery").put("sys/class/power_supply/BAT0/status", "Discharging");
  tree_.put("sys/class/power_supply/BAT0/capacity", "50").put("sys/class/power_supply/BAT0/power_now", "5000000");
  tree_.put("sys/bus/iio/devices/iio:device0/name", "ina226").put("sys/bus/iio/devices/iio:device0/in_power2_raw", "4");
  tree_.thermal(9, "broken", "unreadable");
  const Found found = discover(place_);
  EXPECT_NE(found.find("policy0", Quantity::kFreqKhz), nullptr);
  EXPECT_NE(found.find("11800000.gpu", Quantity::kFreqKhz), nullptr);
  EXPECT_NE(found.find("nvme:Composite", Quantity::kTemperatureC), nullptr);
  EXPECT_NE(found.find("ina3221:in1", Quantity::kPowerW), nullptr);
  EXPECT_EQ(found.find("ina3221:in7", Quantity::kPowerW), nullptr);
  EXPECT_NE(found.find("intel-rapl:0:package-0", Quantity::kEnergyJ), nullptr);
  EXPECT_NE(found.find("BAT0", Quantity::kPowerW), nullptr);
  EXPECT_NE(found.find("BAT0", Quantity::kBatteryFraction), nullptr);
  EXPECT_NE(found.find("ina226:power2", Quantity::kPowerW), nullptr);
  EXPECT_NE(found.find("ina231:3-0040", Quantity::kPowerW), nullptr);
  EXPECT_NE(found.find("cpu-thermal", Quantity::kTemperatureC), nullptr);
  EXPECT_NE(found.find("cpu1", Quantity::kUtilisation), nullptr);
  ASSERT_EQ(found.missing.size(), 1U) << "what is there and cannot be read is said";
  EXPECT_EQ(found.missing[0].name, "broken");
}

TEST_F(CatalogueTest, AnEmptyMachineHasNothingAndSaysNothing) {
  const Found found = discover(place_);
  EXPECT_TRUE(found.sensors.empty());
  EXPECT_TRUE(found.missing.empty());
}

TEST(DriverTable, NamesEveryDriverOnce) {
  const std::vector<std::string> names = known_drivers();
  EXPECT_THAT(names, ::testing::IsSupersetOf({"cpufreq", "devfreq", "hwmon", "iio", "ina231", "ina3221", "powercap",
                                              "thermal", "power_supply"}));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

}  // namespace
}  // namespace reins::sensors
