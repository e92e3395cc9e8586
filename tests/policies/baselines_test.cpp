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

}  // namespace
}  // namespace reins::policies
