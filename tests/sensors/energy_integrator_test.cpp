// Joules and their interval against integrals by hand: counters, slow gauges, gaps, stuck values.
#include "sensors/energy_integrator.hpp"

#include <cmath>

#include "core/rng.hpp"
#include "sensors/catalogue.hpp"
#include "tests/support/faulty_sensor.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::sensors {
namespace {

using testing::FakeClock;
using testing::SysTree;

Signal gauge(double period_s) { return {"a15", Quantity::kPowerW, Behaviour::kGauge, period_s, "fake"}; }
Signal counter() { return {"package", Quantity::kEnergyJ, Behaviour::kCounter, 0, "fake"}; }
/// A new value that was taken at `time_s`.
Reading fresh(double value, double time_s, std::uint64_t updates) { return {value, time_s, 0, updates}; }

TEST(EnergyIntegrator, SumsTrapezoidsBetweenNewValues) {
  EnergyIntegrator energy(gauge(0.2));
  energy.add(fresh(1, 10, 1));
  EXPECT_EQ(energy.energy_j(), 0);
  energy.add(fresh(3, 10.2, 2));
  EXPECT_NEAR(energy.energy_j(), 0.4, 1e-12);
  energy.add(fresh(3, 10.25, 2));  // read again: nothing new
  energy.add(fresh(3, 10.35, 2));
  EXPECT_NEAR(energy.energy_j(), 0.4, 1e-12);
  EXPECT_NEAR(energy.until_s(), 10.2, 1e-12);
  energy.add(fresh(1, 10.4, 3));
  EXPECT_NEAR(energy.energy_j(), 0.8, 1e-12);
  EXPECT_EQ(energy.gap_s(), 0);
}

TEST(EnergyIntegrator, TakesAValueToBeOfTheMiddleOfItsAge) {
  EnergyIntegrator energy(gauge(0.2));
  energy.add({2, 10, 0.2, 1});
  energy.add({2, 10.3, 0.1, 2});
  EXPECT_NEAR(energy.until_s(), 10.25, 1e-12);
  EXPECT_NEAR(energy.energy_j(), 2 * (10.25 - 9.9), 1e-12);
}

TEST(EnergyIntegrator, WithoutAPeriodEveryReadIsAValue) {
  EnergyIntegrator energy(gauge(0));
  for (int i = 0; i <= 10; ++i) energy.add(fresh(2, i * 0.1, 1));
  EXPECT_NEAR(energy.energy_j(), 2, 1e-12);
}

TEST(EnergyIntegrator, ItsIntervalHoldsWhatAnAveragingSensorMissed) {
  // A device that averages over 0.2 s, rounds to 40 mW and is off by 2 % (one sigma) each time, looked at by a thread
  // that is late by up to 60 ms, on loads that jump at random. Of 200 runs the interval must hold the truth in 95 %;
  // fewer than 180 would come by chance once in a thousand at a coverage of 0.95 (binomial).
  Rng rng(7);
  int held = 0;
  double widest = 0;
  for (int run = 0; run < 200; ++run) {
    FakeClock clock(0);
    EnergyIntegrator::Config config;
    config.quantum_w = 0.04;
    config.noise = 0.02;
    EnergyIntegrator energy(gauge(0.2), config);
    double truth_j = 0;
    double from_j = 0;
    double window_j = 0;
    double power_w = 2;
    double looked_s = 0;
    std::uint64_t updates = 0;
    double shown_w = 0;
    bool counting = false;
    double next_look_s = 0.05;
    for (int step = 1; step <= 30000; ++step) {  // 30 s in milliseconds
      const double now_s = step * 1e-3;
      if (rng.uniform(0, 1) < 0.01) power_w = rng.uniform(0.5, 5);
      truth_j += power_w * 1e-3;
      window_j += power_w * 1e-3;
      if (step % 200 == 0) {
        const double mean_w = window_j / 0.2 * (1 + 0.02 * rng.normal());
        shown_w = std::round(mean_w / 0.04) * 0.04;
        window_j = 0;
        ++updates;
      }
      if (now_s < next_look_s || updates == 0) continue;
      next_look_s = now_s + rng.uniform(0.05, 0.11);
      // The mean of a window is the value in its middle.
      energy.add({shown_w, now_s, std::min(0.2, now_s - looked_s), updates});
      looked_s = now_s;
      if (!counting) {
        counting = true;
        from_j = truth_j - power_w * (now_s - energy.until_s());
      }
    }
    const double drawn_j = truth_j - power_w * (30 - energy.until_s()) - from_j;
    const double off_j = std::abs(energy.energy_j() - drawn_j);
    const double ci_j = energy.ci_j(energy.until_s());
    if (off_j <= ci_j) ++held;
    widest = std::max(widest, ci_j / drawn_j);
  }
  EXPECT_GE(held, 180);
  EXPECT_LT(widest, 0.05) << "and it is worth having";
}

TEST(EnergyIntegrator, RoundingIsTheSameErrorForAsLongAsAValueRepeats) {
  EnergyIntegrator::Config config;
  config.quantum_w = 0.12;
  EnergyIntegrator steady(gauge(0.1), config);
  for (int i = 0; i <= 100; ++i) steady.add(fresh(1, i * 0.1, static_cast<std::uint64_t>(i) + 1));
  EXPECT_NEAR(steady.ci_j(10), 2 * 0.12 / std::sqrt(12) * 10, 1e-9);
}

TEST(EnergyIntegrator, AGapIsBridgedAndCountedInFull) {
  EnergyIntegrator energy(gauge(0.1));
  std::uint64_t updates = 0;
  double now_s = 0;
  for (; now_s < 1.05; now_s += 0.1) energy.add(fresh(2, now_s, ++updates));
  EXPECT_NEAR(energy.energy_j(), 2, 1e-9);
  const double before_j = energy.ci_j(1);
  energy.miss();
  EXPECT_NEAR(energy.energy_j(), 2, 1e-9) << "nothing is added while it is silent";
  EXPECT_NEAR(energy.ci_j(4) - before_j, 2 * 3, 1e-6) << "but it is said how much that may be";
  energy.add(fresh(2, 4, ++updates));
  EXPECT_NEAR(energy.energy_j(), 8, 1e-9);
  EXPECT_NEAR(energy.gap_s(), 3, 1e-9);
  EXPECT_NEAR(energy.ci_j(4) - before_j, 6, 1e-6) << "it stays so wide for good";
  energy.add(fresh(2, 4.1, ++updates));
  EXPECT_NEAR(energy.gap_s(), 3, 1e-9);
}

TEST(EnergyIntegrator, SilenceWithoutAnErrorIsAGapToo) {
  EnergyIntegrator energy(gauge(0.1));
  energy.add(fresh(1, 0, 1));
  energy.add(fresh(1, 0.1, 2));
  for (double now_s = 0.2; now_s < 2; now_s += 0.1) energy.add({1, now_s, now_s - 0.1, 2});
  EXPECT_NEAR(energy.energy_j(), 0.1, 1e-12) << "a value that is only read again counts for nothing";
  EXPECT_GE(energy.ci_j(2.1), 1.9);
  energy.add(fresh(1, 2.1, 3));
  EXPECT_NEAR(energy.gap_s(), 2, 1e-9);
}

TEST(EnergyIntegrator, WhatAStuckValueGaveIsCountedAsAGap) {
  EnergyIntegrator::Config config;
  config.quantum_w = 0.01;
  EnergyIntegrator energy(gauge(0.1), config);
  energy.add(fresh(3, 0, 1));
  energy.add(fresh(1, 0.1, 2));
  for (int i = 2; i <= 11; ++i) energy.add(fresh(1, i * 0.1, static_cast<std::uint64_t>(i) + 1));
  const double before_j = energy.ci_j(1.1);
  energy.distrust();
  EXPECT_NEAR(energy.ci_j(1.1) - before_j, 1.2, 0.02) << "since 0.0: from there on the value may have been stuck";
  energy.miss();
  energy.add(fresh(2, 2.1, 13));
  EXPECT_NEAR(energy.gap_s(), 2.1, 1e-9);
}

TEST(EnergyIntegrator, TheEndStandsForTheLastPeriod) {
  EnergyIntegrator energy(gauge(0.2));
  energy.add(fresh(2, 0, 1));
  energy.add(fresh(2, 0.2, 2));
  energy.close(0.3);
  EXPECT_NEAR(energy.energy_j(), 0.6, 1e-12);
  EXPECT_GE(energy.ci_j(0.3), 0.2 / std::sqrt(3)) << "of that nothing was measured";
  energy.close(9);
  EXPECT_NEAR(energy.energy_j(), 0.6, 1e-12) << "and of no more than that";
}

TEST(EnergyIntegrator, DifferencesACounterAcrossFailedReads) {
  EnergyIntegrator energy(counter());
  energy.add(fresh(5, 0, 1));
  energy.add(fresh(7.5, 1, 2));
  EXPECT_NEAR(energy.energy_j(), 2.5, 1e-12);
  EXPECT_EQ(energy.ci_j(1), 0);
  energy.miss();
  EXPECT_GT(energy.ci_j(3), 2.5) << "while it cannot be read nobody knows";
  energy.add(fresh(12.5, 3, 3));
  EXPECT_NEAR(energy.energy_j(), 7.5, 1e-12);
  EXPECT_NEAR(energy.ci_j(3), 0, 1e-12) << "it went on counting";
}

TEST(EnergyIntegrator, ACounterThatWasResetLeavesAGap) {
  EnergyIntegrator energy(counter());
  energy.add(fresh(0, 0, 1));
  energy.add(fresh(10, 1, 2));
  energy.miss(true);
  energy.add(fresh(11, 2, 3));
  EXPECT_NEAR(energy.energy_j(), 20, 1e-12) << "at the mean so far";
  EXPECT_NEAR(energy.ci_j(2), 10, 1e-12);
  // What looks like a turn of a large counter, and is none: 262 kJ in a second.
  energy.add(fresh(11 + 262143.3, 3, 4));
  EXPECT_NEAR(energy.energy_j(), 30, 1e-9);
  EXPECT_NEAR(energy.ci_j(3), 20, 1e-9);
}

TEST(EnergyIntegrator, CountsAcrossTheTurnOfAPowercapZone) {
  SysTree tree;
  FakeClock clock;
  const std::string zone = "sys/class/powercap/intel-rapl:0";
  tree.put(zone + "/name", "package-0").put(zone + "/max_energy_range_uj", "10000000");
  tree.put(zone + "/energy_uj", "9000000");
  const auto sensor = open_sensor("powercap:package-0", "package", Quantity::kPowerW, 0, {tree.root(), &clock, 0});
  ASSERT_OK(sensor);
  EnergyIntegrator energy((*sensor)->signal());
  for (const char* count : {"9000000", "9900000", "400000", "1000000"}) {
    tree.put(zone + "/energy_uj", count);
    energy.add(*(*sensor)->read());
    clock.advance(0.1);
  }
  EXPECT_NEAR(energy.energy_j(), 2, 1e-9) << "9.0 to 10.0, and 0 to 1.0";
  EXPECT_EQ(energy.gap_s(), 0);
}

}  // namespace
}  // namespace reins::sensors
