// The shield: what it changes, what it leaves alone, and what wins over what.
#include "control/shield.hpp"

#include "control/observation_builder.hpp"
#include "core/rng.hpp"
#include "tests/control/made_up.hpp"
#include "tests/support/matchers.hpp"

namespace reins::control {
namespace {

using testing::act;
using testing::MadeUp;

constexpr double kLongAgo_s = 100;

class ShieldTest : public ::testing::Test {
 protected:
  ShieldTest() : builder_(world_.board, world_.space, world_.profile) {
    facts().present = act(2, 2, 4);
    facts().cap = {2, 4, 0, 0};
    facts().rate_hz = 1;
  }
  policies::Situation& facts() { return observation_.facts; }
  Admission admit(const policies::Action& wanted, double since_change_s = kLongAgo_s) {
    builder_.fill(observation_);
    return Shield(world_.board, world_.space, world_.profile, config_).admit(observation_, wanted, since_change_s);
  }
  double predicted_s(const policies::Action& a) {
    return Shield(world_.board, world_.space, world_.profile, config_).predicted_s(facts(), a.mapping, a.level, a.opp);
  }

  MadeUp world_;
  ObservationBuilder builder_;
  ShieldConfig config_;
  policies::Observation observation_;
};

TEST_F(ShieldTest, LeavesAnActionAloneThatBreaksNothing) {
  facts().slack_s = 0.7;
  facts().goals.accuracy_floor = 0.7;
  facts().temperature_c = 40;
  const Admission admission = admit(act(0, 2, 2, 0));
  EXPECT_FALSE(admission.changed);
  EXPECT_EQ(admission.action, act(0, 2, 2, 0));
}

TEST_F(ShieldTest, PredictsFromProfileSlowDownMarginAndMoves) {
  facts().slow_down = 1.5;
  EXPECT_DOUBLE_EQ(predicted_s(act(2, 2, 4)), 0.08 * 1.5 * 1.06 + 0.0002);
  EXPECT_DOUBLE_EQ(predicted_s(act(1, 2, 4)), 0.16 * 1.5 * 1.06 + 0.0002 + 0.001) << "another mapping: a migration";
}

TEST_F(ShieldTest, TakesThreeDeviationsOfTheProfileForItsMarginWhereThatIsMore) {
  const auto vary = [&](double sigma) {
    for (std::size_t m = 0; m < 3; ++m) {
      for (std::size_t o = 0; o < world_.space.opps(MappingId(m)); ++o) {
        for (std::size_t l = 0; l < world_.space.levels; ++l) {
          policies::ProfilePoint point = *world_.profile.at(LevelId(l), MappingId(m), OppId(o));
          point.n = 30;
          point.p50_s = point.latency_s;
          point.p95_s = point.latency_s * (1 + 1.645 * sigma);
          world_.profile.set(point);
        }
      }
    }
  };
  vary(0.02);
  EXPECT_NEAR(predicted_s(act(2, 2, 4)), 0.08 * 1.06 + 0.0002, 1e-12);
  vary(0.04);
  EXPECT_NEAR(predicted_s(act(2, 2, 4)), 0.08 * 1.12 + 0.0002, 1e-12);
  vary(0.9);
  EXPECT_NEAR(predicted_s(act(2, 2, 4)), 0.08 * 1.5 + 0.0002, 1e-12) << "no more than by half";
}

TEST_F(ShieldTest, LiftsToTheLowestPointThatMeetsTheDeadline) {
  // The full network on big-x2 takes 0.4, 0.2, 0.133, 0.1, 0.08 s; with the margin 0.1415 at 1200 MHz.
  config_.rescue = false;
  facts().slack_s = 0.15;
  const Admission admission = admit(act(2, 2, 0, 0));
  EXPECT_TRUE(admission.changed);
  EXPECT_EQ(admission.action, act(2, 2, 2, 0)) << "mapping, level and park point stay";
  facts().slack_s = 0.14;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action.opp, OppId(3));
  EXPECT_FALSE(admit(act(2, 2, 4, 0)).changed) << "faster than it must be is the policy's choice";
}

TEST_F(ShieldTest, StartsWhereTheMeanIsInTimeIfARaiseCanSaveTheRest) {
  facts().slack_s = 0.134;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 2, 0)) << "0.1333 s and a switch";
  config_.start_margin = 0.02;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 3, 0));
  config_.start_margin = 0;
  facts().cap = {2, 2, 0, 0};
  EXPECT_NE(admit(act(2, 2, 2, 0)).action, act(2, 2, 2, 0)) << "a cap there: no raise can save it";
  facts().cap = {2, 4, 0, 0};
  facts().goals.power_w = world_.profile.at(LevelId(2), MappingId(2), OppId(2))->power_w;
  facts().queue_depth = 1;
  EXPECT_NE(admit(act(2, 2, 2, 0)).action, act(2, 2, 2, 0)) << "nor past the power cap";
  facts().goals.power_w.reset();
  facts().queue_depth = 0;
  config_.hurry = false;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 3, 0)) << "nor where the driver blocks";
}

TEST_F(ShieldTest, CountsSlowDownTowardsTheDeadline) {
  facts().slack_s = 0.15;
  facts().slow_down = 1.2;
  EXPECT_EQ(admit(act(2, 2, 0)).action.opp, OppId(3)) << "1200 MHz took 0.17 s of late";
}

TEST_F(ShieldTest, TakesALowerLevelBeforeAnotherMappingWhereNoPointIsFastEnough) {
  facts().slack_s = 0.06;  // below 0.08 s: not with the full network
  const Admission admission = admit(act(2, 2, 4, 0));
  EXPECT_EQ(admission.action.mapping, MappingId(2));
  EXPECT_LT(admission.action.level, LevelId(2));
  EXPECT_LE(predicted_s(admission.action), 0.06);
}

TEST_F(ShieldTest, TheFloorIsNotGivenUpForADeadline) {
  facts().slack_s = 0.06;
  facts().goals.accuracy_floor = 0.7;
  const policies::Action action = admit(act(2, 2, 3, 0)).action;
  EXPECT_EQ(action.level, LevelId(2)) << "nothing at or above the floor is in time";
  EXPECT_EQ(action.opp, OppId(4)) << "so it is as little late as can be";
  EXPECT_FALSE(admit(act(2, 2, 4, 0)).changed) << "the least late choice stands";
}

TEST_F(ShieldTest, IsLeastLateWhereNothingMeetsTheDeadline) {
  facts().slack_s = 0.001;
  const Admission admission = admit(act(0, 2, 0, 0));
  EXPECT_TRUE(admission.changed);
  for (int m = 0; m < 3; ++m) {
    for (int l = 0; l < 3; ++l) {
      for (std::size_t o = 0; o < world_.space.opps(MappingId(m)); ++o) {
        EXPECT_GE(predicted_s(act(m, l, static_cast<int>(o))), predicted_s(admission.action)) << m << l << o;
      }
    }
  }
}

TEST_F(ShieldTest, KeepsThePaceOfTheQueueWhereAPointDoes) {
  // With the margin the full network on big-x2 takes 0.424, 0.212, 0.142, 0.106, 0.085 s.
  facts().goals.accuracy_floor = 0.7;
  facts().slack_s = 1;
  facts().pace_s = 0.15;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 2, 0)) << "of those who are to come";
  facts().queue_depth = 3;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 2, 0));
  facts().pace_s = 0.05;
  EXPECT_FALSE(admit(act(2, 2, 1, 0)).changed) << "nothing keeps it: the policy's choice stands";
  facts().slack_s = 0.11;
  EXPECT_EQ(admit(act(2, 2, 1, 0)).action, act(2, 2, 3, 0)) << "but not past its own deadline";
}

TEST_F(ShieldTest, HurriesToTheSlowestPointThatKeepsEveryDeadline) {
  facts().goals.accuracy_floor = 0.7;
  builder_.fill(observation_);
  const auto hurry = [&](const policies::Action& running, double left, std::vector<double> slack_s) {
    return Shield(world_.board, world_.space, world_.profile, config_).hurry(facts(), running, left, slack_s).opp.value;
  };
  // With the margin the full network on big-x2 takes 0.424, 0.212, 0.142, 0.106, 0.085 s.
  EXPECT_EQ(hurry(act(2, 2, 0), 1, {0.43}), 0) << "nothing is gained";
  EXPECT_EQ(hurry(act(2, 2, 0), 0.5, {0.43, 0.33}), 1) << "0.106 + 0.212 s and a switch";
  EXPECT_EQ(hurry(act(2, 2, 0), 0.5, {0.43, 0.22}), 2) << "0.071 + 0.142 s";
  EXPECT_EQ(hurry(act(2, 2, 3), 0.5, {0.43, 0.33}), 3) << "upward only";
  EXPECT_EQ(hurry(act(2, 2, 0), 0.5, {0.43, 0.01}), 4) << "lost whatever is done: as fast as can be";
  EXPECT_EQ(hurry(act(0, 2, 0), 0.1, {1, 0.75}), 1) << "0.057 + 0.565 s on the little cluster";
  facts().cap[1] = 1;
  EXPECT_EQ(hurry(act(2, 2, 0), 0.5, {0.43, 0.22}), 1) << "a cap";
  facts().cap[1] = 4;
  facts().goals.power_w = world_.profile.at(LevelId(2), MappingId(2), OppId(1))->power_w;
  facts().queue_depth = 1;
  EXPECT_EQ(hurry(act(2, 2, 0), 0.5, {0.43, 0.22}), 1) << "the power cap";
  config_.enabled = false;
  EXPECT_EQ(hurry(act(2, 2, 0), 0.5, {0.43, 0.22}), 0);
}

TEST_F(ShieldTest, RescuesAtTheLastMomentThatIsEarlyEnough) {
  builder_.fill(observation_);
  const auto rescue = [&](const policies::Action& running, double left, double slack_s) {
    return Shield(world_.board, world_.space, world_.profile, config_).rescue(facts(), running, left, slack_s);
  };
  // The full network on big-x2: 0.4 s at 400 MHz, 0.08 s at the top; both may be 6 % slower. A switch takes 0.0002 s.
  const auto raise = rescue(act(2, 2, 0), 1, 0.41);
  ASSERT_TRUE(raise.has_value());
  EXPECT_EQ(raise->opp, OppId(4));
  const double x_s = raise->wait_s + 0.0002;
  EXPECT_NEAR(x_s + (1 - x_s / (0.4 * 1.06)) * 0.08 * 1.06, 0.41, 1e-12) << "at its slowest it ends just in time";
  EXPECT_FALSE(rescue(act(2, 2, 0), 1, 0.43).has_value()) << "0.424 s: never late";
  const double later_s = 0.1;  // the same moment, planned when a quarter has run
  EXPECT_NEAR(rescue(act(2, 2, 0), 0.75, 0.41 - later_s)->wait_s, raise->wait_s - later_s, 1e-12);
  EXPECT_EQ(rescue(act(2, 2, 0), 1, 0.0845)->wait_s, 0) << "now or never";
  EXPECT_FALSE(rescue(act(2, 2, 0), 1, 0.08).has_value()) << "lost";
  EXPECT_FALSE(rescue(act(2, 2, 4), 1, 0.0801).has_value()) << "there is no faster point";
  facts().cap[1] = 1;
  EXPECT_EQ(rescue(act(2, 2, 0), 1, 0.41)->opp, OppId(1)) << "a cap";
  facts().cap[1] = 4;
  facts().goals.power_w = world_.profile.at(LevelId(2), MappingId(2), OppId(2))->power_w;
  facts().queue_depth = 1;
  EXPECT_EQ(rescue(act(2, 2, 0), 1, 0.41)->opp, OppId(2)) << "the power cap";
  config_.rescue = false;
  EXPECT_FALSE(rescue(act(2, 2, 0), 1, 0.41).has_value());
}

TEST_F(ShieldTest, HurryMovesToOtherCoresWhereItsOwnAreNotEnough) {
  builder_.fill(observation_);
  const auto hurry = [&](double left, std::vector<double> slack_s) {
    return Shield(world_.board, world_.space, world_.profile, config_).hurry(facts(), act(0, 2, 0), left, slack_s);
  };
  // The full network takes 1.6 s on little-x2 at 200 MHz, 0.32 s at its top; the lowest level behind it a quarter.
  EXPECT_EQ(hurry(0.5, {1, 0.5}), act(0, 2, 1)) << "0.283 + 0.141 s: no need to";
  const policies::Action moved = hurry(0.5, {1, 0.15});
  EXPECT_EQ(moved, act(2, 2, 2)) << "at 1200 MHz 0.071 + 0.035 s, a migration and a switch; at 800 MHz 0.16 s";
  EXPECT_EQ(hurry(0.5, {1, 0.02}), act(2, 2, 4)) << "too late for all: where it is over soonest";
  facts().cap[1] = 0;
  EXPECT_EQ(hurry(0.5, {1, 0.15}), act(0, 2, 2)) << "a cap: 0.2 s and more there";
  facts().cap[1] = 3;
  facts().held = 2;
  EXPECT_EQ(hurry(0.5, {1, 0.15}), act(2, 2, 3)) << "another program has it there";
  facts().cap[1] = 4;
  facts().held = 0;
  config_.move = false;
  EXPECT_EQ(hurry(0.5, {1, 0.15}), act(0, 2, 2));
  const Shield shield(world_.board, world_.space, world_.profile, config_);
  EXPECT_TRUE(shield.movable(MappingId(0), MappingId(2)));
  EXPECT_FALSE(shield.movable(MappingId(1), MappingId(2))) << "two cores are more than one";
  EXPECT_FALSE(shield.movable(MappingId(2), MappingId(2)));
}

TEST_F(ShieldTest, PutsNothingOnAClusterThatIsLost) {
  facts().slack_s = 0.3;
  facts().lost = 1;
  EXPECT_NE(admit(act(0, 0, 2, 0)).action.mapping, MappingId(0));
  facts().goals.accuracy_floor = 0.7;
  builder_.fill(observation_);
  EXPECT_FALSE(observation_.mask.allows(MappingId(0)));
  EXPECT_TRUE(observation_.mask.allows(MappingId(2)));
  facts().lost = 3;
  builder_.fill(observation_);
  EXPECT_TRUE(observation_.mask.allows(MappingId(0))) << "where all are lost, something has to be tried";
}

TEST_F(ShieldTest, TakesTheCheapestPointInTimeWhereArrivalsAreRegular) {
  facts().slack_s = 0.3;
  facts().goals.accuracy_floor = 0.7;
  facts().mean_gap_s = 0.5;
  facts().gap_variation = 0.01;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 1, 0)) << "0.2 s at 800 MHz, 0.4 s at 400";
  facts().gap_variation = 0.5;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 4, 0)) << "who may come at once is for the policy to weigh";
  facts().gap_variation = 0.01;
  facts().since_arrival_s = 0.3;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 2, 0)) << "the next one comes in 0.19 s";
  facts().since_arrival_s = 0;
  facts().queue_depth = 1;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 4, 0)) << "one waits already";
  facts().queue_depth = 0;
  config_.ease = false;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 4, 0));
}

TEST_F(ShieldTest, TakesTheCheapestOfAllMappingsWhereTheDeadlineIsFar) {
  facts().goals.accuracy_floor = 0.7;  // the full network takes 0.08 s at best; 0.32 to 1.6 s on little-x2
  facts().slack_s = 0.79;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 4, 0)) << "nine times as far";
  facts().slack_s = 0.8;
  // Over resting: little-x2 0.38 W x 0.32 s at 1000 MHz, 0.188 W x 0.533 s at 600; big-x2 0.28 W x 0.4 s at 400.
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(0, 2, 1, 0));
  facts().goals.accuracy_floor = 0.6;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action.level, LevelId(1)) << "0.1 of accuracy is worth 0.005 of 0.16 J";
  config_.accuracy_worth = 5;
  EXPECT_EQ(admit(act(2, 1, 4, 0)).action.level, LevelId(2)) << "half of 0.16 J for some 0.05 J";
  config_.accuracy_worth = 0.05;
  facts().goals.accuracy_floor = 0.7;
  facts().queue_depth = 3;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(0, 2, 1, 0)) << "those that wait have as long";
  facts().pace_s = 0.3;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action.mapping, MappingId(2)) << "they have not";
  facts().pace_s.reset();
  facts().held = 1;
  facts().cap = {0, 4, 0, 0};
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action.mapping, MappingId(2)) << "1.6 s at the lowest point";
  config_.ease = false;
  EXPECT_EQ(admit(act(2, 2, 4, 0)).action, act(2, 2, 4, 0));
}

TEST_F(ShieldTest, WhatIsLateAnywayTakesTheCheapestWithinAMarginOfTheFastest) {
  facts().goals.accuracy_floor = 0.7;  // the full network takes 0.08 s at best, 0.1 s at 1600 MHz
  facts().slack_s = 0.05;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 4, 0)) << "a quarter longer is too long";
  config_.late_margin = 0.3;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 3, 0));
  facts().slack_s = 0.081;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 4, 0)) << "the fastest may keep it yet";
  facts().slack_s = -3;
  config_.ease = false;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 3, 0));
  facts().cap[1] = 2;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 2, 0)) << "the fastest that there is";
  facts().cap[1] = 4;
  config_.late_margin = 0;
  EXPECT_EQ(admit(act(2, 2, 0, 0)).action, act(2, 2, 4, 0));
}

TEST_F(ShieldTest, StaysWhereAMoveSavesNextToNothing) {
  facts().slack_s = 9;
  facts().goals.accuracy_floor = 0.7;
  facts().present = act(2, 2, 0);
  const auto cost_j = [&](MappingId m, OppId o) {
    const auto* point = world_.profile.at(LevelId(2), m, o);
    return *point->energy_j - *world_.profile.idle_w(m, OppId(0)) * point->latency_s;
  };
  // All of little-x2 costs what the best of big-x2 does, but for so much.
  double least_j = 1;
  for (std::size_t o = 0; o < 5; ++o) least_j = std::min(least_j, cost_j(MappingId(2), OppId(o)));
  for (const double saved : {0.005, 0.02}) {
    for (std::size_t o = 0; o < 3; ++o) {
      policies::ProfilePoint point = *world_.profile.at(LevelId(2), MappingId(0), OppId(o));
      point.energy_j = least_j * (1 - saved) + *world_.profile.idle_w(MappingId(0), OppId(0)) * point.latency_s;
      world_.profile.set(point);
    }
    EXPECT_EQ(admit(act(2, 2, 4, 0)).action.mapping, MappingId(saved < 0.01 ? 2 : 0));
  }
}

TEST_F(ShieldTest, EasesOnceWhoMayComeCanStillBeKept) {
  facts().goals.accuracy_floor = 0.7;
  builder_.fill(observation_);
  const auto ease = [&](const policies::Action& running, double left, double slack_s, double target_s,
                        double dwell_s = 0) {
    return Shield(world_.board, world_.space, world_.profile, config_)
        .ease(facts(), running, left, slack_s, target_s, dwell_s);
  };
  // The full network takes 0.08 s at the top, 0.0848 s with the margin: one that comes and is due 0.12 s later is kept
  // if what then is left takes 0.0348 s there, 6 % of the whole and two switches of 0.0002 s included: 0.37 of the
  // whole.
  const double share = (0.12 - 0.08 * 1.06 - 0.0004) / 0.08 - 0.06;
  const auto eased = ease(act(2, 2, 4), 1, 0.12, 0.12);
  ASSERT_TRUE(eased.has_value());
  EXPECT_NEAR(eased->wait_s, (1 - share) * 0.08, 1e-12);
  EXPECT_EQ(eased->opp, OppId(2)) << "0.0504 s and 0.435 of 0.1333 s are in time, of 0.2 s not";
  EXPECT_EQ(ease(act(2, 2, 4), 1, 0.108, 0.12)->opp, OppId(3)) << "it has waited itself";
  EXPECT_FALSE(ease(act(2, 2, 4), 1, 0.084, 0.12).has_value()) << "nothing lower ends it in time";
  EXPECT_EQ(ease(act(2, 2, 4), 0.3, 0.12, 0.12)->wait_s, 0) << "so little is left already";
  EXPECT_EQ(ease(act(2, 2, 4), 1, 0.12, 0.12, 0.06)->wait_s, 0.06) << "the point has to stand for a while";
  EXPECT_FALSE(ease(act(2, 2, 4), 1, 0.12, 0.12, 0.076).has_value()) << "then it is as good as done";
  EXPECT_FALSE(ease(act(2, 2, 4), 1, 0.12, 0.084).has_value()) << "none that comes could be kept";
  // Two that are due in 0.2 s; they leave 0.2 - 0.1696 s.
  EXPECT_NEAR(ease(act(2, 2, 4), 1, 0.2, 0.2)->wait_s, (1.06 - (0.2 - 2 * 0.0848 - 0.0004) / 0.08) * 0.08, 1e-12);
  EXPECT_FALSE(ease(act(2, 2, 0), 1, 0.5, 0.5).has_value()) << "no lower point";
  facts().cap[1] = 2;  // to 1200 MHz, where the rest takes longer
  EXPECT_GT(ease(act(2, 2, 2), 1, 0.21, 0.21)->wait_s, 0);
  facts().cap[1] = 4;
  facts().held = 2;
  EXPECT_FALSE(ease(act(2, 2, 4), 1, 0.12, 0.12).has_value()) << "another program has the cluster";
  facts().held = 0;
  config_.hurry = false;
  EXPECT_FALSE(ease(act(2, 2, 4), 1, 0.12, 0.12).has_value()) << "nothing would go up again for who comes";
  config_.hurry = true;
  config_.ease = false;
  EXPECT_FALSE(ease(act(2, 2, 4), 1, 0.12, 0.12).has_value());
}

TEST_F(ShieldTest, EasesToThePointThatCostsLeastNotToTheLowest) {
  facts().goals.accuracy_floor = 0.7;
  builder_.fill(observation_);
  for (const OppId opp : {OppId(0), OppId(1), OppId(2)}) {
    policies::ProfilePoint point = *world_.profile.at(LevelId(2), MappingId(2), opp);
    point.energy_j = 1e3;
    world_.profile.set(point);
  }
  const Shield shield(world_.board, world_.space, world_.profile, config_);
  EXPECT_EQ(shield.ease(facts(), act(2, 2, 4), 0.3, 0.2, 0.12, 0)->opp, OppId(3));
  EXPECT_FALSE(shield.ease(facts(), act(2, 2, 3), 0.3, 0.2, 0.12, 0).has_value()) << "each lower one costs more";
}

TEST_F(ShieldTest, HeatWinsOverTheDeadline) {
  // Only 1600 and 2000 MHz on big-x2 are in time; both end above the throttle point when the queue keeps them busy.
  facts().slack_s = 0.12;
  facts().goals.accuracy_floor = 0.7;
  facts().queue_depth = 1;
  facts().temperature_c = 50;
  world_.board.thermal.throttle_c = 45 + 1;  // 10 K/W: 2.1 W and more are too much
  const Admission admission = admit(act(2, 2, 4, 0));
  ASSERT_TRUE(admission.changed);
  EXPECT_GT(predicted_s(admission.action), 0.12) << "late";
  const double power_w =
      world_.profile.at(admission.action.level, admission.action.mapping, admission.action.opp)->power_w.value();
  EXPECT_LT(25 + 10 * power_w, 50) << "but it cools down";
  facts().temperature_c = 20;
  world_.board.thermal.throttle_c = 85;
  EXPECT_FALSE(admit(act(2, 2, 4, 0)).changed) << "the same where it is cool";
}

TEST_F(ShieldTest, KeepsThePowerCapOverThePresentRequestRate) {
  facts().goals.power_w = 1.0;
  facts().goals.accuracy_floor = 0.7;
  facts().queue_depth = 1;  // busy all the time
  const Admission admission = admit(act(2, 2, 4, 0));
  EXPECT_LE(*world_.profile.at(admission.action.level, admission.action.mapping, admission.action.opp)->power_w, 1.0);
  facts().queue_depth = 0;
  facts().rate_hz = 0.5;  // 0.08 s every 2 s: 4 % of 4 W and 96 % of the parked power
  EXPECT_FALSE(admit(act(2, 2, 4, 0)).changed);
}

TEST_F(ShieldTest, TheDeadlineWinsOverTheEnergyBudget) {
  facts().slack_s = 0.12;
  facts().goals.accuracy_floor = 0.7;
  facts().goals.energy_j = 0.1;  // 600 MHz on the little cluster: 0.16 J; nothing is under it and in time
  EXPECT_FALSE(admit(act(2, 2, 4, 0)).changed);
  facts().slack_s = 10;
  facts().goals.energy_j = 0.2;
  const Admission admission = admit(act(2, 2, 4, 0));
  EXPECT_LE(*world_.profile.at(admission.action.level, admission.action.mapping, admission.action.opp)->energy_j, 0.2);
}

TEST_F(ShieldTest, ALowerPointWaitsForItsDwellTimeAndAHigherOneDoesNot) {
  config_.ease = false;
  facts().slack_s = 1;
  facts().present = act(2, 2, 3);
  EXPECT_EQ(admit(act(2, 2, 1), 0.01).action.opp, OppId(3));
  EXPECT_TRUE(admit(act(2, 2, 1), 0.01).changed);
  EXPECT_EQ(admit(act(2, 2, 1), 0.02).action.opp, OppId(1));
  EXPECT_EQ(admit(act(2, 2, 4), 0.0).action.opp, OppId(4));
  EXPECT_EQ(admit(act(1, 2, 1), 0.01).action.opp, OppId(3)) << "one cluster, one frequency, whatever the mapping";
  EXPECT_EQ(admit(act(0, 2, 1), 0.01).action.opp, OppId(1)) << "another cluster";
}

TEST_F(ShieldTest, TheLongerOfTheBoardsAndTheSettingsDwellTimeHolds) {
  config_.ease = false;
  facts().slack_s = 1;
  facts().present = act(2, 2, 3);
  world_.board.clusters[1].dwell_s = 0.2;
  EXPECT_EQ(admit(act(2, 2, 1), 0.19).action.opp, OppId(3));
  EXPECT_EQ(admit(act(2, 2, 1), 0.2).action.opp, OppId(1));
  EXPECT_EQ(admit(act(2, 2, 4), 0.0).action.opp, OppId(4)) << "upward moves are exempt";
  EXPECT_EQ(admit(act(0, 2, 1), 0.1).action.opp, OppId(1)) << "the other cluster asks for none";
  config_.dwell_s = 0.3;
  EXPECT_EQ(admit(act(2, 2, 1), 0.29).action.opp, OppId(3));
  EXPECT_EQ(admit(act(2, 2, 1), 0.3).action.opp, OppId(1));
  facts().cap = {2, 1, 0, 0};
  EXPECT_EQ(admit(act(2, 2, 1), 0.001).action.opp, OppId(1)) << "a cap ends it";
}

TEST_F(ShieldTest, ACapEndsTheDwellTime) {
  facts().slack_s = 10;
  facts().present = act(2, 2, 4);
  facts().cap = {2, 1, 0, 0};
  EXPECT_EQ(admit(act(2, 2, 1), 0.001).action.opp, OppId(1));
}

TEST_F(ShieldTest, AParkPointAboveTheCapBecomesTheLowest) {
  facts().slack_s = 10;
  facts().cap = {2, 1, 0, 0};
  EXPECT_EQ(admit(act(2, 2, 1, 3)).action.park, OppId(0));
}

TEST_F(ShieldTest, ParksWhereTheMaskSays) {
  config_.ease = false;
  facts().goals.accuracy_floor = 0.7;
  facts().slack_s = 10;
  const auto parked = [&](const policies::Action& wanted) {
    return Shield(world_.board, world_.space, world_.profile, config_).admit(observation_, wanted, kLongAgo_s).action;
  };
  builder_.fill(observation_);
  observation_.mask.park[2] = 0b01100;
  EXPECT_EQ(parked(act(2, 2, 4, 3)).park, OppId(3)) << "one of them";
  EXPECT_EQ(parked(act(2, 2, 4, 4)).park, OppId(2)) << "none of them: the lowest of them";
  EXPECT_EQ(parked(act(2, 2, 4)).park, OppId()) << "who does not ask to park stays";
  facts().slack_s = 0.1;  // little-x2 takes 0.32 s at best: moved to a cluster with park points of its own
  builder_.fill(observation_);
  observation_.mask.park[1] = observation_.mask.park[2] = 0b00100;
  const policies::Action moved = parked(act(0, 2, 2, 0));
  EXPECT_NE(moved.mapping, MappingId(0));
  EXPECT_EQ(moved.park, OppId(2));
  observation_.mask.opps[0] = observation_.mask.park[0] = 0;  // what a look-up falls back on where nothing is allowed
  facts().slack_s.reset();
  EXPECT_EQ(parked(act(0, 2, 0, 1)).park, OppId(0));
}

TEST_F(ShieldTest, SwitchedOffOrUnderAGovernorItChangesNothing) {
  facts().slack_s = 0.1;
  policies::Action governed = act(2, 2, 0);
  governed.governor = boards::Governor::kPowersave;
  EXPECT_FALSE(admit(governed).changed);
  config_.enabled = false;
  EXPECT_FALSE(admit(act(2, 2, 0)).changed);
}

TEST_F(ShieldTest, WithoutAdmissionItStillRaisesWhatRuns) {
  facts().goals.accuracy_floor = 0.7;
  builder_.fill(observation_);
  config_.admission = false;
  facts().slack_s = 0.1;
  EXPECT_FALSE(admit(act(2, 2, 0)).changed);
  const Shield shield(world_.board, world_.space, world_.profile, config_);
  EXPECT_EQ(shield.hurry(facts(), act(2, 2, 0), 0.5, std::vector<double>{0.43, 0.22}).opp, OppId(2));
  EXPECT_TRUE(shield.rescue(facts(), act(2, 2, 0), 1, 0.41).has_value());
}

TEST_F(ShieldTest, WhatItAdmitsIsAlwaysWithinTheMask) {
  Rng rng(21);
  int changed = 0;
  for (int i = 0; i < 5000; ++i) {
    policies::Situation& f = facts();
    f = {};
    f.present = act(static_cast<int>(rng.below(3)), static_cast<int>(rng.below(3)), 0);
    f.cap = {static_cast<std::int32_t>(rng.below(3)), static_cast<std::int32_t>(rng.below(5)), 0, 0};
    if (rng.below(2) == 0) f.slack_s = rng.uniform(-0.1, 0.6);
    if (rng.below(2) == 0) f.temperature_c = rng.uniform(20, 90);
    if (rng.below(2) == 0) f.rate_hz = rng.uniform(0.1, 20);
    if (rng.below(3) == 0) f.goals.power_w = rng.uniform(0.1, 5);
    if (rng.below(3) == 0) f.goals.energy_j = rng.uniform(0.01, 1);
    if (rng.below(2) == 0) f.goals.accuracy_floor = rng.uniform(0.4, 0.8);
    f.queue_depth = rng.index(4);
    if (rng.below(2) == 0) f.mean_gap_s = rng.uniform(0.01, 2);
    if (rng.below(2) == 0) f.gap_variation = rng.uniform(0, 0.2);
    if (rng.below(3) == 0) f.held = static_cast<std::uint32_t>(rng.below(4));
    f.slow_down = rng.uniform(0.5, 3);
    builder_.fill(observation_);
    const policies::ActionMask mask = observation_.mask;
    policies::Action wanted;
    do {
      const int m = static_cast<int>(rng.below(3));
      wanted = act(m, static_cast<int>(rng.below(3)), static_cast<int>(rng.below(world_.space.opps(MappingId(m)))),
                   static_cast<int>(rng.below(world_.space.opps(MappingId(m)))));
    } while (!mask.allows(wanted.level) || !mask.allows(wanted.mapping, wanted.opp));
    const Admission admission = admit(wanted, rng.uniform(0, 0.04));
    const policies::Action& a = admission.action;
    ASSERT_TRUE(mask.allows(a.mapping) && mask.allows(a.level) && mask.allows(a.mapping, a.opp)) << "case " << i;
    ASSERT_TRUE(((mask.parks(a.mapping.index()) >> a.park.index()) & 1U) != 0) << "case " << i;
    ASSERT_EQ(admission.changed, !(a == wanted));
    changed += admission.changed ? 1 : 0;
  }
  EXPECT_GT(changed, 500);
}

}  // namespace
}  // namespace reins::control
