// Costs of the rival networks, against numbers worked out by hand.
#include "training/rivals.hpp"

#include <gtest/gtest.h>

#include "tests/support/matchers.hpp"
#include "training/net_compare.hpp"

namespace reins::training {
namespace {

using inference::GroupArchitecture;
using inference::Stage;

/// 8x8 images. One group: 9*3*4*64 + 9*4*8*16 + 8*16*10 = 6912 + 4608 + 1280 = 12,800 multiply-accumulates.
GroupArchitecture tiny() {
  GroupArchitecture a;
  a.groups = 2;
  a.size = 8;
  a.stages = {{4, true}, {8, false}};
  return a;
}

TEST(DenseNetwork, CostsWhatTheLevelCostsAsNearlyAsWholeChannelsAllow) {
  const auto one = dense_of(tiny(), 0);
  ASSERT_OK(one);
  EXPECT_EQ(one->stages, tiny().stages) << "one group is a dense network already";
  // Of the widenings by one factor, (6, 13) costs 10,368 + 11,232 + 2,080 = 23,680 and (7, 13), the next, 27,280:
  // that is nearer to 25,600.
  const auto two = dense_of(tiny(), 1);
  ASSERT_OK(two);
  EXPECT_EQ(two->stages, (std::vector<Stage>{{7, true}, {13, false}}));
  EXPECT_EQ(two->groups, 1);
}

TEST(DenseNetwork, RefusesWhatWouldNeedMoreChannelsThanThereMayBe) {
  GroupArchitecture wide;
  wide.stages = {{300, true}, {300, true}};
  EXPECT_THAT(dense_of(wide, 3), reins::testing::IsError(ErrorKind::kUsage, ::testing::HasSubstr("512 channels")));
}

TEST(SlimmableNetwork, CountsWhatAWidthUsesAndWhatStaysInMemory) {
  const auto a = SlimmableArchitecture::of(tiny());
  ASSERT_OK(a);
  EXPECT_EQ(a->macs(0), 12'800);
  EXPECT_EQ(a->macs(1), 27'280);
  // Weights 108 + 288, scale and shift of 12 channels, columns 8*16*10, bias 10.
  EXPECT_EQ(a->parameters(0), 108 + 288 + 24 + 1280 + 10);
  // Weights 189 + 819, scale and shift of 20 channels, columns 13*16*10, bias 10.
  EXPECT_EQ(a->parameters(1), 189 + 819 + 40 + 2080 + 10);
  EXPECT_EQ(a->resident_parameters(), a->parameters(1) + 24) << "the narrow width's scales and shifts beside the rest";
}

TEST(EarlyExitNetwork, CountsTheChainAndTheOneExitThatAnswers) {
  const auto a = EarlyExitArchitecture::of(tiny());
  ASSERT_OK(a);
  // Chain 11,520, two convolutions at 4x4, exit 160 c: 24,576 at c = 6, 27,760 at c = 7.
  EXPECT_EQ(a->widths, std::vector<std::int64_t>{6});
  EXPECT_EQ(a->macs(0), 12'800);
  EXPECT_EQ(a->macs(1), 11'520 + 9 * (8 * 6 + 6 * 6) * 16 + 6 * 16 * 10);
  EXPECT_EQ(a->parameters(0), 4 * 28 + 8 * 37 + 8 * 16 * 10 + 10);
  EXPECT_EQ(a->parameters(1), 4 * 28 + 8 * 37 + 6 * 73 + 6 * 55 + 6 * 16 * 10 + 10);
  EXPECT_EQ(a->resident_parameters(), a->parameters(1) + 8 * 16 * 10 + 10) << "the first exit beside the rest";
}

TEST(Rivals, CostTheSameAsTheGroupNetworkAtEveryLevel) {
  for (const std::int64_t groups : {4, 8}) {
    for (const bool shipped : {true, false}) {
      NetTrainConfig training;
      training.dataset = shipped ? "cifar10" : "synthetic";
      fill_defaults(training);
      training.architecture.groups = groups;
      const auto incremental = describe_row(NetRow::kIncremental, training, 1000);
      ASSERT_OK(incremental);
      // The synthetic network's few channels leave larger steps.
      const double within = shipped ? 0.01 : 0.02;
      for (const NetRow row : kNetRows) {
        const auto described = describe_row(row, training, 1000);
        ASSERT_OK(described);
        ASSERT_EQ(described->levels.size(), static_cast<std::size_t>(groups));
        for (std::size_t i = 0; i < described->levels.size(); ++i) {
          const double wanted = incremental->levels[i].macs;
          EXPECT_NEAR(described->levels[i].macs, wanted, within * wanted) << name_of(row) << " level " << i + 1;
          if (i > 0) {
            EXPECT_GT(described->levels[i].macs, described->levels[i - 1].macs);
          }
        }
      }
    }
  }
}

TEST(Rivals, WidthsNeverShrinkFromOneLevelToTheNext) {
  GroupArchitecture shipped;
  shipped.groups = 8;
  const auto a = SlimmableArchitecture::of(shipped);
  ASSERT_OK(a);
  for (std::size_t level = 1; level < a->widths.size(); ++level) {
    for (std::size_t s = 0; s < shipped.stages.size(); ++s) {
      EXPECT_GE(a->widths[level].stages[s].channels, a->widths[level - 1].stages[s].channels);
    }
  }
}

TEST(Rivals, MemoryAndTrainingOfEachRow) {
  NetTrainConfig training;
  training.architecture = tiny();
  training.batch = 100;
  training.epochs = 3;
  // 250 images are two batches of 100 an epoch.
  const double images = 600;
  const auto row = [&](NetRow which) { return describe_row(which, training, 250).value(); };
  const double group = 4 * 28 + 8 * 37 + 1280;  // without the bias that all groups share
  EXPECT_EQ(row(NetRow::kIncremental).resident_bytes, 4 * (2 * group + 10));
  EXPECT_EQ(row(NetRow::kPruned).resident_bytes, 4 * (2 * group + 10));
  EXPECT_EQ(row(NetRow::kStaticGroups).resident_bytes, 4 * (3 * group + 20));
  EXPECT_EQ(row(NetRow::kStaticGroups).models, 2);
  EXPECT_EQ(row(NetRow::kStatic).models, 2);
  EXPECT_EQ(row(NetRow::kEarlyExit).models, 1);
  // Forward and backward are three; the second group's steps run the first one forward as well.
  EXPECT_EQ(row(NetRow::kIncremental).training_macs, images * (3 + 4) * 12'800);
  EXPECT_EQ(row(NetRow::kPruned).training_macs, images * 3 * 25'600);
  EXPECT_EQ(row(NetRow::kStaticGroups).training_macs, images * 3 * (12'800 + 25'600));
  EXPECT_EQ(row(NetRow::kSlimmable).training_macs, images * 3 * (12'800 + 27'280));
  EXPECT_EQ(row(NetRow::kEarlyExit).training_macs, images * 3 * (24'576 + 1'280));
}

}  // namespace
}  // namespace reins::training
