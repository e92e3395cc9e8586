#include "boards/physics.hpp"

#include <cmath>
#include <filesystem>
#include <vector>

#include "boards/by_name.hpp"
#include "tests/support/matchers.hpp"

namespace reins::boards {
namespace {

// One cluster of four cores at 1 and 2 GHz, round numbers, every term of the models in use.
Board toy() {
  Board board;
  Cluster cluster;
  cluster.name = "big";
  cluster.cpus = {0, 1, 2, 3};
  cluster.opps = {{1000000, 1.0}, {2000000, 1.2}};
  cluster.power = {.core_w_per_mhz_v2 = 5e-4,
                   .idle_clock_w_per_mhz_v2 = 1e-4,
                   .leak_w = 0.2,
                   .leak_ref_v = 1.0,
                   .leak_voltage_exponent = 2,
                   .leak_ref_c = 50,
                   .leak_per_c = 0.02};
  cluster.time.macs_per_cycle = 2;
  cluster.time.parallel_fraction = 0.8;
  cluster.time.bytes_per_s = 1e9;
  cluster.time.launch_cycles = 1000;
  cluster.time.launch_s = 1e-6;
  cluster.time.call_cycles = 1e6;
  cluster.idle = {{"wfi", 1, 1, 0, 0}, {"core-off", 0.5, 0.8, 1e-4, 0.01}, {"cluster-off", 0, 0.1, 1e-3, 0.1}};
  board.clusters = {cluster};
  board.mappings = {
      {"x1", "one", ClusterId(0), 1, 1}, {"x4", "all", ClusterId(0), 4, 1}, {"q", "half", ClusterId(0), 1, 0.5}};
  return board;
}

TEST(Time, ComputeBoundLayerFollowsFrequencyAndAmdahl) {
  const Board board = toy();
  const std::vector<LayerCost> layers{{.macs = 2e8, .bytes = 1e3, .launches = 2}};
  // 2e8 MACs / (2 per cycle * 1e9) = 0.1 s; launches 2 * (1000 / 1e9 + 1e-6) = 4e-6 s; call 1e6 / 1e9 = 1e-3 s.
  EXPECT_DOUBLE_EQ(inference_time_s(board, MappingId(0), OppId(0), layers), 0.1 + 4e-6 + 1e-3);
  // At 2 GHz everything but launch_s halves.
  EXPECT_DOUBLE_EQ(inference_time_s(board, MappingId(0), OppId(1), layers), 0.05 + 2 * (0.5e-6 + 1e-6) + 0.5e-3);
  // Four cores: speed-up 1 / (0.2 + 0.8 / 4) = 2.5 on the compute and call parts, not on launches.
  EXPECT_DOUBLE_EQ(inference_time_s(board, MappingId(1), OppId(0), layers), 0.04 + 4e-6 + 0.4e-3);
  // Half the CPU time: twice as long.
  EXPECT_DOUBLE_EQ(inference_time_s(board, MappingId(2), OppId(0), layers), 2 * (0.1 + 4e-6 + 1e-3));
}

TEST(Rails, OneThatContainsAnotherDrawsMoreThanIt) {
  Board board = toy();
  board.clusters[0].rail = "core";
  board.rails.resize(4);
  const char* const names[] = {"core", "soc", "input", "fan"};
  for (std::size_t i = 0; i < board.rails.size(); ++i) board.rails[i].name = names[i];
  board.rails[0].upstream_w_per_w = 1.5;
  board.rails[1].upstream_w_per_w = 1.2;
  board.rails[1].contains = {"core"};
  board.rails[2].contains = {"soc"};
  board.rails[2].accounting = true;
  EXPECT_EQ(rail_of(board, board.clusters[0]), 0u);
  EXPECT_THAT(counted_w_per_w(board), ::testing::Pointwise(::testing::DoubleEq(), {1.8, 1.2, 1.0, 0.0}));
  EXPECT_THAT(counted_w_per_w(board, 1), ::testing::Pointwise(::testing::DoubleEq(), {1.5, 1.0, 0.0, 0.0}));
  EXPECT_THAT(counted_w_per_w(board, 3), ::testing::Pointwise(::testing::DoubleEq(), {0.0, 0.0, 0.0, 1.0}));
  board.clusters[0].rail = "";
  EXPECT_EQ(rail_of(board, board.clusters[0]), board.rails.size());
}

TEST(Time, MemoryBoundLayerDoesNotFollowFrequency) {
  const Board board = toy();
  const std::vector<LayerCost> layers{{.macs = 1e3, .bytes = 1e8, .launches = 0},
                                      {.macs = 2e8, .bytes = 0, .launches = 0}};
  EXPECT_DOUBLE_EQ(layers_time_s(board, MappingId(0), OppId(0), layers), 0.1 + 0.1);
  EXPECT_DOUBLE_EQ(layers_time_s(board, MappingId(0), OppId(1), layers), 0.1 + 0.05);
  EXPECT_DOUBLE_EQ(bytes_of(layers), 1e8);
}

TEST(Time, WithoutOverlapComputeAndMemoryAdd) {
  Board board = toy();
  const std::vector<LayerCost> layers{{.macs = 2e8, .bytes = 5e7, .launches = 0}};
  EXPECT_EQ(layers_time_s(board, MappingId(0), OppId(0), layers), 0.1) << "all overlap: the longer";
  board.clusters[0].time.overlap = 0;
  EXPECT_DOUBLE_EQ(layers_time_s(board, MappingId(0), OppId(0), layers), 0.1 + 0.05);
  board.clusters[0].time.overlap = 0.8;
  EXPECT_DOUBLE_EQ(layers_time_s(board, MappingId(0), OppId(0), layers), 0.1 + 0.2 * 0.05);
}

TEST(Time, ABatchPaysLaunchesAndTheCallOnce) {
  const Board board = toy();
  const std::vector<LayerCost> layers{{.macs = 2e8, .bytes = 1e3, .launches = 2}};
  EXPECT_DOUBLE_EQ(inference_time_s(board, MappingId(0), OppId(0), layers, 8), 8 * 0.1 + 4e-6 + 1e-3);
}

TEST(Time, FrequencyZeroCountsAsOneGigahertz) {
  Board board = toy();
  const std::vector<LayerCost> layers{{.macs = 2e8, .bytes = 0, .launches = 1}};
  const double at_1ghz_s = inference_time_s(board, MappingId(0), OppId(0), layers);
  board.clusters[0].opps[0].freq_khz = 0;
  EXPECT_DOUBLE_EQ(inference_time_s(board, MappingId(0), OppId(0), layers), at_1ghz_s);
}

TEST(Power, IsTheSumOfDynamicClockAndLeakage) {
  const Board board = toy();
  const Cluster& cluster = board.clusters[0];
  EXPECT_NEAR(leakage_w(cluster.power, 1.0, 50), 0.2, 1e-15);
  EXPECT_NEAR(leakage_w(cluster.power, 1.2, 60), 0.2 * 1.44 * std::exp(0.2), 1e-12);
  // 2 GHz, 1.2 V: 2000 MHz * 1.44 V^2 = 2880. Two busy cores: 5e-4 * 2880 * 2 + 1e-4 * 2880 + leakage.
  EXPECT_NEAR(cluster_power_w(cluster, OppId(1), 2, 0, 50), 2.88 + 0.288 + 0.288, 1e-12);
  EXPECT_NEAR(cluster_power_w(cluster, OppId(1), 0, 0, 50), 0.288 + 0.288, 1e-12);
  EXPECT_NEAR(cluster_power_w(cluster, OppId(1), 0, 1, 50), 0.5 * 0.288 + 0.8 * 0.288, 1e-12);
  EXPECT_NEAR(cluster_power_w(cluster, OppId(1), 0, 2, 50), 0.1 * 0.288, 1e-12);
  // A busy cluster is in no idle state, whatever is passed.
  EXPECT_EQ(cluster_power_w(cluster, OppId(1), 1, 2, 50), cluster_power_w(cluster, OppId(1), 1, 0, 50));
}

TEST(Idle, GoesDeeperAsTimePasses) {
  const Board board = toy();
  const Cluster& cluster = board.clusters[0];
  EXPECT_EQ(idle_state_after(cluster, 0), 0u);
  EXPECT_EQ(idle_state_after(cluster, 0.009), 0u);
  EXPECT_EQ(idle_state_after(cluster, 0.01), 1u);
  EXPECT_EQ(idle_state_after(cluster, 5), 2u);
  EXPECT_EQ(deepest_idle_s(board), cluster.idle.back().residency_s);
}

TEST(Heat, MatchesAnEulerIntegrationAndSettlesWherePowerSays) {
  Thermal thermal;
  thermal.r_c_per_w = 8;
  thermal.c_j_per_c = 0.5;
  double euler_c = 30;
  const double dt_s = 1e-5;
  for (int i = 0; i < 300000; ++i) euler_c += dt_s * (4.0 * 8 - (euler_c - 25)) / (8 * 0.5);
  EXPECT_NEAR(temperature_after_c(thermal, 30, 25, 4, 3), euler_c, 1e-3);
  EXPECT_NEAR(temperature_after_c(thermal, 30, 25, 4, 1e6), 25 + 32, 1e-9);
  // Two half steps are one whole step: exact, not a discretisation.
  const double half_c = temperature_after_c(thermal, 30, 25, 4, 1.5);
  EXPECT_NEAR(temperature_after_c(thermal, half_c, 25, 4, 1.5), temperature_after_c(thermal, 30, 25, 4, 3), 1e-12);
}

// The file's power model against what it was fitted to, within the errors it states: means of the public INA231 logs,
// and the reported powers of one busy core, which count as measured at 60 C.
TEST(OdroidXu3, ReproducesTheLoggedRailsAndTheReportedPowers) {
  const auto board = find_board("odroid-xu3", std::filesystem::path(REINS_SOURCE_DIR) / "boards");
  ASSERT_OK(board);
  const auto rail_w = [&](const Cluster& cluster, std::int64_t khz, double busy, double temperature_c) {
    std::size_t i = 0;
    while (cluster.opps[i].freq_khz != khz) ++i;
    return cluster_power_w(cluster, OppId(i), busy, 0, temperature_c) +
           board->rails[index_of(board->rails, cluster.rail)].constant_w;
  };
  const Cluster& a15 = board->clusters[0];
  const Cluster& a7 = board->clusters[1];
  struct Point {
    const Cluster& cluster;
    std::int64_t khz;
    double busy, temperature_c, measured_w, within;
  };
  for (const Point& point : {Point{a15, 1000000, 0, 51.8, 0.2348, 0.14}, Point{a15, 1000000, 1, 54.6, 0.6817, 0.14},
                             Point{a15, 2000000, 0, 61.4, 1.0825, 0.08}, Point{a15, 2000000, 0, 68.5, 1.1753, 0.08},
                             Point{a15, 2000000, 1, 71.0, 2.9721, 0.08}, Point{a15, 2000000, 1, 80.6, 3.2438, 0.08},
                             Point{a15, 200000, 1, 60, 0.326, 0.15}, Point{a15, 1000000, 1, 60, 0.846, 0.15},
                             Point{a15, 1800000, 1, 60, 2.12, 0.15}, Point{a7, 200000, 0, 50, 0.0328, 0.02},
                             Point{a7, 200000, 0, 69, 0.0409, 0.02}, Point{a7, 200000, 1, 60, 0.0724, 0.15},
                             Point{a7, 700000, 1, 60, 0.141, 0.15}, Point{a7, 1300000, 1, 60, 0.329, 0.15}}) {
    EXPECT_NEAR(rail_w(point.cluster, point.khz, point.busy, point.temperature_c) / point.measured_w, 1, point.within)
        << point.cluster.name << ", " << point.khz << " kHz, " << point.busy << " busy, " << point.temperature_c
        << " C";
  }
}

// The reported times of the full network and of its 25 % level (1 / 2.73 of the time), with the MACs the file assumes.
TEST(OdroidXu3, ReproducesTheReportedTimes) {
  const auto board = find_board("odroid-xu3", std::filesystem::path(REINS_SOURCE_DIR) / "boards");
  ASSERT_OK(board);
  const std::vector<LayerCost> full{{.macs = 47.8e6, .bytes = 2e6, .launches = 20}};
  const std::vector<LayerCost> quarter{{.macs = 12.3e6, .bytes = 5e5, .launches = 5}};
  MappingId a15x1;
  MappingId a7x1;
  for (std::size_t i = 0; i < board->mappings.size(); ++i) {
    if (board->mappings[i].name == "a15x1") a15x1 = MappingId(i);
    if (board->mappings[i].name == "a7x1") a7x1 = MappingId(i);
  }
  ASSERT_TRUE(a15x1.valid() && a7x1.valid());
  EXPECT_NEAR(inference_time_s(*board, a15x1, OppId(8), full), 0.204, 0.03 * 0.204);
  EXPECT_NEAR(inference_time_s(*board, a15x1, OppId(16), full), 0.117, 0.05 * 0.117);
  EXPECT_NEAR(inference_time_s(*board, a7x1, OppId(5), full), 0.504, 0.03 * 0.504);
  EXPECT_NEAR(inference_time_s(*board, a15x1, OppId(8), full) / inference_time_s(*board, a15x1, OppId(8), quarter),
              2.73, 0.08);
}

}  // namespace
}  // namespace reins::boards
