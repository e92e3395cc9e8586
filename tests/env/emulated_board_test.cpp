// The emulated board against times and integrals worked out by hand.
#include "env/emulated_board.hpp"

#include <algorithm>

#include "core/stats.hpp"
#include "tests/env/made_up.hpp"
#include "tests/support/matchers.hpp"

namespace reins::env {
namespace {

using testing::act;
using testing::hand_board;
using testing::hand_levels;
using testing::hand_power_w;
using testing::run_to;

BoardConditions quiet() {
  BoardConditions conditions;
  conditions.noise = false;
  return conditions;
}

/// The hand world's table with a spread of times, for an EmulatedBoard that replays it.
struct Table {
  testing::HandWorld world;
  Table() {
    for (std::size_t m = 0; m < 3; ++m) {
      for (std::size_t o = 0; o < world.space.opps(MappingId(m)); ++o) {
        for (std::size_t l = 0; l < 3; ++l) {
          policies::ProfilePoint point = *world.profile.at(LevelId(l), MappingId(m), OppId(o));
          point.p50_s = 0.95 * point.latency_s;
          point.p95_s = 1.3 * point.latency_s;
          point.p99_s = 1.6 * point.latency_s;
          world.profile.set(point);
        }
      }
    }
    for (boards::Cluster& cluster : world.board.clusters) {
      cluster.switch_s = 0;
      cluster.idle = {{"wfi", 1, 1, 0, 0}};
    }
  }
  EmulatedBoard make(std::uint64_t seed = 1) const {
    EmulatedBoard emulated(world.board, world.levels, &world.profile);
    BoardConditions conditions;
    conditions.seed = seed;
    conditions.start_c = 90;  // above the throttle point
    emulated.reset(0, conditions);
    return emulated;
  }
  std::vector<double> times_s(int runs, std::uint64_t seed) const {
    EmulatedBoard emulated = make(seed);
    emulated.apply(act(2, 1, 3));
    std::vector<double> times_s;
    for (int run = 0; run < runs; ++run) {
      const double began_s = emulated.now_s();
      emulated.start(LevelId(1));
      times_s.push_back(run_to(emulated, began_s + 0.2) - began_s);
    }
    return times_s;
  }
};

TEST(Replay, DrawsTimesOfTheMeasuredDistributionBySeed) {
  const Table table;
  const policies::ProfilePoint& point = *table.world.profile.at(LevelId(1), MappingId(2), OppId(3));
  std::vector<double> times_s = table.times_s(20'000, 7);
  EXPECT_EQ(std::vector<double>(times_s.begin(), times_s.begin() + 50), table.times_s(50, 7));
  EXPECT_NE(std::vector<double>(times_s.begin(), times_s.begin() + 50), table.times_s(50, 8));
  // The deviation is about a quarter of the mean: over so many runs the mean's is below 0.2 %.
  EXPECT_NEAR(mean_of(times_s), point.latency_s, 0.01 * point.latency_s);
  EXPECT_NEAR(quantile_of(times_s, 0.5), point.p50_s, 0.02 * point.latency_s);
  EXPECT_NEAR(quantile_of(times_s, 0.95), point.p95_s, 0.02 * point.latency_s);
  EXPECT_NEAR(quantile_of(times_s, 0.99), point.p99_s, 0.03 * point.latency_s);
  EXPECT_GT(*std::min_element(times_s.begin(), times_s.end()), 0);
}

TEST(Replay, KeepsTheMeanOfATailBeyondItsQuantiles) {
  Table table;
  policies::ProfilePoint point = *table.world.profile.at(LevelId(1), MappingId(2), OppId(3));
  point.p50_s = 0.8 * point.latency_s;
  point.p95_s = point.p99_s = 0.82 * point.latency_s;
  table.world.profile.set(point);
  EXPECT_NEAR(mean_of(table.times_s(5000, 1)), point.latency_s, 0.01 * point.latency_s);
}

TEST(Replay, EnergyIsPowerTimesTimeOfTheTableAndTheHeatStays) {
  const Table table;
  const policies::Profile& profile = table.world.profile;
  EmulatedBoard emulated = table.make();
  emulated.apply(act(2, 2, 4, 0));
  emulated.start(LevelId(2));
  const double finish_s = run_to(emulated, 0.5);
  emulated.park(MappingId(2), OppId(0));
  run_to(emulated, 2.5);
  const double busy_j = finish_s * *profile.at(LevelId(2), MappingId(2), OppId(4))->power_w;
  const double idle_j =
      (0.5 - finish_s) * *profile.idle_w(MappingId(2), OppId(4)) + 2.0 * *profile.idle_w(MappingId(2), OppId(0));
  EXPECT_NEAR(emulated.energy_j(), busy_j + idle_j, 1e-9);
  EXPECT_NEAR(emulated.active_energy_j(), busy_j, 1e-9);
  EXPECT_EQ(emulated.temperature_c(), 90);
  EXPECT_EQ(emulated.cap(ClusterId(1)), OppId(4)) << "nothing throttles";
}

TEST(Physics, WhatABoardWouldDrawIsWhatItDrawsWhenItHasSettled) {
  const testing::HandWorld world;
  EmulatedBoard emulated(world.board, world.levels);
  emulated.reset(0, {});
  emulated.apply(act(2, 0, 4));
  run_to(emulated, 2);  // every cluster is in its deepest state
  const double before_j = emulated.energy_j();
  const double expected_w = emulated.power_if_w(MappingId(2), OppId(4), std::nullopt, 2);
  EXPECT_LT(expected_w, emulated.power_if_w(MappingId(2), OppId(4), std::nullopt));
  run_to(emulated, 2.001);
  EXPECT_NEAR((emulated.energy_j() - before_j) / 0.001, expected_w, 1e-3 * expected_w);
}

TEST(Replay, ARunThatIsShorterThanTheClockCanShowEnds) {
  Table table;
  policies::ProfilePoint point = *table.world.profile.at(LevelId(1), MappingId(2), OppId(3));
  point.latency_s = point.p50_s = point.p95_s = point.p99_s = 1e-8;
  table.world.profile.set(point);
  EmulatedBoard emulated = table.make();
  emulated.apply(act(2, 1, 3));
  run_to(emulated, 5000.3);  // where two times are at least 1e-12 s apart
  for (int run = 0; run < 50; ++run) {
    emulated.start(LevelId(1));
    bool ended = false;
    for (int event = 0; event < 1000 && !ended; ++event) {
      emulated.advance(emulated.next_event_s());
      ended = emulated.take_completion().has_value();
    }
    ASSERT_TRUE(ended) << run;
  }
}

TEST(Replay, ClaimsNoEnergyOfATableWithoutIt) {
  Table table;
  table.world.profile = policies::Profile(table.world.space);
  for (std::size_t m = 0; m < 3; ++m) {
    for (std::size_t l = 0; l < 3; ++l) {
      policies::ProfilePoint point;
      point.level = LevelId(l);
      point.mapping = MappingId(m);
      point.opp = OppId(1);
      point.latency_s = 0.05;
      table.world.profile.set(point);
    }
  }
  EmulatedBoard emulated = table.make();
  emulated.apply(act(2, 2, 4));
  emulated.start(LevelId(2));
  EXPECT_NEAR(run_to(emulated, 0.5), 0.05, 1e-9) << "as at the nearest point that was measured";
  EXPECT_EQ(emulated.energy_j(), 0);
  control::Telemetry telemetry;
  ASSERT_TRUE(emulated.take_telemetry(telemetry));
  EXPECT_EQ(telemetry.power_w, std::nullopt);
}

class EmulatedBoardTest : public ::testing::Test {
 protected:
  EmulatedBoard make(const BoardConditions& conditions = quiet()) {
    EmulatedBoard emulated(board_, levels_);
    emulated.reset(0, conditions);
    return emulated;
  }
  const boards::Cluster& little() const { return board_.clusters[0]; }
  const boards::Cluster& big() const { return board_.clusters[1]; }

  boards::Board board_ = hand_board();
  std::vector<inference::LevelFacts> levels_ = hand_levels();
};

TEST_F(EmulatedBoardTest, TimesFollowMacsCoresAndFrequency) {
  EmulatedBoard emulated = make();
  EXPECT_NEAR(emulated.mean_time_s(MappingId(2), LevelId(2), OppId(4)), 160e6 / (2 * 2e9), 1e-12);
  EXPECT_NEAR(emulated.mean_time_s(MappingId(1), LevelId(2), OppId(4)), 160e6 / 2e9, 1e-12);
  EXPECT_NEAR(emulated.mean_time_s(MappingId(0), LevelId(0), OppId(0)), 40e6 / (2 * 0.2e9), 1e-12);
}

TEST_F(EmulatedBoardTest, EnergyIsTheIntegralByHand) {
  EmulatedBoard emulated = make();
  // 0: the full network starts at 400 MHz while the switch to 2000 MHz takes 10 ms: 5 % of it done by then.
  emulated.apply(act(2, 2, 4, 0));
  emulated.start(LevelId(2));
  const double finish_s = 0.01 + (1 - 0.01 / 0.2) * 0.04;
  EXPECT_NEAR(run_to(emulated, 0.1), finish_s, 1e-9);
  // 0.1: parked; in force 10 ms later. The idle cluster switches off 50 ms after the end.
  emulated.park(MappingId(2), OppId(0));
  run_to(emulated, 0.3);
  const double off_s = finish_s + 0.05;
  const double big_j = 0.01 * hand_power_w(big(), 0, 2) + (finish_s - 0.01) * hand_power_w(big(), 4, 2) +
                       0.05 * hand_power_w(big(), 4, 0) + (0.11 - off_s) * hand_power_w(big(), 4, 0, 1) +
                       (0.3 - 0.11) * hand_power_w(big(), 0, 0, 1);
  const double little_j = 0.3 * hand_power_w(little(), 0, 0);
  const double memory_j = 0.3 * 0.1 + 1e-9 * levels_[2].bytes;
  EXPECT_NEAR(emulated.energy_j(), big_j + little_j + memory_j, 1e-9);
  EXPECT_NEAR(emulated.active_energy_j(),
              0.01 * hand_power_w(big(), 0, 2) + (finish_s - 0.01) * hand_power_w(big(), 4, 2) +
                  finish_s * (hand_power_w(little(), 0, 0) + 0.1) + 1e-9 * levels_[2].bytes,
              1e-9);
}

TEST_F(EmulatedBoardTest, ARailOutsideTheAccountingIsNotCountedAndOneInsideACountedRailIs) {
  board_.rails[0].accounting = false;
  EmulatedBoard without = make();
  run_to(without, 1);
  EXPECT_NEAR(without.energy_j(), hand_power_w(big(), 0, 0) * 0.05 + hand_power_w(big(), 0, 0, 1) * 0.95 + 0.1, 1e-9);
  boards::Rail input;
  input.name = "input";
  input.accounting = true;
  input.contains = {"little", "big", "mem"};
  for (boards::Rail& rail : board_.rails) rail.accounting = false;
  board_.rails.push_back(input);
  EmulatedBoard contained = make();
  run_to(contained, 1);
  EXPECT_NEAR(contained.energy_j(), without.energy_j() + hand_power_w(little(), 0, 0), 1e-9);
  const double little_w = hand_power_w(little(), 0, 0);
  for (boards::Rail& rail : board_.rails) {
    if (rail.name == "little") rail.upstream_w_per_w = 1.5;
  }
  EmulatedBoard lossy = make();
  run_to(lossy, 1);
  EXPECT_NEAR(lossy.energy_j(), contained.energy_j() + 0.5 * little_w, 1e-9);
}

TEST_F(EmulatedBoardTest, SwitchesIdleExitAndMigrationDelayAStart) {
  for (boards::Cluster& cluster : board_.clusters) cluster.switch_s = 0;
  EmulatedBoard emulated = make();
  emulated.apply(act(2, 2, 4));
  run_to(emulated, 0.2);  // longer than the residency of "off"
  emulated.start(LevelId(2));
  EXPECT_NEAR(run_to(emulated, 0.3), 0.2 + 0.002 + 0.04, 1e-9) << "the exit from the deeper idle state";
  run_to(emulated, 0.3);
  emulated.apply(act(0, 2, 2));
  emulated.start(LevelId(0));
  EXPECT_NEAR(run_to(emulated, 0.4), 0.3 + 0.003 + 0.02, 1e-9) << "cold caches on the other cluster";
  emulated.start(LevelId(0));
  EXPECT_NEAR(run_to(emulated, 0.5), 0.4 + 0.02, 1e-9) << "warm now";
}

TEST_F(EmulatedBoardTest, OthersOnTheClusterTakeTimeAndPower) {
  for (boards::Cluster& cluster : board_.clusters) cluster.switch_s = 0;
  BoardConditions conditions = quiet();
  conditions.others_util[1] = 0.5;
  EmulatedBoard emulated = make(conditions);
  emulated.apply(act(1, 2, 4));
  emulated.start(LevelId(0));
  const double busy_s = 0.02 * (1 + 0.4 * 0.5);
  EXPECT_NEAR(run_to(emulated, 0.1), busy_s, 1e-9);
  const double by_hand = busy_s * hand_power_w(big(), 4, 2) + (0.1 - busy_s) * hand_power_w(big(), 4, 1) +
                         0.1 * (hand_power_w(little(), 0, 0) + 0.1) + 1e-9 * levels_[0].bytes;
  EXPECT_NEAR(emulated.energy_j(), by_hand, 1e-9) << "half of two cores is one busy core";
}

TEST_F(EmulatedBoardTest, TheSensorAveragesOverItsPeriodAndIsQuantised) {
  EmulatedBoard emulated = make();
  emulated.apply(act(2, 2, 4, 0));
  emulated.start(LevelId(2));
  control::Telemetry telemetry;
  run_to(emulated, 0.199);
  EXPECT_FALSE(emulated.take_telemetry(telemetry)) << "it speaks five times a second";
  run_to(emulated, 0.2);
  const double mean_w = emulated.energy_j() / 0.2;
  ASSERT_TRUE(emulated.take_telemetry(telemetry));
  EXPECT_DOUBLE_EQ(*telemetry.power_w, std::round(mean_w / 0.01) * 0.01);
  EXPECT_DOUBLE_EQ(telemetry.window_s, 0.2);
  EXPECT_DOUBLE_EQ(telemetry.at_s, 0.2);
  EXPECT_EQ(*telemetry.temperature_c, std::floor(emulated.temperature_c())) << "whole degrees";
  EXPECT_FALSE(emulated.take_telemetry(telemetry)) << "once per update";
  const double before_j = emulated.energy_j();
  run_to(emulated, 0.4);
  ASSERT_TRUE(emulated.take_telemetry(telemetry));
  EXPECT_NEAR(*telemetry.power_w, (emulated.energy_j() - before_j) / 0.2, 0.005 + 1e-9) << "only the last period";
}

TEST_F(EmulatedBoardTest, AHotBoardLosesOnePointAPollAndGetsThemBackWhenCool) {
  board_.thermal.r_c_per_w = 30;
  board_.thermal.c_j_per_c = 0.02;
  board_.thermal.throttle_c = 70;
  board_.thermal.release_c = 60;
  board_.thermal.poll_s = 0.25;
  EmulatedBoard emulated = make();
  emulated.apply(act(2, 2, 4));
  int lowest = 4;
  std::int32_t before = 4;
  double changed_s = 0;
  while (emulated.now_s() < 5) {  // 3.8 W at the top: far above 70 C in the end
    emulated.start(LevelId(2));
    while (emulated.busy()) {
      run_to(emulated, emulated.next_event_s());
      const std::int32_t cap = emulated.cap(ClusterId(1)).value;
      if (cap != before) {
        EXPECT_EQ(std::abs(cap - before), 1);
        EXPECT_GE(emulated.now_s() - changed_s, 0.25 - 1e-9);
        before = cap;
        changed_s = emulated.now_s();
      }
      lowest = std::min(lowest, emulated.opp(ClusterId(1)).value);
    }
  }
  EXPECT_LT(lowest, 4);
  EXPECT_EQ(emulated.cap(ClusterId(0)), OppId(2)) << "the little cluster is not throttled";
  control::Telemetry telemetry;
  run_to(emulated, 20);
  ASSERT_TRUE(emulated.take_telemetry(telemetry));
  EXPECT_EQ(emulated.cap(ClusterId(1)), OppId(4)) << "cool again";
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(4)) << "what was asked for holds again";
  EXPECT_EQ(*telemetry.cap[1], 4);
}

TEST_F(EmulatedBoardTest, ALimitFromOutsideHoldsAlsoWhereItIsCool) {
  BoardConditions conditions = quiet();
  conditions.limit[1] = 2;
  EmulatedBoard emulated = make(conditions);
  emulated.apply(act(2, 2, 4));
  control::Telemetry telemetry;
  run_to(emulated, 10);
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(2));
  ASSERT_TRUE(emulated.take_telemetry(telemetry));
  EXPECT_EQ(*telemetry.cap[1], 2);
  EXPECT_EQ(*telemetry.cap[0], 2) << "the little cluster's top";
}

TEST_F(EmulatedBoardTest, SameSeedSameRunOtherSeedAnother) {
  const auto finishes = [this](std::uint64_t seed) {
    BoardConditions conditions;
    conditions.seed = seed;
    EmulatedBoard emulated = make(conditions);
    emulated.apply(act(2, 2, 4));
    std::vector<double> all;
    for (int i = 1; i <= 20; ++i) {
      emulated.start(LevelId(2));
      all.push_back(run_to(emulated, 0.3 * i));
    }
    all.push_back(emulated.energy_j());
    return all;
  };
  EXPECT_EQ(finishes(5), finishes(5));
  EXPECT_NE(finishes(5), finishes(6));
}

/// Runs `levels`, one growing from the other, on a board that has been applied to: the time that all took.
double grown_s(EmulatedBoard& emulated, std::initializer_list<int> levels) {
  const double began_s = emulated.now_s();
  for (const int level : levels) {
    if (level == *levels.begin()) {
      emulated.start(LevelId(level));
    } else {
      emulated.grow(LevelId(level));
    }
    std::optional<LevelId> ended;
    while (!ended.has_value()) {
      emulated.advance(emulated.next_event_s());
      ended = emulated.take_completion();
    }
    EXPECT_EQ(*ended, LevelId(level));
  }
  return emulated.now_s() - began_s;
}

TEST_F(EmulatedBoardTest, AGrownRunTakesTheTimeAndEnergyOfAFreshOneAndDrawsNothingMore) {
  BoardConditions conditions;
  conditions.seed = 8;
  const auto three_runs = [&](std::initializer_list<int> second) {
    EmulatedBoard emulated = make(conditions);
    emulated.apply(act(2, 2, 4));
    run_to(emulated, 0.02);
    std::vector<double> all{grown_s(emulated, {0})};
    const double before_j = emulated.energy_j();
    all.push_back(grown_s(emulated, second));
    all.push_back(emulated.energy_j() - before_j);
    all.push_back(grown_s(emulated, {1}));
    return all;
  };
  const std::vector<double> fresh = three_runs({2});
  EXPECT_NE(fresh[1], 0.04) << "noise";
  for (const auto& levels : {std::initializer_list<int>{1, 2}, {0, 1, 2}}) {
    const std::vector<double> grown = three_runs(levels);
    for (std::size_t i = 0; i < fresh.size(); ++i) EXPECT_NEAR(grown[i], fresh[i], 1e-9) << i;
  }
}

TEST(Replay, AGrownRunTakesTheTableSDifference) {
  Table table;
  policies::Profile& profile = table.world.profile;
  EmulatedBoard emulated = table.make();
  emulated.apply(act(2, 0, 4));
  run_to(emulated, 0.1);
  const double before_j = emulated.energy_j();
  const double time_s = grown_s(emulated, {0, 2});
  const policies::ProfilePoint& low = *profile.at(LevelId(0), MappingId(2), OppId(4));
  const policies::ProfilePoint& full = *profile.at(LevelId(2), MappingId(2), OppId(4));
  const double factor = time_s / full.latency_s;  // of chance, the same for both parts
  EXPECT_GT(factor, 0.1);
  EXPECT_LT(factor, 1.7);
  EXPECT_NEAR(emulated.energy_j() - before_j, *full.power_w * full.latency_s * factor, 1e-9);

  // A table that measured the higher level as no slower: there at once.
  policies::ProfilePoint odd = full;
  odd.latency_s = low.latency_s;
  profile.set(odd);
  EmulatedBoard even = table.make();
  even.apply(act(2, 0, 4));
  const double lone_s = grown_s(even, {0});
  EmulatedBoard again = table.make();
  again.apply(act(2, 0, 4));
  EXPECT_EQ(grown_s(again, {0, 2}), lone_s);
}

TEST_F(EmulatedBoardTest, AGpuFollowsItsOwnGovernorWhateverTheProcessorsHave) {
  board_.clusters[1].kind = boards::UnitKind::kGpu;
  policies::Action action = act(2, 2, 0);
  action.governor = boards::Governor::kPerformance;
  action.gpu_governor = boards::GpuGovernor::kSimpleOndemand;
  EmulatedBoard emulated = make();
  emulated.apply(action);
  run_to(emulated, 0.2);
  EXPECT_EQ(emulated.opp(ClusterId(0)), OppId(2)) << "performance";
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(0)) << "nothing to do";
  // 0.2 s of work at the lowest point: the first poll that finds it busy throughout goes to the top.
  emulated.start(LevelId(2));
  run_to(emulated, 0.275);
  EXPECT_TRUE(emulated.busy());
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(4));
  run_to(emulated, 0.6);
  EXPECT_FALSE(emulated.busy());
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(0));

  // Left to a policy, it has no governor any more.
  emulated.apply(act(2, 2, 3));
  run_to(emulated, 0.9);
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(3));
}

TEST_F(EmulatedBoardTest, GovernorsHoldTheirPoints) {
  policies::Action action = act(2, 2, 0);
  action.governor = boards::Governor::kPerformance;
  EmulatedBoard emulated = make();
  emulated.apply(action);
  run_to(emulated, 0.1);
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(4));
  EXPECT_EQ(emulated.opp(ClusterId(0)), OppId(2)) << "the unused cluster has the same governor";
  action.governor = boards::Governor::kPowersave;
  emulated.apply(action);
  run_to(emulated, 0.2);
  EXPECT_EQ(emulated.opp(ClusterId(1)), OppId(0));
}

TEST_F(EmulatedBoardTest, SchedutilGoesByTheBusiestOfItsCpus) {
  // Others keep a cpu of the big cluster at 60 %: with headroom that asks for 75 % of the top, work or none.
  BoardConditions conditions = quiet();
  conditions.others_util[1] = 0.6;
  EmulatedBoard emulated = make(conditions);
  policies::Action action = act(2, 2, 0);
  action.governor = boards::Governor::kSchedutil;
  emulated.apply(action);
  run_to(emulated, 0.2);
  const auto top_khz = static_cast<double>(big().opps.back().freq_khz);
  const auto khz = [&] { return static_cast<double>(big().opps[emulated.opp(ClusterId(1)).index()].freq_khz); };
  const double rests_at = khz();
  EXPECT_GE(rests_at, 0.75 * top_khz * 0.999);
  EXPECT_LT(rests_at, top_khz);
  EXPECT_EQ(emulated.opp(ClusterId(0)), OppId(0)) << "nobody is on the other cluster";
  // A short task is less than that: it does not add up.
  emulated.start(LevelId(0));
  run_to(emulated, 0.21);
  EXPECT_EQ(khz(), rests_at);
}

}  // namespace
}  // namespace reins::env
