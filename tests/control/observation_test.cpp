// The observation table: floor, masks, features; and the energy account against sums by hand.
#include <cmath>
#include <set>

#include "control/energy_account.hpp"
#include "control/observation_builder.hpp"
#include "control/settings.hpp"
#include "core/rng.hpp"
#include "tests/control/made_up.hpp"
#include "tests/support/matchers.hpp"

namespace reins::control {
namespace {

using testing::act;
using ::testing::HasSubstr;
using testing::IsError;
using testing::MadeUp;

class ObservationTest : public ::testing::Test {
 protected:
  ObservationTest() : builder_(world_.board, world_.space, world_.profile) {}
  /// The feature of that name after `fill`.
  float feature(const std::string& name, bool presence = false) {
    builder_.fill(observation_);
    const auto& table = builder_.spec().features;
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (table[i].name == (presence ? name + ".present" : name)) return observation_.features[i];
    }
    ADD_FAILURE() << "no feature " << name;
    return 0;
  }
  policies::Situation& facts() { return observation_.facts; }

  MadeUp world_;
  ObservationBuilder builder_;
  policies::Observation observation_;
};

TEST_F(ObservationTest, ScalesByTheFullNetworkWhereItIsFastest) {
  EXPECT_DOUBLE_EQ(builder_.full_latency_s(), 0.08);
  EXPECT_DOUBLE_EQ(builder_.energy_ref_j(), 4.0 * 0.08);
}

TEST_F(ObservationTest, FloorIsTheLowestLevelThatMeetsIt) {
  policies::Goals goals;
  EXPECT_EQ(builder_.floor_level(goals), LevelId(0));
  const std::pair<double, int> wanted[] = {{0.0, 0},        {0.5, 0}, {0.5001, 1}, {0.6, 1},
                                           {0.6 + 1e-9, 1}, {0.7, 2}, {0.9, 2}};
  for (const auto& [floor, level] : wanted) {
    goals.accuracy_floor = floor;
    EXPECT_EQ(builder_.floor_level(goals), LevelId(level)) << floor;
  }
}

TEST_F(ObservationTest, MasksFollowCapsAndFloor) {
  facts().cap = {1, 3, 0, 0};
  facts().goals.accuracy_floor = 0.65;
  builder_.fill(observation_);
  EXPECT_EQ(observation_.mask.mappings, 0b111U);
  EXPECT_EQ(observation_.mask.levels, 0b100U);
  EXPECT_EQ(observation_.mask.opps[0], 0b11U);
  EXPECT_EQ(observation_.mask.opps[1], 0b1111U);
  EXPECT_EQ(observation_.mask.opps[2], 0b1111U);
  facts().cap = {-3, 99, 0, 0};  // whatever a driver says: never empty, never beyond the table
  builder_.fill(observation_);
  EXPECT_EQ(observation_.mask.opps[0], 0b1U);
  EXPECT_EQ(observation_.mask.opps[1], 0b11111U);
}

TEST_F(ObservationTest, AClusterThatAnotherProgramHoldsHasOneMappingsPointAlone) {
  facts().cap = {2, 3, 0, 0};
  facts().held = 0b10U;
  builder_.fill(observation_);
  EXPECT_EQ(observation_.mask.opps[0], 0b111U) << "the other cluster is free";
  for (const std::size_t m : {1U, 2U}) {
    EXPECT_EQ(observation_.mask.opps[m], 0b1000U);
    EXPECT_EQ(observation_.mask.park[m], 0b1000U) << "it is not parked either";
  }
}

TEST_F(ObservationTest, ParksWhereTheProfileSaysThatRestingCostsLeast) {
  facts().cap = {2, 4, 0, 0};
  builder_.fill(observation_);
  EXPECT_EQ(observation_.mask.park[0], 0b1U);
  EXPECT_EQ(observation_.mask.park[2], 0b1U);

  MadeUp other;
  for (const auto& [opp, watts] : {std::pair{0, 0.40}, {1, 0.30}, {2, 0.303}, {3, 0.31}, {4, 0.5}})
    other.profile.set_idle({MappingId(2), OppId(opp), watts});
  const ObservationBuilder builder(other.board, other.space, other.profile);
  builder.fill(observation_);
  EXPECT_EQ(observation_.mask.park[2], 0b00110U) << "one per cent is within the measurement, three are not";
  facts().cap = {2, 0, 0, 0};
  builder.fill(observation_);
  EXPECT_EQ(observation_.mask.park[2], 0b00001U) << "none of the two is allowed: what is";

  const MadeUp blind(false);
  const ObservationBuilder no_energy(blind.board, blind.space, blind.profile);
  facts().cap = {2, 4, 0, 0};
  no_energy.fill(observation_);
  EXPECT_EQ(observation_.mask.park[2], 0b00001U) << "not known: the lowest";
}

TEST_F(ObservationTest, NamesTheFeatureThatSaysWhetherAPointKeepsThePace) {
  const auto& table = builder_.spec().features;
  for (std::size_t m = 0; m < world_.space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < world_.space.opps(MappingId(m)); ++o) {
      const std::size_t feature = builder_.reach()[m][o];
      ASSERT_TRUE(feature >= 1 && feature <= table.size());
      EXPECT_EQ(table[feature - 1].name, "keeps." + world_.space.mappings[m].name + "." + std::to_string(o + 1));
    }
    EXPECT_EQ(builder_.reach()[m][world_.space.opps(MappingId(m))], 0);
  }
}

TEST(Observation, GivesAPointWithoutARungThatOfTheNextSlowerOne) {
  // Six mappings: sixteen rungs each, for twenty points.
  boards::Board board = testing::small_board();
  auto& big = board.clusters[1];
  const boards::OperatingPoint top = big.opps.back();
  big.opps.clear();
  for (int i = 1; i <= 20; ++i) {
    big.opps.push_back(top);
    big.opps.back().freq_khz = 100'000 * i;
  }
  const auto mapping = board.mappings.back();
  while (board.mappings.size() < 6) {
    board.mappings.push_back(mapping);
    board.mappings.back().name += std::to_string(board.mappings.size());
  }
  const auto space = policies::ActionSpace::make(board, 3);
  ASSERT_OK(space);
  const policies::Profile profile(*space);
  const ObservationBuilder builder(board, *space, profile);
  const auto& reach = builder.reach()[5];
  std::set<int> rungs;
  for (int o = 0; o < 20; ++o) {
    const std::string& name = builder.spec().features[reach[static_cast<std::size_t>(o)] - 1U].name;
    const int point = std::stoi(name.substr(name.rfind('.') + 1));
    EXPECT_LE(point, o + 1);
    EXPECT_GE(point, o);
    rungs.insert(point);
  }
  EXPECT_EQ(rungs.size(), 16U);
  EXPECT_EQ(*rungs.begin(), 1);
  EXPECT_EQ(*rungs.rbegin(), 20);
}

TEST(Observation, MasksWhatWasNotMeasured) {
  MadeUp world;
  policies::Profile partly(world.space);
  for (const int mapping : {0, 2}) {
    for (int level = 0; level < 3; ++level) {
      for (const int opp : {1, 2}) {
        if (mapping == 2 && level == 1 && opp == 1) continue;
        partly.set(*world.profile.at(LevelId(level), MappingId(mapping), OppId(opp)));
      }
    }
  }
  const ObservationBuilder builder(world.board, world.space, partly);
  policies::Observation observation;
  observation.facts.cap = {2, 4, 0, 0};
  builder.fill(observation);
  EXPECT_EQ(observation.mask.mappings, 0b101U);
  EXPECT_EQ(observation.mask.opps[0], 0b110U);
  EXPECT_EQ(observation.mask.opps[2], 0b100U) << "a point without some level is none";
  observation.facts.cap = {0, 0, 0, 0};
  builder.fill(observation);
  EXPECT_EQ(observation.mask.opps[0], 0b010U) << "the lowest there is, where the cap is below it";
}

TEST_F(ObservationTest, FeaturesByHand) {
  facts().cap = {2, 2, 0, 0};
  facts().goals.latency_s = 0.16;
  facts().slack_s = 0.16;
  facts().rate_hz = 1 / 0.32;
  facts().temperature_c = 55;
  facts().throttle_distance_c = 30;
  facts().present = act(1, 2, 2);
  facts().queue_depth = 2;
  EXPECT_FLOAT_EQ(feature("latency_target"), 0.25F);  // log2(2) / 4
  EXPECT_FLOAT_EQ(feature("latency_target", true), 1);
  EXPECT_FLOAT_EQ(feature("slack"), 0.5F);
  EXPECT_FLOAT_EQ(feature("rate"), -0.5F);  // log2(1/4) / 4
  EXPECT_FLOAT_EQ(feature("temperature"), 0.5F);
  EXPECT_FLOAT_EQ(feature("throttle_distance"), 0.75F);
  EXPECT_FLOAT_EQ(feature("queue_depth"), static_cast<float>(std::log2(3.0) / 4));
  EXPECT_FLOAT_EQ(feature("cap.big"), 0.6F);
  EXPECT_FLOAT_EQ(feature("cap.little"), 1);
  EXPECT_FLOAT_EQ(feature("present.big-x1"), 1);
  EXPECT_FLOAT_EQ(feature("present.big-x2"), 0);
  EXPECT_FLOAT_EQ(feature("present_level"), 1);
  EXPECT_FLOAT_EQ(feature("present_freq"), 0.6F);
  EXPECT_FLOAT_EQ(feature("floor_level.1"), 1);
  // The lowest level on big-x2 at the highest allowed frequency: 0.02 / 0.6 s.
  EXPECT_FLOAT_EQ(feature("reach.big-x2"), static_cast<float>(std::log2(0.16 * 0.6 / 0.02) / 4));
  facts().pace_s = 0.04;  // two more wait, due soon
  EXPECT_FLOAT_EQ(feature("pace.big-x2"), static_cast<float>(std::log2(0.04 * 0.6 / 0.02) / 4));
  facts().mean_gap_s = 0.32;
  EXPECT_FLOAT_EQ(feature("demand"), -0.5F);  // log2(0.08 / 0.32) / 4
}

TEST_F(ObservationTest, SaysWhichPointIsNeededAndByWhatMargin) {
  facts().cap = {2, 3, 0, 0};  // big up to 1600 of 2000 MHz
  facts().goals.accuracy_floor = 0.7;
  facts().slack_s = 0.15;  // the full network on big-x2 takes 0.4, 0.2, 0.133, 0.1 s there
  EXPECT_FLOAT_EQ(feature("need.big-x2"), 0.6F);
  EXPECT_FLOAT_EQ(feature("margin.big-x2"), static_cast<float>((0.15 * 0.6 / 0.08 - 1) * 4));
  EXPECT_FLOAT_EQ(feature("cost.big-x2"),
                  static_cast<float>(std::log2(MadeUp::busy_w(2, 0.6) * 0.08 / 0.6 / builder_.energy_ref_j()) / 4));
  EXPECT_FLOAT_EQ(feature("keeps.big-x2.2"), 0);  // 0.2 s
  EXPECT_FLOAT_EQ(feature("keeps.big-x2.3"), 1);  // 12.5 % to spare
  EXPECT_FLOAT_EQ(feature("keeps.big-x2.5"), 0) << "above the cap";
  facts().slow_down = 1.1;  // 0.147 s at 1200 MHz: in time by 2.3 %
  EXPECT_FLOAT_EQ(feature("need.big-x2"), 0.6F);
  EXPECT_NEAR(feature("keeps.big-x2.3"), (0.15 * 0.6 / 0.08 / 1.1 - 0.97) / 0.08, 1e-5);
  // On big-x1 nothing is in time: the highest allowed point is what there is.
  EXPECT_FLOAT_EQ(feature("need.big-x1"), 1.25F);
  EXPECT_LT(feature("margin.big-x1"), 0);
  facts().slow_down = 1;
  facts().pace_s = 0.09;  // more are waiting: faster than any allowed point
  EXPECT_FLOAT_EQ(feature("need.big-x2"), 0.6F) << "for the request at hand";
  EXPECT_FLOAT_EQ(feature("keeps.big-x2.4"), 0) << "for the queue";
}

TEST_F(ObservationTest, WhatIsAbsentIsFlaggedAbsent) {
  for (const char* name : {"latency_target", "slack", "power_cap", "energy_budget", "rate", "demand", "next_slack",
                           "last_latency", "last_energy", "temperature", "throttle_distance", "others_util.little"}) {
    EXPECT_EQ(feature(name), 0) << name;
    EXPECT_EQ(feature(name, true), 0) << name;
  }
  EXPECT_EQ(feature("reach.big-x2"), 1.5F) << "no target: everything reaches it";
  EXPECT_EQ(feature("margin.big-x2"), 1.5F);
  EXPECT_EQ(feature("need.big-x2"), 0.2F);
  EXPECT_EQ(feature("keeps.big-x2.1"), 1);
}

TEST_F(ObservationTest, TheTableHasEachNameOnceAndNoEnergyWhereThereIsNone) {
  std::set<std::string> names;
  for (const auto& entry : builder_.spec().features) EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
  EXPECT_TRUE(names.contains("last_energy"));
  EXPECT_TRUE(names.contains("temperature"));
  MadeUp without(false);
  without.board.thermal.zone.clear();
  const ObservationBuilder builder(without.board, without.space, without.profile);
  for (const auto& entry : builder.spec().features) {
    EXPECT_NE(entry.name, "last_energy");
    EXPECT_NE(entry.name, "temperature");
  }
}

TEST_F(ObservationTest, EveryFeatureStaysInRangeWhateverIsSensed) {
  Rng rng(13);
  const auto maybe = [&rng](double low, double high) {
    return rng.below(3) == 0 ? std::optional<double>() : std::optional<double>(rng.uniform(low, high));
  };
  for (int i = 0; i < 3000; ++i) {
    policies::Situation& f = facts();
    f = {};
    f.goals.latency_s = maybe(1e-6, 1e4);
    f.goals.energy_j = maybe(1e-9, 1e4);
    f.goals.power_w = maybe(1e-3, 1e4);
    f.goals.accuracy_floor = maybe(0, 1);
    f.slack_s = maybe(-1e3, 1e3);
    f.next_slack_s = maybe(-1e3, 1e3);
    f.pace_s = maybe(-1e3, 1e3);
    f.gap_variation = maybe(0, 100);
    f.since_arrival_s = rng.uniform(0, 1e4);
    f.waited_s = rng.uniform(0, 1e4);
    f.queue_depth = rng.index(1000);
    f.rate_hz = maybe(0, 1e6);
    f.mean_gap_s = maybe(1e-6, 1e4);
    f.last_latency_s = maybe(0, 1e3);
    f.last_energy_j = maybe(-1, 1e3);
    f.last_age_s = rng.uniform(0, 1e6);
    f.temperature_c = maybe(-40, 150);
    f.throttle_distance_c = maybe(-60, 120);
    f.others_util[0] = maybe(0, 1);
    f.slow_down = rng.uniform(0.25, 8);
    f.cap = {static_cast<std::int32_t>(rng.below(3)), static_cast<std::int32_t>(rng.below(5)), 0, 0};
    if (rng.below(4) > 0)
      f.present = act(static_cast<int>(rng.below(3)), static_cast<int>(rng.below(3)), static_cast<int>(rng.below(3)));
    builder_.fill(observation_);
    ASSERT_EQ(observation_.size, builder_.spec().size());
    for (std::size_t k = 0; k < observation_.size; ++k) {
      ASSERT_TRUE(observation_.features[k] >= -1.5F && observation_.features[k] <= 2.0F)
          << builder_.spec().features[k].name << " is " << observation_.features[k] << " in case " << i;
    }
    ASSERT_NE(observation_.mask.levels, 0U);
  }
}

TEST(EnergyAccount, SumsPowerOverTime) {
  EnergyAccount account;
  account.pass(2, 3);
  account.pass(0.5, 4);
  account.pass(-1, 100);  // time does not run backwards
  EXPECT_DOUBLE_EQ(account.total_j(), 8);
  EXPECT_EQ(account.source(), EnergySource::kModelled);
}

TEST(EnergyAccount, ScalesToWhatTheSensorMeasuredOverItsWindows) {
  EnergyAccount account({.updates_per_window = 2, .gain = 0.5});
  account.pass(1, 2);
  account.measured(0.5, 3);
  EXPECT_DOUBLE_EQ(account.scale(), 1) << "one update is not a window";
  account.measured(0.5, 3);
  EXPECT_DOUBLE_EQ(account.scale(), 1.5);  // 3 J measured, 2 J modelled
  EXPECT_EQ(account.source(), EnergySource::kAttributed);
  account.pass(1, 2);
  EXPECT_DOUBLE_EQ(account.total_j(), 2 + 3) << "what is past is not rewritten";
  account.measured(0.5, 5);
  account.measured(0.5, 5);
  EXPECT_DOUBLE_EQ(account.scale(), 1.5 + 0.5 * (2.5 - 1.5));
  EXPECT_DOUBLE_EQ(account.measured_j(), 8);
}

TEST(EnergyAccount, SaysHowFarWindowsLieFromItsScale) {
  EnergyAccount account({.updates_per_window = 1, .gain = 0.5});
  const auto window = [&account](double measured_w) {
    account.pass(1, 1.0);
    account.measured(1, measured_w);
  };
  window(2);
  EXPECT_EQ(account.relative_sigma(), std::nullopt) << "the first sets the scale";
  window(2.2);  // 10 % above 2; the scale becomes 2.1
  window(2.1);  // none off
  EXPECT_EQ(account.relative_sigma(), std::nullopt);
  window(2.1);
  // The mean of 0.01, 0 and 0, by the gain where that is more than one in so many: 0.01 -> 0.005 -> 0.0025.
  ASSERT_TRUE(account.relative_sigma().has_value());
  EXPECT_NEAR(*account.relative_sigma(), 0.05, 1e-12);
}

TEST(EnergyAccount, IsUnknownOnceAnIntervalHadNoPower) {
  EnergyAccount account;
  account.pass(1, 2);
  account.pass(1, std::nullopt);
  EXPECT_FALSE(account.known());
  EXPECT_EQ(account.source(), EnergySource::kNone);
}

TEST(Settings, RoundTripThroughTextAndRefuseWhatIsWrong) {
  RuntimeConfig config;
  config.queue_limit = 17;
  config.park_delay_s = 0.125;
  config.grow = true;
  config.shield.latency_margin = 0.3;
  config.energy.updates_per_window = 9;
  auto settings = settings_of(config);
  const auto back = runtime_from_settings(settings, "here");
  ASSERT_OK(back);
  EXPECT_EQ(settings_of(*back), settings);
  EXPECT_EQ(back->queue_limit, 17U);
  EXPECT_TRUE(back->grow);
  EXPECT_EQ(back->shield.latency_margin, 0.3);
  settings["shield.latency_margin"] = "7";
  EXPECT_THAT(runtime_from_settings(settings, "here"), IsError(ErrorKind::kGarbled, HasSubstr("latency_margin")));
  EXPECT_THAT(runtime_from_settings({{"shield.colour", "1"}}, "here"),
              IsError(ErrorKind::kMismatch, HasSubstr("colour")));
}

}  // namespace
}  // namespace reins::control
