#include "policies/baselines.hpp"

#include <gmock/gmock.h>

#include "tests/policies/small_board.hpp"

namespace reins::policies {
namespace {

std::vector<std::string> names_of(const std::vector<StaticSetting>& settings) {
  std::vector<std::string> names;
  for (const StaticSetting& setting : settings) names.push_back(setting.name);
  return names;
}

TEST(GovernorSettings, AreEveryGovernorOnEveryPlacement) {
  boards::Board board = testing::small_board();
  board.clusters[0].capacity = 300;
  const std::vector<std::string> names = names_of(governor_settings(board));
  EXPECT_EQ(names.size(), 15U) << "five governors on three placements";
  EXPECT_THAT(names, ::testing::IsSupersetOf({"schedutil/all-little", "schedutil/all-big", "ondemand/kernel-like"}));
  board.clusters[0].capacity = board.clusters[1].capacity;
  EXPECT_THAT(names_of(governor_settings(board)),
              ::testing::ElementsAre("performance/one-cluster", "powersave/one-cluster", "ondemand/one-cluster",
                                     "conservative/one-cluster", "schedutil/one-cluster"))
      << "not all cores";
  board.tick_s = 0;
  EXPECT_TRUE(governor_settings(board).empty()) << "no kernel ticks";
}

TEST(GovernorSettings, OfAGpuAreItsOwn) {
  boards::Board board = testing::small_board();
  board.clusters[1].kind = boards::UnitKind::kGpu;
  const std::vector<StaticSetting> settings = governor_settings(board);
  const std::vector<std::string> names = names_of(settings);
  EXPECT_THAT(names, ::testing::IsSupersetOf({"schedutil/all-cores", "simple_ondemand/big", "nvhost_podgov/big"}));
  EXPECT_EQ(names.size(), 7U) << "one cluster of processors is left";
  board.clusters[0].kind = boards::UnitKind::kGpu;
  EXPECT_EQ(governor_settings(board).size(), 4U) << "no processors at all: two governors on two GPUs";
  EXPECT_EQ(settings.back().action.mapping, MappingId(2)) << "the whole GPU";
  EXPECT_EQ(settings.back().action.gpu_governor, boards::GpuGovernor::kNvhostPodgov);
  EXPECT_EQ(settings.back().action.governor, boards::Governor::kSchedutil) << "of the processors";
}

TEST(FixedSettings, AreEveryPointWithEveryParkPointBelowItAndWithNone) {
  const boards::Board board = testing::small_board();
  const ActionSpace space = *ActionSpace::make(board, 2);
  const std::vector<StaticSetting> settings = fixed_settings(board, space);
  EXPECT_EQ(settings.size(), 3U * 4 / 2 + 2 * (5U * 6 / 2)) << "n points give n (n + 1) / 2";
  EXPECT_THAT(names_of(settings), ::testing::IsSupersetOf({"little-x2@200", "big-x2@2000", "big-x1@800 park 400"}));
  for (const StaticSetting& setting : settings) {
    EXPECT_TRUE(!setting.action.park.valid() || setting.action.park.value < setting.action.opp.value) << setting.name;
    EXPECT_FALSE(setting.action.governor.has_value());
  }
}

// One level on big-x2: the higher, the faster and the dearer; big-x1 is dearer than it at any speed.
class Pareto : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::int32_t o = 0; o < 5; ++o) put(MappingId(2), o, 0.1 - 0.02 * o, 1 + o);
    for (std::int32_t o = 0; o < 5; ++o) put(MappingId(1), o, 0.1 - 0.02 * o, 10 + o);
    observation_.mask.mappings = 0b111;
    observation_.mask.levels = 1;
    observation_.mask.opps.fill(0b11111);
  }
  void put(MappingId mapping, std::int32_t opp, double latency_s, double energy_j) {
    ProfilePoint point;
    point.level = LevelId(0);
    point.mapping = mapping;
    point.opp = OppId(opp);
    point.latency_s = latency_s;
    point.energy_j = energy_j;
    profile_.set(point);
  }
  Action decide(std::optional<double> slack_s) {
    observation_.facts.slack_s = slack_s;
    return ParetoPolicy(space_, profile_, 0.1).decide(observation_);
  }
  boards::Board board_ = testing::small_board();
  ActionSpace space_ = *ActionSpace::make(board_, 1);
  Profile profile_{space_};
  Observation observation_;
};

TEST_F(Pareto, KeepsTheFrontAlone) { EXPECT_EQ(ParetoPolicy(space_, profile_, 0.1).points(), 5U); }

TEST_F(Pareto, TakesTheCheapestThatIsInTimeWithItsMargin) {
  EXPECT_EQ(decide({}).opp, OppId(0)) << "nobody waits";
  EXPECT_EQ(decide({}).mapping, MappingId(2));
  EXPECT_EQ(decide(0.1101).opp, OppId(0)) << "0.1 s and a tenth";
  EXPECT_EQ(decide(0.1099).opp, OppId(1));
  EXPECT_EQ(decide(0.067).opp, OppId(2)) << "0.06 s and a tenth";
  EXPECT_EQ(decide(0.065).opp, OppId(3));
}

TEST_F(Pareto, TakesTheFastestWhereNoneIsInTime) {
  EXPECT_EQ(decide(0.01).opp, OppId(4));
  EXPECT_EQ(decide(-1.0).opp, OppId(4)) << "late already: what waited in the queue is off the slack";
}

TEST_F(Pareto, CountsTheSlowDownAndTheMask) {
  observation_.facts.slow_down = 1.5;
  EXPECT_EQ(decide(0.1101).opp, OppId(2)) << "0.06 s x 1.5 and a tenth";
  observation_.facts.slow_down = 1;
  observation_.mask.opps[2] = 0b00111;
  EXPECT_EQ(decide(0.01).opp, OppId(2)) << "capped";
}

}  // namespace
}  // namespace reins::policies
