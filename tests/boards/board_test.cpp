#include "boards/board.hpp"

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <string>

#include "boards/physics.hpp"
#include "tests/support/matchers.hpp"

namespace reins::boards {
namespace {

using ::reins::testing::IsError;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A small valid board; the tests spoil one line of it.
constexpr std::string_view kBoard = R"(schema = 1
name = "toy"
[[cluster]]
name = "big"
kind = "cpu"
cpus = [0, 1]
freq_khz = [500000, 1000000]
voltage_v = [0.9, 1.1]
rail = "cpu"
[cluster.power]
core_w_per_mhz_v2 = 1e-3
[cluster.time]
macs_per_cycle = 1
[[cluster.idle]]
name = "wfi"
[[mapping]]
name = "big2"
slot = "big-all"
cluster = "big"
cores = 2
[[rail]]
name = "cpu"
accounting = true
[[rail]]
name = "input"
contains = ["middle"]
[[rail]]
name = "middle"
contains = ["cpu"]
[thermal]
r_c_per_w = 10
c_j_per_c = 2
throttle_c = 80
release_c = 75
throttled = ["big"]
)";

std::string with(std::string_view from, std::string_view to) {
  std::string text(kBoard);
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(BoardFile, ADwellTimeIsPerClusterAndNoneWithoutOne) {
  const auto without = parse_board(kBoard, "toy.toml");
  ASSERT_OK(without);
  EXPECT_EQ(without->clusters[0].dwell_s, 0);
  const auto board = parse_board(with("rail = \"cpu\"\n[", "rail = \"cpu\"\ndwell_s = 0.25\n["), "toy.toml");
  ASSERT_OK(board);
  EXPECT_EQ(board->clusters[0].dwell_s, 0.25);
  EXPECT_THAT(parse_board(with("rail = \"cpu\"\n[", "rail = \"cpu\"\ndwell_s = 11\n["), "toy.toml"),
              IsError(ErrorKind::kGarbled, HasSubstr("'dwell_s' is 11")));
}

TEST(BoardFile, ReadsEveryPart) {
  const auto board = parse_board(kBoard, "toy.toml");
  ASSERT_OK(board);
  EXPECT_EQ(board->name, "toy");
  ASSERT_EQ(board->clusters.size(), 1u);
  EXPECT_EQ(board->clusters[0].cpus, (std::vector<int>{0, 1}));
  EXPECT_EQ(board->clusters[0].max_khz(), 1000000);
  EXPECT_EQ(board->clusters[0].opps[0].voltage_v, 0.9);
  EXPECT_EQ(board->mappings[0].cores, 2);
  EXPECT_EQ(board->cluster_of(MappingId(0)).name, "big");
  EXPECT_TRUE(board->rails[0].accounting);
  EXPECT_EQ(board->thermal.throttled, std::vector<std::string>{"big"});
  EXPECT_EQ(board->fingerprint.size(), 16u);
}

TEST(BoardFile, IsTheSameBoardWhateverItsCommentsSay) {
  const std::string same = parse_board(kBoard, "toy.toml")->fingerprint;
  EXPECT_EQ(parse_board("# mine\n\n" + std::string(kBoard), "toy.toml")->fingerprint, same);
  EXPECT_EQ(parse_board(with("schema = 1", "schema  =  1  # \"one\""), "toy.toml")->fingerprint, same);
  EXPECT_EQ(parse_board(with("schema = 1", "schema = 1\nprovisional = true\nnotes = \"all of it # here\""), "toy.toml")
                ->fingerprint,
            same);
  EXPECT_NE(parse_board(with("macs_per_cycle = 1", "macs_per_cycle = 2"), "toy.toml")->fingerprint, same);
  EXPECT_NE(parse_board(with("name = \"wfi\"", "name = \"wfi#2\""), "toy.toml")->fingerprint,
            parse_board(with("name = \"wfi\"", "name = \"wfi#3\""), "toy.toml")->fingerprint);
  EXPECT_EQ(substance_of("a = \"b \\\" # c\" # d\r\n  [x . y] \n"), "a=\"b \\\" # c\"\n[x.y]\n");
}

struct Spoiled {
  std::string_view name, from, to;
  std::string_view line, says;
};

void PrintTo(const Spoiled& spoiled, std::ostream* out) { *out << spoiled.name; }

class SpoiledBoard : public ::testing::TestWithParam<Spoiled> {};

TEST_P(SpoiledBoard, IsRefusedWithFileLineAndReason) {
  const Spoiled& spoiled = GetParam();
  EXPECT_THAT(parse_board(with(spoiled.from, spoiled.to), "toy.toml"),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("toy.toml:" + std::string(spoiled.line) + ":"),
                                                 HasSubstr(std::string(spoiled.says)))));
}

INSTANTIATE_TEST_SUITE_P(
    Each, SpoiledBoard,
    ::testing::Values(
        Spoiled{"Syntax", "schema = 1", "schema =", "1", ""},
        Spoiled{"UnknownTopKey", "schema = 1", "schema = 1\ncolour = 3", "2", "unknown key 'colour'"},
        Spoiled{"UnknownNestedKey", "macs_per_cycle = 1", "macs_per_cycle = 1\nmacs = 2", "14", "unknown key 'macs'"},
        Spoiled{"MissingKey", "macs_per_cycle = 1", "", "12", "'macs_per_cycle' is missing"},
        Spoiled{"OppsDescend", "[500000, 1000000]", "[1000000, 500000]", "7", "must ascend"},
        Spoiled{"OppsRepeat", "[500000, 1000000]", "[500000, 500000]", "7", "must ascend"},
        Spoiled{"FractionalKilohertz", "[500000, 1000000]", "[500000.5, 1000000]", "7", "whole kilohertz"},
        Spoiled{"OneVoltageTooFew", "[0.9, 1.1]", "[0.9]", "8", "1 voltages for 2 frequencies"},
        Spoiled{"VoltageFalls", "[0.9, 1.1]", "[1.1, 0.9]", "8", "must not fall"},
        Spoiled{"ImpossibleVoltage", "[0.9, 1.1]", "[900, 1100]", "8", "outside"},
        Spoiled{"CpuTwice", "[0, 1]", "[1, 1]", "6", "cpu 1 is listed twice"},
        Spoiled{"Kind", "\"cpu\"\ncpus", "\"npu\"\ncpus", "5", "'npu'"},
        Spoiled{"NoSuchRail", "rail = \"cpu\"", "rail = \"vdd\"", "9",
                "no rail 'vdd'; the rails are cpu, input, middle"},
        Spoiled{"NoSuchCluster", "cluster = \"big\"", "cluster = \"huge\"", "19",
                "no cluster 'huge'; the clusters are big"},
        Spoiled{"TooManyCores", "cores = 2", "cores = 3", "20", "outside 1 to 2"},
        Spoiled{"RailContainsUnknown", "[\"middle\"]", "[\"nothing\"]", "26", "no rail 'nothing'"},
        Spoiled{"RailContainsItself", "contains = [\"cpu\"]", "contains = [\"input\"]", "26", "contains itself"},
        Spoiled{"LessThanItsPart", "contains = [\"cpu\"]", "upstream_w_per_w = 0.9", "29", "outside"},
        Spoiled{"CountedTwice", "contains = [\"middle\"]", "accounting = true\ncontains = [\"middle\"]", "26",
                "rail 'input' contains 'cpu', and both are accounting rails"},
        Spoiled{"ReleaseAboveThrottle", "release_c = 75", "release_c = 90", "34", "below throttle_c"},
        Spoiled{"ThrottlesUnknown", "throttled = [\"big\"]", "throttled = [\"little\"]", "35", "no cluster 'little'"},
        Spoiled{"DeepFirst", "name = \"wfi\"", "name = \"off\"\nresidency_s = 1", "16", "first idle state"},
        Spoiled{"ProvisionalWithoutNotes", "schema = 1", "schema = 1\nprovisional = true", "2", "'notes'"},
        Spoiled{"BadName", "name = \"toy\"", "name = \"Toy Board\"", "2", "is no name"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(BoardFile, OfAnotherSchemaIsAMismatch) {
  EXPECT_THAT(parse_board(with("schema = 1", "schema = 2"), "toy.toml"),
              IsError(ErrorKind::kMismatch, HasSubstr("toy.toml:1: board schema 2, this build reads 1")));
}

TEST(BoardFile, ThatIsMissingOrUnknownSaysWhatThereIs) {
  EXPECT_THAT(load_board("/nonexistent/board.toml"),
              IsError(ErrorKind::kNotFound, HasSubstr("/nonexistent/board.toml")));
  const std::filesystem::path folder = std::filesystem::path(REINS_SOURCE_DIR) / "boards";
  EXPECT_THAT(find_board("odroid-xu9", folder),
              IsError(ErrorKind::kUsage, AllOf(HasSubstr("'odroid-xu9'"), HasSubstr("host"), HasSubstr("odroid-xu3"))));
  EXPECT_THAT(board_names("/nonexistent"), ::testing::IsEmpty());
}

TEST(BoardFile, IsFoundByNameAndByPath) {
  const std::filesystem::path folder = std::filesystem::path(REINS_SOURCE_DIR) / "boards";
  const auto by_name = find_board("odroid-xu3", folder);
  ASSERT_OK(by_name);
  const auto by_path = find_board((folder / "odroid-xu3.toml").native(), "/nonexistent");
  ASSERT_OK(by_path);
  EXPECT_EQ(by_name->fingerprint, by_path->fingerprint);
}

// Every shipped board loads, is named as its file, has something to count and fits the fixed limits of the action
// space.
TEST(ShippedBoards, AllLoad) {
  const std::filesystem::path folder = std::filesystem::path(REINS_SOURCE_DIR) / "boards";
  const auto names = board_names(folder);
  EXPECT_THAT(names, ::testing::IsSupersetOf(
                         {"jetson-agx-xavier", "jetson-nano", "jetson-xavier-nx", "odroid-xu3", "raspberry-pi-4"}));
  for (const std::string& name : names) {
    const auto board = find_board(name, folder);
    ASSERT_OK(board);
    EXPECT_EQ(board->name, name);
    EXPECT_LE(board->mappings.size(), 8u) << name;
    EXPECT_LE(board->clusters.size(), 4u) << name;
    std::size_t accounting = 0;
    for (const Rail& rail : board->rails) accounting += rail.accounting ? 1 : 0;
    EXPECT_GE(accounting, 1u) << name;
    double capacity = 0;
    for (const Cluster& cluster : board->clusters) {
      EXPECT_LE(cluster.opps.size(), 32u) << name;
      EXPECT_FALSE(cluster.rail.empty()) << name;
      capacity = std::max(capacity, cluster.capacity);
    }
    EXPECT_EQ(capacity, 1024) << name;
  }
}

TEST(ShippedBoards, OdroidXu3HasTheMeasuredOperatingPoints) {
  const auto board = find_board("odroid-xu3", std::filesystem::path(REINS_SOURCE_DIR) / "boards");
  ASSERT_OK(board);
  ASSERT_EQ(board->clusters.size(), 2u);
  const Cluster& a15 = board->clusters[0];
  const Cluster& a7 = board->clusters[1];
  EXPECT_EQ(a15.opps.size(), 19u);
  EXPECT_EQ(a15.opps[8].freq_khz, 1000000);
  EXPECT_EQ(a15.opps[8].voltage_v, 0.975);
  EXPECT_EQ(a7.opps.size(), 12u);
  EXPECT_EQ(a7.max_khz(), 1400000);
  EXPECT_EQ(a15.idle.size(), 1u);
}

// The input rail's model against the published means of InceptionV3 with two clients, who keep the GPU busy all the
// time.
TEST(ShippedBoards, JetsonNanoReproducesTheMeasuredInputRail) {
  const auto board = find_board("jetson-nano", std::filesystem::path(REINS_SOURCE_DIR) / "boards");
  ASSERT_OK(board);
  const Cluster& cpu = board->clusters[0];
  const Cluster& gpu = board->clusters[1];
  ASSERT_EQ(gpu.kind, UnitKind::kGpu);
  double constant_w = 0;
  for (const Rail& rail : board->rails) constant_w += rail.constant_w;
  const std::vector<double> w_per_w = counted_w_per_w(*board);
  const auto counted = [&](const Cluster& cluster) { return w_per_w[rail_of(*board, cluster)]; };
  for (const auto& [khz, measured_w] : {std::pair{153600, 2.689}, {460800, 3.82}, {691200, 4.83}, {921600, 6.43}}) {
    std::size_t opp = 0;
    while (gpu.opps[opp].freq_khz != khz) ++opp;
    const double power_w = constant_w + counted(gpu) * cluster_power_w(gpu, OppId(opp), 1, 0, 40) +
                           counted(cpu) * cluster_power_w(cpu, OppId(0), 0, cpu.idle.size() - 1, 36);
    EXPECT_NEAR(power_w / measured_w, 1, 0.04) << khz;
  }
}

}  // namespace
}  // namespace reins::boards
