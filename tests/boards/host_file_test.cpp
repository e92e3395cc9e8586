// A discovered board as a file: what is read back is what was found, whatever the machine calls itself.
#include "boards/host_file.hpp"

#include "tests/support/matchers.hpp"
#include "tests/support/same_board.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::boards {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::SysTree;

TEST(HostFile, IsReadBackWholeWithTwoClustersRailsAndATrip) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-7");
  const std::string little = tree.cpufreq(0, {200000, 800000, 1400000});
  const std::string big = tree.cpufreq(4, {200000, 2000000});
  tree.put(little + "/related_cpus", "0 1 2 3").put(big + "/related_cpus", "4 5 6 7");
  tree.put(big + "/cpuinfo_transition_latency", "140000");
  tree.put("sys/devices/system/cpu/cpu0/cpu_capacity", "371").put("sys/devices/system/cpu/cpu4/cpu_capacity", "1009");
  tree.put("sys/class/powercap/intel-rapl:0/name", "package-0").put("sys/class/powercap/intel-rapl:0:0/name", "core");
  const std::string zone = tree.thermal(0, "cpu-thermal", "50000");
  tree.put(zone + "/trip_point_0_type", "passive").put(zone + "/trip_point_0_temp", "85333");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  ASSERT_EQ(board->rails.size(), 2U);
  const std::string text = host_board_toml(*board, "mine.toml");
  const auto back = parse_board(text, "mine.toml");
  ASSERT_OK(back);
  testing::expect_same_board(*back, *board);
  EXPECT_THAT(
      text, AllOf(HasSubstr("freq_khz = [200000, 2000000]  # discovered\n"), HasSubstr("voltage_v = [1, 1]  # assumed"),
                  HasSubstr("throttle_c = 85.333  # discovered"), HasSubstr("reins profile --live --board mine.toml"),
                  HasSubstr("reins board fit --board mine.toml")));
}

TEST(HostFile, KeepsNamesThatTomlMustEscape) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  Board odd = *board;
  odd.clusters[0].time.overlap = 0.5;
  odd.title = "a \"quoted\" back\\slash\ttab \x01 and \xc2\xb5";
  const auto back = parse_board(host_board_toml(odd, "x.toml"), "x.toml");
  ASSERT_OK(back);
  testing::expect_same_board(*back, odd);
}

TEST(HostFile, AZeroFrequencyStandsAloneOrNotAtAll) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0");
  const auto board = discover_host(tree.root());
  ASSERT_OK(board);
  std::string text = host_board_toml(*board, "x.toml");
  const std::string line = "freq_khz = [0]";
  const std::size_t at = text.find(line);
  ASSERT_NE(at, std::string::npos);
  EXPECT_OK(parse_board(text, "x.toml"));
  text.replace(at, line.size(), "freq_khz = [0, 1000]").replace(text.find("voltage_v = [1]"), 15, "voltage_v = [1, 1]");
  EXPECT_THAT(parse_board(text, "x.toml"), testing::IsError(ErrorKind::kGarbled, HasSubstr("stands alone")));
}

}  // namespace
}  // namespace reins::boards
