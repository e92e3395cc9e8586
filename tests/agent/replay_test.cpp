#include "agent/replay.hpp"

#include <array>
#include <set>

#include "tests/support/matchers.hpp"

namespace reins::agent {
namespace {

using ::reins::testing::IsError;
using ::testing::HasSubstr;

void add(Replay& replay, int i) {
  const std::array<float, 2> obs = {static_cast<float>(i), -1}, next_obs = {static_cast<float>(i) + 0.5F, -2};
  Transition t;
  t.obs = obs;
  t.next_obs = next_obs;
  t.mask.mappings = static_cast<std::uint32_t>(i);
  t.next_mask.opps[7] = static_cast<std::uint64_t>(i) << 20;
  t.choice = {1, 2, 3, static_cast<std::uint8_t>(i)};
  t.reward = static_cast<float>(10 * i);
  t.penalty = static_cast<float>(3 * i);
  t.time_s = 0.25F;
  t.discount = 0.5F;
  replay.add(t);
}

TEST(Replay, KeepsTheNewestOfItsCapacity) {
  Replay replay(5, 2);
  for (int i = 0; i < 13; ++i) add(replay, i);
  EXPECT_EQ(replay.size(), 5U);
  std::set<float> kept;
  for (std::size_t i = 0; i < replay.size(); ++i) kept.insert(replay.at(i).obs[0]);
  EXPECT_EQ(kept, (std::set<float>{8, 9, 10, 11, 12}));
}

TEST(Replay, SamplesWholeTransitionsUniformly) {
  Replay replay(8, 2);
  for (int i = 0; i < 6; ++i) add(replay, i);  // not full: the unused rows must not be drawn
  Rng rng(3);
  Batch batch;
  std::array<int, 6> drawn{};
  for (int round = 0; round < 100; ++round) {
    replay.sample(rng, 60, batch);
    for (std::size_t b = 0; b < batch.size; ++b) {
      const auto i = static_cast<std::size_t>(batch.obs[2 * b]);
      ASSERT_LT(i, 6U);
      ++drawn[i];
      ASSERT_EQ(batch.obs[2 * b + 1], -1.0F);
      ASSERT_EQ(batch.next_obs[2 * b], static_cast<float>(i) + 0.5F);
      ASSERT_EQ(batch.mask[b].mappings, i);
      ASSERT_EQ(batch.next_mask[b].opps[7], i << 20);
      ASSERT_EQ(batch.choice[b].park, i);
      ASSERT_EQ(batch.reward[b], static_cast<float>(10 * i));
      ASSERT_EQ(batch.penalty[b], static_cast<float>(3 * i));
      ASSERT_EQ(batch.time_s[b], 0.25F);
      ASSERT_EQ(batch.discount[b], 0.5F);
    }
  }
  // 6000 draws, 1000 each expected, sigma 29: six sigma is one failure in 10^8 for another seed.
  for (const int count : drawn) EXPECT_NEAR(count, 1000, 175);
}

TEST(Replay, ComesBackAsItWasSaved) {
  Replay replay(4, 2);
  for (int i = 0; i < 6; ++i) add(replay, i);
  const std::string bytes = replay.save();
  Replay other(4, 2);
  ASSERT_OK(other.restore(bytes));
  add(replay, 6);
  add(other, 6);
  EXPECT_EQ(other.save(), replay.save());
  Replay bigger(5, 2);
  EXPECT_THAT(bigger.restore(bytes), IsError(ErrorKind::kGarbled, HasSubstr("another size")));
  EXPECT_THAT(other.restore(bytes.substr(0, bytes.size() - 1)),
              IsError(ErrorKind::kGarbled, HasSubstr("another size")));
  EXPECT_THAT(other.restore(""), IsError(ErrorKind::kGarbled, HasSubstr("another size")));
}

}  // namespace
}  // namespace reins::agent
