// Random numbers: the same on every machine. Statistics: against values worked out by hand.
#include <array>
#include <cmath>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"
#include "tests/support/matchers.hpp"

namespace reins {
namespace {

TEST(Rng, IsXoshiro256StarStarSeededBySplitMix64) {
  // From an independent implementation of the two papers' listings.
  const std::pair<std::uint64_t, std::array<std::uint64_t, 3>> golden[] = {
      {0, {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0}},
      {1, {0xb3f2af6d0fc710c5, 0x853b559647364cea, 0x92f89756082a4514}},
      {42, {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1}}};
  for (const auto& [seed, words] : golden) {
    Rng rng(seed);
    for (const std::uint64_t word : words) EXPECT_EQ(rng.next(), word) << "seed " << seed;
  }
}

TEST(Rng, UniformIsTheTop53Bits) {
  EXPECT_DOUBLE_EQ(Rng(0).uniform(), static_cast<double>(0x99ec5f36cb75f2b4 >> 11) / 9007199254740992.0);
}

TEST(Rng, ResumesBitForBitAlsoBetweenTheTwoNormalsOfAPair) {
  Rng rng(9);
  rng.normal();
  Rng other(1234);
  other.restore(rng.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.normal(), other.normal());
}

TEST(Rng, ForksAreStreamsOfTheirOwnAndLeaveTheParentAlone) {
  const Rng parent(5);
  Rng a = parent.fork(1);
  Rng again = parent.fork(1);
  Rng b = parent.fork(2);
  int same = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t x = a.next();
    EXPECT_EQ(x, again.next());
    same += x == b.next() ? 1 : 0;
  }
  EXPECT_EQ(same, 0);
}

TEST(Rng, DistributionsHaveTheirMoments) {
  // Bounds are six standard errors of each estimate: one failure in 5e8 seeds, and this one is fixed.
  constexpr int kDraws = 200000;
  const double error = 6 / std::sqrt(static_cast<double>(kDraws));
  Rng rng(17);
  double sum = 0, squares = 0, exponential = 0;
  std::array<int, 5> counts{};
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
    exponential += rng.exponential(3);
    const double u = rng.uniform(2, 4);
    EXPECT_TRUE(u >= 2 && u < 4);
    ++counts[rng.index(5)];
  }
  EXPECT_NEAR(sum / kDraws, 0, error);
  EXPECT_NEAR(squares / kDraws, 1, error * std::sqrt(2.0));
  EXPECT_NEAR(exponential / kDraws, 3, 3 * error);
  for (const int n : counts) EXPECT_NEAR(n / static_cast<double>(kDraws), 0.2, 0.4 * error);
}

TEST(Stats, QuantilesInterpolateBetweenOrderStatistics) {
  EXPECT_DOUBLE_EQ(quantile_of({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile_of({4, 1, 3, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(quantile_of({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(quantile_of({10, 20, 30, 40, 50}, 0.9), 46);  // type 7: at position 3.6
  EXPECT_DOUBLE_EQ(quantile_of({7}, 0.99), 7);
  EXPECT_DOUBLE_EQ(quantile_of({}, 0.5), 0);
}

TEST(Stats, MeanSpreadAndConfidenceIntervalByHand) {
  const std::array<double, 5> x = {2, 4, 4, 4, 6};
  EXPECT_DOUBLE_EQ(mean_of(x), 4);
  EXPECT_DOUBLE_EQ(stddev_of(x), std::sqrt(2.0));
  EXPECT_NEAR(ci95_half_width(x), 2.776 * std::sqrt(2.0 / 5), 1e-12);  // t of 4 degrees of freedom
  const std::array<double, 1> one = {3};
  EXPECT_EQ(stddev_of(one), 0);
  EXPECT_EQ(ci95_half_width(one), 0);
  EXPECT_EQ(mean_of({}), 0);
  EXPECT_EQ(mean_if_any({}), std::nullopt);
  EXPECT_EQ(mean_if_any(x), mean_of(x));
}

TEST(Clock, IsMonotonicInSecondsAndNanoseconds) {
  const MonotonicClock clock;
  const double a_s = clock.now_s();
  const std::int64_t ns = monotonic_ns();
  const double b_s = clock.now_s();
  EXPECT_LE(a_s, b_s);
  EXPECT_NEAR(static_cast<double>(ns) * 1e-9, a_s, 5) << "one clock, two units";
}

}  // namespace
}  // namespace reins
