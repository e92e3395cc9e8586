// A trace on a live plant: the real Runtime, a fake engine, a tree laid out like /sys.
#include "env/live_run.hpp"

#include "env/board_env.hpp"
#include "tests/control/live_world.hpp"
#include "tests/support/matchers.hpp"

namespace reins::env {
namespace {

using testing::act;
using ::testing::HasSubstr;
using testing::IsError;
using testing::LiveWorld;

class Live : public ::testing::Test {
 protected:
  Live() {
    images_.channels = 1;
    images_.height = images_.width = 2;
    images_.pixels.assign(8, 3);
    images_.labels.assign(2, 3);
    levels_ = live_.engine.facts().levels;
    world_ = {&live_.made.board, &live_.made.space, &live_.made.profile, &levels_, nullptr};
    // Late on the clock: nobody waits for a trace's lead-in.
    for (const double time_s : {100.0, 100.01, 100.02}) {
      data::TraceRow row;
      row.time_s = time_s;
      row.latency_target_s = 5.0;
      trace_.rows.push_back(row);
    }
    trace_.end_s = 100.05;
  }
  LiveWorld live_;
  data::ImageSet images_;
  std::vector<inference::LevelFacts> levels_;
  World world_;
  data::Trace trace_;
};

TEST_F(Live, ServesATraceAtThePointsThatWereDecidedAndPutsTheBoardBack) {
  const auto before = live_.tree.snapshot("sys");
  const auto plant = live_.plant();
  control::RuntimeConfig as_decided;
  as_decided.shield.ease = false;  // deadlines are far: any point would do
  LiveRun run(world_, as_decided, *plant, images_);
  run.reset(trace_, {}, 1);
  const double began_s = plant->now_s();
  int decisions = 0;
  for (;;) {
    const auto wanted = run.next_decision();
    ASSERT_OK(wanted);
    if (!*wanted) break;
    EXPECT_EQ(run.runtime().observation().facts.goals.latency_s, 5.0);
    ASSERT_OK(run.decide(act(2, 1, decisions), 1));
    EXPECT_EQ(live_.at(1, "scaling_setspeed"), decisions == 0 ? "400000" : decisions == 1 ? "800000" : "1200000");
    ++decisions;
  }
  EXPECT_EQ(decisions, 3);
  EXPECT_LT(plant->now_s() - began_s, 20) << "it began at the first request";
  ASSERT_EQ(run.outcomes().size(), 3U);
  for (const control::Outcome& outcome : run.outcomes()) {
    EXPECT_FALSE(outcome.rejected);
    EXPECT_FALSE(outcome.missed);
    EXPECT_EQ(outcome.level, LevelId(1));
    EXPECT_GE(outcome.latency_s, 0);
  }
  EXPECT_EQ(live_.engine.levels.size(), 3U);
  ASSERT_OK(plant->restore());
  EXPECT_EQ(live_.at(1, "scaling_governor"), "schedutil");
}

TEST_F(Live, RaisesThePointOfAnInferenceThatAnotherRequestJoins) {
  // The first has all the time in the world; those behind it have not.
  trace_.rows[0].latency_target_s = 100;
  trace_.rows[1].latency_target_s = trace_.rows[2].latency_target_s = 0.5;
  int begun = 0;
  live_.engine.while_running = [&] {
    if (++begun == 1) live_.await_other_than(1, "400000");
  };
  const auto plant = live_.plant();
  control::RuntimeConfig as_decided;
  as_decided.shield.ease = false;  // with so far a deadline it would take the lowest level
  LiveRun run(world_, as_decided, *plant, images_);
  run.reset(trace_, {}, 1);
  ASSERT_EQ(*run.next_decision(), true);
  ASSERT_OK(run.decide(act(2, 2, 0), 1));
  EXPECT_EQ(live_.at(1, "scaling_setspeed"), "400000");
  ASSERT_EQ(*run.next_decision(), true);
  ASSERT_EQ(run.outcomes().size(), 1U);
  EXPECT_EQ(run.outcomes()[0].request.id, 1U);
  EXPECT_GT(run.outcomes()[0].applied.opp, OppId(0));
  EXPECT_GE(run.runtime().counters().shield_interventions, 1U);
}

TEST_F(Live, RepliesWithWhatHasGrown) {
  trace_.rows.resize(1);
  trace_.rows[0].latency_target_s = 1000;
  control::RuntimeConfig config;
  config.grow = true;
  const auto plant = live_.plant();
  LiveRun run(world_, config, *plant, images_);
  run.reset(trace_, {}, 1);
  ASSERT_TRUE(*run.next_decision());
  ASSERT_OK(run.decide(act(2, 0, 4), 1));
  EXPECT_FALSE(*run.next_decision());
  ASSERT_EQ(run.outcomes().size(), 1U);
  EXPECT_EQ(run.outcomes()[0].level, LevelId(2));
  EXPECT_EQ(run.outcomes()[0].started_level, LevelId(0));
  EXPECT_EQ(live_.engine.levels.size(), 1U) << "begun once";
}

TEST_F(Live, EndsWhenTheLastInferenceHasEnded) {
  trace_.rows.resize(1);
  trace_.end_s = 100.001;
  live_.engine.while_running = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  const auto plant = live_.plant();
  LiveRun run(world_, {}, *plant, images_);
  for (int episode = 0; episode < 2; ++episode) {
    run.reset(trace_, {}, 1);
    ASSERT_EQ(*run.next_decision(), true);
    ASSERT_OK(run.decide(act(episode + 1, 0, 0), 1));
    ASSERT_EQ(*run.next_decision(), false);
    ASSERT_EQ(run.outcomes().size(), 1U);
    EXPECT_GE(run.outcomes()[0].latency_s, 0.02);
  }
}

TEST_F(Live, MasksWhatACapForbids) {
  live_.put(1, "scaling_max_freq", "1200000");
  const auto plant = live_.plant();
  ASSERT_TRUE(LiveWorld::telemetry(*plant, [](const control::Telemetry&) { return true; }).has_value());
  LiveRun run(world_, {}, *plant, images_);
  run.reset(trace_, {}, 1);
  for (int decision = 0; decision < 3; ++decision) {
    ASSERT_EQ(*run.next_decision(), true);
    if (decision == 2) {  // 20 ms on, some rounds of telemetry have come
      EXPECT_TRUE(run.runtime().observation().mask.allows(MappingId(2), OppId(2)));
      EXPECT_FALSE(run.runtime().observation().mask.allows(MappingId(2), OppId(3)));
    }
    ASSERT_OK(run.decide(act(2, 0, 2), 1));
  }
}

TEST_F(Live, MissesFewWhereTargetsCanBeKept) {
  // A network of 80 us, which is about what its hand-over takes.
  const policies::Profile slow = live_.made.profile;
  for (std::size_t m = 0; m < live_.made.space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < live_.made.space.opps(MappingId(m)); ++o) {
      for (std::size_t l = 0; l < 3; ++l) {
        policies::ProfilePoint point = *slow.at(LevelId(l), MappingId(m), OppId(o));
        point.latency_s *= 1e-3;
        point.energy_j = *point.energy_j * 1e-3;
        live_.made.profile.set(point);
      }
    }
  }
  const auto plant = live_.plant();
  EnvConfig config;
  config.requests = 40;
  config.loads = {0.3};
  config.no_target = config.power_cap = config.energy_budget = config.shield_off = 0;
  config.least_latency_s = 0.02;  // more than kLeastLive_s: tests share their machine
  BoardEnv env(world_, config, std::make_unique<LiveRun>(world_, config.runtime, *plant, images_));
  auto step = env.reset(1);
  ASSERT_OK(step);
  while (step->end == StepEnd::kRunning) {
    step = env.step(act(2, 2, 4));
    ASSERT_OK(step);
  }
  const RecentMisses misses = env.recent_misses();
  EXPECT_GT(misses.requests, 10U);
  EXPECT_LE(misses.missed, misses.requests / 5) << "of " << misses.requests;
}

TEST_F(Live, HandsOutTheErrorsOfTheBoard) {
  const auto plant = live_.plant();
  LiveRun run(world_, {}, *plant, images_);
  run.reset(trace_, {}, 1);
  live_.tree.remove(live_.made.board.clusters[1].control);
  ASSERT_EQ(*run.next_decision(), true);
  EXPECT_THAT(run.decide(act(2, 0, 4), 1), IsError(ErrorKind::kGone, HasSubstr("policy2")));
}

}  // namespace
}  // namespace reins::env
