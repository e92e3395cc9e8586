// Episodes, reward and BoardEnv: what a learner is shown, and what it is charged.
#include "env/board_env.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "policies/baselines.hpp"
#include "tests/env/made_up.hpp"
#include "tests/support/matchers.hpp"

namespace reins::env {
namespace {

using testing::act;
using testing::HandWorld;
using ::testing::HasSubstr;
using testing::IsError;
using testing::run_to;

class Constant final : public policies::Policy {
 public:
  explicit Constant(const policies::Action& action) : action_(action) {}
  std::string_view name() const noexcept override { return "constant"; }
  policies::Action decide(const policies::Observation&) noexcept override { return action_; }
  void reset() noexcept override {}

 private:
  policies::Action action_;
};

control::RuntimeConfig unshielded() {
  control::RuntimeConfig config;
  config.shield.enabled = false;
  config.park_delay_s = 0.05;
  return config;
}

data::Trace trace_at(const std::vector<double>& times_s, double end_s, double target_s) {
  data::Trace trace;
  trace.end_s = end_s;
  for (const double time_s : times_s) trace.rows.push_back({time_s, 0, target_s, {}, {}, {}});
  return trace;
}

TEST(Episode, IsTheBoardDrivenByHand) {
  HandWorld world;
  Episode episode(world.world(), unshielded());
  BoardConditions conditions;
  conditions.seed = 3;
  const data::Trace trace = trace_at({1.0, 1.5, 2.5}, 4, 0.1);
  Constant policy(act(2, 2, 3, 1));
  const EpisodeResult result = run_episode(episode, policy, trace, conditions, 1);

  EmulatedBoard board(world.board, world.levels);
  board.reset(1.0, conditions);  // energy counts from the first arrival
  std::vector<double> latencies_s;
  for (const data::TraceRow& row : trace.rows) {
    run_to(board, row.time_s);
    board.apply(act(2, 2, 3, 1));
    board.start(LevelId(2));
    double finish_s = -1;
    while (finish_s < 0) finish_s = run_to(board, board.next_event_s());
    latencies_s.push_back(finish_s - row.time_s);
    run_to(board, finish_s + 0.05);
    board.park(MappingId(2), OppId(1));
  }
  run_to(board, 4);
  ASSERT_EQ(result.latencies_s.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(result.latencies_s[i], latencies_s[i], 1e-9);
  EXPECT_NEAR(result.energy_j, board.energy_j(), 1e-9);
  EXPECT_NEAR(result.active_energy_j, board.active_energy_j(), 1e-9);
  EXPECT_EQ(result.offered, 3U);
  EXPECT_EQ(result.served, 3U);
  EXPECT_EQ(result.missed, 0U);
  EXPECT_DOUBLE_EQ(result.duration_s, 3);
  EXPECT_NEAR(result.mean_accuracy(), 0.7, 1e-12);
}

TEST(Episode, CountsEveryRequestOnceHoweverItEnds) {
  HandWorld world;
  control::RuntimeConfig config = unshielded();
  config.queue_limit = 2;
  Episode episode(world.world(), config);
  // Five at once on the slowest mapping (0.4 s each): one runs, two wait, two are rejected; the end comes at 1.0.
  const data::Trace trace = trace_at({0, 0, 0, 0, 0}, 1.0, 0.5);
  Constant policy(act(0, 2, 0));
  BoardConditions conditions;
  conditions.noise = false;
  const EpisodeResult result = run_episode(episode, policy, trace, conditions, 1);
  EXPECT_EQ(result.offered, 5U);
  EXPECT_EQ(result.rejected, 2U);
  EXPECT_EQ(result.served, 2U);
  EXPECT_EQ(result.missed, 4U) << "two rejected, the second late, the third unanswered after its deadline";
}

TEST(Episode, EnergyIsCountedToTheTracesEndWhateverThePolicyDoes) {
  HandWorld world;
  Episode episode(world.world(), unshielded());
  Constant policy(act(2, 0, 4, 0));
  BoardConditions conditions;
  conditions.noise = false;
  const double short_j = run_episode(episode, policy, trace_at({0}, 1, 1), conditions, 1).energy_j;
  const double long_j = run_episode(episode, policy, trace_at({0}, 3, 1), conditions, 1).energy_j;
  // Two more parked seconds: little clock-gated, big off, both at their lowest point, and the memory's constant.
  const double parked_w = testing::hand_power_w(world.board.clusters[0], 0, 0) +
                          testing::hand_power_w(world.board.clusters[1], 0, 0, 1) + 0.1;
  EXPECT_NEAR(long_j - short_j, 2 * parked_w, 1e-9);
}

TEST(Episode, WhatWasNeverAnsweredIsChargedAsAnAnswer) {
  EpisodeResult result;
  EXPECT_EQ(result.energy_per_offered_j(), 0);
  result.energy_j = 8;
  result.active_energy_j = 4;
  result.offered = 10;
  EXPECT_DOUBLE_EQ(result.energy_per_offered_j(), 0.8) << "nobody knows what an answer takes";
  result.served = 8;
  EXPECT_DOUBLE_EQ(result.energy_per_offered_j(), (8 + 2 * 0.5) / 10);
  result.served = 10;
  EXPECT_DOUBLE_EQ(result.energy_per_offered_j(), 0.8);

  // Twelve runs of 0.2 s, all due within 1.1 s: half of them are left.
  HandWorld world;
  Episode episode(world.world(), unshielded());
  BoardConditions conditions;
  conditions.noise = false;
  Constant slow(act(2, 2, 0, 0));
  const EpisodeResult undone =
      run_episode(episode, slow, trace_at(std::vector<double>(12, 0.5), 1.2, 1.1), conditions, 1);
  ASSERT_GT(undone.served, 0U);
  ASSERT_LT(undone.served, 12U);
  EXPECT_NEAR(undone.energy_per_offered_j() * 12 - undone.energy_j,
              static_cast<double>(12 - undone.served) * undone.active_energy_j / static_cast<double>(undone.served),
              1e-12);
}

TEST(Episode, GoesOnUntilTheLastDeadlineSoThatNothingIsSavedByBeingSlow) {
  HandWorld world;
  Episode episode(world.world(), unshielded());
  BoardConditions conditions;
  conditions.noise = false;
  // Ten at once within 1.1 s, and nobody asks for anything after 0.7 s: 0.1 s each at the lowest point of big-x2.
  data::Trace trace = trace_at(std::vector<double>(10, 0.5), 1.2, 1.1);
  Constant slow(act(2, 1, 0, 0)), fast(act(2, 1, 4, 0));
  const EpisodeResult slowly = run_episode(episode, slow, trace, conditions, 1);
  const EpisodeResult quickly = run_episode(episode, fast, trace, conditions, 1);
  EXPECT_EQ(slowly.served, 10U);
  EXPECT_EQ(slowly.missed, 0U);
  EXPECT_GT(*std::max_element(slowly.latencies_s.begin(), slowly.latencies_s.end()), 0.9) << "behind the trace's end";
  EXPECT_NEAR(slowly.duration_s, 1.1, 1e-12);
  EXPECT_NEAR(quickly.duration_s, 1.1, 1e-12) << "the same for all";
  EXPECT_NEAR(last_deadline_s(trace), 1.6, 1e-12);
  trace.rows.back().latency_target_s = 1e9;
  EXPECT_NEAR(last_deadline_s(trace), 61.2, 1e-12) << "a minute, as the trace is shorter";
  for (data::TraceRow& row : trace.rows) row.latency_target_s.reset();
  EXPECT_DOUBLE_EQ(last_deadline_s(trace), 1.2);
}

TEST(Episode, GoalsInTheTraceHoldFromTheirRowOn) {
  HandWorld world;
  Episode episode(world.world(), unshielded());
  data::Trace trace = trace_at({0, 1, 2}, 3, 0.5);
  trace.rows[1].accuracy_floor = 0.65;
  trace.rows[2].latency_target_s = 0.2;
  episode.reset(trace, {}, 1);
  std::vector<LevelId> floors;
  std::vector<double> targets_s;
  while (episode.run_to_decision()) {
    floors.push_back(episode.observation().facts.floor_level);
    targets_s.push_back(*episode.observation().facts.slack_s);
    episode.decide_now(act(2, 2, 4));
  }
  EXPECT_THAT(floors, ::testing::ElementsAre(LevelId(0), LevelId(2), LevelId(2)));
  const auto near = [](double x) { return ::testing::DoubleNear(x, 1e-9); };
  EXPECT_THAT(targets_s, ::testing::ElementsAre(near(0.5), near(0.5), near(0.2)));
}

TEST(Episode, GrowingRaisesAccuracyAndCostsNoMissWhereTargetsAreLoose) {
  HandWorld world;
  control::RuntimeConfig off;
  control::RuntimeConfig on;
  on.grow = true;
  std::uint64_t seed = 0;
  for (const double period_s : {0.1, 0.2, 0.5}) {
    for (const double target_s : {0.08, 0.15, 0.4}) {
      data::Trace trace;
      for (int i = 0; i < 100; ++i) trace.rows.push_back({period_s * i, 0, target_s, {}, {}, 0.45});
      trace.end_s = 101 * period_s;
      BoardConditions conditions;
      conditions.seed = ++seed;
      policies::ParetoPolicy policy(world.space, world.profile, 0.1);
      Episode without(world.world(), off), with(world.world(), on);
      const EpisodeResult before = run_episode(without, policy, trace, conditions, seed);
      const EpisodeResult after = run_episode(with, policy, trace, conditions, seed);
      EXPECT_EQ(before.counters.grown, 0U);
      EXPECT_NEAR(before.mean_accuracy(), 0.5, 1e-12) << "the floor asks for no more";
      EXPECT_GT(after.counters.grown, 0U) << period_s << ' ' << target_s;
      EXPECT_GT(after.mean_accuracy(), before.mean_accuracy());
      EXPECT_LE(after.missed, before.missed);
      EXPECT_EQ(after.served, before.served);
      EXPECT_EQ(after.counters.offered, 100U);
    }
  }
}

TEST(Episode, ARaiseSavesWhatNoiseWouldMakeLate) {
  HandWorld world;
  control::RuntimeConfig on, off;
  off.shield.rescue = false;
  off.shield.admission = on.shield.admission = false;
  data::Trace trace;
  // The full network at 1200 MHz takes 0.0667 s, give or take 2 %.
  for (int i = 0; i < 200; ++i) trace.rows.push_back({0.2 * i, 0, 0.0667 * 1.01, {}, {}, 0.7});
  trace.end_s = 201 * 0.2;
  policies::FloorRulePolicy policy("fixed", act(2, 2, 2, 2));
  Episode with(world.world(), on), without(world.world(), off);
  const EpisodeResult saved = run_episode(with, policy, trace, BoardConditions{}, 1);
  const EpisodeResult late = run_episode(without, policy, trace, BoardConditions{}, 1);
  EXPECT_GT(late.missed, 20U) << "half a standard deviation to spare";
  EXPECT_LE(saved.missed, late.missed / 10);
  EXPECT_LT(saved.energy_per_offered_j(), 1.2 * late.energy_per_offered_j()) << "raised for the last of it alone";
}

TEST(Reward, GoldenValues) {
  RewardConfig config;
  config.w_acc = 0.5;
  config.w_energy = 2;
  config.w_latency = 0.25;
  config.w_miss = 4;
  config.w_switch = 0.125;
  config.above_idle = false;
  StepFacts facts;
  facts.accuracy = 0.5;
  facts.energy_j = 3;
  facts.parked_j = 1;
  facts.energy_ref_j = 4;
  facts.latency_s = 0.3;
  facts.target_s = 0.2;
  facts.missed = 2;
  facts.switched = true;
  // 0.25 - 2 * 3/4 - 0.25 * 0.5 - 8 - 0.125
  EXPECT_DOUBLE_EQ(reward_of(config, facts), -9.5);
  EXPECT_DOUBLE_EQ(penalty_of(config, facts), -8) << "two misses at 4";
  config.above_idle = true;  // 2 J above the parked board
  EXPECT_DOUBLE_EQ(reward_of(config, facts), -9.0);
  facts.latency_s = 100;  // cut at twice the target
  EXPECT_DOUBLE_EQ(reward_of(config, facts), -9.0 - 0.25 * 1.5);
  facts.latency_s = 0.1;  // in time is not paid for
  EXPECT_DOUBLE_EQ(reward_of(config, facts), -9.0 + 0.25 * 0.5);
  facts.energy_j = 1 + 4 * 50;  // a long pause badly parked: cut at the limit
  EXPECT_DOUBLE_EQ(reward_of(config, facts), -9.0 + 0.25 * 0.5 + 2 * 0.5 - 2 * config.energy_limit);
  facts.energy_j.reset();
  facts.target_s.reset();
  facts.missed = 0;
  facts.switched = false;
  EXPECT_DOUBLE_EQ(reward_of(config, facts), 0.25) << "what is absent costs nothing";
}

TEST(Reward, ReadsItsWeightsAndRefusesWhatItDoesNotKnow) {
  const auto table =
      TomlTable::parse("w_miss = 7\nabove_idle = false\nfloor_ref = true\nenergy_limit = 2.5\n", "r.toml");
  const auto config = RewardConfig::from_toml(*table);
  ASSERT_OK(config);
  EXPECT_EQ(config->w_miss, 7);
  EXPECT_FALSE(config->above_idle);
  EXPECT_TRUE(config->floor_ref);
  EXPECT_EQ(config->energy_limit, 2.5);
  EXPECT_THAT(RewardConfig::from_toml(*TomlTable::parse("w_mis = 7\n", "r.toml")),
              IsError(ErrorKind::kGarbled, HasSubstr("r.toml:1: unknown key 'w_mis'")));
  EXPECT_THAT(RewardConfig::from_toml(*TomlTable::parse("w_miss = -1\n", "r.toml")),
              IsError(ErrorKind::kGarbled, HasSubstr("w_miss")));
}

/// A random action within the mask.
policies::Action any_action(const policies::Observation& observation, const policies::ActionSpace& space, Rng& rng) {
  for (;;) {
    const MappingId m(rng.index(space.mappings.size()));
    const LevelId l(rng.index(space.levels));
    const OppId o(rng.index(space.opps(m)));
    const OppId park(rng.index(space.opps(m)));
    if (observation.mask.allows(m) && observation.mask.allows(l) && observation.mask.allows(m, o) &&
        observation.mask.allows(m, park)) {
      return {m, l, o, park, std::nullopt, false};
    }
  }
}

/// Every observation and reward of one episode under random actions.
std::vector<std::vector<float>> play(BoardEnv& env, std::uint64_t seed, Rng rng) {
  std::vector<std::vector<float>> all;
  auto step = env.reset(seed);
  EXPECT_OK(step);
  while (step.has_value() && step->end == StepEnd::kRunning) {
    const auto view = step->observation->vector();
    all.emplace_back(view.begin(), view.end());
    step = env.step(any_action(*step->observation, env.space(), rng));
    EXPECT_OK(step);
    if (step.has_value()) all.push_back({static_cast<float>(step->reward), static_cast<float>(step->dt_s)});
  }
  return all;
}

EnvConfig short_episodes() {
  EnvConfig config;
  config.requests = 40;
  return config;
}

TEST(BoardEnv, DrawsAsManyPeriodicEpisodesAsItIsTold) {
  EXPECT_THAT(EnvConfig::from_toml(*TomlTable::parse("periodic = 1.5\n", "e.toml")),
              IsError(ErrorKind::kGarbled, HasSubstr("periodic")));
  HandWorld world;
  for (const double share : {0.0, 1.0}) {
    EnvConfig config;
    config.periodic = share;
    config.requests = 40;
    config.changing = 0;
    BoardEnv env(world.world(), config, std::make_unique<Episode>(world.world(), config.runtime));
    int regular = 0;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      auto step = env.reset(seed);
      ASSERT_OK(step);
      std::optional<double> variation;
      while (step.has_value() && step->end == StepEnd::kRunning) {
        variation = step->observation->facts.gap_variation;
        step = env.step(act(2, 0, 4));
      }
      ASSERT_TRUE(variation.has_value());
      regular += *variation < 0.05 ? 1 : 0;
    }
    EXPECT_EQ(regular, share > 0 ? 8 : 0);
  }
}

TEST(BoardEnv, SameSeedSameStepsOtherSeedOthers) {
  HandWorld world;
  const EnvConfig config = short_episodes();
  BoardEnv a(world.world(), config, std::make_unique<Episode>(world.world(), config.runtime));
  BoardEnv b(world.world(), config, std::make_unique<Episode>(world.world(), config.runtime));
  const auto first = play(a, 11, Rng(1));
  EXPECT_GT(first.size(), 20U);
  play(b, 99, Rng(5));  // what came before leaves nothing behind
  EXPECT_EQ(first, play(b, 11, Rng(1)));
  EXPECT_NE(first, play(b, 12, Rng(1)));
}

TEST(BoardEnv, LoadsAndTargetsAreMultiplesOfTheLeastLatencyWhereTheBoardIsFaster) {
  HandWorld world;  // its full network takes 0.04 s
  EnvConfig config = short_episodes();
  config.no_target = 0;
  config.loads = {0.5};
  const auto make = [&](double least_s) {
    config.least_latency_s = least_s;
    return BoardEnv(world.world(), config, std::make_unique<Episode>(world.world(), config.runtime));
  };
  BoardEnv as_it_is = make(0), slower = make(0.03), faster = make(0.4);
  EXPECT_EQ(play(as_it_is, 11, Rng(1)), play(slower, 11, Rng(1))) << "a slower board is as it is";
  auto step = faster.reset(11);
  ASSERT_OK(step);
  while (step->end == StepEnd::kRunning) {
    EXPECT_GE(step->observation->facts.goals.latency_s.value_or(0), 1.1 * 0.4 - 1e-9);
    step = faster.step(act(2, 2, 4));
    ASSERT_OK(step);
  }
  EXPECT_NEAR(faster.run().now_s(), 40 * 0.4 / 0.5, 4) << "the gaps between requests are as much longer";
}

TEST(BoardEnv, EpisodesEndTruncatedAtTheTracesEnd) {
  HandWorld world;
  const EnvConfig config = short_episodes();
  BoardEnv env(world.world(), config, std::make_unique<Episode>(world.world(), config.runtime));
  Rng rng(2);
  auto step = env.reset(4);
  ASSERT_OK(step);
  while (step->end == StepEnd::kRunning) {
    step = env.step(any_action(*step->observation, env.space(), rng));
    ASSERT_OK(step);
    EXPECT_GE(step->dt_s, 0);
  }
  EXPECT_EQ(step->end, StepEnd::kTruncated) << "a board runs on";
}

TEST(BoardEnv, EveryObservationEntryVariesInTraining) {
  for (const char* name : {"odroid-xu3", "raspberry-pi-4", "jetson-nano", "jetson-xavier-nx"}) {
    HandWorld world;
    const auto board = boards::find_board(name, REINS_SOURCE_DIR "/boards");
    ASSERT_OK(board);
    world.board = *board;
    world.rebuild();
    const EnvConfig config = short_episodes();
    BoardEnv env(world.world(), config, std::make_unique<Episode>(world.world(), config.runtime));
    const auto& table = env.spec().features;
    std::vector<float> low(table.size(), 1e9F);
    std::vector<float> high(table.size(), -1e9F);
    for (std::uint64_t seed = 0; seed < 250; ++seed) {
      for (const auto& entry : play(env, seed, Rng(seed))) {
        if (entry.size() != table.size()) continue;  // a reward
        for (std::size_t i = 0; i < entry.size(); ++i) {
          low[i] = std::min(low[i], entry[i]);
          high[i] = std::max(high[i], entry[i]);
        }
      }
    }
    for (std::size_t i = 0; i < table.size(); ++i) {
      EXPECT_LT(low[i], high[i]) << name << ": '" << table[i].name << "' is always " << low[i];
    }
  }
}

/// A TraceRun that plays three requests by hand: the first ends late, the second waits beyond its deadline meanwhile,
/// the third is in time.
class ScriptedRun final : public TraceRun {
 public:
  explicit ScriptedRun(const HandWorld& world) : world_(world) {}
  double third_deadline_s = 10;
  std::array<double, 3> finish_s{0.1, 0.2, 0.3};

  void reset(const data::Trace&, const BoardConditions&, std::uint64_t) override {
    control::RuntimeConfig config;
    config.shield.enabled = false;
    runtime_.emplace(world_.board, world_.space, world_.profile, config);
    outcomes_.clear();
    step_ = 0;
    now_s_ = 0;
  }
  void set_goals(const policies::Goals&) noexcept override {}
  Result<bool> next_decision() override {
    control::Effects effects;
    if (!runtime_.has_value()) return false;
    switch (step_++) {
      case 0:
        arrive(0, 1, 0.05, effects);
        break;
      case 1:
        arrive(0.01, 2, 0.06, effects);
        arrive(0.02, 3, third_deadline_s, effects);
        complete(finish_s[0], effects);
        break;
      case 2:
        complete(finish_s[1], effects);
        break;
      default:
        complete(finish_s[2], effects);
        return false;
    }
    return true;
  }
  Status decide(const policies::Action& action, std::int64_t decision_ns) override {
    control::Effects effects;
    runtime_->decide(now_s_, action, decision_ns, effects);
    return {};
  }
  const std::vector<control::Outcome>& outcomes() const noexcept override { return outcomes_; }
  void clear_outcomes() noexcept override { outcomes_.clear(); }
  const control::Runtime& runtime() const noexcept override { return *runtime_; }
  double now_s() const noexcept override { return now_s_; }

  void begin() { reset({}, {}, 0); }

 private:
  void arrive(double now_s, std::uint64_t id, double deadline_s, control::Effects& effects) {
    now_s_ = now_s;
    runtime_->arrive(now_s, {id, AppId(0), now_s, deadline_s, 0}, effects);
  }
  void complete(double now_s, control::Effects& effects) {
    now_s_ = now_s;
    effects.clear();
    runtime_->complete(now_s, LevelId(2), effects);
    for (const control::Effect& effect : effects) {
      if (effect.kind == control::EffectKind::kReply) outcomes_.push_back(effect.outcome);
    }
  }

  const HandWorld& world_;
  std::optional<control::Runtime> runtime_;
  std::vector<control::Outcome> outcomes_;
  int step_ = 0;
  double now_s_ = 0;
};

EnvConfig misses_only() {
  EnvConfig config;
  config.reward.w_acc = config.reward.w_energy = config.reward.w_latency = config.reward.w_switch = 0;
  config.reward.w_miss = 1;
  return config;
}

TEST(BoardEnv, AMissIsChargedWhenItIsCertainAndPaidBackIfItWasNot) {
  HandWorld world;
  // At 0.1 s the lowest level takes 0.01 s on the fastest point: nobody can be ready by 0.108.
  for (const double last_s : {0.13, 0.107}) {
    auto run = std::make_unique<ScriptedRun>(world);
    run->third_deadline_s = 0.108;
    run->finish_s = {0.1, 0.105, last_s};
    run->begin();
    BoardEnv env(world.world(), misses_only(), std::move(run));
    ASSERT_OK(env.reset(1));
    std::vector<double> rewards;
    for (int i = 0; i < 3; ++i) {
      const auto step = env.step(act(2, 2, 4));
      ASSERT_OK(step);
      rewards.push_back(step->reward);
    }
    EXPECT_THAT(rewards, ::testing::ElementsAre(-3, 0, last_s > 0.108 ? 0 : 1)) << last_s;
    EXPECT_EQ(env.run().runtime().counters().missed, last_s > 0.108 ? 3U : 2U) << "charges add up to the misses";
  }
}

TEST(BoardEnv, AMissIsChargedOnce) {
  HandWorld world;
  const EnvConfig config = misses_only();
  auto run = std::make_unique<ScriptedRun>(world);
  run->begin();
  BoardEnv env(world.world(), config, std::move(run));
  for (std::uint64_t episode = 0; episode < 2; ++episode) {  // the second: nothing is left over from the first
    ASSERT_OK(env.reset(episode));
    std::vector<double> rewards;
    for (int i = 0; i < 3; ++i) {
      const auto step = env.step(act(2, 2, 4));
      ASSERT_OK(step);
      rewards.push_back(step->reward);
    }
    EXPECT_THAT(rewards, ::testing::ElementsAre(-2, 0, 0))
        << "the first is answered late, the second is overdue while it waits; its late answer is not charged again";
    EXPECT_EQ(env.run().runtime().counters().missed, 2U);
  }
  EXPECT_EQ(env.recent_misses().requests, 6U) << "of both episodes";
  EXPECT_EQ(env.recent_misses().missed, 4U);
}

TEST(BoardEnv, AnOverdueRequestOfOneEpisodeIsNotForgivenInTheNext) {
  HandWorld world;
  const EnvConfig config = misses_only();
  auto run = std::make_unique<ScriptedRun>(world);
  run->begin();
  BoardEnv env(world.world(), config, std::move(run));
  ASSERT_OK(env.reset(1));
  ASSERT_OK(env.step(act(2, 2, 4)));  // stopped here: request 2 waits, overdue
  ASSERT_OK(env.reset(2));
  const auto step = env.step(act(2, 2, 4));
  ASSERT_OK(step);
  EXPECT_EQ(step->reward, -2);
}

TEST(BoardEnv, TheLearnerNeverSeesTrueEnergy) {
  // Two boards that differ in the power they truly draw, with the same profile and no power sensor: every reward and
  // observation is the same. (No heat either: that would show in the temperature.)
  HandWorld modest;
  for (boards::Rail& rail : modest.board.rails) rail.sensor_period_s = 0;
  modest.board.thermal.r_c_per_w = 1e-9;
  modest.board.thermal.c_j_per_c = 1e9;
  modest.rebuild();
  HandWorld greedy = modest;
  for (boards::Cluster& cluster : greedy.board.clusters) cluster.power.core_w_per_mhz_v2 *= 5;
  const EnvConfig config = short_episodes();
  double true_j[2] = {0, 0};
  std::vector<std::vector<float>> seen[2];
  int i = 0;
  for (const HandWorld* world : {&modest, &greedy}) {
    auto episode = std::make_unique<Episode>(world->world(), config.runtime);
    const Episode& watched = *episode;
    BoardEnv env(world->world(), config, std::move(episode));
    seen[i] = play(env, 8, Rng(3));
    true_j[i] = watched.result().energy_j;
    ++i;
  }
  EXPECT_GT(true_j[1], 1.5 * true_j[0]);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST(BoardEnv, ConfigurationRefusesUnknownKeysAndEmptyLists) {
  EXPECT_OK(EnvConfig::from_toml(*TomlTable::parse("loads = [0.1]\nrequests = 20\n", "e.toml")));
  EXPECT_THAT(EnvConfig::from_toml(*TomlTable::parse("load = [0.1]\n", "e.toml")),
              IsError(ErrorKind::kGarbled, HasSubstr("'load'")));
  EXPECT_EQ(EnvConfig::from_toml(*TomlTable::parse("least_latency_s = 0.01\n", "e.toml"))->least_latency_s, 0.01);
  EXPECT_THAT(EnvConfig::from_toml(*TomlTable::parse("least_latency_s = 0\n", "e.toml")),
              IsError(ErrorKind::kGarbled, HasSubstr("least_latency_s")));
  EXPECT_THAT(EnvConfig::from_toml(*TomlTable::parse("loads = []\n", "e.toml")),
              IsError(ErrorKind::kGarbled, HasSubstr("at least one")));
}

}  // namespace
}  // namespace reins::env
