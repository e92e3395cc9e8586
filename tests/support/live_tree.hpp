// tests/support/live_tree.hpp: the smallest board that `--live` takes, laid out below a tree's root.
#pragma once

#include <sched.h>

#include <string>

#include "tests/support/sys_tree.hpp"

namespace reins::testing {

struct LiveTree {
  std::string board;   ///< path of the board file
  std::string policy;  ///< the cpufreq folder of its cpu
};

/// One cluster on the first cpu that this process may use, at 400 and 800 MHz, and a GPU.
inline LiveTree lay_live_tree(SysTree& tree, const std::string& name = "small") {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed)) ++cpu;
  const std::string number = std::to_string(cpu);
  const std::string policy = tree.cpufreq(0, {400000, 800000});
  tree.put(policy + "/related_cpus", number);
  const std::string cluster =
      "voltage_v = [0.9, 1.0]\n[cluster.power]\ncore_w_per_mhz_v2 = 1e-4\n[cluster.time]\nmacs_per_cycle = 1\n"
      "[[cluster.idle]]\nname = \"wfi\"\n";
  tree.put("boards/" + name + ".toml",
           "schema = 1\nname = \"" + name + "\"\n[[cluster]]\nname = \"cpu\"\nkind = \"cpu\"\ncpus = [" + number +
               "]\nfreq_khz = [400000, 800000]\ncontrol = \"" + policy + "\"\n" + cluster +
               "[[cluster]]\nname = \"gpu\"\nkind = \"gpu\"\nfreq_khz = [100000, 200000]\ncontrol = "
               "\"sys/class/devfreq/gpu\"\n" +
               cluster +
               "[[mapping]]\nname = \"gpu\"\nslot = \"gpu\"\ncluster = \"gpu\"\n[[mapping]]\nname = \"cpu-x1\"\n"
               "slot = \"big-all\"\ncluster = \"cpu\"\n"
               "[thermal]\nr_c_per_w = 10\nc_j_per_c = 5\nthrottle_c = 85\nrelease_c = 80\n");
  return {tree.path("boards/" + name + ".toml").native(), policy};
}

}  // namespace reins::testing
