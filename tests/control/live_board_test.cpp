// What of a board an engine can run.
#include "control/live_board.hpp"

#include "tests/policies/small_board.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/support/matchers.hpp"

namespace reins::control {
namespace {

using ::testing::AllOf;
using testing::FakeEngine;
using ::testing::HasSubstr;
using testing::IsError;

boards::Board with_gpu() {
  boards::Board board = testing::small_board();
  boards::Cluster gpu = board.clusters.back();
  gpu.name = "gpu";
  gpu.kind = boards::UnitKind::kGpu;
  gpu.cpus.clear();
  board.clusters.push_back(gpu);
  board.mappings.insert(board.mappings.begin(), {"gpu", "gpu", ClusterId(2), 1, 1});
  return board;
}

TEST(LiveBoard, IsTheBoardWhereTheEngineRunsAllOfIt) {
  FakeEngine engine;
  const auto live = bind_board(testing::small_board(), engine);
  ASSERT_OK(live);
  EXPECT_EQ(live->board.mappings.size(), 3U);
  EXPECT_EQ(live->board.fingerprint, testing::small_board().fingerprint);
  EXPECT_EQ(left_out_line(*live), "");
  ASSERT_EQ(engine.placements.size(), 3U);
  EXPECT_EQ(engine.placements[1].cpus, std::vector<int>{2}) << "big-x1";
}

TEST(LiveBoard, LeavesOutAGpuThatTheEngineDoesNotRunOn) {
  FakeEngine engine;
  const auto live = bind_board(with_gpu(), engine);
  ASSERT_OK(live);
  ASSERT_EQ(live->board.mappings.size(), 3U);
  EXPECT_EQ(live->board.mappings[0].name, "little-x2");
  EXPECT_EQ(live->board.clusters.size(), 3U) << "the unused cluster is still to be put at its lowest point";
  EXPECT_NE(live->board.fingerprint, with_gpu().fingerprint) << "a policy that knew the GPU is for another board";
  EXPECT_EQ(left_out_line(*live), "board small: left out gpu (runs on CPUs alone); used are little-x2 big-x1 big-x2");
}

TEST(LiveBoard, LeavesOutCoresThatAreNotThere) {
  FakeEngine engine;
  engine.set_cpus(3);
  const auto live = bind_board(with_gpu(), engine);
  ASSERT_OK(live);
  EXPECT_EQ(left_out_line(*live),
            "board small: left out gpu (runs on CPUs alone); big-x2 (has no such cpu); used are little-x2 big-x1");
}

TEST(LiveBoard, IsRefusedWhereNothingIsLeft) {
  FakeEngine engine;
  engine.set_cpus(0);
  EXPECT_THAT(bind_board(testing::small_board(), engine),
              IsError(ErrorKind::kMismatch, AllOf(HasSubstr("board small"), HasSubstr("no such cpu"))));
}

}  // namespace
}  // namespace reins::control
