#include "policies/action.hpp"

#include "tests/policies/small_board.hpp"
#include "tests/support/matchers.hpp"

namespace reins::policies {
namespace {

using ::reins::testing::IsError;
using ::reins::testing::small_board;
using ::testing::HasSubstr;

TEST(ActionSpace, ListsEveryMappingWithTheOperatingPointsOfItsCluster) {
  const auto space = ActionSpace::make(small_board(), 3);
  ASSERT_OK(space);
  EXPECT_EQ(space->board, "small");
  EXPECT_EQ(space->board_fingerprint, "00000000deadbeef");
  EXPECT_EQ(space->levels, 3U);
  EXPECT_EQ(space->clusters, 2U);
  ASSERT_EQ(space->mappings.size(), 3U);
  EXPECT_EQ(space->mappings[1].slot, "big-one");
  EXPECT_EQ(space->mappings[1].cluster, ClusterId(1));
  EXPECT_EQ(space->opps(MappingId(0)), 3U);
  EXPECT_EQ(space->opps(MappingId(2)), 5U);
  EXPECT_EQ(space->max_opps(), 5U);
  EXPECT_FLOAT_EQ(space->mappings[0].relative[1], 0.6F);
  EXPECT_FLOAT_EQ(space->mappings[2].relative[4], 1.0F);
}

TEST(ActionSpace, TakesAMachineWithoutFrequenciesAsOnePointOfFullCapacity) {
  boards::Board board = small_board();
  board.clusters[0].opps = {{0, 0}};
  const auto space = ActionSpace::make(board, 1);
  ASSERT_OK(space);
  EXPECT_FLOAT_EQ(space->mappings[0].relative[0], 1.0F);
}

TEST(ActionSpace, RefusesMoreThanAPolicyHolds) {
  EXPECT_THAT(ActionSpace::make(small_board(), kMaxLevels + 1), IsError(ErrorKind::kUnsupported, HasSubstr("levels")));
  EXPECT_THAT(ActionSpace::make(small_board(), 0), IsError(ErrorKind::kUsage, HasSubstr("levels")));
  boards::Board many = small_board();
  many.mappings.resize(kMaxMappings + 1, many.mappings[0]);
  EXPECT_THAT(ActionSpace::make(many, 1), IsError(ErrorKind::kUnsupported, HasSubstr("9 mappings")));
  boards::Board fine = small_board();
  fine.clusters[1].opps.resize(kMaxOpps + 1, {3000000, 1.3});
  EXPECT_THAT(ActionSpace::make(fine, 1), IsError(ErrorKind::kUnsupported, HasSubstr("33 operating points")));
  boards::Board none = small_board();
  none.mappings.clear();
  EXPECT_THAT(ActionSpace::make(none, 1), IsError(ErrorKind::kUnsupported, HasSubstr("no mapping")));
}

}  // namespace
}  // namespace reins::policies
