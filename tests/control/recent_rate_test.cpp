// The rate of a counter over the last ten seconds.
#include "control/recent_rate.hpp"

#include <gtest/gtest.h>

namespace reins::control {
namespace {

TEST(RecentRate, IsNothingUntilTimeHasPassed) {
  RecentRate rate;
  EXPECT_EQ(rate.per_s(), 0);
  rate.sample(5, 100);
  EXPECT_EQ(rate.per_s(), 0) << "what was counted before is nobody's rate";
  rate.sample(5, 101);
  EXPECT_EQ(rate.per_s(), 0);
}

TEST(RecentRate, IsSinceTheStartUntilTheWindowIsFull) {
  RecentRate rate;
  rate.sample(0, 0);
  rate.sample(2, 6);
  EXPECT_DOUBLE_EQ(rate.per_s(), 3);
  rate.sample(2.01, 7);
  EXPECT_DOUBLE_EQ(rate.per_s(), 7 / 2.01) << "samples closer than the grain count too";
}

TEST(RecentRate, ForgetsWhatIsOlderThanTheWindow) {
  RecentRate rate;
  std::uint64_t total = 0;
  double now_s = 0;
  // Twenty seconds at 100 a second, sampled every 20 ms; then quiet.
  for (; now_s < 20; now_s += 0.02) rate.sample(now_s, total += 2);
  EXPECT_NEAR(rate.per_s(), 100, 1e-6);
  const double quiet_s = now_s;
  for (; now_s < quiet_s + 5; now_s += 0.02) rate.sample(now_s, total);
  EXPECT_NEAR(rate.per_s(), 50, 3);
  for (; now_s < quiet_s + 10.5; now_s += 0.02) rate.sample(now_s, total);
  EXPECT_EQ(rate.per_s(), 0);
}

}  // namespace
}  // namespace reins::control
