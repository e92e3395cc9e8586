// The inventory of boards as their kernels show them: what is there, what may be written, what is missing and what
// would change that; and what cannot be read.
#include "sensors/inventory.hpp"

#include <algorithm>

#include "sensors/host.hpp"
#include "tests/support/board_trees.hpp"
#include "tests/support/matchers.hpp"

namespace reins::sensors {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::SysTree;

Inventory inventory_of(void (*lay)(SysTree&)) {
  SysTree tree;
  lay(tree);
  const auto before = tree.snapshot("");
  Inventory found = take_inventory({tree.root(), ""});
  EXPECT_EQ(tree.snapshot(""), before) << "it only looks";
  return found;
}

/// The command that belongs to what is missing; "<nothing of the kind>" where nothing says `what`.
std::string command_for(const Inventory& inventory, const std::string& what) {
  for (const Advice& advice : inventory.missing) {
    if ((advice.topic + ": " + advice.what).find(what) != std::string::npos) return advice.command;
  }
  return "<nothing of the kind>";
}

template <typename Items>
auto names_of(const Items& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name);
  return names;
}

void expect_all_readable(const Inventory& inventory) {
  for (const Error& error : inventory.unreadable) ADD_FAILURE() << error.line();
}

TEST(Inventory, OfAnXu3WithItsOldKernel) {
  const Inventory found = inventory_of(testing::lay_xu3_old);
  expect_all_readable(found);
  ASSERT_THAT(names_of(found.cpufreq), ElementsAre("policy0", "policy4"));
  EXPECT_EQ(found.cpufreq[1].driver, "exynos_cpufreq");
  EXPECT_EQ(found.cpufreq[1].governor, "interactive");
  EXPECT_THAT(found.cpufreq[1].related_cpus, ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(found.cpufreq[1].freqs_khz, SizeIs(19));
  EXPECT_EQ(found.cpufreq[1].folder, "/sys/devices/system/cpu/cpufreq/policy4");
  EXPECT_THAT(found.cpufreq[1].writable, Contains("scaling_setspeed"));
  ASSERT_EQ(found.monitors.size(), 4U);
  EXPECT_EQ(found.monitors[0].form, "ina231");
  EXPECT_EQ(found.monitors[0].i2c_device, "3-0040");
  EXPECT_EQ(found.monitors[0].channels[0].address, "ina231:3-0040");
  EXPECT_TRUE(found.monitors[0].enabled);
  EXPECT_FALSE(found.monitors[3].enabled);
  EXPECT_EQ(command_for(found, "3-0045 is switched off"), "echo 1 > /sys/bus/i2c/drivers/INA231/3-0045/enable");
  EXPECT_EQ(found.cgroup.version, "v1");
  EXPECT_EQ(found.cgroup.folder, "/sys/fs/cgroup/cpu/reins");
  EXPECT_EQ(found.cgroup.quota_cpus, 1.5);
  EXPECT_TRUE(found.cgroup.writable);
  EXPECT_THAT(found.thermal, SizeIs(5));
}

TEST(Inventory, OfAnXu3WithAMainlineKernel) {
  const Inventory found = inventory_of(testing::lay_xu3_mainline);
  expect_all_readable(found);
  EXPECT_EQ(found.topology.model, "Hardkernel Odroid XU3");
  EXPECT_EQ(found.topology.cores[0].capacity, 371);
  EXPECT_EQ(found.topology.cores[4].cluster, 0);
  const CpufreqPolicy& a15 = found.cpufreq.at(1);
  EXPECT_THAT(a15.boost_khz, ElementsAre(2000000));
  EXPECT_EQ(a15.max_khz, 1800000) << "the cap in force";
  EXPECT_EQ(a15.highest_khz, 2000000);
  EXPECT_DOUBLE_EQ(a15.switch_s.value(), 140e-6);
  ASSERT_TRUE(found.boost.has_value());
  EXPECT_TRUE(found.boost->on);
  EXPECT_EQ(found.boost->file, "/sys/devices/system/cpu/cpufreq/boost");
  ASSERT_THAT(names_of(found.devfreq), ElementsAre("10c20000.memory-controller", "11800000.gpu"));
  EXPECT_EQ(found.devfreq[0].role, "memory");
  EXPECT_FALSE(found.devfreq[0].set_point);
  EXPECT_EQ(found.devfreq[1].role, "gpu");
  EXPECT_TRUE(found.devfreq[1].set_point);
  EXPECT_EQ(found.devfreq[1].freqs_khz.back(), 600000);
  ASSERT_EQ(found.memory.size(), 1U);
  EXPECT_EQ(found.memory[0].now_khz, 165000);
  ASSERT_EQ(found.monitors.size(), 4U) << "each chip once";
  EXPECT_EQ(found.monitors[2].form, "hwmon");
  EXPECT_EQ(found.monitors[2].channels[0].address, "ina231:0-0044");
  EXPECT_TRUE(found.monitors[2].channels[0].power);
  EXPECT_DOUBLE_EQ(found.monitors[2].update_s.value(), 0.035);
  EXPECT_THAT(found.monitors[2].writable, Contains("shunt_resistor"));
  EXPECT_THAT(found.unbound, IsEmpty());
  ASSERT_EQ(found.thermal.size(), 5U);
  EXPECT_EQ(found.thermal[0].type, "cpu0-thermal");
  EXPECT_EQ(found.thermal[0].temperature_c, 71);
  ASSERT_EQ(found.thermal[0].trips.size(), 3U);
  EXPECT_EQ(found.thermal[0].trips[1].type, "passive");
  EXPECT_EQ(found.thermal[0].trips[1].temperature_c, 70);
  EXPECT_EQ(found.thermal[0].trips[1].hysteresis_c, 5);
  ASSERT_EQ(found.cooling.size(), 3U);
  EXPECT_EQ(found.cooling[2].type, "cpufreq-cpu4");
  EXPECT_EQ(found.cooling[2].state, 2);
  EXPECT_EQ(found.cooling[2].max_state, 18);
  ASSERT_EQ(found.cpuidle.sets.size(), 2U) << "the clusters have other states";
  EXPECT_THAT(found.cpuidle.sets[1].cpus, ElementsAre(4, 5, 6, 7));
  EXPECT_DOUBLE_EQ(found.cpuidle.sets[1].states[1].residency_s.value(), 0.01);
  EXPECT_EQ(found.cpuidle.driver, "ARM_big_LITTLE");
  EXPECT_EQ(found.cgroup.version, "v2");
  EXPECT_EQ(found.cgroup.quota_cpus, 0);
}

TEST(Inventory, NamesAChipWithoutADriverAndItsModule) {
  SysTree tree;
  testing::lay_xu3_mainline(tree);
  tree.remove("sys/class/hwmon").remove("sys/bus/i2c/devices/0-0041");
  tree.put("sys/bus/i2c/devices/0-0041/name", "ina231");
  tree.put("proc/sys/kernel/osrelease", "6.1.0-21-armmp").put("lib/modules/6.1.0-21-armmp/modules.dep", "");
  EXPECT_EQ(command_for(take_inventory({tree.root(), ""}), "ina231 at 0-0041 has no driver"), "")
      << "no such module: no command that would fail";
  tree.put("lib/modules/6.1.0-21-armmp/modules.dep", "kernel/drivers/hwmon/ina2xx.ko.xz:");
  const Inventory found = take_inventory({tree.root(), ""});
  EXPECT_EQ(command_for(found, "ina231 at 0-0041 has no driver"), "modprobe ina2xx");
  ASSERT_EQ(found.unbound.size(), 1U);
  EXPECT_EQ(found.unbound[0].i2c_device, "0-0041");
}

TEST(Inventory, OfAJetsonNano) {
  const Inventory found = inventory_of(testing::lay_jetson_nano);
  expect_all_readable(found);
  ASSERT_EQ(found.devfreq.size(), 1U);
  EXPECT_EQ(found.devfreq[0].role, "gpu");
  EXPECT_EQ(found.devfreq[0].governor, "nvhost_podgov");
  EXPECT_THAT(found.devfreq[0].freqs_khz, SizeIs(12));
  EXPECT_THAT(found.devfreq[0].writable, Contains("userspace/set_freq"));
  ASSERT_EQ(found.monitors.size(), 1U);
  EXPECT_EQ(found.monitors[0].form, "iio");
  EXPECT_EQ(found.monitors[0].i2c_device, "6-0040");
  EXPECT_THAT(found.monitors[0].channels,
              ElementsAre(AllOf(Field(&MonitorChannel::label, "POM_5V_IN"),
                                Field(&MonitorChannel::address, "ina3221:6-0040:0")),
                          Field(&MonitorChannel::address, "ina3221:6-0040:1"),
                          AllOf(Field(&MonitorChannel::label, "POM_5V_CPU"), Field(&MonitorChannel::power, true))));
  ASSERT_EQ(found.memory.size(), 1U);
  EXPECT_EQ(found.memory[0].now_khz, 1600000);
  EXPECT_EQ(found.memory[0].source, "/sys/kernel/debug/clk/override.emc/clk_rate");
  const auto cpu =
      std::find_if(found.thermal.begin(), found.thermal.end(), [](const auto& z) { return z.type == "CPU-therm"; });
  ASSERT_NE(cpu, found.thermal.end());
  EXPECT_EQ(cpu->trips.at(0).temperature_c, 98.5);
}

TEST(Inventory, OfAnOrinNano) {
  const Inventory found = inventory_of(testing::lay_orin_nano);
  expect_all_readable(found);
  ASSERT_THAT(names_of(found.cpufreq), ElementsAre("policy0", "policy4"));
  EXPECT_THAT(found.cpufreq[1].affected_cpus, ElementsAre(4, 5));
  EXPECT_THAT(found.cpufreq[0].freqs_khz, SizeIs(20));
  EXPECT_FALSE(found.devfreq.at(0).set_point);
  EXPECT_EQ(found.devfreq.at(0).role, "gpu");
  ASSERT_EQ(found.monitors.size(), 1U);
  ASSERT_EQ(found.monitors[0].channels.size(), 3U) << "shunt voltages and the sum of currents are no rails";
  EXPECT_EQ(found.monitors[0].channels[0].label, "VDD_IN");
  EXPECT_EQ(found.monitors[0].channels[2].address, "ina3221:1-0040:2");
  EXPECT_FALSE(found.monitors[0].channels[0].power) << "voltage x current";
  EXPECT_EQ(found.memory.at(0).now_khz, 2133000);
}

TEST(Inventory, OfARaspberryPiSaysHowToAddAPowerMonitor) {
  const Inventory found = inventory_of(testing::lay_raspberry_pi_4);
  expect_all_readable(found);
  EXPECT_THAT(found.cpufreq.at(0).freqs_khz, SizeIs(10));
  EXPECT_THAT(found.monitors, IsEmpty());
  EXPECT_EQ(command_for(found, "no power monitor"),
            "modprobe ina2xx && echo ina226 0x40 > /sys/bus/i2c/devices/i2c-1/new_device");
  EXPECT_THAT(found.powercap, IsEmpty());
  EXPECT_EQ(command_for(found, "powercap"), "<nothing of the kind>") << "RAPL is x86's";
  SysTree tree;
  testing::lay_raspberry_pi_4(tree);
  tree.remove("sys/bus/i2c");
  EXPECT_EQ(command_for(take_inventory({tree.root(), ""}), "no I2C bus"), "raspi-config nonint do_i2c 0 && reboot");
}

TEST(Inventory, OfALaptopWithoutAFrequencyList) {
  const Inventory found = inventory_of(testing::lay_laptop);
  expect_all_readable(found);
  ASSERT_EQ(found.cpufreq.size(), 6U);
  EXPECT_EQ(found.cpufreq[0].driver, "intel_pstate");
  EXPECT_THAT(found.cpufreq[0].freqs_khz, IsEmpty());
  EXPECT_EQ(found.cpufreq[0].lowest_khz, 400000);
  EXPECT_EQ(found.cpufreq[5].highest_khz, 3400000);
  EXPECT_EQ(found.cpufreq[0].preference, "balance_performance");
  ASSERT_TRUE(found.boost.has_value());
  EXPECT_TRUE(found.boost->on) << "no_turbo is 0";
  EXPECT_EQ(command_for(found, "intel_pstate is active"),
            "echo passive > /sys/devices/system/cpu/intel_pstate/status && modprobe cpufreq_userspace");
  EXPECT_EQ(found.topology.model, "LENOVO 21AH");
  EXPECT_EQ(found.topology.smt, "on");
  EXPECT_THAT(found.topology.cores[1].siblings, ElementsAre(0, 1));
  EXPECT_EQ(found.topology.cores[1].kind, "core");
  EXPECT_EQ(found.topology.cores[5].kind, "atom");
  EXPECT_TRUE(found.topology.cores[1].may_offline);
  EXPECT_FALSE(found.topology.cores[0].may_offline);
  ASSERT_THAT(names_of(found.powercap), ElementsAre("package-0", "core", "psys"));
  EXPECT_TRUE(found.powercap[0].readable);
  EXPECT_DOUBLE_EQ(found.powercap[0].wrap_j.value(), 262143.328850);
  EXPECT_DOUBLE_EQ(found.powercap[0].limit_w.value(), 28);
  ASSERT_EQ(found.power_supply.size(), 2U);
  EXPECT_EQ(found.power_supply[0].online, false);
  EXPECT_DOUBLE_EQ(found.power_supply[1].power_w.value(), 7.35);
  EXPECT_DOUBLE_EQ(found.power_supply[1].charge.value(), 0.87);
  ASSERT_EQ(found.memory.size(), 1U);
  EXPECT_EQ(found.memory[0].transfers_mts, 5200);
  EXPECT_EQ(found.cpuidle.sets.size(), 1U);
  EXPECT_EQ(found.cooling.back().state, -1) << "as intel_powerclamp says it while it does nothing";
}

TEST(Inventory, OfAContainerWithNothingEndsWithoutAnError) {
  SysTree tree;
  const Inventory found = take_inventory({tree.root(), ""});
  expect_all_readable(found);
  EXPECT_THAT(found.topology.cores, IsEmpty());
  EXPECT_THAT(found.cpufreq, IsEmpty());
  EXPECT_EQ(found.cgroup.version, "none");
  EXPECT_THAT(command_for(found, "no cpu is described"), HasSubstr("-v /sys:/sys"));
  EXPECT_EQ(command_for(found, "no control groups"), "mount -t cgroup2 none /sys/fs/cgroup");
}

TEST(Inventory, OfAVirtualMachinePromisesNothing) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-1");
  tree.put("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor msr\n");
  const Inventory found = take_inventory({tree.root(), ""});
  EXPECT_TRUE(found.topology.virtual_machine);
  EXPECT_EQ(command_for(found, "cpufreq"), "");
  EXPECT_EQ(command_for(found, "powercap"), "");
  tree.put("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu msr\n");
  const Inventory bare = take_inventory({tree.root(), ""});
  EXPECT_EQ(command_for(bare, "cpufreq"), "modprobe acpi-cpufreq");
  EXPECT_EQ(command_for(bare, "powercap"), "modprobe intel_rapl_msr");
  tree.put("proc/sys/kernel/osrelease", "6.5.0-1-generic").put("lib/modules/6.5.0-1-generic/modules.dep", "");
  tree.put("etc/os-release", "NAME=\"Ubuntu\"\nID=ubuntu");
  EXPECT_EQ(command_for(take_inventory({tree.root(), ""}), "powercap"),
            "apt install linux-modules-extra-6.5.0-1-generic && modprobe intel_rapl_msr");
}

TEST(Inventory, SaysWhatIsGarbledAndGoesOn) {
  SysTree tree;
  testing::lay_xu3_mainline(tree);
  const std::string a15 = "sys/devices/system/cpu/cpufreq/policy4";
  tree.put(a15 + "/scaling_max_freq", "fast").put(a15 + "/scaling_available_frequencies", "200000 many 400000");
  tree.put_raw(a15 + "/cpuinfo_max_freq", "").put(a15 + "/related_cpus", "4-x");
  tree.put(a15 + "/scaling_cur_freq", "<unknown>");
  const std::string a7 = "sys/devices/system/cpu/cpufreq/policy0";
  tree.put(a7 + "/scaling_max_freq", "-1").put(a7 + "/scaling_cur_freq", "0");
  tree.put("sys/class/thermal/thermal_zone0/temp", "12cm").put("sys/class/thermal/cooling_device0/cur_state", "?");
  tree.put_raw("sys/class/thermal/thermal_zone1/temp", std::string(70000, '7'));
  // Reading one's own memory at 0 fails with EIO.
  tree.remove("sys/class/thermal/thermal_zone3/temp").link("sys/class/thermal/thermal_zone3/temp", "/proc/self/mem");
  const Inventory found = take_inventory({tree.root(), ""});
  EXPECT_EQ(found.cpufreq.at(0).max_khz, std::nullopt);
  EXPECT_EQ(found.cpufreq.at(0).now_khz, std::nullopt) << "0 is the kernel's word for not known";
  EXPECT_EQ(found.cpufreq.at(1).max_khz, std::nullopt);
  EXPECT_EQ(found.cpufreq.at(1).now_khz, std::nullopt);
  EXPECT_THAT(found.cpufreq.at(1).related_cpus, IsEmpty());
  EXPECT_EQ(found.thermal.at(0).temperature_c, std::nullopt);
  EXPECT_EQ(found.thermal.at(1).temperature_c, std::nullopt);
  EXPECT_EQ(found.thermal.at(2).temperature_c, 71) << "the next zone is read all the same";
  std::vector<std::string> lines;
  for (const Error& error : found.unreadable) lines.push_back(error.line());
  EXPECT_EQ(lines.size(), 9U) << "not what the kernel itself says it does not know";
  EXPECT_THAT(lines, Contains("/" + a15 + "/scaling_max_freq: holds no number"));
  EXPECT_THAT(lines, Contains("/" + a7 + "/scaling_max_freq: holds a frequency below 0"));
  EXPECT_THAT(lines, Contains("/" + a15 + "/cpuinfo_max_freq: is empty, a number is wanted"));
  EXPECT_THAT(lines, Contains("/" + a15 + "/related_cpus: holds no list of cpus"));
  EXPECT_THAT(lines, Contains("/sys/class/thermal/thermal_zone3/temp: cannot be read (Input/output error)"));
  EXPECT_THAT(lines, Contains(HasSubstr("holds 'many' among its numbers")));
  EXPECT_THAT(lines, Contains(HasSubstr("thermal_zone1/temp: holds more text than such a file may")));
}

TEST(Inventory, OfAUserTellsWhatIsDeniedAndHowToGetIt) {
  SysTree tree;
  testing::lay_laptop(tree);
  const std::string p0 = "sys/devices/system/cpu/cpufreq/policy0/";
  const auto mode = [&](const std::string& file, unsigned bits) {
    std::filesystem::permissions(tree.path(file), static_cast<std::filesystem::perms>(bits));
  };
  for (const char* file : {"scaling_governor", "scaling_min_freq", "scaling_max_freq"}) mode(p0 + file, 0644);
  mode("sys/class/powercap/intel-rapl:0/energy_uj", 0400);
  mode("sys/class/thermal/thermal_zone0/temp", 0400);
  mode("sys/class/thermal/cooling_device0/cur_state", 0444);
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path& root) {
        const Inventory found = take_inventory({root, ""});
        const auto& writable = found.cpufreq.at(0).writable;
        if (std::find(writable.begin(), writable.end(), "scaling_governor") != writable.end()) return 1;
        if (command_for(found, "frequency of policy0").find("usermod -aG reins") == std::string::npos) return 2;
        if (found.powercap.at(0).readable || !found.powercap.at(1).readable) return 3;
        if (command_for(found, "RAPL's energy counters").find("udevadm trigger") == std::string::npos) return 4;
        if (found.unreadable.size() != 1 || found.unreadable[0].kind() != ErrorKind::kDenied) return 5;
        return found.cooling.at(0).writable ? 6 : 0;
      },
      tree);
  if (code == 254) GTEST_SKIP() << "root cannot be given up here";
  EXPECT_EQ(code, 0);
}

TEST(Inventory, NobodyMayWriteWhatTheKernelOffersToNobody) {
  SysTree tree;
  testing::lay_jetson_nano(tree);
  const std::string gpu = "sys/class/devfreq/57000000.gpu/";
  for (const char* file : {"governor", "min_freq", "max_freq", "userspace/set_freq"})
    std::filesystem::permissions(tree.path(gpu + file), std::filesystem::perms(0444));
  const Inventory found = take_inventory({tree.root(), ""});
  EXPECT_THAT(found.devfreq.at(0).writable, IsEmpty()) << "not even root";
  EXPECT_THAT(command_for(found, "frequency of 57000000.gpu"), HasSubstr("99-reins.rules"));
}

TEST(Nvml, IsOpenedByNameAndAsked) {
  SysTree tree;
  const Inventory found = take_inventory({tree.root(), REINS_FAKE_NVML});
  EXPECT_FALSE(found.nvml.absent.has_value());
  EXPECT_EQ(found.nvml.driver, "550.54");
  ASSERT_THAT(names_of(found.nvml.gpus), ElementsAre("Fake H100", "Fake GT 710"));
  EXPECT_DOUBLE_EQ(found.nvml.gpus[0].power_w.value(), 70.25);
  EXPECT_TRUE(found.nvml.gpus[0].total_energy);
  EXPECT_EQ(found.nvml.gpus[0].core_khz, 1980000);
  EXPECT_EQ(found.nvml.gpus[0].memory_khz, 2619000);
  EXPECT_EQ(found.nvml.gpus[0].temperature_c, 41);
  EXPECT_EQ(found.nvml.gpus[0].limit_w, std::nullopt) << "a function that this library does not have";
  EXPECT_EQ(found.nvml.gpus[1].power_w, std::nullopt);
  EXPECT_FALSE(found.nvml.gpus[1].total_energy);
}

TEST(Nvml, AbsentIsOneLineAndACardWithoutItsDriverACommand) {
  SysTree tree;
  const Inventory without = take_inventory({tree.root(), "libno-such-nvml.so.1"});
  ASSERT_TRUE(without.nvml.absent.has_value());
  EXPECT_THAT(without.nvml.absent->line(), HasSubstr("libno-such-nvml.so.1: cannot be opened"));
  EXPECT_EQ(command_for(without, "nvml"), "<nothing of the kind>");
  tree.put("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de")
      .put("sys/bus/pci/devices/0000:01:00.0/class", "0x030000");
  EXPECT_THAT(command_for(take_inventory({tree.root(), "libno-such-nvml.so.1"}), "NVIDIA card"),
              HasSubstr("apt install"));
}

TEST(HostBoard, OfAJetsonCountsItsInputRailAlone) {
  SysTree tree;
  testing::lay_jetson_nano(tree);
  const auto board = discover_board(tree.root());
  ASSERT_OK(board);
  ASSERT_EQ(board->rails.size(), 3U);
  EXPECT_EQ(board->rails[0].name, "pom_5v_in");
  EXPECT_TRUE(board->rails[0].accounting);
  EXPECT_THAT(board->rails[0].contains, ElementsAre("pom_5v_gpu", "pom_5v_cpu"));
  for (const boards::Cluster& cluster : board->clusters) EXPECT_EQ(cluster.rail, "pom_5v_in") << cluster.name;
  EXPECT_FALSE(board->rails[1].accounting);
  EXPECT_EQ(board->rails[0].sensor, "ina3221:6-0040:0");
  EXPECT_EQ(board->notes.find("no energy source"), std::string::npos);
}

TEST(HostBoard, SaysOfNoOtherChipThatItLiesBehindTheInput) {
  SysTree tree;
  testing::lay_jetson_nano(tree);
  const std::string device = "sys/bus/i2c/devices/0-0041";
  const std::string chip = device + "/hwmon/hwmon9";  // on the supply, perhaps
  tree.put(chip + "/name", "ina226").put(chip + "/power1_input", "4000000");
  tree.link("sys/class/hwmon/hwmon9", chip);
  const auto board = discover_board(tree.root());
  ASSERT_OK(board);
  ASSERT_EQ(board->rails.size(), 4U);
  std::size_t accounting = 0;
  for (const boards::Rail& rail : board->rails) {
    if (!rail.accounting) continue;
    ++accounting;
    EXPECT_THAT(rail.contains, ElementsAre("pom_5v_gpu", "pom_5v_cpu"));
  }
  EXPECT_EQ(accounting, 1U);
}

// As ina2xx-adc shows an INA226 that was told to the kernel by new_device.
TEST(HostBoard, CountsTheOnlyRailThereIs) {
  SysTree tree;
  testing::lay_raspberry_pi_4(tree);
  const std::string device = "sys/devices/platform/soc/fe804000.i2c/i2c-1/1-0040";
  const std::string chip = device + "/iio:device0";
  tree.put(chip + "/name", "ina226").put(chip + "/in_power2_raw", "4000").put(chip + "/in_power2_scale", "0.125");
  tree.put(chip + "/in_current3_raw", "100").put(chip + "/in_voltage1_raw", "4000");
  tree.put(chip + "/in_sampling_frequency", "114");
  tree.link("sys/bus/iio/devices/iio:device0", chip).link("sys/bus/i2c/devices/1-0040", device);
  tree.put(device + "/name", "ina226").put(device + "/driver/module", "");
  const Inventory found = take_inventory({tree.root(), ""});
  ASSERT_EQ(found.monitors.size(), 1U);
  ASSERT_EQ(found.monitors[0].channels.size(), 1U) << "power is given: current and voltage are no rails of their own";
  EXPECT_DOUBLE_EQ(found.monitors[0].update_s.value(), 1 / 114.0);
  EXPECT_EQ(command_for(found, "monitors"), "<nothing of the kind>");
  const auto board = discover_board(tree.root());
  ASSERT_OK(board);
  ASSERT_EQ(board->rails.size(), 1U);
  EXPECT_EQ(board->rails[0].name, "ina226-1-0040");
  EXPECT_EQ(board->rails[0].sensor, "ina231:1-0040");
  EXPECT_TRUE(board->rails[0].accounting);
  EXPECT_EQ(board->notes.find("no energy"), std::string::npos) << board->notes;
}

TEST(HostBoard, CountsNoRailThatMightBeCountedTwice) {
  SysTree tree;
  testing::lay_xu3_old(tree);
  const auto board = discover_board(tree.root());
  ASSERT_OK(board);
  ASSERT_EQ(board->rails.size(), 3U) << "the one that is switched off measures nothing";
  EXPECT_EQ(board->rails[0].name, "ina231-3-0040");
  EXPECT_TRUE(std::none_of(board->rails.begin(), board->rails.end(), [](const auto& rail) { return rail.accounting; }));
  EXPECT_THAT(board->notes, HasSubstr("set accounting = true"));
  SysTree bare;
  testing::lay_raspberry_pi_4(bare);
  const auto without = discover_board(bare.root());
  ASSERT_OK(without);
  EXPECT_THAT(without->notes, HasSubstr("no energy claim"));
}

}  // namespace
}  // namespace reins::sensors
