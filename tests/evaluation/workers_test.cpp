#include "evaluation/workers.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace reins::evaluation {
namespace {

TEST(Workers, DoEachPieceOnceAndSayHowFarTheyAre) {
  for (const unsigned threads : {0U, 1U, 3U, 16U}) {
    std::vector<int> times(10, 0);
    std::vector<std::size_t> heard;
    EXPECT_TRUE(run_all(
        threads, times.size(), [&](std::size_t i) { ++times[i]; },
        [&](std::size_t finished) {
          heard.push_back(finished);
          return true;
        }));
    EXPECT_EQ(times, std::vector<int>(10, 1)) << threads;
    EXPECT_EQ(heard, (std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})) << threads;
  }
  EXPECT_TRUE(run_all(
      2, 0, [](std::size_t) { FAIL(); }, [](std::size_t) { return false; }));
}

TEST(Workers, BeginNothingMoreOnceStopped) {
  std::vector<int> times(100, 0);
  EXPECT_FALSE(run_all(
      1, times.size(), [&](std::size_t i) { ++times[i]; }, [](std::size_t finished) { return finished < 3; }));
  EXPECT_EQ(times[2], 1);
  EXPECT_EQ(times[3], 0);
}

}  // namespace
}  // namespace reins::evaluation
