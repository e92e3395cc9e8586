#include <algorithm>
#include <filesystem>

#include "boards/board.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::boards {
namespace {

using ::reins::testing::IsError;
using ::reins::testing::SysTree;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> names_of(const std::vector<Mapping>& mappings) {
  std::vector<std::string> names;
  for (const Mapping& mapping : mappings) names.push_back(mapping.name);
  return names;
}

std::vector<std::int64_t> freqs_of(const Cluster& cluster) {
  std::vector<std::int64_t> freqs;
  for (const OperatingPoint& opp : cluster.opps) freqs.push_back(opp.freq_khz);
  return freqs;
}

const Rail* rail_named(const Board& board, std::string_view name) {
  const auto it =
      std::find_if(board.rails.begin(), board.rails.end(), [&](const Rail& rail) { return rail.name == name; });
  return it == board.rails.end() ? nullptr : &*it;
}

// What discovery finds must satisfy what the loader demands of a file.
void expect_sound(const Board& board) {
  EXPECT_FALSE(board.clusters.empty());
  EXPECT_LE(board.clusters.size(), 4u);
  EXPECT_FALSE(board.mappings.empty());
  EXPECT_LE(board.mappings.size(), 8u);
  for (const Cluster& cluster : board.clusters) {
    EXPECT_FALSE(cluster.idle.empty());
    EXPECT_LE(cluster.opps.size(), 32u);
    for (std::size_t i = 1; i < cluster.opps.size(); ++i) {
      EXPECT_LT(cluster.opps[i - 1].freq_khz, cluster.opps[i].freq_khz);
    }
    EXPECT_TRUE(cluster.rail.empty() || rail_named(board, cluster.rail) != nullptr);
  }
  for (const Mapping& mapping : board.mappings) {
    EXPECT_LE(static_cast<std::size_t>(mapping.cores), board.clusters[mapping.cluster.index()].cpus.size());
    EXPECT_EQ(std::count_if(board.mappings.begin(), board.mappings.end(),
                            [&](const Mapping& other) { return other.slot == mapping.slot; }),
              1)
        << mapping.slot;
  }
}

TEST(Host, WithoutDvfsRunsAsTheMachineRunsAndMakesNoEnergyClaim) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-5");
  tree.put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\ncpu MHz\t\t: 2000.1\n");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  expect_sound(*board);
  EXPECT_EQ(board->name, "host");
  EXPECT_EQ(board->title, "Some CPU @ 2.0GHz");
  ASSERT_EQ(board->clusters.size(), 1u);
  EXPECT_THAT(freqs_of(board->clusters[0]), ElementsAre(0));
  EXPECT_EQ(board->clusters[0].control, "");
  EXPECT_THAT(names_of(board->mappings), ElementsAre("cpu-x1", "cpu-x2", "cpu-x4", "cpu-x6"));
  EXPECT_TRUE(board->rails.empty());
  EXPECT_TRUE(board->provisional);
  EXPECT_THAT(board->notes, HasSubstr("no DVFS"));
  EXPECT_THAT(board->notes, HasSubstr("no energy claim"));
}

TEST(Host, OffersAtMostFourCoreCounts) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-63");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  EXPECT_THAT(names_of(board->mappings), ElementsAre("cpu-x1", "cpu-x16", "cpu-x32", "cpu-x64"));
}

TEST(Host, UsesOnlyCpusThatThisProcessMayRunOn) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-3,8");
  tree.put("proc/self/status", "Name:\tx\nCpus_allowed:\t106\nCpus_allowed_list:\t1-2,8\n");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  EXPECT_THAT(board->clusters[0].cpus, ElementsAre(1, 2, 8));
  EXPECT_THAT(names_of(board->mappings), ElementsAre("cpu-x1", "cpu-x2", "cpu-x3"));
}

TEST(Host, CountsProcessorsWhereSysfsIsMissing) {
  SysTree tree;
  tree.put("proc/cpuinfo", "processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: A\n");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  EXPECT_THAT(board->clusters[0].cpus, ElementsAre(0, 1));
}

TEST(Host, WithoutAnyCpuSaysWhereItLooked) {
  SysTree tree;
  EXPECT_THAT(discover_host(tree.root()), IsError(ErrorKind::kUnsupported, HasSubstr("sys/devices/system/cpu/online")));
  tree.put("sys/devices/system/cpu/online", "garbage");
  EXPECT_THAT(discover_host(tree.root()), IsError(ErrorKind::kUnsupported, HasSubstr("no online cpu")));
}

TEST(Host, OffersAFrequencyOnlyToWhoMaySetIt) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-1");
  const std::string policy = tree.cpufreq(0, {200000, 800000, 1400000});
  tree.put(policy + "/related_cpus", "0 1");
  for (const char* file : {"scaling_governor", "scaling_min_freq", "scaling_max_freq"}) {
    std::filesystem::permissions(tree.root() / policy / file, std::filesystem::perms::owner_read |
                                                                  std::filesystem::perms::group_read |
                                                                  std::filesystem::perms::others_read);
  }
  const int code = run_unprivileged(
      [](const std::filesystem::path& root) {
        const auto all = discover_host(root), usable = discover_host(root, true);
        if (!all || !usable) return 1;
        if (all->clusters[0].opps.size() != 3 || all->clusters[0].control.empty()) return 2;
        if (usable->clusters[0].opps.size() != 1 || !usable->clusters[0].control.empty()) return 3;
        return usable->notes.find("not this user's to set") != std::string::npos ? 0 : 4;
      },
      tree);
  if (code == 254) GTEST_SKIP() << "root cannot be given up here";
  EXPECT_EQ(code, 0);
}

// big.LITTLE: two policies with capacities, as an Exynos 5422 has them. acpi-cpufreq lists frequencies from the top.
TEST(Host, MakesEachPolicyACluster) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-7");
  const std::string little = tree.cpufreq(0, {200000, 800000, 1400000});
  const std::string big = tree.cpufreq(4, {200000, 2000000});
  tree.put(little + "/related_cpus", "0 1 2 3");
  tree.put(big + "/related_cpus", "4 5 6 7");
  tree.put(big + "/scaling_available_frequencies", "2000000 1000000 200000 ");
  tree.put(big + "/cpuinfo_transition_latency", "140000");
  tree.put(little + "/cpuinfo_transition_latency", "4294967295");
  tree.put("sys/devices/system/cpu/cpu0/cpu_capacity", "377");
  tree.put("sys/devices/system/cpu/cpu4/cpu_capacity", "1024");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  expect_sound(*board);
  ASSERT_EQ(board->clusters.size(), 2u);
  EXPECT_EQ(board->clusters[0].name, "cpu4") << "the biggest comes first";
  EXPECT_EQ(board->clusters[0].capacity, 1024);
  EXPECT_EQ(board->clusters[1].capacity, 377);
  EXPECT_EQ(board->clusters[0].control, big);
  EXPECT_THAT(freqs_of(board->clusters[0]), ElementsAre(200000, 1000000, 2000000));
  EXPECT_NEAR(board->clusters[0].switch_s, 140e-6, 1e-12);
  EXPECT_EQ(board->clusters[1].switch_s, 0) << "CPUFREQ_ETERNAL is unknown";
  EXPECT_THAT(board->clusters[1].cpus, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(names_of(board->mappings), ElementsAre("cpu4-x1", "cpu4-x2", "cpu4-x4", "cpu0-x1", "cpu0-x2", "cpu0-x4"));
  EXPECT_EQ(board->mappings[2].slot, "big-all");
  EXPECT_EQ(board->mappings[4].slot, "little-half");
}

// A PC: one policy a cpu, all alike, and a driver that names a range (intel_pstate).
TEST(Host, MergesAlikePoliciesAndStepsThroughARange) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-1");
  for (const int cpu : {0, 1}) {
    const std::string policy = tree.cpufreq(cpu, {800000, 4000000});
    tree.remove(policy + "/scaling_available_frequencies");
  }
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  expect_sound(*board);
  ASSERT_EQ(board->clusters.size(), 1u);
  EXPECT_EQ(board->clusters[0].control, "sys/devices/system/cpu/cpufreq/policy*");
  EXPECT_THAT(board->clusters[0].cpus, ElementsAre(0, 1));
  // 3200 MHz in 7 steps of 457.14, in whole 100 kHz.
  EXPECT_THAT(freqs_of(board->clusters[0]),
              ElementsAre(800000, 1257100, 1714200, 2171400, 2628500, 3085700, 3542800, 4000000));
}

TEST(Host, ThinsALongListKeepingItsEnds) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0");
  std::vector<std::int64_t> many;
  for (std::int64_t i = 0; i < 100; ++i) many.push_back(500000 + i * 10000);
  tree.cpufreq(0, many);
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  expect_sound(*board);
  EXPECT_EQ(board->clusters[0].opps.size(), 32u);
  EXPECT_EQ(board->clusters[0].opps.front().freq_khz, 500000);
  EXPECT_EQ(board->clusters[0].max_khz(), 1490000);
}

TEST(Host, IgnoresAPolicyWithoutReadableFrequencies) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0");
  const std::string policy = tree.cpufreq(0, {800000, 4000000});
  tree.put(policy + "/scaling_available_frequencies", "<unknown>");
  tree.put(policy + "/cpuinfo_max_freq", "");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  EXPECT_THAT(freqs_of(board->clusters[0]), ElementsAre(0));
}

// RAPL: two packages with parts, memory beside them, and the platform around all. Each joule is counted once.
TEST(Host, CountsPackagesAndMemoryOnce) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0");
  const auto zone = [&](std::string_view id, std::string_view name) {
    tree.put("sys/class/powercap/intel-rapl:" + std::string(id) + "/name", name);
    tree.put("sys/class/powercap/intel-rapl:" + std::string(id) + "/energy_uj", "123");
  };
  zone("0", "package-0");
  zone("0:0", "core");
  zone("0:1", "dram");
  zone("1", "package-1");
  zone("1:0", "core");
  zone("2", "psys");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  expect_sound(*board);
  std::vector<std::string> counted;
  for (const Rail& rail : board->rails) {
    if (rail.accounting) counted.push_back(rail.name);
  }
  EXPECT_THAT(counted, ::testing::UnorderedElementsAre("package-0", "dram-0", "package-1"));
  ASSERT_NE(rail_named(*board, "psys"), nullptr);
  EXPECT_THAT(rail_named(*board, "psys")->contains,
              ::testing::UnorderedElementsAre("package-0", "dram-0", "package-1"));
  EXPECT_THAT(rail_named(*board, "package-1")->contains, ElementsAre("core-1"));
  EXPECT_EQ(rail_named(*board, "package-0")->sensor, "sys/class/powercap/intel-rapl:0");
  EXPECT_EQ(board->clusters[0].rail, "package-0");
}

TEST(Host, TakesThePackageTemperatureAndTheLowestPassiveTrip) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0");
  tree.thermal(0, "acpitz", "20000");
  tree.thermal(1, "x86_pkg_temp", "40000");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_0_type", "critical");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_0_temp", "60000");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_1_type", "passive");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_1_temp", "95000");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_2_type", "passive");
  tree.put("sys/class/thermal/thermal_zone1/trip_point_2_temp", "88000");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  EXPECT_EQ(board->thermal.zone, "x86_pkg_temp");
  EXPECT_EQ(board->thermal.throttle_c, 88);
  EXPECT_EQ(board->thermal.release_c, 83);
}

TEST(Host, HasTheSameFingerprintUntilItsHardwareChanges) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-1");
  const std::string policy = tree.cpufreq(0, {800000, 1600000});
  tree.put(policy + "/related_cpus", "0 1");
  const auto first = discover_host(tree.root());
  tree.put(policy + "/scaling_cur_freq", "1600000");
  tree.put(policy + "/scaling_max_freq", "800000");
  const auto same = discover_host(tree.root());
  tree.put(policy + "/scaling_available_frequencies", "800000 1600000 2000000");
  const auto other = discover_host(tree.root());
  ASSERT_OK(first);
  ASSERT_OK(same);
  ASSERT_OK(other);
  EXPECT_EQ(first->fingerprint, same->fingerprint);
  EXPECT_NE(first->fingerprint, other->fingerprint);
}

TEST(Host, DescribesTheMachineThatRunsThisTest) {
  const auto board = discover_host("/");
  ASSERT_OK(board);
  expect_sound(*board);
}

}  // namespace
}  // namespace reins::boards
