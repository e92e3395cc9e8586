// Vectors worked out by hand from the kernels' formulas; each test states its derivation.
#include "boards/gpu_governors.hpp"

#include "tests/support/matchers.hpp"

namespace reins::boards {
namespace {

/// The Jetson Nano's GPU: 76.8 MHz to 921.6 in steps of 76.8.
Cluster gpu() {
  Cluster cluster;
  cluster.name = "gpu";
  cluster.kind = UnitKind::kGpu;
  for (int i = 1; i <= 12; ++i) cluster.opps.push_back({i * 76800, 1.0});
  return cluster;
}

class Driven {
 public:
  explicit Driven(GpuGovernor governor, const GpuGovernorConfig& config = {}) : state_(governor, gpu_, config) {
    poll_s_ = config.poll_s;
    state_.step(now_s_, 0);
  }
  /// One poll interval at `load`; the frequency then wanted, kHz.
  std::int64_t poll(double load) { return gpu_.opps[state_.step(now_s_ += poll_s_, load).index()].freq_khz; }

 private:
  Cluster gpu_ = gpu();
  GpuGovernorState state_;
  double now_s_ = 10, poll_s_ = 0.05;
};

// busy * 100 > total * 90: the top. Above 85: as it is. Else load * present * 100 / (90 - 5 / 2 = 88), at or above.
//   921.6 MHz at 50 %: 460.8 * 100 / 88 = 523.6 -> 537.6.  At 50 % again: 268.8 * 100 / 88 = 305.5 -> 307.2.
//   86 %: stays; 85 % exactly: 0.85 * 307.2 * 100 / 88 = 296.7 -> 307.2; 60 %: 184.32 * 100 / 88 = 209.5 -> 230.4.
//   0 %: 0 -> 76.8.
TEST(SimpleOndemand, FollowsItsThresholds) {
  Driven driven(GpuGovernor::kSimpleOndemand);
  EXPECT_EQ(driven.poll(0.90), 76800) << "90 % is not above 90 %";
  EXPECT_EQ(driven.poll(0.91), 921600);
  EXPECT_EQ(driven.poll(0.50), 537600);
  EXPECT_EQ(driven.poll(0.50), 307200);
  EXPECT_EQ(driven.poll(0.86), 307200);
  EXPECT_EQ(driven.poll(0.85), 307200);
  EXPECT_EQ(driven.poll(0.60), 230400);
  EXPECT_EQ(driven.poll(0.00), 76800);
}

// As panfrost sets it: up 45, down 5: above 45 % the top, above 40 % as it is, else load * present * 100 / 43:
//   921.6 at 20 %: 184.32 * 100 / 43 = 428.7 -> 460.8.
TEST(SimpleOndemand, TakesTheDriversThresholds) {
  GpuGovernorConfig config;
  config.up_percent = 45;
  Driven driven(GpuGovernor::kSimpleOndemand, config);
  EXPECT_EQ(driven.poll(0.46), 921600);
  EXPECT_EQ(driven.poll(0.41), 921600);
  EXPECT_EQ(driven.poll(0.20), 460800);
}

// Two steps of 25 ms at 100 % and 0 % are one poll of 50 ms at 50 %.
TEST(SimpleOndemand, LooksOncePerPollAtTheMean) {
  const Cluster cluster = gpu();
  GpuGovernorState state(GpuGovernor::kSimpleOndemand, cluster);
  state.step(1.00, 0);
  EXPECT_EQ(state.step(1.05, 1), OppId(11));
  EXPECT_EQ(state.step(1.075, 1), OppId(11));
  EXPECT_EQ(state.step(1.10, 0), OppId(6)) << "537.6 MHz";
}

// Polls of 25 ms; nothing changes within 50 ms of a change. At full load boost = 921.6 / 3 = 307 MHz, undamped:
//   76 + 307 = 383 -> 384.0;  384 + 307 = 691 -> 691.2;  691 + 307 = 998, cut to 921.6.
TEST(NvhostPodgov, GoesUpByAThirdOfTheTopWhereItIsTooBusy) {
  GpuGovernorConfig config;
  config.poll_s = 0.025;
  Driven driven(GpuGovernor::kNvhostPodgov, config);
  EXPECT_EQ(driven.poll(1.0), 76800) << "25 ms after its start";
  EXPECT_EQ(driven.poll(1.0), 384000);
  EXPECT_EQ(driven.poll(1.0), 384000);
  EXPECT_EQ(driven.poll(1.0), 691200);
  EXPECT_EQ(driven.poll(1.0), 691200);
  EXPECT_EQ(driven.poll(1.0), 921600);
}

// From 921.6 MHz (request average 175: (0 + 383) / 11 = 34, (340 + 691) / 11 = 93, (930 + 998) / 11 = 175), idle from
// then on: idle average (0 + 1000) / 11 = 90, (900 + 1000) / 11 = 172. The first poll is within 50 ms of the change. In
// the second, load = 828, boost = (828 - 700) * 80 * 921 / 70000 = 134, request 1055, average (1750 + 1055) / 11 = 255,
// damped (7 * 1055 + 3 * 255) / 10 = 815 -> 844.8. Then idle average 247 in the blocked poll, 315 in the next: load
// 685, boost = -15 * 80 * 844 / 70000 = -14, request 830, average (2550 + 830) / 11 = 307, damped (5810 + 921) / 10 =
// 673 -> 691.2.
TEST(NvhostPodgov, ComesDownDampedByItsAverages) {
  GpuGovernorConfig config;
  config.poll_s = 0.025;
  Driven driven(GpuGovernor::kNvhostPodgov, config);
  for (int i = 0; i < 5; ++i) driven.poll(1.0);
  ASSERT_EQ(driven.poll(1.0), 921600);
  EXPECT_EQ(driven.poll(0.0), 921600);
  EXPECT_EQ(driven.poll(0.0), 844800);
  EXPECT_EQ(driven.poll(0.0), 844800);
  EXPECT_EQ(driven.poll(0.0), 691200);
}

TEST(GpuGovernors, AreNamedAsInSysfs) {
  for (const char* name : {"simple_ondemand", "nvhost_podgov"}) {
    const auto governor = gpu_governor_named(name);
    ASSERT_TRUE(governor) << name;
    EXPECT_EQ(name_of(*governor), name);
  }
  EXPECT_EQ(gpu_governor_named("schedutil"), std::nullopt);
}

}  // namespace
}  // namespace reins::boards
