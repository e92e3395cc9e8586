#include "tests/support/board_trees.hpp"

#include <string>

namespace reins::testing {
namespace {

const std::string kCpu = "sys/devices/system/cpu";

std::vector<std::int64_t> steps(std::int64_t first_khz, std::int64_t last_khz, std::int64_t step_khz) {
  std::vector<std::int64_t> all;
  for (std::int64_t khz = first_khz; khz <= last_khz; khz += step_khz) all.push_back(khz);
  return all;
}

/// Cpus `first` to `last` with what every kernel says of them.
void lay_cores(SysTree& tree, int count) {
  const std::string all = "0-" + std::to_string(count - 1);
  tree.put(kCpu + "/online", all).put(kCpu + "/present", all).put(kCpu + "/possible", all);
  std::string stat = "cpu  0 0 0 0 0 0 0 0";
  for (int cpu = 0; cpu < count; ++cpu) {
    const std::string at = kCpu + "/cpu" + std::to_string(cpu);
    tree.put(at + "/topology/physical_package_id", "0").put(at + "/topology/core_id", std::to_string(cpu));
    tree.put(at + "/topology/thread_siblings_list", std::to_string(cpu));
    if (cpu > 0) tree.put(at + "/online", "1");
    stat += "\ncpu" + std::to_string(cpu) + " 5 0 0 5 0 0 0 0";
  }
  tree.put("proc/stat", stat).put("proc/self/task/1/stat", "1 (reins) S");
}

std::string policy(SysTree& tree, int number, const std::vector<std::int64_t>& khz, std::string_view cpus,
                   std::string_view driver, std::string_view governor = "schedutil") {
  const std::string at = tree.cpufreq(number, khz, governor);
  tree.put(at + "/affected_cpus", cpus).put(at + "/related_cpus", cpus).put(at + "/scaling_driver", driver);
  return at;
}

void trip(SysTree& tree, const std::string& zone, int number, std::string_view type, std::string_view millic) {
  const std::string head = zone + "/trip_point_" + std::to_string(number);
  tree.put(head + "_type", type).put(head + "_temp", millic).put(head + "_hyst", "5000");
}

void cooling(SysTree& tree, int number, std::string_view type, std::string_view state, std::string_view most) {
  const std::string at = "sys/class/thermal/cooling_device" + std::to_string(number);
  tree.put(at + "/type", type).put(at + "/cur_state", state).put(at + "/max_state", most);
}

void idle(SysTree& tree, int cpu, int number, std::string_view name, int latency_us, int residency_us) {
  const std::string at = kCpu + "/cpu" + std::to_string(cpu) + "/cpuidle/state" + std::to_string(number);
  tree.put(at + "/name", name).put(at + "/desc", name).put(at + "/disable", "0");
  tree.put(at + "/latency", std::to_string(latency_us)).put(at + "/residency", std::to_string(residency_us));
}

void device_tree(SysTree& tree, std::string_view model) {
  tree.put_raw("proc/device-tree/model", std::string(model) + std::string(1, '\0'));
}

/// cgroup v2, in the session of a user.
void lay_cgroup_v2(SysTree& tree) {
  tree.put("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate");
  tree.put("proc/self/cgroup", "0::/user.slice/user-1000.slice/session-1.scope");
  tree.put("sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope/cpu.max", "max 100000");
}

}  // namespace

void lay_xu3_old(SysTree& tree) {
  lay_cores(tree, 8);
  policy(tree, 0, steps(200000, 1400000, 100000), "0 1 2 3", "exynos_cpufreq", "interactive");
  policy(tree, 4, steps(200000, 2000000, 100000), "4 5 6 7", "exynos_cpufreq", "interactive");
  for (const char* address : {"40", "41", "44", "45"}) {
    const std::string device = "sys/bus/i2c/drivers/INA231/3-00" + std::string(address);
    tree.put(device + "/enable", address == std::string("45") ? "0" : "1");
    tree.put(device + "/sensor_W", "0.846000").put(device + "/sensor_V", "1.0").put(device + "/sensor_A", "0.846");
  }
  for (int i = 0; i < 5; ++i) tree.thermal(i, "exynos-therm", "52000");
  tree.put("proc/cpuinfo", "processor\t: 0\n\nHardware\t: ODROID-XU3");
  tree.put("proc/self/mountinfo", "25 20 0:21 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct");
  tree.put("proc/self/cgroup", "2:cpu,cpuacct:/reins\n1:name=systemd:/");
  tree.put("sys/fs/cgroup/cpu/reins/cpu.cfs_quota_us", "150000");
  tree.put("sys/fs/cgroup/cpu/reins/cpu.cfs_period_us", "100000");
}

void lay_xu3_mainline(SysTree& tree) {
  lay_cores(tree, 8);
  device_tree(tree, "Hardkernel Odroid XU3");
  for (int cpu = 0; cpu < 8; ++cpu) {
    const std::string at = kCpu + "/cpu" + std::to_string(cpu);
    tree.put(at + "/cpu_capacity", cpu < 4 ? "371" : "1024");
    tree.put(at + "/topology/cluster_id", cpu < 4 ? "1" : "0");
    idle(tree, cpu, 0, "WFI", 1, 1);
    if (cpu >= 4) idle(tree, cpu, 1, "C1", 1000, 10000);
  }
  tree.put(kCpu + "/cpuidle/current_driver", "ARM_big_LITTLE").put(kCpu + "/cpuidle/current_governor", "menu");
  policy(tree, 0, steps(200000, 1400000, 100000), "0 1 2 3", "cpufreq-dt");
  const std::string a15 = policy(tree, 4, steps(200000, 1900000, 100000), "4 5 6 7", "cpufreq-dt");
  tree.put(a15 + "/scaling_boost_frequencies", "2000000 ").put(a15 + "/cpuinfo_max_freq", "2000000");
  tree.put(a15 + "/scaling_max_freq", "1800000").put(a15 + "/cpuinfo_transition_latency", "140000");
  tree.put(kCpu + "/cpufreq/boost", "1");
  tree.devfreq("11800000.gpu", {177000, 266000, 350000, 420000, 480000, 543000, 600000});
  tree.devfreq("10c20000.memory-controller", {165000, 206000, 275000, 413000, 543000, 633000, 728000, 825000},
               "simple_ondemand", "simple_ondemand performance");
  int number = 0;
  for (const char* address : {"40", "41", "44", "45"}) {
    const std::string device = "sys/devices/platform/soc/12ca0000.i2c/i2c-0/0-00" + std::string(address);
    const std::string chip = device + "/hwmon/hwmon" + std::to_string(number);
    tree.put(chip + "/name", "ina231").put(chip + "/power1_input", "846000").put(chip + "/in1_input", "1000");
    tree.put(chip + "/curr1_input", "846").put(chip + "/shunt_resistor", "10000").put(chip + "/update_interval", "35");
    tree.link(chip + "/device", device).link("sys/class/hwmon/hwmon" + std::to_string(number), chip);
    tree.link("sys/bus/i2c/devices/0-00" + std::string(address), device);
    tree.put(device + "/name", "ina231").put(device + "/driver/module", "");
    ++number;
  }
  for (int i = 0; i < 4; ++i) {
    const std::string zone = tree.thermal(i, "cpu" + std::to_string(i) + "-thermal", "71000");
    trip(tree, zone, 0, "active", "50000");
    trip(tree, zone, 1, "passive", "70000");
    trip(tree, zone, 2, "critical", "120000");
  }
  tree.thermal(4, "gpu-thermal", "55000");
  cooling(tree, 0, "pwm-fan", "2", "3");
  cooling(tree, 1, "cpufreq-cpu0", "0", "12");
  cooling(tree, 2, "cpufreq-cpu4", "2", "18");
  lay_cgroup_v2(tree);
}

void lay_jetson_nano(SysTree& tree) {
  lay_cores(tree, 4);
  device_tree(tree, "NVIDIA Jetson Nano Developer Kit");
  policy(tree, 0,
         {102000, 204000, 307200, 403200, 518400, 614400, 710400, 825600, 921600, 1036800, 1132800, 1224000, 1326000,
          1428000, 1479000},
         "0 1 2 3", "tegra-cpufreq");
  tree.devfreq("57000000.gpu",
               {76800, 153600, 230400, 307200, 384000, 460800, 537600, 614400, 691200, 768000, 844800, 921600},
               "nvhost_podgov", "wmark_active nvhost_podgov userspace performance simple_ondemand");
  const std::string device = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0";
  tree.put(device + "/name", "ina3221x");
  const char* rails[] = {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"};
  const char* milliwatts[] = {"2130", "40", "283"};
  for (int i = 0; i < 3; ++i) {
    const std::string number = std::to_string(i);
    tree.put(device + "/rail_name_" + number, rails[i]).put(device + "/in_power" + number + "_input", milliwatts[i]);
    tree.put(device + "/in_voltage" + number + "_input", "5000").put(device + "/in_current" + number + "_input", "100");
  }
  const char* zones[] = {"AO-therm", "CPU-therm", "GPU-therm", "PLL-therm", "PMIC-Die", "thermal-fan-est"};
  for (int i = 0; i < 6; ++i) tree.thermal(i, zones[i], i == 4 ? "100000" : "36500");
  trip(tree, "sys/class/thermal/thermal_zone1", 0, "passive", "98500");
  trip(tree, "sys/class/thermal/thermal_zone1", 1, "critical", "102500");
  tree.put("sys/kernel/debug/clk/override.emc/clk_rate", "1600000000");
  lay_cgroup_v2(tree);
}

void lay_orin_nano(SysTree& tree) {
  lay_cores(tree, 6);
  device_tree(tree, "NVIDIA Jetson Orin Nano Developer Kit");
  std::vector<std::int64_t> khz = steps(192000, 1497600, 76800);
  khz.insert(khz.begin(), 115200);
  khz.push_back(1510400);
  policy(tree, 0, khz, "0 1 2 3", "tegra194");
  policy(tree, 4, khz, "4 5", "tegra194");
  for (int cpu = 0; cpu < 6; ++cpu) {
    tree.put(kCpu + "/cpu" + std::to_string(cpu) + "/topology/cluster_id", cpu < 4 ? "0" : "1");
    idle(tree, cpu, 0, "WFI", 1, 1);
    idle(tree, cpu, 1, "c7", 5000, 30000);
  }
  tree.devfreq("17000000.ga10b", {306000, 408000, 510000, 612000, 624750}, "nvhost_podgov",
               "nvhost_podgov performance");
  const std::string device = "sys/devices/platform/c240000.i2c/i2c-1/1-0040";
  const std::string chip = device + "/hwmon/hwmon3";
  tree.put(chip + "/name", "ina3221").put(chip + "/update_interval", "1");
  const char* rails[] = {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"};
  for (int i = 1; i <= 3; ++i) {
    const std::string number = std::to_string(i);
    tree.put(chip + "/in" + number + "_label", rails[i - 1]).put(chip + "/in" + number + "_input", "5000");
    tree.put(chip + "/curr" + number + "_input", "800");
    tree.put(chip + "/in" + std::to_string(i + 3) + "_input", "4");  // shunt voltages
  }
  tree.put(chip + "/in7_label", "sum of shunt voltages")
      .put(chip + "/in7_input", "12")
      .put(chip + "/curr4_input", "2400");
  tree.link(chip + "/device", device).link("sys/class/hwmon/hwmon3", chip).link("sys/bus/i2c/devices/1-0040", device);
  tree.put(device + "/name", "ina3221").put(device + "/driver/module", "");
  const std::string zone = tree.thermal(0, "cpu-thermal", "48000");
  trip(tree, zone, 0, "critical", "104500");
  trip(tree, zone, 1, "passive", "99000");
  tree.put("sys/kernel/debug/bpmp/debug/clk/emc/rate", "2133000000");
  lay_cgroup_v2(tree);
}

void lay_raspberry_pi_4(SysTree& tree) {
  lay_cores(tree, 4);
  device_tree(tree, "Raspberry Pi 4 Model B Rev 1.4");
  policy(tree, 0, steps(600000, 1500000, 100000), "0 1 2 3", "cpufreq-dt");
  const std::string zone = tree.thermal(0, "cpu-thermal", "48200");
  trip(tree, zone, 0, "critical", "110000");
  tree.put("sys/bus/i2c/devices/i2c-1/name", "bcm2835 (i2c@7e804000)");
  lay_cgroup_v2(tree);
}

void lay_laptop(SysTree& tree) {
  lay_cores(tree, 6);
  tree.put("sys/class/dmi/id/sys_vendor", "LENOVO").put("sys/class/dmi/id/product_name", "21AH");
  tree.put("proc/cpuinfo",
           "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: 12th Gen Intel(R) Core(TM)\nflags\t\t: fpu msr");
  tree.put("sys/devices/cpu_core/cpus", "0-3").put("sys/devices/cpu_atom/cpus", "4-5");
  tree.put(kCpu + "/smt/control", "on");
  for (int cpu = 0; cpu < 6; ++cpu) {
    const std::string at = kCpu + "/cpu" + std::to_string(cpu);
    const int first = cpu / 2 * 2;
    if (cpu < 4) {
      tree.put(at + "/topology/thread_siblings_list", std::to_string(first) + "-" + std::to_string(first + 1));
      tree.put(at + "/topology/core_id", std::to_string(first));
    }
    const std::string number = std::to_string(cpu);
    const std::string made =
        policy(tree, cpu, {400000, cpu < 4 ? 4700000 : 3400000}, number, "intel_pstate", "powersave");
    tree.remove(made + "/scaling_available_frequencies");
    tree.put(made + "/scaling_available_governors", "performance powersave")
        .put(made + "/scaling_setspeed", "<unsupported>");
    tree.put(made + "/energy_performance_available_preferences", "default performance balance_performance power");
    tree.put(made + "/energy_performance_preference", "balance_performance");
    idle(tree, cpu, 0, "POLL", 0, 0);
    idle(tree, cpu, 1, "C1E", 2, 4);
    idle(tree, cpu, 2, "C10", 230, 690);
  }
  tree.put(kCpu + "/cpuidle/current_driver", "intel_idle").put(kCpu + "/cpuidle/current_governor", "menu");
  tree.put(kCpu + "/intel_pstate/status", "active").put(kCpu + "/intel_pstate/no_turbo", "0");
  const auto rapl = [&](const std::string& id, std::string_view name) {
    const std::string zone = "sys/class/powercap/intel-rapl:" + id;
    tree.put(zone + "/name", name)
        .put(zone + "/energy_uj", "123456789")
        .put(zone + "/max_energy_range_uj", "262143328850");
    tree.put(zone + "/constraint_0_power_limit_uw", "28000000").put(zone + "/enabled", "1");
  };
  rapl("0", "package-0");
  rapl("0:0", "core");
  rapl("1", "psys");
  const std::string zone = tree.thermal(0, "x86_pkg_temp", "51000");
  trip(tree, zone, 0, "passive", "0");
  tree.thermal(1, "acpitz", "46000");
  for (int i = 0; i < 6; ++i) cooling(tree, i, "Processor", "0", "3");
  cooling(tree, 6, "intel_powerclamp", "-1", "100");
  const std::string battery = "sys/class/power_supply/BAT0";
  tree.put(battery + "/type", "Battery").put(battery + "/status", "Discharging").put(battery + "/capacity", "87");
  tree.put(battery + "/power_now", "7350000");
  tree.put("sys/class/power_supply/AC/type", "Mains").put("sys/class/power_supply/AC/online", "0");
  // SMBIOS type 17: 16 GiB in the slot, configured for 5200 MT/s.
  std::string dmi(0x28, '\0');
  dmi[0] = 17;
  dmi[0x0d] = 0x40;
  dmi[0x20] = 0x50;
  dmi[0x21] = 0x14;
  tree.put_raw("sys/firmware/dmi/entries/17-0/raw", dmi);
  lay_cgroup_v2(tree);
}

}  // namespace reins::testing
