#include "evaluation/profiler.hpp"

#include <gtest/gtest.h>

namespace reins::evaluation {
namespace {

/// Runs until it is settled; 0 where that takes more than 1000.
int runs_until_settled(double first_s, double shrink, double last_s) {
  WarmUp warm_up(0.03);
  double latency_s = first_s;
  for (int run = 1; run <= 1000; ++run) {
    if (warm_up.settled(latency_s)) return run;
    latency_s = std::max(last_s, latency_s * shrink);
  }
  return 0;
}

TEST(WarmUp, StretchesAreOfFiveRunsAndTwentyMilliseconds) {
  EXPECT_EQ(runs_until_settled(0.1, 1, 0.1), 10);
  EXPECT_EQ(runs_until_settled(0.0015625, 1, 0.0015625), 26) << "13 runs of 1.5625 ms are 20 ms";
}

TEST(WarmUp, WaitsForTimesThatStillFall) {
  // From 0.4 s down to 0.1 s, a tenth a run: 14 runs; the stretch in which that happens and the one after it differ.
  EXPECT_EQ(runs_until_settled(0.4, 0.9, 0.1), 25);
}

TEST(WarmUp, NeverSettlesWhereTimesKeepFalling) {
  WarmUp warm_up(0.03);
  double latency_s = 1e9;
  for (int run = 0; run < 100; ++run, latency_s *= 0.98) EXPECT_FALSE(warm_up.settled(latency_s)) << run;
}

}  // namespace
}  // namespace reins::evaluation
