// Vectors worked out by hand from the formulas of Linux 6.1; each test states its derivation.
#include "boards/governors.hpp"

#include <cmath>

#include "tests/support/matchers.hpp"

namespace reins::boards {
namespace {

constexpr double kPeriod_s = 1024 * 1024e-9;  // a PELT period: 1024 units of 1024 ns
const double kY = std::exp2(-1.0 / 32);       // y^32 = 1/2

/// 200 to 2000 MHz in steps of 100, and a switch latency whose 1000-fold is over the 10 ms cap.
Cluster big() {
  Cluster cluster;
  cluster.name = "big";
  for (int i = 0; i < 19; ++i) cluster.opps.push_back({200000 + i * 100000, 1.0});
  cluster.switch_s = 140e-6;
  return cluster;
}

std::int64_t khz(const Cluster& cluster, OppId opp) { return cluster.opps[opp.index()].freq_khz; }

// From zero, n whole running periods: d1 = 1024, d3 = 0, so
//   sum = 1024 y^n + (47742 - 47742 y^n - 1024) = (47742 - 1024)(1 - y^n),  divider = 47742 - 1024 + 0,
// and util_avg = 1024 (1 - y^n): 21.94 after one period, 512 after 32, 1024 (1 - 1/1024) = 1023 after 320.
TEST(Pelt, RisesWithAHalfLifeOf32Periods) {
  for (const auto& [periods, expected] : {std::pair{1, 1024 * (1 - kY)}, {32, 512.0}, {64, 768.0}, {320, 1023.0}}) {
    Pelt pelt;
    pelt.advance(periods * kPeriod_s, true, 1, 1);
    EXPECT_NEAR(pelt.util_avg(), expected, 1e-6) << periods;
  }
}

// The same in one call, in many calls of uneven length, and in single periods: the sum has no memory of the calls.
TEST(Pelt, DoesNotDependOnHowTimeIsCut) {
  Pelt pelt;
  for (int i = 0; i < 320; ++i) pelt.advance(0.1 * kPeriod_s, true, 1, 1);
  EXPECT_NEAR(pelt.util_avg(), 512, 1e-6);
  Pelt uneven;
  for (int i = 0; i < 32; ++i) {
    uneven.advance(0.7 * kPeriod_s, true, 1, 1);
    uneven.advance(0.3 * kPeriod_s, true, 1, 1);
  }
  EXPECT_NEAR(uneven.util_avg(), 512, 1e-6);
}

// One and a half periods in one call: d1 = 1024, p = 1, d3 = 512:
//   sum = 1024 y + (47742 (1 - y) - 1024) + 512 = 46718 (1 - y) + 512 = 1513.07,  divider = 46718 + 512 = 47230,
//   util_avg = 1024 * 1513.07 / 47230 = 32.805. Half a period alone crosses no boundary: util_avg is not touched.
TEST(Pelt, WeighsAnUnfinishedPeriodByWhatThereIsOfIt) {
  Pelt pelt;
  pelt.advance(0.5 * kPeriod_s, true, 1, 1);
  EXPECT_EQ(pelt.util_avg(), 0);
  Pelt longer;
  longer.advance(1.5 * kPeriod_s, true, 1, 1);
  EXPECT_NEAR(longer.util_avg(), 32.805, 1e-3);
}

// Idle periods multiply the sum by y each: 512 after 32 more is 256, after 64 more 128. After 63 * 32 periods nothing
// is left.
TEST(Pelt, DecaysWhenIdle) {
  Pelt pelt;
  pelt.advance(32 * kPeriod_s, true, 1, 1);
  pelt.advance(32 * kPeriod_s, false, 1, 1);
  EXPECT_NEAR(pelt.util_avg(), 256, 1e-6);
  pelt.advance(32 * kPeriod_s, false, 1, 1);
  EXPECT_NEAR(pelt.util_avg(), 128, 1e-6);
  pelt.advance(63 * 32 * kPeriod_s, false, 1, 1);
  EXPECT_LT(pelt.util_avg(), 1e-6);
}

// A task that runs a of every a + b periods settles at its peak 1024 (1 - y^a) / (1 - y^(a+b)) when it stops:
// peak = 1024 (1 - y^a) + peak y^(a+b). For 8 of 16: 1024 (1 - 0.84090) / (1 - 0.70711) = 556.2.
TEST(Pelt, PeriodicTaskSettlesAtTheGeometricSeries) {
  Pelt pelt;
  for (int i = 0; i < 100; ++i) {
    pelt.advance(8 * kPeriod_s, false, 1, 1);
    pelt.advance(8 * kPeriod_s, true, 1, 1);
  }
  EXPECT_NEAR(pelt.util_avg(), 556.2, 0.1);
}

// Frequency and capacity invariance (update_rq_clock_pelt): 64 periods of wall time at half the frequency are 32 of
// PELT's clock, so util_avg is 512, as after 32 at full frequency. Idle, the clock catches up by the 32 lost periods:
// one idle period decays by y^33. On a core of capacity 1/2 at half frequency it takes 128.
TEST(Pelt, CountsWorkNotTimeAndCatchesUpWhenIdle) {
  Pelt pelt;
  pelt.advance(64 * kPeriod_s, true, 0.5, 1);
  EXPECT_NEAR(pelt.util_avg(), 512, 1e-6);
  pelt.advance(kPeriod_s, false, 0.5, 1);
  EXPECT_NEAR(pelt.util_avg(), 512 * std::pow(kY, 33), 1e-6);
  Pelt little;
  little.advance(128 * kPeriod_s, true, 0.5, 0.5);
  EXPECT_NEAR(little.util_avg(), 512, 1e-6);
}

// A queue that was never idle (sum at its maximum) has no idle time to catch up with: 1024 y^1, not 1024 y^(1 + lost).
TEST(Pelt, SaturatedQueueDoesNotCatchUp) {
  Pelt pelt;
  pelt.advance(4000 * kPeriod_s, true, 0.5, 1);
  EXPECT_NEAR(pelt.util_avg(), 1024, 1e-6);
  pelt.advance(kPeriod_s, false, 0.5, 1);
  EXPECT_NEAR(pelt.util_avg(), 1024 * kY, 1e-3);
}

// util_est_update. First sleep at 512: grows at once, ewma = 512. Then 384 (512 halved over 32 idle periods, 32 running
// ones add 512: 768; halved: 384): ewma = 512 + (384 - 512) / 4 = 480 and the estimate is max(384, 480).
TEST(UtilEst, GrowsAtOnceAndFallsByAQuarter) {
  Pelt pelt;
  pelt.advance(32 * kPeriod_s, true, 1, 1);
  pelt.dequeue();
  EXPECT_NEAR(pelt.util_est(), 512, 1e-6);
  pelt.advance(32 * kPeriod_s, true, 1, 1);
  ASSERT_NEAR(pelt.util_avg(), 768, 1e-6);
  pelt.advance(32 * kPeriod_s, false, 1, 1);
  ASSERT_NEAR(pelt.util_avg(), 384, 1e-6);
  EXPECT_NEAR(pelt.util_est(), 512, 1e-6) << "the estimate does not decay while the task sleeps";
  pelt.dequeue();
  EXPECT_NEAR(pelt.util_est(), 480, 1e-6);
  // UTIL_EST_MARGIN: 1024 / 100 = 10. 384 again: 480 - 24 = 456, 438, ... until the difference is below 10, where it
  // stays.
  for (int i = 0; i < 100; ++i) pelt.dequeue();
  EXPECT_LT(pelt.util_est(), 384 + 10);
  EXPECT_GT(pelt.util_est(), 384 + 10 * 0.75 - 1e-6);
}

// A task that fills a core of capacity 0.25 (256) has util_avg above 256: lower samples are not trusted.
TEST(UtilEst, IsNotLoweredWhereTheCoreHadNoIdleTime) {
  Pelt pelt;
  pelt.advance(320 * kPeriod_s, true, 1, 1);
  pelt.dequeue();
  const double high = pelt.util_est();
  pelt.advance(32 * kPeriod_s, false, 1, 1);
  pelt.advance(4 * kPeriod_s, true, 1, 0.25);
  ASSERT_GT(pelt.util_avg(), 256);
  pelt.dequeue();
  EXPECT_EQ(pelt.util_est(), high);
}

// get_next_freq: util + util / 4, times max / capacity, in integers; then the lowest operating point at or above.
//   512: 640 * 2000000 / 1024 = 1250000 -> 1300 MHz.   409: 511 * 2000000 / 1024 = 998046 -> 1000 MHz.
//   410: 512 * 2000000 / 1024 = 1000000 -> 1000 MHz.   411: 513 * ... = 1001953 -> 1100 MHz.
//   819: 1023 * ... = 1998046 -> 2000 MHz.              0 -> 200 MHz (the lowest there is).
TEST(Schedutil, AsksForAQuarterMoreThanTheUtilisation) {
  const Cluster cluster = big();
  for (const auto& [util, expected_khz] : {std::pair{512.0, 1300000},
                                           {409.0, 1000000},
                                           {410.0, 1000000},
                                           {411.0, 1100000},
                                           {819.0, 2000000},
                                           {1024.0, 2000000},
                                           {5000.0, 2000000},
                                           {0.0, 200000}}) {
    EXPECT_EQ(khz(cluster, schedutil_opp(cluster, util)), expected_khz) << util;
  }
}

// A little cluster of capacity 377 with 1400 MHz at the top: util 200: 250 * 1400000 / 377 = 928381 -> 1000 MHz;
// util 377 and more is all there is.
TEST(Schedutil, MeasuresUtilisationAgainstTheClustersCapacity) {
  Cluster little = big();
  little.opps.resize(13);
  little.capacity = 377;
  ASSERT_EQ(little.max_khz(), 1400000);
  EXPECT_EQ(khz(little, schedutil_opp(little, 200)), 1000000);
  EXPECT_EQ(khz(little, schedutil_opp(little, 377)), 1400000);
  EXPECT_EQ(khz(little, schedutil_opp(little, 900)), 1400000);
}

// The rate limit is min(1000 * 140 us, 10 ms) = 10 ms, counted from the last change alone.
TEST(Schedutil, ChangesAtMostEveryTenMilliseconds) {
  const Cluster cluster = big();
  GovernorState governor(Governor::kSchedutil, cluster);
  EXPECT_EQ(khz(cluster, governor.step(1.000, 512, 0)), 1300000);
  EXPECT_EQ(khz(cluster, governor.step(1.004, 1024, 0)), 1300000);
  EXPECT_EQ(khz(cluster, governor.step(1.008, 1024, 0)), 1300000);
  EXPECT_EQ(khz(cluster, governor.step(1.012, 1024, 0)), 2000000);
  // 20 ms without a change: the next one is free.
  EXPECT_EQ(khz(cluster, governor.step(1.032, 1024, 0)), 2000000);
  EXPECT_EQ(khz(cluster, governor.step(1.036, 0, 0)), 200000);
  EXPECT_EQ(khz(cluster, governor.present()), 200000);
}

// Without frequency invariance (get_next_freq with policy->cur): (util + util / 4) * present / 1024, so it takes
// several looks to climb, a quarter at a time: 200 -> 250 is 300, 300 -> 375 is 400, 500, 625 is 700, 875 is 900, 1125
// is 1200, 1500, 1875 is 1900, 2000. And down: 375 * 2000000 / 1024 = 732421 is 800, 375 * 800000 / 1024 = 292968 is
// 300, 109863 is 200.
TEST(Schedutil, WithoutInvarianceGoesOnFromThePresentFrequency) {
  const Cluster cluster = big();
  EXPECT_EQ(khz(cluster, schedutil_opp(cluster, 1024, 400000)), 500000);
  EXPECT_EQ(khz(cluster, schedutil_opp(cluster, 800, 400000)), 400000) << "1000 * 400000 / 1024 = 390625";
  GovernorState governor(Governor::kSchedutil, cluster, {.frequency_invariant = false});
  double now_s = 1;
  for (const std::int64_t expected_khz : {300000, 400000, 500000, 700000, 900000, 1200000, 1500000, 1900000, 2000000}) {
    EXPECT_EQ(khz(cluster, governor.step(now_s += 0.010, 1024, 1)), expected_khz);
  }
  for (const std::int64_t expected_khz : {800000, 300000, 200000, 200000}) {
    EXPECT_EQ(khz(cluster, governor.step(now_s += 0.010, 300, 0)), expected_khz);
  }
}

// sugov_update_single_freq: not down while the cpu has had no idle time since the last look; up at any time. A look
// that the rate limit cuts off is none: what idled then still counts.
TEST(Schedutil, OfOneCpuDoesNotGoDownWhileThatIsBusy) {
  const Cluster cluster = big();
  GovernorState governor(Governor::kSchedutil, cluster, {.one_cpu = true});
  EXPECT_EQ(khz(cluster, governor.step(1.00, 512, 1)), 1300000);
  EXPECT_EQ(khz(cluster, governor.step(1.02, 200, 1)), 1300000);
  EXPECT_EQ(khz(cluster, governor.step(1.04, 600, 1)), 1500000);
  EXPECT_EQ(khz(cluster, governor.step(1.044, 200, 0.5)), 1500000) << "within the rate limit";
  EXPECT_EQ(khz(cluster, governor.step(1.052, 200, 1)), 500000) << "it idled 8 ms ago";
  EXPECT_EQ(khz(cluster, governor.step(1.072, 100, 1)), 500000);
  EXPECT_EQ(khz(cluster, governor.step(1.076, 100, 0.9)), 300000);
  // Policies of several cpus go down as they like.
  GovernorState shared(Governor::kSchedutil, cluster);
  shared.step(1.00, 512, 1);
  EXPECT_EQ(khz(cluster, shared.step(1.02, 200, 1)), 500000);
}

// od_update: min + load (max - min) / 100, closest operating point, the lower at a tie; above 95 % the top.
//   50 %: 200 + 900 = 1100.  47 %: 200 + 846 = 1046 -> 1000.  48 %: 1064 -> 1100.  25 %: 650, a tie -> 600.
//   95 %: 1910 -> 1900.  96 %: 2000.
TEST(Ondemand, IsProportionalUpToItsThreshold) {
  const Cluster cluster = big();
  for (const auto& [load, expected_khz] : {std::pair{0.50, 1100000},
                                           {0.47, 1000000},
                                           {0.48, 1100000},
                                           {0.25, 600000},
                                           {0.95, 1900000},
                                           {0.96, 2000000},
                                           {1.0, 2000000},
                                           {0.0, 200000}}) {
    GovernorState governor(Governor::kOndemand, cluster);
    governor.step(5.00, 0, 0);
    EXPECT_EQ(khz(cluster, governor.step(5.01, 0, load)), expected_khz) << load;
  }
}

// It decides once per 10 ms on the mean load of all that time: 4 ms at 100 %, 4 ms at 0 %, 4 ms at 50 %: 50 % after 12
// ms.
TEST(Ondemand, AveragesOverItsSamplingInterval) {
  const Cluster cluster = big();
  GovernorState governor(Governor::kOndemand, cluster);
  governor.step(0.000, 0, 0);
  EXPECT_EQ(khz(cluster, governor.step(0.004, 0, 1.0)), 200000);
  EXPECT_EQ(khz(cluster, governor.step(0.008, 0, 0.0)), 200000);
  EXPECT_EQ(khz(cluster, governor.step(0.012, 0, 0.5)), 1100000);
  // 12 ms more at full load.
  EXPECT_EQ(khz(cluster, governor.step(0.016, 0, 1.0)), 1100000);
  EXPECT_EQ(khz(cluster, governor.step(0.020, 0, 1.0)), 1100000);
  EXPECT_EQ(khz(cluster, governor.step(0.024, 0, 1.0)), 2000000);
}

// dbs_update after a rest of more than two intervals without a look (a tickless kernel's): the load before it counts
// once more, then the true one; 50 ms of rest in windows of 10.
TEST(Ondemand, WakesUpWithTheLoadBeforeALongRest) {
  const Cluster cluster = big();
  GovernorState governor(Governor::kOndemand, cluster);
  governor.step(1.00, 0, 0);
  EXPECT_EQ(khz(cluster, governor.step(1.01, 0, 1.0)), 2000000);
  EXPECT_EQ(khz(cluster, governor.step(1.06, 0, 0)), 2000000) << "100 % once more";
  EXPECT_EQ(khz(cluster, governor.step(1.11, 0, 0)), 200000);
  // 20 ms of rest in 25 are not more than two intervals: 20 %, 200 + 360 = 560 -> 600.
  EXPECT_EQ(khz(cluster, governor.step(1.135, 0, 0.2)), 600000);
}

// cs_dbs_update: above 80 % up by 5 % of 2000 MHz = 100 MHz, below 20 % down by as much, else nothing.
TEST(Conservative, MovesByFivePercent) {
  const Cluster cluster = big();
  GovernorState governor(Governor::kConservative, cluster);
  double now_s = 0;
  const auto sample = [&](double load) { return khz(cluster, governor.step(now_s += 0.01, 0, load)); };
  sample(0);
  EXPECT_EQ(sample(0.81), 300000);
  EXPECT_EQ(sample(1.0), 400000);
  EXPECT_EQ(sample(0.80), 400000);
  EXPECT_EQ(sample(0.50), 400000);
  EXPECT_EQ(sample(0.20), 400000);
  EXPECT_EQ(sample(0.19), 300000);
  for (int i = 0; i < 40; ++i) sample(1.0);
  EXPECT_EQ(sample(1.0), 2000000);
  for (int i = 0; i < 40; ++i) sample(0.0);
  EXPECT_EQ(sample(0.0), 200000);
}

// With 1400 MHz at the top a step is 70 MHz, less than the distance of operating points: requests add up. Upwards the
// highest at or below: 270 -> 200, 340 -> 300, 410 -> 400. Downwards the lowest at or above: 340 -> 400, 270 -> 300.
TEST(Conservative, RemembersWhatItAskedForBetweenOperatingPoints) {
  Cluster little = big();
  little.opps.resize(13);
  GovernorState governor(Governor::kConservative, little);
  double now_s = 0;
  const auto sample = [&](double load) { return khz(little, governor.step(now_s += 0.01, 0, load)); };
  sample(0);
  EXPECT_EQ(sample(1.0), 200000);
  EXPECT_EQ(sample(1.0), 300000);
  EXPECT_EQ(sample(1.0), 400000);
  EXPECT_EQ(sample(0.0), 400000);
  EXPECT_EQ(sample(0.0), 300000);
}

// After a rest of five intervals the request is five steps lower, before the load (the one before the rest, once more)
// has its say: ten samples at full load ask for 1200; 1200 - 500 + 100 = 800. Then 800 - 500 - 100 = 200.
TEST(Conservative, ComesDownByTheIntervalsThatItRested) {
  const Cluster cluster = big();
  GovernorState governor(Governor::kConservative, cluster);
  double now_s = 1;
  governor.step(now_s, 0, 0);
  for (int i = 0; i < 10; ++i) governor.step(now_s += 0.01, 0, 1.0);
  ASSERT_EQ(khz(cluster, governor.present()), 1200000);
  EXPECT_EQ(khz(cluster, governor.step(now_s += 0.05, 0, 0)), 800000);
  EXPECT_EQ(khz(cluster, governor.step(now_s += 0.05, 0, 0)), 200000);
}

TEST(FixedGovernors, StayAtTheirEnd) {
  const Cluster cluster = big();
  GovernorState performance(Governor::kPerformance, cluster);
  GovernorState powersave(Governor::kPowersave, cluster);
  for (const double now_s : {0.0, 0.1, 0.2}) {
    EXPECT_EQ(khz(cluster, performance.step(now_s, 0, 0)), 2000000);
    EXPECT_EQ(khz(cluster, powersave.step(now_s, 1024, 1)), 200000);
  }
}

TEST(Governors, AreNamedAsInSysfs) {
  for (const char* name : {"performance", "powersave", "ondemand", "conservative", "schedutil"}) {
    const auto governor = governor_named(name);
    ASSERT_TRUE(governor) << name;
    EXPECT_EQ(name_of(*governor), name);
  }
  EXPECT_EQ(governor_named("userspace"), std::nullopt);
}

// fits_capacity: util * 1280 < capacity * 1024. Capacity 377: 301 * 1280 = 385280 < 386048, 302 * 1280 = 386560 is not.
TEST(KernelPlacement, TakesTheSmallestClusterThatHoldsTheEstimateAndAQuarter) {
  Board board;
  Cluster gpu = big();
  gpu.kind = UnitKind::kGpu;
  gpu.capacity = 100;
  Cluster little = big();
  little.capacity = 377;
  board.clusters = {gpu, big(), little};
  EXPECT_EQ(kernel_placement(board, 0), ClusterId(2));
  EXPECT_EQ(kernel_placement(board, 301), ClusterId(2));
  EXPECT_EQ(kernel_placement(board, 302), ClusterId(1));
  EXPECT_EQ(kernel_placement(board, 1024), ClusterId(1)) << "nothing fits: the biggest";
}

}  // namespace
}  // namespace reins::boards
