// bench/jetson_tree.hpp: /sys and /proc of a Jetson Nano, laid out as its kernel does, below a folder of plain files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "boards/board.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::bench {

/// What boards/jetson-nano.toml names: cpufreq, devfreq, the ina3221x of three rails, a thermal zone, and this process
/// in /proc.
inline void lay_jetson_nano(testing::SysTree& tree, const boards::Board& board) {
  for (const boards::Cluster& cluster : board.clusters) {
    std::vector<std::int64_t> khz;
    for (const boards::OperatingPoint& opp : cluster.opps) khz.push_back(opp.freq_khz);
    if (cluster.kind == boards::UnitKind::kCpu) {
      tree.put(tree.cpufreq(0, khz) + "/related_cpus", "0 1 2 3");
      continue;
    }
    const std::string made = tree.devfreq("57000000.gpu", khz);
    std::filesystem::create_directories(tree.path("sys/devices/57000000.gpu/devfreq"));
    std::filesystem::rename(tree.path(made), tree.path("sys/devices/57000000.gpu/devfreq/57000000.gpu"));
  }
  const std::string monitor = "sys/bus/i2c/devices/6-0040/iio:device0";
  tree.put(monitor + "/name", "ina3221x");
  for (int channel = 0; channel < 3; ++channel) {
    tree.put(monitor + "/in_power" + std::to_string(channel) + "_input", std::to_string(1840 + 40 * channel));
  }
  tree.thermal(0, board.thermal.zone, "42500");
  tree.put("sys/devices/system/cpu/online", "0-3");
}

/// /proc of that machine after `round` tenths of a second: four cpus, the interrupts' line as long as there, and three
/// threads of this process.
inline void lay_proc(testing::SysTree& tree, int round) {
  const auto ticks = [round](int cpu) {
    const std::string busy = std::to_string(4000 + (cpu + 2) * round);
    return " " + busy + " 12 345 " + std::to_string(90000 + (8 - cpu) * round) + " 6 7 8 0 0 0\n";
  };
  std::string stat = "cpu " + ticks(0);
  for (int cpu = 0; cpu < 4; ++cpu) stat += "cpu" + std::to_string(cpu) + ticks(cpu);
  stat += "intr 1234567";
  for (int line = 0; line < 500; ++line) stat += line % 9 == 0 ? " 4711" : " 0";
  tree.put("proc/stat", stat + "\nctxt 7654321\nbtime 1700000000\nprocesses 4321\nprocs_running 2\nprocs_blocked 0");
  for (int tid = 100; tid < 103; ++tid) {
    const std::string used = std::to_string(100 + round);
    tree.put("proc/self/task/" + std::to_string(tid) + "/stat",
             std::to_string(tid) + " (reins) S 1 1 1 0 -1 4194304 500 0 0 0 " + used + " 7 0 0 20 0 3 0 123 90000000 " +
                 "3000 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 " + std::to_string(tid % 4) +
                 " 0 0 0 0 0 0 0 0 0 0 0 0");
  }
}

}  // namespace reins::bench
