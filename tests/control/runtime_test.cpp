// The Runtime as a state machine: what each call answers with, and what is counted.
#include "control/runtime.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/control/made_up.hpp"
#include "tests/support/count_allocations.hpp"
#include "tests/support/matchers.hpp"

namespace reins::control {
namespace {

using testing::act;
using ::testing::ElementsAre;
using testing::MadeUp;

constexpr double kNever = std::numeric_limits<double>::infinity();

class RuntimeTest : public ::testing::Test {
 protected:
  RuntimeTest() { config_.shield.enabled = false; }

  /// A change of operating point takes no time: the round numbers below stay round.
  void switch_at_once() {
    for (boards::Cluster& cluster : world_.board.clusters) cluster.switch_s = 0;
  }
  Runtime make() { return Runtime(world_.board, world_.space, world_.profile, config_); }

  std::vector<EffectKind> kinds() const {
    std::vector<EffectKind> all;
    for (const Effect& effect : effects_) all.push_back(effect.kind);
    return all;
  }
  const Effect& effect(std::size_t i) const { return *(effects_.begin() + i); }

  /// Calls with a clean list of effects.
  void arrive(Runtime& runtime, double now_s, std::uint64_t id, std::optional<double> deadline_s = {}) {
    effects_.clear();
    runtime.arrive(now_s, {id, AppId(0), now_s, deadline_s, 0}, effects_);
  }
  void decide(Runtime& runtime, double now_s, const policies::Action& action) {
    effects_.clear();
    runtime.decide(now_s, action, 1, effects_);
  }
  void complete(Runtime& runtime, double now_s, int level) {
    effects_.clear();
    runtime.complete(now_s, LevelId(level), effects_);
  }
  void advance(Runtime& runtime, double now_s) {
    effects_.clear();
    runtime.advance(now_s, effects_);
  }

  MadeUp world_;
  RuntimeConfig config_;
  Effects effects_;
};

TEST_F(RuntimeTest, TakesARequestFromArrivalToReply) {
  Runtime runtime = make();
  arrive(runtime, 1.0, 7);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kDecide));
  EXPECT_TRUE(runtime.deciding());
  decide(runtime, 1.0, act(2, 1, 4, 0));
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kApply, EffectKind::kStart));
  EXPECT_EQ(effect(0).action, act(2, 1, 4, 0));
  EXPECT_EQ(effect(1).outcome.request.id, 7U);
  EXPECT_TRUE(runtime.busy());
  complete(runtime, 1.04, 1);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply));
  const Outcome& outcome = effect(0).outcome;
  EXPECT_EQ(outcome.request.id, 7U);
  EXPECT_EQ(outcome.level, LevelId(1));
  EXPECT_NEAR(outcome.latency_s, 0.04, 1e-12);
  EXPECT_DOUBLE_EQ(outcome.queue_s, 0);
  EXPECT_FALSE(outcome.missed);
  EXPECT_EQ(runtime.counters().served, 1U);
}

TEST_F(RuntimeTest, ServesWaitingRequestsInOrderAndCountsTheirWait) {
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4));
  for (const std::uint64_t id : {2U, 3U}) {
    arrive(runtime, 0.01 * static_cast<double>(id), id);
    EXPECT_EQ(effects_.size(), 0U) << "one inference at a time";
  }
  EXPECT_EQ(runtime.queue_depth(), 2U);
  for (const std::uint64_t id : {2U, 3U}) {
    const double now_s = 0.08 * static_cast<double>(id - 1);
    complete(runtime, now_s, 2);
    EXPECT_THAT(kinds(), ElementsAre(EffectKind::kReply, EffectKind::kDecide));
    EXPECT_EQ(runtime.observation().facts.queue_depth, id == 2 ? 1U : 0U);
    EXPECT_DOUBLE_EQ(runtime.observation().facts.waited_s, now_s - 0.01 * static_cast<double>(id));
    decide(runtime, now_s, act(2, 2, 4));
    EXPECT_EQ(effect(1).outcome.request.id, id);
  }
  EXPECT_EQ(runtime.counters().switches, 0U) << "the same point and place all along";
}

TEST_F(RuntimeTest, RejectsAtOnceBeyondTheQueueAndCountsItAsMissed) {
  config_.queue_limit = 2;
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4));
  arrive(runtime, 0.01, 2);
  arrive(runtime, 0.02, 3);
  arrive(runtime, 0.03, 4);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply));
  EXPECT_TRUE(effect(0).outcome.rejected);
  EXPECT_TRUE(effect(0).outcome.missed);
  EXPECT_EQ(effect(0).outcome.request.id, 4U);
  EXPECT_EQ(runtime.queue_depth(), 2U);
  const Counters& counters = runtime.counters();
  EXPECT_EQ(counters.offered, 4U);
  EXPECT_EQ(counters.rejected, 1U);
  EXPECT_EQ(counters.missed, 1U);
}

TEST_F(RuntimeTest, ARequestsOwnDeadlineGoesBeforeTheTarget) {
  Runtime runtime = make();
  policies::Goals goals;
  goals.latency_s = 0.1;
  runtime.set_goals(goals);
  arrive(runtime, 1, 1);
  EXPECT_NEAR(*runtime.observation().facts.slack_s, 0.1, 1e-12);
  decide(runtime, 1, act(2, 2, 4));
  arrive(runtime, 1, 2, 1.3);
  complete(runtime, 1.2, 2);
  EXPECT_TRUE(effect(0).outcome.missed) << "at 1.1 it was due";
  EXPECT_DOUBLE_EQ(*runtime.observation().facts.slack_s, 1.3 - 1.2);
  decide(runtime, 1.2, act(2, 2, 4));
  complete(runtime, 1.3, 2);
  EXPECT_FALSE(effect(0).outcome.missed) << "on time is not late";
  EXPECT_EQ(runtime.counters().missed, 1U);
}

TEST_F(RuntimeTest, TheTightestDeadlineAmongThoseWaitingIsSeen) {
  Runtime runtime = make();
  arrive(runtime, 0, 1, 9.0);
  decide(runtime, 0, act(2, 2, 4));
  arrive(runtime, 0, 2, 5.0);
  arrive(runtime, 0, 3, 2.0);
  arrive(runtime, 0, 4);
  complete(runtime, 1, 2);
  EXPECT_DOUBLE_EQ(*runtime.observation().facts.slack_s, 1) << "the earliest deadline goes first";
  EXPECT_DOUBLE_EQ(*runtime.observation().facts.next_slack_s, 4);
  EXPECT_EQ(runtime.observation().facts.queue_depth, 2U);
  EXPECT_DOUBLE_EQ(*runtime.observation().facts.pace_s, 1) << "1 for the first, 4 for two";
}

TEST_F(RuntimeTest, TheEarliestDeadlineIsServedFirst) {
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4));
  arrive(runtime, 0, 2);  // without a deadline: last
  arrive(runtime, 0, 3, 9.0);
  arrive(runtime, 0, 4, 5.0);
  arrive(runtime, 0, 5, 9.0);  // as they came, among equals
  arrive(runtime, 0, 6);
  EXPECT_EQ(runtime.running().id, 1U);
  std::vector<std::uint64_t> order;
  for (int i = 1; i <= 5; ++i) {
    complete(runtime, i, 2);
    decide(runtime, i, act(2, 2, 4));
    order.push_back(runtime.running().id);
  }
  EXPECT_THAT(order, ElementsAre(4, 3, 5, 2, 6));
}

TEST_F(RuntimeTest, WhatCannotBeKeptWaitsBehindWhatCan) {
  // The lowest level takes 0.02 s on the fastest point.
  for (const bool late_last : {true, false}) {
    config_.late_last = late_last;
    Runtime runtime = make();
    arrive(runtime, 0, 1);
    decide(runtime, 0, act(2, 2, 4));
    arrive(runtime, 0, 2, 0.11);  // lost at 0.1, when it could start
    arrive(runtime, 0, 3, 0.13);
    arrive(runtime, 0, 4, 5.0);
    complete(runtime, 0.1, 2);
    const policies::Situation& facts = runtime.observation().facts;
    EXPECT_NEAR(*facts.slack_s, late_last ? 0.03 : 0.01, 1e-12);
    EXPECT_EQ(facts.queue_depth, 2U) << "the lost are work all the same";
    std::vector<std::uint64_t> order;
    for (int i = 0; i < 3; ++i) {
      const double now_s = 0.1 + 0.01 * i;
      decide(runtime, now_s, act(2, 0, 4));
      order.push_back(runtime.running().id);
      if (i == 1) arrive(runtime, now_s, 5, 9.0);
      complete(runtime, now_s + 0.01, 0);
    }
    if (late_last) {
      EXPECT_THAT(order, ElementsAre(3, 4, 5)) << "who can be kept comes first, however late he came";
      EXPECT_EQ(runtime.waiting(0).id, 2U);
    } else {
      EXPECT_THAT(order, ElementsAre(2, 3, 4));
    }
  }
}

TEST_F(RuntimeTest, TheLostAskForNoHaste) {
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4));
  arrive(runtime, 0, 2, 0.11);
  arrive(runtime, 0, 3, 5.1);
  complete(runtime, 0.1, 2);
  EXPECT_NEAR(*runtime.observation().facts.pace_s, 5, 1e-12);
  EXPECT_FALSE(runtime.observation().facts.next_slack_s.has_value());
  decide(runtime, 0.1, act(2, 2, 4));
  complete(runtime, 0.2, 2);
  EXPECT_LT(*runtime.observation().facts.slack_s, 0);
  EXPECT_FALSE(runtime.observation().facts.pace_s.has_value());
}

TEST_F(RuntimeTest, AQueueWithoutDeadlinesStaysWithinItsPlaces) {
  config_.shield.enabled = true;
  config_.queue_limit = 16;
  policies::Goals goals;
  goals.accuracy_floor = 0.7;
  Runtime runtime = make();
  runtime.set_goals(goals);
  // Ten requests a second; the policy would like the full network's 0.4 s on the slowest point.
  double done_s = kNever, next_s = 0;
  std::size_t longest = 0;
  for (std::uint64_t id = 1; id <= 2000;) {
    const double now_s = std::min(next_s, done_s);
    if (next_s < done_s) {
      arrive(runtime, now_s, id++);
      next_s += 0.1;
    } else {
      complete(runtime, now_s, 2);
      done_s = kNever;
    }
    longest = std::max(longest, runtime.observation().facts.queue_depth);
    if (std::ranges::count(kinds(), EffectKind::kDecide) == 0) continue;
    decide(runtime, now_s, act(2, 2, 0, 0));
    done_s = now_s + world_.profile.at(LevelId(2), MappingId(2), runtime.applied().opp)->latency_s;
  }
  EXPECT_EQ(runtime.counters().rejected, 0U);
  EXPECT_LT(longest, 12U);
  EXPECT_GT(longest, 0U);
}

TEST_F(RuntimeTest, ParksOnceTheQueueHasBeenEmptyForTheDelay) {
  config_.park_delay_s = 0.01;
  Runtime runtime = make();
  EXPECT_EQ(runtime.next_event_s(), kNever);
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4, 1));
  EXPECT_EQ(runtime.next_event_s(), kNever) << "not while it runs";
  complete(runtime, 0.1, 2);
  EXPECT_DOUBLE_EQ(runtime.next_event_s(), 0.11);
  advance(runtime, 0.109);
  EXPECT_EQ(effects_.size(), 0U);
  advance(runtime, 0.11);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kPark));
  EXPECT_EQ(effect(0).action.park, OppId(1));
  EXPECT_EQ(runtime.next_event_s(), kNever);
  EXPECT_EQ(runtime.counters().switches, 1U);
  arrive(runtime, 0.5, 2);
  EXPECT_EQ(runtime.observation().facts.present.opp, OppId(1)) << "where the cluster is, not where it was asked to be";
  decide(runtime, 0.5, act(2, 2, 4, 1));
  EXPECT_EQ(runtime.counters().switches, 2U) << "back up again";
}

TEST_F(RuntimeTest, ParksNoLowerBeforeTheBoardsDwellTimeIsOver) {
  config_.park_delay_s = 0.01;
  config_.shield.enabled = true;
  world_.board.clusters[1].dwell_s = 0.5;
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 3, 0));
  ASSERT_EQ(runtime.applied(), act(2, 2, 3, 0));
  complete(runtime, 0.1, 2);
  EXPECT_DOUBLE_EQ(runtime.next_event_s(), 0.5) << "the point stands since 0 s";
  advance(runtime, 0.4);
  EXPECT_EQ(effects_.size(), 0U);
  advance(runtime, 0.5);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kPark));
  arrive(runtime, 0.55, 2);
  decide(runtime, 0.55, act(2, 2, 3, 0));
  EXPECT_EQ(runtime.applied().opp, OppId(3)) << "up at once";
  config_.shield.enabled = false;
  Runtime unshielded = make();
  arrive(unshielded, 0, 1);
  decide(unshielded, 0, act(2, 2, 3, 0));
  complete(unshielded, 0.1, 2);
  EXPECT_DOUBLE_EQ(unshielded.next_event_s(), 0.11);
}

// A load that asks for a low and a high point by turns, every 50 ms: the board's dwell time bounds how often the point
// changes, and nothing is answered at a lower point than was asked for.
TEST_F(RuntimeTest, DoesNotFlapWhereTheBoardAsksForADwellTime) {
  config_.shield.enabled = true;
  const auto switches = [&](double dwell_s) {
    world_.board.clusters[1].dwell_s = dwell_s;
    Runtime runtime = make();
    double now_s = 0;
    for (std::uint64_t id = 1; id <= 100; ++id, now_s += 0.05) {
      advance(runtime, now_s);
      arrive(runtime, now_s, id);
      const int asked = id % 2 == 0 ? 1 : 4;
      decide(runtime, now_s, act(2, 0, asked, 0));
      EXPECT_GE(runtime.applied().opp, OppId(asked));
      complete(runtime, now_s + 0.03, 0);
      advance(runtime, now_s + 0.04);
    }
    return runtime.counters().switches;
  };
  EXPECT_EQ(switches(0), 199U) << "to its point and to the park point each time, but for the first start";
  // 5 s hold ten dwell times; each allows one way down and one way up again.
  EXPECT_LE(switches(0.5), 20U);
  EXPECT_GE(switches(0.5), 10U) << "it still comes down";
}

TEST_F(RuntimeTest, DoesNotParkWhereARequestComesFirstOrNothingWouldChange) {
  config_.park_delay_s = 0.01;
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4, 1));
  complete(runtime, 0.1, 2);
  arrive(runtime, 0.105, 2);
  EXPECT_EQ(runtime.next_event_s(), kNever);
  decide(runtime, 0.105, act(2, 2, 1, 1));
  complete(runtime, 0.3, 2);
  advance(runtime, 0.31);
  EXPECT_EQ(effects_.size(), 0U) << "it is at its park point already";
  arrive(runtime, 0.4, 3);
  decide(runtime, 0.4, act(2, 2, 4));
  complete(runtime, 0.5, 2);
  EXPECT_EQ(runtime.next_event_s(), kNever) << "no park point: it stays";
}

TEST_F(RuntimeTest, ANewGoalHoldsFromTheNextDecision) {
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  EXPECT_EQ(runtime.observation().facts.floor_level, LevelId(0));
  EXPECT_EQ(runtime.observation().mask.levels, 0b111U);
  decide(runtime, 0, act(2, 0, 4));
  policies::Goals goals;
  goals.accuracy_floor = 0.6;
  runtime.set_goals(goals);
  complete(runtime, 0.02, 0);
  arrive(runtime, 0.1, 2);
  EXPECT_EQ(runtime.observation().facts.floor_level, LevelId(1));
  EXPECT_EQ(runtime.observation().mask.levels, 0b110U);
}

TEST_F(RuntimeTest, WithAnIntervalADecisionStandsUntilItIsOverOrTheGoalsChange) {
  config_.decision_interval_s = 1;
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4));
  complete(runtime, 0.08, 2);
  arrive(runtime, 0.5, 2);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kApply, EffectKind::kStart)) << "the last decision stands";
  arrive(runtime, 0.51, 3);
  complete(runtime, 0.58, 2);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kReply, EffectKind::kApply, EffectKind::kStart));
  complete(runtime, 0.66, 2);
  EXPECT_EQ(runtime.counters().decisions, 1U);
  policies::Goals goals;
  goals.latency_s = 1;
  runtime.set_goals(goals);
  arrive(runtime, 0.7, 4);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kDecide));
  decide(runtime, 0.7, act(2, 2, 3));
  complete(runtime, 0.8, 2);
  arrive(runtime, 1.75, 5);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kDecide)) << "the interval is over";
}

TEST_F(RuntimeTest, AStandingDecisionThatACapForbidsIsAskedForAgain) {
  config_.decision_interval_s = 10;
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4));
  complete(runtime, 0.08, 2);
  Telemetry telemetry;
  telemetry.cap[1] = 2;
  runtime.sensed(0.1, telemetry);
  arrive(runtime, 0.2, 2);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kDecide));
  EXPECT_EQ(runtime.observation().mask.opps[2], 0b111U);
}

TEST_F(RuntimeTest, EstimatesTheRequestRateOfASteadyStream) {
  Runtime runtime = make();
  for (std::uint64_t i = 0; i < 200; ++i) {
    const double now_s = 0.1 * static_cast<double>(i);
    arrive(runtime, now_s, i);
    if (i > 0) {
      EXPECT_NEAR(*runtime.observation().facts.rate_hz, 10, 1e-6);
      EXPECT_NEAR(*runtime.observation().facts.mean_gap_s, 0.1, 1e-9);
    } else {
      EXPECT_FALSE(runtime.observation().facts.rate_hz.has_value()) << "one request has no rate";
    }
    decide(runtime, now_s, act(2, 0, 4));
    complete(runtime, now_s + 0.02, 0);
  }
  arrive(runtime, 19.9 + 3, 1000);
  EXPECT_LT(*runtime.observation().facts.rate_hz, 1) << "a pause of three time constants fades what was before";
  EXPECT_NEAR(*runtime.observation().facts.mean_gap_s, 0.1 + 0.02 * (3 - 0.1), 1e-6) << "one gap of some fifty";
}

TEST_F(RuntimeTest, TellsRegularArrivalsFromIrregularOnes) {
  const auto variation_of = [this](const std::vector<double>& gaps_s) {
    Runtime runtime = make();
    double now_s = 0;
    arrive(runtime, now_s, 0);
    for (const double gap_s : gaps_s) {
      decide(runtime, now_s, act(2, 0, 4));
      complete(runtime, now_s + 0.02, 0);
      arrive(runtime, now_s += gap_s, 1);
    }
    return runtime.observation().facts.gap_variation;
  };
  EXPECT_FALSE(variation_of({1}).has_value()) << "one gap has no variation";
  EXPECT_NEAR(*variation_of(std::vector<double>(30, 0.25)), 0, 1e-6);
  EXPECT_NEAR(*variation_of({1, 3}), 0.5, 1e-9);  // mean 2, standard deviation 1
}

TEST_F(RuntimeTest, SlowDownFollowsMeasuredOverProfiled) {
  switch_at_once();
  Runtime runtime = make();
  double wanted = 1;
  for (int i = 0; i < 20; ++i) {
    const double now_s = i;
    arrive(runtime, now_s, static_cast<std::uint64_t>(i));
    EXPECT_NEAR(runtime.observation().facts.slow_down, wanted, 1e-9);
    decide(runtime, now_s, act(2, 2, 4));
    complete(runtime, now_s + 2 * 0.08, 2);  // twice the profiled time
    wanted += 0.1 * (2 - wanted);
  }
}

TEST_F(RuntimeTest, RaisesTheOperatingPointForWhoeverComesBehind) {
  config_.shield.enabled = true;
  config_.shield.ease = false;
  policies::Goals goals;
  goals.accuracy_floor = 0.7;  // the full network: 0.4, 0.2, 0.133, 0.1, 0.08 s on big-x2
  Runtime runtime = make();
  runtime.set_goals(goals);
  arrive(runtime, 0, 1, 1.0);
  decide(runtime, 0, act(2, 2, 0, 0));
  arrive(runtime, 0.2, 2, 1.3);  // half is done: with the margin and one more like it 1.06 s of 1.1 are needed
  EXPECT_THAT(kinds(), ElementsAre());
  arrive(runtime, 0.24, 3, 0.7);  // 0.4 is to do: with one more like it 2.4 runs in 0.46 s, and that goes first
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
  EXPECT_EQ(effect(0).action, act(2, 2, 2, 0)) << "1200 MHz";
  EXPECT_EQ(runtime.counters().shield_interventions, 1U);
  EXPECT_EQ(runtime.counters().switches, 1U);
  EXPECT_EQ(runtime.applied().opp, OppId(2));
  // The change to the first point takes a switch, in which nothing is done, and the raise another, at the old point.
  // The 0.4 left then take 0.4 / 7.5 s: it has run as profiled, and the slow-down stays 1.
  complete(runtime, 0.24 + 0.0002 + 0.4 * 0.4 / 3, 2);
  EXPECT_EQ(effect(0).outcome.applied.opp, OppId(2));
  EXPECT_NEAR(runtime.observation().facts.slow_down, 1, 1e-9);
  EXPECT_EQ(runtime.observation().facts.present.opp, OppId(2));
}

TEST_F(RuntimeTest, LeavesNoRoomForOneMoreBeforeARegularOneIsDue) {
  config_.shield.enabled = true;
  config_.shield.ease = false;
  for (const bool regular : {true, false}) {
    Runtime runtime = make();
    policies::Goals goals;
    goals.accuracy_floor = 0.7;  // the full network: 0.4, 0.2, 0.133, 0.1, 0.08 s on big-x2
    runtime.set_goals(goals);
    double now_s = 0;
    for (std::uint64_t id = 1; id <= 40; ++id) {
      now_s += regular ? 0.5 : id % 4 == 0 ? 1.7 : 0.1;  // the same mean gap
      arrive(runtime, now_s, id, now_s + 9);
      decide(runtime, now_s, act(2, 2, 4, 0));
      complete(runtime, now_s + 0.08, 2);
    }
    now_s += 0.5;
    arrive(runtime, now_s, 50, now_s + 9);
    decide(runtime, now_s, act(0, 2, 0, 0));  // 1.6 s on little-x2 at 200 MHz
    // The rest of it and this one take 2.86 s, and with one more 4.56 s. One that is due in half a second has longer.
    now_s += 0.5;
    arrive(runtime, now_s, 51, now_s + 4.3);
    if (regular) {
      EXPECT_THAT(kinds(), ElementsAre());
    } else {
      EXPECT_THAT(kinds(), ElementsAre(EffectKind::kApply));
    }
  }
}

TEST_F(RuntimeTest, RaisesAnInferenceThatRunsLateInTimeForItsDeadline) {
  config_.shield.enabled = true;
  config_.shield.ease = false;
  Runtime runtime = make();
  arrive(runtime, 0, 1, 0.41);
  decide(runtime, 0, act(2, 2, 0, 0));  // 0.4 s by the profile, from 0.0002 s on
  EXPECT_EQ(runtime.applied(), act(2, 2, 0, 0)) << "in time by the mean";
  // Until x at 400 MHz and the rest at 2000 MHz, all 6 % slower than profiled: x + (1.06 - x / 0.4) 0.08 = 0.4098.
  const double raise_s = 0.0002 + (0.4098 - 1.06 * 0.08) / 0.8 - 0.0002;
  EXPECT_NEAR(runtime.next_event_s(), raise_s, 1e-12);
  advance(runtime, raise_s);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
  EXPECT_EQ(effect(0).action, act(2, 2, 4, 0));
  EXPECT_EQ(runtime.counters().shield_interventions, 1U);
  EXPECT_EQ(runtime.next_event_s(), kNever);
  complete(runtime, 0.4099, 2);
  EXPECT_FALSE(effect(0).outcome.missed);

  // One that ends before is not raised, and one that has the time is never to be.
  arrive(runtime, 1, 2, 1.41);
  decide(runtime, 1, act(2, 2, 0, 0));
  complete(runtime, 1.4, 2);
  advance(runtime, 1.408);
  EXPECT_THAT(kinds(), ElementsAre()) << "it rests at the point it ran at";
  arrive(runtime, 2, 3, 2.9);
  decide(runtime, 2, act(2, 2, 0, 0));
  EXPECT_EQ(runtime.next_event_s(), kNever);
}

TEST_F(RuntimeTest, MovesAnInferenceForOneThatCannotWait) {
  config_.shield.enabled = true;
  config_.shield.ease = false;
  Runtime runtime = make();
  policies::Goals goals;
  goals.accuracy_floor = 0.7;
  runtime.set_goals(goals);
  arrive(runtime, 0, 1, 2);
  decide(runtime, 0, act(0, 2, 0, 1));  // 1.6 s on little-x2, from 0.0002 s on
  arrive(runtime, 0.8002, 2, 1.1);  // half of it is left: 0.17 and 0.34 s at the top there, 0.042 and 0.085 on big-x2
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
  EXPECT_EQ(effect(0).action.mapping, MappingId(2));
  EXPECT_EQ(effect(0).action.level, LevelId(2));
  EXPECT_EQ(effect(0).action.park, OppId(0)) << "the park point is one of that cluster's";
  EXPECT_EQ(runtime.applied(), effect(0).action);
  EXPECT_EQ(runtime.counters().switches, 1U);
  // Ended as profiled: half at 200 MHz there, a migration and a switch, half here. Nothing was slower than it should
  // be.
  const double rest_s = 0.5 * world_.profile.at(LevelId(2), MappingId(2), effect(0).action.opp)->latency_s;
  complete(runtime, 0.8002 + 0.001 + 0.0002 + rest_s, 2);
  EXPECT_EQ(effect(0).outcome.applied.mapping, MappingId(2));
  EXPECT_NEAR(runtime.observation().facts.slow_down, 1, 1e-9);
}

TEST_F(RuntimeTest, WhatStandsIsTheDecisionNotWhatItWasChangedToSince) {
  config_.shield.enabled = true;
  config_.decision_interval_s = 10;
  Runtime runtime = make();
  policies::Goals goals;
  goals.accuracy_floor = 0.7;
  goals.latency_s = 0.12;
  runtime.set_goals(goals);
  arrive(runtime, 0, 1);
  decide(runtime, 0, act(2, 2, 4, 0));
  advance(runtime, runtime.next_event_s());
  ASSERT_EQ(runtime.applied(), act(2, 2, 2, 0)) << "eased";
  complete(runtime, 0.11, 2);
  arrive(runtime, 0.5, 2);
  EXPECT_EQ(runtime.applied(), act(2, 2, 4, 0));
}

TEST_F(RuntimeTest, ACapThatFallsMeanwhileMovesTheRescueForward) {
  config_.shield.enabled = true;
  config_.shield.ease = false;
  Runtime runtime = make();
  arrive(runtime, 0, 1, 0.41);
  decide(runtime, 0, act(2, 2, 0, 0));
  const double before_s = runtime.next_event_s();
  ASSERT_LT(before_s, 1);
  Telemetry telemetry;
  telemetry.cap[1] = 3;  // 1600 MHz: 0.1 s
  runtime.sensed(0.1, telemetry);
  EXPECT_NEAR(runtime.next_event_s(), 0.0002 + (0.4098 - 1.06 * 0.1) / 0.75 - 0.0002, 1e-9);
  EXPECT_LT(runtime.next_event_s(), before_s);
  telemetry.held = 2;  // another program takes the cluster, at its lowest point
  telemetry.cap[1] = 0;
  runtime.sensed(0.2, telemetry);
  EXPECT_EQ(runtime.next_event_s(), kNever) << "there is nothing to raise";
}

TEST_F(RuntimeTest, AsksForThePaceOfThoseWhoAreToCome) {
  for (const int outlook : {8, 0}) {
    config_.outlook = outlook;
    Runtime runtime = make();
    policies::Goals goals;
    goals.accuracy_floor = 0.7;  // 0.08 s on big-x2 at the top
    goals.latency_s = 0.4;
    runtime.set_goals(goals);
    // In pairs: irregular, and eight tenths of what can be served.
    double now_s = 0;
    for (std::uint64_t id = 1; id <= 200; id += 2, now_s += 0.2) {
      arrive(runtime, now_s, id);
      decide(runtime, now_s, act(2, 2, 4, 0));
      arrive(runtime, now_s + 0.05, id + 1);
      complete(runtime, now_s + 0.08, 2);
      decide(runtime, now_s + 0.08, act(2, 2, 4, 0));
      complete(runtime, now_s + 0.16, 2);
    }
    arrive(runtime, now_s, 201);
    const policies::Situation& facts = runtime.observation().facts;
    ASSERT_TRUE(facts.pace_s.has_value() && facts.rate_hz.has_value());
    if (outlook == 0) {
      EXPECT_NEAR(*facts.pace_s, 0.4, 1e-9) << "its own deadline";
    } else {
      EXPECT_NEAR(*facts.pace_s, (8 / *facts.rate_hz + 0.4) / 9, 1e-9) << "so that the eighth is kept";
      EXPECT_LT(*facts.pace_s, 0.2);
    }
  }
}

TEST_F(RuntimeTest, AsksToBeDoneBeforeTheNextOfARegularStream) {
  // Of a request every 0.1 s, asked for as late as that, since who went before took longer.
  const auto pace_asked = [this](double late_s) {
    Runtime runtime = make();
    policies::Goals goals;
    goals.accuracy_floor = 0.7;  // 0.08 s on big-x2 at the top
    goals.latency_s = 0.4;
    runtime.set_goals(goals);
    for (int i = 0; i < 40; ++i) {
      arrive(runtime, 0.1 * i, static_cast<std::uint64_t>(i));
      decide(runtime, 0.1 * i, act(2, 2, 4, 0));
      if (i < 39) complete(runtime, 0.1 * i + 0.08, 2);
    }
    arrive(runtime, 4, 40);
    complete(runtime, 4 + late_s, 2);
    return runtime.observation().facts.pace_s.value_or(0);
  };
  EXPECT_NEAR(pace_asked(0), 0.1, 1e-6);
  EXPECT_NEAR(pace_asked(0.03), 0.17 / 2, 1e-6) << "it ends behind the next arrival, but the next one does not";
  EXPECT_NEAR(pace_asked(0.17), 0.23, 1e-6) << "eight more do not make up for it: its own deadline";
  config_.outlook = 0;
  EXPECT_NEAR(pace_asked(0), 0.4, 1e-6);
}

TEST_F(RuntimeTest, EasesNoFurtherThanToTheNextOfARegularStream) {
  config_.shield.enabled = true;
  switch_at_once();
  policies::Goals goals;
  goals.accuracy_floor = 0.7;
  goals.latency_s = 0.12;
  Runtime runtime = make();
  runtime.set_goals(goals);
  for (int i = 0; i <= 40; ++i) {
    arrive(runtime, 0.1 * i, static_cast<std::uint64_t>(i));
    decide(runtime, 0.1 * i, act(2, 2, 4, 0));
    if (i < 40) complete(runtime, 0.1 * i + 0.08, 2);
  }
  ASSERT_EQ(runtime.applied(), act(2, 2, 4, 0));
  ASSERT_LT(runtime.next_event_s(), 4.08);
  advance(runtime, runtime.next_event_s());
  // At 1200 MHz, as in the next test, it would end by its deadline, but after 4.1.
  EXPECT_EQ(runtime.applied(), act(2, 2, 3, 0));
}

TEST_F(RuntimeTest, GoesSlowerOnceTheRestIsInNobodysWay) {
  config_.shield.enabled = true;
  Runtime runtime = make();
  policies::Goals goals;
  goals.accuracy_floor = 0.7;
  goals.latency_s = 0.12;
  runtime.set_goals(goals);
  const auto start = [&](double at_s, std::uint64_t id) {
    arrive(runtime, at_s, id);
    decide(runtime, at_s, act(2, 2, 4, 0));  // 0.08 s
    return at_s + 0.0002 + 0.08 * (1.06 - (0.12 - 0.0848 - 0.0004) / 0.08);
  };
  const double ease_s = start(0, 1);
  EXPECT_NEAR(runtime.next_event_s(), ease_s, 1e-12);
  advance(runtime, ease_s);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
  EXPECT_EQ(effect(0).action, act(2, 2, 2, 0));
  EXPECT_EQ(runtime.next_event_s(), kNever) << "6 % late it is in time yet";
  // Who comes now is kept: 0.0348 s at the top are left at most, and 0.0848 s for it.
  arrive(runtime, ease_s + 0.001, 2);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
  EXPECT_EQ(effect(0).action.opp, OppId(4));
  EXPECT_EQ(runtime.next_event_s(), kNever) << "while it waits nothing goes slower";
  complete(runtime, ease_s + 0.0345, 2);
  decide(runtime, ease_s + 0.0345, act(2, 2, 4, 0));
  complete(runtime, ease_s + 0.12, 2);

  // Who comes before is in the way of it.
  start(10, 3);
  arrive(runtime, 10.02, 4);
  EXPECT_EQ(runtime.next_event_s(), kNever);
}

/// One that is late anyway. The full network takes 0.08 s on big-x2 at its top, targets are 0.12 s.
class LateAnyway : public RuntimeTest {
 protected:
  LateAnyway() {
    config_.shield.enabled = true;
    switch_at_once();
  }
  Runtime make() {
    Runtime runtime = RuntimeTest::make();
    policies::Goals goals;
    goals.accuracy_floor = 0.7;
    goals.latency_s = 0.12;
    runtime.set_goals(goals);
    return runtime;
  }
  void serve(Runtime& runtime, double at_s, std::uint64_t id) {
    arrive(runtime, at_s, id);
    decide(runtime, at_s, act(2, 2, 4, 0));
    complete(runtime, at_s + 0.08, 2);
  }
  /// Gaps of 1 and 0.01 s; the third request is due at 1.13 s, and has 0.05 s when the second has ended. Its fellows
  /// come 0.01 s after one another.
  void lose(Runtime& runtime, int how_many) {
    serve(runtime, 0, 1);
    arrive(runtime, 1, 2);
    decide(runtime, 1, act(2, 2, 4, 0));
    for (int i = 1; i <= how_many; ++i) arrive(runtime, 1 + 0.01 * i, static_cast<std::uint64_t>(2 + i));
    complete(runtime, 1.08, 2);
  }
};

TEST_F(LateAnyway, WaitsUntilNobodyHasComeForAWhile) {
  Runtime runtime = make();
  lose(runtime, 1);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply));
  EXPECT_FALSE(runtime.busy());
  EXPECT_NEAR(runtime.next_event_s(), 1.0805, 1e-12);
  advance(runtime, 1.0805);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kPark)) << "meanwhile the cluster rests";
  EXPECT_NEAR(runtime.next_event_s(), 1.01 + 3 * 0.08, 1e-12);
  advance(runtime, 1.25);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kDecide));
  EXPECT_NEAR(*runtime.observation().facts.slack_s, 1.13 - 1.25, 1e-12);
  EXPECT_EQ(runtime.queue_depth(), 1U);
}

TEST_F(LateAnyway, SeveralWaitTogetherAndThenGoOneAfterTheOther) {
  Runtime runtime = make();
  lose(runtime, 2);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply));
  advance(runtime, 1.0805);
  EXPECT_NEAR(runtime.next_event_s(), 1.02 + 3 * 0.08, 1e-12);
  advance(runtime, 1.26);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kDecide));
  decide(runtime, 1.26, act(2, 2, 4, 0));
  complete(runtime, 1.34, 2);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply, EffectKind::kDecide)) << "the lull is long enough for both";
  EXPECT_EQ(effect(0).outcome.request.id, 3U);
  EXPECT_TRUE(effect(0).outcome.missed);
  decide(runtime, 1.34, act(2, 2, 4, 0));
  complete(runtime, 1.42, 2);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply));
  EXPECT_EQ(effect(0).outcome.request.id, 4U);
}

TEST_F(LateAnyway, AllocatesNothing) {
  Runtime runtime = make();
  int held = 0;
  const auto turn = [&](double from_s) {
    effects_.clear();
    runtime.arrive(from_s, {1, AppId(0), from_s, from_s + 0.12, 0}, effects_);
    runtime.decide(from_s, act(2, 2, 4, 0), 1, effects_);
    for (const double later_s : {0.01, 0.02}) {
      runtime.arrive(from_s + later_s, {2, AppId(0), from_s + later_s, from_s + later_s + 0.12, 0}, effects_);
    }
    effects_.clear();
    runtime.complete(from_s + 0.08, LevelId(2), effects_);
    runtime.advance(from_s + 0.09, effects_);
    held += runtime.busy() ? 0 : 1;
    for (const double at_s : {0.26, 0.34}) {
      runtime.advance(from_s + at_s, effects_);
      runtime.decide(from_s + at_s, act(2, 2, 4, 0), 1, effects_);
      effects_.clear();
      runtime.complete(from_s + at_s + 0.08, LevelId(2), effects_);
    }
  };
  turn(0);
  held = 0;
  EXPECT_EQ(testing::allocations_in([&] {
              for (int i = 1; i <= 100; ++i) turn(i);
            }),
            0);
  EXPECT_EQ(held, 100);
}

TEST_F(LateAnyway, WhoComesMeanwhileFindsNobodyInTheWay) {
  Runtime runtime = make();
  lose(runtime, 1);
  arrive(runtime, 1.2, 4);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kDecide));
  EXPECT_NEAR(*runtime.observation().facts.slack_s, 0.12, 1e-12);
  decide(runtime, 1.2, act(2, 2, 4, 0));
  complete(runtime, 1.28, 2);
  EXPECT_FALSE(effect(0).outcome.missed);
  advance(runtime, 1.29);
  EXPECT_NEAR(runtime.next_event_s(), 1.2 + 3 * 0.08, 1e-12);
  // But not for ever: until ten runs past its deadline.
  for (const int i : {5, 6, 7}) serve(runtime, 1.4 + 0.2 * (i - 5), static_cast<std::uint64_t>(i));
  advance(runtime, 1.89);
  EXPECT_NEAR(runtime.next_event_s(), 1.13 + 10 * 0.08, 1e-12);
}

TEST_F(LateAnyway, DoesNotWaitWhereThatIsOffOrThereIsNoLullToWaitFor) {
  const auto asked = [this] {
    Runtime runtime = make();
    lose(runtime, 1);
    return effects_.size() == 2 && effect(1).kind == EffectKind::kDecide;
  };
  EXPECT_FALSE(asked());
  config_.late_hold = 0;
  EXPECT_TRUE(asked());
  config_.late_hold = 3;
  config_.late_last = false;
  EXPECT_TRUE(asked());
  config_.late_last = true;
  config_.queue_limit = 8;
  EXPECT_TRUE(asked()) << "one of eight places";
  config_.queue_limit = 256;
  config_.shield.enabled = false;
  EXPECT_TRUE(asked());
  config_.shield.enabled = true;

  Runtime runtime = make();
  serve(runtime, 0, 1);
  arrive(runtime, 0.1, 2);
  decide(runtime, 0.1, act(2, 2, 4, 0));
  arrive(runtime, 0.2, 3);
  complete(runtime, 0.29, 2);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kReply, EffectKind::kDecide)) << "the next is due in 0.01 s";
}

TEST_F(LateAnyway, OthersAreEasedWhileOnlySuchWaitByTheTargetOfTheNewest) {
  for (const bool ease : {true, false}) {
    config_.shield.ease_late = ease;
    Runtime runtime = make();
    arrive(runtime, 0, 1);
    decide(runtime, 0, act(2, 2, 4, 0));
    arrive(runtime, 0, 2, 0.5);
    arrive(runtime, 0, 3);
    complete(runtime, 0.08, 2);
    EXPECT_NEAR(*runtime.observation().facts.slack_s, 0.42, 1e-12) << "the third is late anyway, and goes last";
    decide(runtime, 0.08, act(2, 2, 4, 0));
    if (ease) {
      EXPECT_NEAR(runtime.next_event_s(), 0.08 + 0.08 * (1.06 - (0.12 - 0.0848) / 0.08), 1e-12);
    } else {
      EXPECT_EQ(runtime.next_event_s(), kNever);
    }
  }
}

TEST_F(LateAnyway, GoesSlowerOnceTheRestIsInNobodysWay) {
  for (const bool ease : {true, false}) {
    config_.shield.ease_late = ease;
    Runtime runtime = make();
    arrive(runtime, 0, 1);
    decide(runtime, 0, act(2, 2, 4, 0));
    arrive(runtime, 0, 2);
    complete(runtime, 0.08, 2);
    decide(runtime, 0.08, act(2, 2, 0, 0));  // 0.04 s are left to the second
    EXPECT_EQ(runtime.applied(), act(2, 2, 4, 0));
    if (!ease) {
      EXPECT_EQ(runtime.next_event_s(), kNever);
      continue;
    }
    // As in GoesSlowerOnceTheRestIsInNobodysWay above, but there is no deadline to end it by.
    const double ease_s = 0.08 + 0.08 * (1.06 - (0.12 - 0.0848) / 0.08);
    EXPECT_NEAR(runtime.next_event_s(), ease_s, 1e-12);
    advance(runtime, ease_s);
    ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
    EXPECT_EQ(effect(0).action, act(2, 2, 0, 0));
    arrive(runtime, 0.13, 3, 9);
    EXPECT_THAT(kinds(), ElementsAre()) << "who has time asks for no speed, late as it is";
    arrive(runtime, 0.131, 4);
    ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
    EXPECT_EQ(effect(0).action, act(2, 2, 4, 0));
  }
}

/// Answers that grow. On big-x2 at its top the levels take 0.02, 0.04 and 0.08 s; the margin is 6 %.
class Growing : public RuntimeTest {
 protected:
  Growing() {
    config_.grow = true;
    switch_at_once();
    // A higher level draws more: else it would not be seen whose power is counted.
    for (std::size_t o = 0; o < 5; ++o) {
      for (int l = 0; l < 3; ++l) {
        policies::ProfilePoint point = *world_.profile.at(LevelId(l), MappingId(2), OppId(o));
        point.power_w = *point.power_w * (1 + 0.1 * l);
        point.energy_j = *point.power_w * point.latency_s;
        world_.profile.set(point);
      }
    }
  }
  const policies::ProfilePoint& point(int level) const {
    return *world_.profile.at(LevelId(level), MappingId(2), OppId(4));
  }
  /// One request at its lowest level, at the top of big-x2, ended at 0.02 s: what comes of it.
  EffectKind at_the_end(Runtime& runtime, std::optional<double> deadline_s, policies::Action action = act(2, 0, 4)) {
    arrive(runtime, 0, 1, deadline_s);
    decide(runtime, 0, action);
    complete(runtime, 0.02, action.level.value);
    EXPECT_EQ(effects_.size(), 1U);
    return effect(0).kind;
  }
};

TEST_F(Growing, GoesOnToTheHighestLevelThatFitsAndRepliesOnce) {
  Runtime runtime = make();
  ASSERT_EQ(at_the_end(runtime, 0.2), EffectKind::kGrow);
  EXPECT_EQ(effect(0).action, act(2, 1, 4));
  EXPECT_EQ(effect(0).outcome.request.id, 1U);
  EXPECT_TRUE(runtime.busy());
  EXPECT_EQ(runtime.level(), LevelId(1));
  complete(runtime, 0.04, 1);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kGrow));
  EXPECT_EQ(effect(0).action, act(2, 2, 4));
  complete(runtime, 0.08, 2);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply)) << "the full network has run";
  const Outcome& outcome = effect(0).outcome;
  EXPECT_EQ(outcome.level, LevelId(2));
  EXPECT_EQ(outcome.started_level, LevelId(0));
  EXPECT_NEAR(outcome.latency_s, 0.08, 1e-12);
  EXPECT_FALSE(outcome.missed);
  EXPECT_NEAR(*outcome.energy_j, *point(2).energy_j, 1e-12) << "that of a fresh run there, counted once";
  EXPECT_NEAR(runtime.energy().total_j(), *outcome.energy_j, 1e-12);
  EXPECT_FALSE(runtime.busy());
  EXPECT_EQ(runtime.counters().served, 1U);
  EXPECT_EQ(runtime.counters().grown, 1U);
  EXPECT_EQ(runtime.counters().decisions, 1U);
  arrive(runtime, 1, 2);
  EXPECT_NEAR(runtime.observation().facts.slow_down, 1, 1e-12) << "a grown run is as fast as it was profiled";
  EXPECT_EQ(runtime.observation().facts.present.level, LevelId(0)) << "what was decided";
}

TEST_F(Growing, TakesTheDeadlineToTheLastInstantWithSlowDownAndMargin) {
  for (const double slow_down : {1.0, 1.1}) {
    for (const bool fits : {true, false}) {
      Runtime runtime = make();
      arrive(runtime, 0, 1);
      decide(runtime, 0, act(2, 2, 4));
      complete(runtime, slow_down > 1 ? 0.16 : 0.08, 2);  // twice the profiled time weighs a tenth
      const double ends_s = 1.02 + 0.02 * slow_down * 1.06;
      arrive(runtime, 1, 2, ends_s + (fits ? 1e-9 : -1e-9));
      ASSERT_NEAR(runtime.observation().facts.slow_down, slow_down, 1e-12);
      decide(runtime, 1, act(2, 0, 4));
      complete(runtime, 1.02, 0);
      EXPECT_THAT(kinds(), ElementsAre(fits ? EffectKind::kGrow : EffectKind::kReply));
    }
  }
}

TEST_F(Growing, NotWhereItIsOffOrThereIsNoDeadlineOrNoFrequencyOfOurs) {
  Runtime runtime = make();
  EXPECT_EQ(at_the_end(runtime, {}), EffectKind::kReply);
  policies::Action governed = act(2, 0, 4);
  governed.governor = boards::Governor::kSchedutil;
  Runtime under_governor = make();
  EXPECT_EQ(at_the_end(under_governor, 9.0, governed), EffectKind::kReply);
  config_.grow = false;
  Runtime off = make();
  EXPECT_EQ(at_the_end(off, 9.0), EffectKind::kReply);
}

TEST_F(Growing, NotBeyondTheMaskOrTheProfile) {
  Runtime full = make();
  EXPECT_EQ(at_the_end(full, 9.0, act(2, 2, 4)), EffectKind::kReply);
  const policies::Profile whole = world_.profile;
  world_.profile = policies::Profile(world_.space);
  for (std::size_t m = 0; m < 3; ++m) {
    for (std::size_t o = 0; o < world_.space.opps(MappingId(m)); ++o) {
      for (int l = 0; l < 3; ++l) {
        if (m == 2 && l == 1) continue;
        world_.profile.set(*whole.at(LevelId(l), MappingId(m), OppId(o)));
      }
    }
  }
  Runtime partly = make();
  EXPECT_EQ(at_the_end(partly, 9.0), EffectKind::kReply);
}

TEST_F(Growing, NotWhileSomebodyWaitsWhoCanBeKept) {
  // The lowest level takes 0.02 s where it is fastest: at 0.02 who is due at 0.05 can be kept, who is due at 0.03 not.
  for (const auto& [deadline_s, kind] : {std::pair(std::optional(0.05), EffectKind::kReply),
                                         {std::optional(0.03), EffectKind::kGrow},
                                         {std::optional<double>(), EffectKind::kReply}}) {
    Runtime runtime = make();
    arrive(runtime, 0, 1, 9.0);
    decide(runtime, 0, act(2, 0, 4));
    arrive(runtime, 0.01, 2, deadline_s);
    complete(runtime, 0.02, 0);
    ASSERT_GE(effects_.size(), 1U);
    EXPECT_EQ(effect(0).kind, kind) << deadline_s.value_or(-1);
  }
}

TEST_F(Growing, NotPastPowerCapBudgetHeatOrACapOnTheFrequency) {
  policies::Goals power;
  power.power_w = *point(0).power_w * 1.05;
  policies::Goals energy;
  energy.energy_j = *point(0).energy_j * 1.5;
  for (const policies::Goals& goals : {power, energy}) {
    Runtime runtime = make();
    runtime.set_goals(goals);
    EXPECT_EQ(at_the_end(runtime, 9.0), EffectKind::kReply);
  }
  Telemetry hot;  // 4.4 W at 10 K/W: some 40 K above the air
  hot.temperature_c = world_.board.thermal.throttle_c - 2;
  world_.board.thermal.ambient_c = world_.board.thermal.throttle_c - 20;
  Runtime warm = make();
  warm.sensed(0, hot);
  EXPECT_EQ(at_the_end(warm, 9.0), EffectKind::kReply);
  Telemetry capped;
  capped.cap[1] = 3;
  Runtime slow = make();
  arrive(slow, 0, 1, 9.0);
  decide(slow, 0, act(2, 0, 4));
  slow.sensed(0.01, capped);
  complete(slow, 0.02, 0);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kReply));
}

TEST_F(Growing, HurriesForWhoComesMeanwhileAndGrowsNoFurther) {
  config_.shield.enabled = true;
  config_.shield.ease = false;
  Runtime runtime = make();
  arrive(runtime, 0, 1, 2.0);
  decide(runtime, 0, act(2, 0, 0, 0));  // 0.1, 0.2 and 0.4 s at 400 MHz
  complete(runtime, 0.1, 0);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kGrow));
  // Half of the part is to do, a quarter of the whole: at 1200 MHz it and two of the lowest level take 0.09 of 0.1 s.
  arrive(runtime, 0.15, 2, 0.25);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kApply));
  EXPECT_EQ(effect(0).action, act(2, 0, 2, 0));
  complete(runtime, 0.15 + 0.25 * 0.2 / 3, 1);
  EXPECT_THAT(kinds(), ElementsAre(EffectKind::kReply, EffectKind::kDecide));
  EXPECT_EQ(effect(0).outcome.level, LevelId(1));
  EXPECT_NEAR(runtime.observation().facts.slow_down, 1, 1e-9);
}

TEST_F(Growing, KeepsItsSpeedHoweverFarTheDeadline) {
  config_.shield.enabled = true;
  for (const bool grow : {true, false}) {
    config_.grow = grow;
    Runtime runtime = make();
    arrive(runtime, 0, 1, 2.0);
    decide(runtime, 0, act(2, 0, 4));
    EXPECT_EQ(runtime.applied() == act(2, 0, 4), grow) << "without growth the time left is worth energy alone";
  }
}

TEST_F(Growing, TheFirstAnswerStandsWhereItDoesNotGrow) {
  Runtime runtime = make();
  ASSERT_EQ(at_the_end(runtime, 9.0), EffectKind::kGrow);
  complete(runtime, 0.03, 0);
  ASSERT_THAT(kinds(), ElementsAre(EffectKind::kReply)) << "not asked again";
  EXPECT_EQ(effect(0).outcome.level, LevelId(0));
  EXPECT_EQ(runtime.level(), LevelId(0));
  EXPECT_EQ(runtime.counters().grown, 0U);
  arrive(runtime, 1, 2, 9.0);
  EXPECT_NEAR(runtime.observation().facts.slow_down, 1, 1e-12) << "says nothing about the pace";
}

TEST_F(RuntimeTest, AccountsEnergyAsTheIntegralByHand) {
  config_.park_delay_s = 0.05;
  Runtime runtime = make();
  runtime.settle(0);
  arrive(runtime, 1, 1);                   // 1 s: nothing applied yet, mapping 0 idle at its lowest point
  decide(runtime, 1, act(2, 2, 4, 0));     // big-x2 at the top, parks at the bottom
  complete(runtime, 1.1, 2);               // 0.1 s busy
  advance(runtime, 1.15);                  // 0.05 s idle at the top
  arrive(runtime, 2.15, 2);                // 1 s parked
  decide(runtime, 2.15, act(0, 0, 1, 0));  // little-x2 at 600 MHz
  complete(runtime, 2.35, 0);              // 0.2 s busy
  runtime.settle(2.40);                    // 0.05 s idle at 600 MHz
  const double by_hand = 1 * MadeUp::idle_w(0, 0.2) + 0.1 * MadeUp::busy_w(2, 1) + 0.05 * MadeUp::idle_w(2, 1) +
                         1 * MadeUp::idle_w(2, 0.2) + 0.2 * MadeUp::busy_w(0, 0.6) + 0.05 * MadeUp::idle_w(0, 0.6);
  EXPECT_NEAR(runtime.energy().total_j(), by_hand, 1e-12);
  EXPECT_EQ(runtime.energy().source(), EnergySource::kModelled);
  EXPECT_NEAR(*effect(0).outcome.energy_j, 0.2 * MadeUp::busy_w(0, 0.6), 1e-12) << "the reply carries its own part";
  EXPECT_EQ(effect(0).outcome.energy_source, EnergySource::kModelled);
}

TEST_F(RuntimeTest, ClaimsNoEnergyWithoutPowerInTheProfileOrUnderAGovernor) {
  const MadeUp without(false);
  Runtime runtime(without.board, without.space, without.profile, config_);
  runtime.settle(0);
  arrive(runtime, 1, 1);
  decide(runtime, 1, act(2, 2, 4));
  complete(runtime, 1.08, 2);
  EXPECT_FALSE(effect(0).outcome.energy_j.has_value());
  EXPECT_EQ(effect(0).outcome.energy_source, EnergySource::kNone);

  Runtime governed = make();
  arrive(governed, 1, 1);
  policies::Action action = act(2, 2, 0);
  action.governor = boards::Governor::kSchedutil;
  decide(governed, 1, action);
  complete(governed, 1.2, 2);
  EXPECT_FALSE(effect(0).outcome.energy_j.has_value());
  EXPECT_EQ(governed.next_event_s(), kNever) << "a governor parks by itself";
}

TEST_F(RuntimeTest, AbsentSensorsAreAbsentAndTheLastPowerStays) {
  Runtime runtime = make();
  arrive(runtime, 0, 1);
  EXPECT_FALSE(runtime.observation().facts.temperature_c.has_value());
  EXPECT_FALSE(runtime.observation().facts.throttle_distance_c.has_value());
  EXPECT_FALSE(runtime.observation().facts.power_w.has_value());
  decide(runtime, 0, act(2, 2, 4));
  complete(runtime, 0.08, 2);
  Telemetry telemetry;
  telemetry.temperature_c = 60;
  telemetry.power_w = 2;
  telemetry.window_s = 0.2;
  runtime.sensed(0.1, telemetry);
  telemetry.power_w.reset();  // no update of the power sensor this time
  telemetry.temperature_c = 61;
  runtime.sensed(0.2, telemetry);
  arrive(runtime, 0.3, 2);
  EXPECT_DOUBLE_EQ(*runtime.observation().facts.power_w, 2);
  EXPECT_DOUBLE_EQ(*runtime.observation().facts.throttle_distance_c, world_.board.thermal.throttle_c - 61);
  decide(runtime, 0.3, act(2, 2, 4));
  complete(runtime, 0.38, 2);
  telemetry.power_lost = true;  // it does not measure any more: what it said last is not the power now
  runtime.sensed(0.4, telemetry);
  arrive(runtime, 0.5, 3);
  EXPECT_FALSE(runtime.observation().facts.power_w.has_value());
}

TEST_F(RuntimeTest, AllocatesNothingAfterItIsMade) {
  config_.grow = true;
  Runtime runtime = make();
  Telemetry telemetry;
  telemetry.temperature_c = 50;
  const auto turn = [&](double now_s) {
    effects_.clear();
    runtime.arrive(now_s, {1, AppId(0), now_s, now_s + 1, 0}, effects_);
    runtime.decide(now_s, act(2, 1, 4, 0), 1, effects_);
    runtime.sensed(now_s + 0.01, telemetry);
    effects_.clear();
    runtime.complete(now_s + 0.04, LevelId(1), effects_);
    EXPECT_TRUE(runtime.busy());
    runtime.complete(now_s + 0.08, LevelId(2), effects_);
    runtime.advance(now_s + 0.2, effects_);
  };
  EXPECT_EQ(testing::allocations_in([&] {
              for (int i = 0; i < 100; ++i) turn(i);
            }),
            0);
}

}  // namespace
}  // namespace reins::control
