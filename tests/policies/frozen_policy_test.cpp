#include "policies/frozen_policy.hpp"

#include <algorithm>
#include <bit>

#include "tests/policies/random_network.hpp"
#include "tests/policies/small_board.hpp"
#include "tests/support/matchers.hpp"

namespace reins::policies {
namespace {

using ::reins::testing::IsError;
using ::reins::testing::random_features;
using ::reins::testing::random_mask;
using ::reins::testing::random_network;
using ::reins::testing::small_board;
using ::testing::HasSubstr;

ActionSpace small_space() { return *ActionSpace::make(small_board(), 3); }

// The forward pass as its definition reads.
std::vector<float> plain_dense(const DenseLayer& layer, const std::vector<float>& x) {
  std::vector<float> y = layer.bias;
  for (std::size_t i = 0; i < layer.in; ++i) {
    for (std::size_t j = 0; j < layer.out; ++j) y[j] += x[i] * layer.weight[i * layer.out + j];
  }
  return y;
}

std::vector<float> plain_relu(std::vector<float> x) {
  for (float& v : x) v = std::max(v, 0.0F);
  return x;
}

HeadValues plain_values(const PolicyNetwork& n, const ActionSpace& space, const std::vector<float>& x,
                        const HeadChoice& c) {
  const auto h = plain_relu(plain_dense(n[LayerName::kTrunk2], plain_relu(plain_dense(n[LayerName::kTrunk1], x))));
  std::vector<float> mapping(n.shape.mappings), level(n.shape.levels);
  mapping[c.mapping] = 1;
  level[c.level] = 1;
  const auto with = [&](std::initializer_list<std::vector<float>> parts) {
    std::vector<float> all = h;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const auto head = [&](LayerName hidden, const std::vector<float>& in) {
    return plain_relu(plain_dense(n[hidden], in));
  };
  HeadValues all;
  const auto put = [](const std::vector<float>& from, auto& to) { std::copy(from.begin(), from.end(), to.begin()); };
  const auto m = head(LayerName::kMappingHidden, h);
  put(plain_dense(n[LayerName::kMappingOut], m), all.mapping);
  all.value = plain_dense(n[LayerName::kValueOut], m)[0];
  put(plain_dense(n[LayerName::kLevelOut], head(LayerName::kLevelHidden, with({mapping}))), all.level);
  put(plain_dense(n[LayerName::kOppOut], head(LayerName::kOppHidden, with({mapping, level}))), all.opp);
  const auto reached = [&](std::size_t o) {
    const std::size_t feature = n.reach[c.mapping][o];
    return feature != 0 ? x[feature - 1] : 0.0F;
  };
  for (std::size_t o = 0; o < n.shape.opps; ++o) all.opp[o] += n[LayerName::kOppReach].weight[o] * reached(o);
  std::vector<float> of_point(2 + n.shape.opps);
  of_point[0] = space.mappings[c.mapping].relative[c.opp];
  of_point[1] = reached(c.opp);
  of_point[2 + c.opp] = 1;
  put(plain_dense(n[LayerName::kParkOut], head(LayerName::kParkHidden, with({mapping, level, of_point}))), all.park);
  return all;
}

TEST(NetworkForward, GivesThePlainForwardPassToTheLastBit) {
  const ActionSpace space = small_space();
  for (const NetworkShape& shape : {NetworkShape::of(7, space), NetworkShape::of(kMaxFeatures, space, 128, 64),
                                    NetworkShape::of(1, space, 64, 96), NetworkShape::of(33, space, 256, 128)}) {
    const PolicyNetwork network = random_network(shape, shape.features);
    const auto forward = NetworkForward::make(network, space);
    ASSERT_OK(forward);
    Rng rng(7);
    for (int i = 0; i < 50; ++i) {
      const std::vector<float> x = random_features(shape.features, rng);
      const ActionMask mask = random_mask(space, rng);
      const HeadChoice c = forward->choose(x, mask);
      const HeadValues want = plain_values(network, space, x, c);
      const HeadValues got = forward->values(x, c);
      for (std::size_t j = 0; j < shape.mappings; ++j) ASSERT_EQ(got.mapping[j], want.mapping[j]);
      for (std::size_t j = 0; j < shape.levels; ++j) ASSERT_EQ(got.level[j], want.level[j]);
      for (std::size_t j = 0; j < shape.opps; ++j) ASSERT_EQ(got.opp[j], want.opp[j]);
      for (std::size_t j = 0; j < shape.opps; ++j) ASSERT_EQ(got.park[j], want.park[j]);
      ASSERT_EQ(got.value, want.value);
      ASSERT_EQ(forward->park_value(x, c), want.value + want.park[c.park]);
      // Each head's choice is the best of what its mask allows.
      const auto best = [](const auto& values, std::uint64_t bits) {
        int at = -1;
        for (int j = 0; j < static_cast<int>(values.size()); ++j) {
          if (((bits >> j) & 1U) != 0 &&
              (at < 0 || values[static_cast<std::size_t>(j)] > values[static_cast<std::size_t>(at)]))
            at = j;
        }
        return at;
      };
      ASSERT_EQ(c.mapping, best(want.mapping, mask.mappings));
      ASSERT_EQ(c.level, best(want.level, mask.levels));
      ASSERT_EQ(c.opp, best(want.opp, mask.opps[c.mapping]));
      ASSERT_EQ(c.park, best(want.park, mask.parks(c.mapping)));
    }
  }
}

TEST(NetworkForward, RespectsEveryMaskGreedyOrDrawn) {
  const ActionSpace space = small_space();
  const PolicyNetwork network = random_network(NetworkShape::of(12, space), 3);
  const auto forward = NetworkForward::make(network, space);
  ASSERT_OK(forward);
  Rng rng(5);
  for (int i = 0; i < 20000; ++i) {
    const ActionMask mask = random_mask(space, rng);
    HeadDraws draws = kGreedy;
    for (auto& draw : draws) {
      if (rng.below(2) == 0) draw = static_cast<std::int64_t>(rng.next() >> 1);
    }
    const HeadChoice c = forward->choose(random_features(12, rng), mask, draws);
    const Action a = action_of(c);
    ASSERT_TRUE(mask.allows(a.mapping) && mask.allows(a.level) && mask.allows(a.mapping, a.opp));
    ASSERT_TRUE(((mask.parks(c.mapping) >> c.park) & 1U) != 0);
  }
}

TEST(ActionMask, ParksWhereRestingCostsLeast) {
  ActionMask mask;
  mask.opps = {0b11111, 0b111};
  mask.park = {0b00001, 0};
  EXPECT_EQ(mask.parks(0), 0b00001U);
  EXPECT_EQ(mask.parks(1), 0b111U) << "not known: anywhere";
}

TEST(NetworkForward, TakesTheDrawnChoiceInsteadOfTheBestOne) {
  const ActionSpace space = small_space();
  const auto forward = NetworkForward::make(random_network(NetworkShape::of(4, space), 3), space);
  ASSERT_OK(forward);
  ActionMask mask;
  mask.mappings = 0b110;
  mask.levels = 0b101;
  mask.opps = {0b111, 0b11011, 0b10100};
  const std::vector<float> x(4, 0.5F);
  EXPECT_EQ(forward->choose(x, mask, {1, 1, 3, 2}), (HeadChoice{2, 2, 4, 2}));
  EXPECT_EQ(forward->choose(x, mask, {0, 0, 2, 3}), (HeadChoice{1, 0, 3, 4}));
}

TEST(NetworkForward, RefusesANetworkThatDoesNotFit) {
  const ActionSpace space = small_space();
  PolicyNetwork network = random_network(NetworkShape::of(4, space), 3);
  ActionSpace other = space;
  other.levels = 2;
  EXPECT_THAT(NetworkForward::make(network, other), IsError(ErrorKind::kMismatch, HasSubstr("heads")));
  network[LayerName::kOppOut].weight[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(NetworkForward::make(network, space), IsError(ErrorKind::kGarbled, HasSubstr("opp_out")));
  network[LayerName::kOppOut].weight.pop_back();
  EXPECT_THAT(NetworkForward::make(network, space), IsError(ErrorKind::kGarbled, HasSubstr("opp_out")));
  EXPECT_THAT(NetworkForward::make(PolicyNetwork::zeros(NetworkShape::of(4, space, 65, 32)), space),
              IsError(ErrorKind::kUnsupported, HasSubstr("multiple")));
}

ObservationSpec named_table(std::initializer_list<const char*> names) {
  ObservationSpec spec;
  for (const char* name : names) spec.features.push_back({name, "1", "as it is", false});
  return spec;
}

TEST(Binding, MovesAPolicyToASisterBoardBySlotAndRelativeFrequency) {
  const ActionSpace from = small_space();
  boards::Board sister = small_board();
  sister.name = "sister";
  sister.clusters[1].opps = {{500000, 0.9}, {1000000, 1.0}, {3000000, 1.2}};
  sister.mappings = {{"cortex-x4", "big-all", ClusterId(1), 4, 1},
                     {"odd-one", "gpu", ClusterId(1), 1, 1},
                     {"little-x2", "little-all", ClusterId(0), 2, 1}};
  const ActionSpace to = *ActionSpace::make(sister, 3);
  std::string notes;
  const auto binding = Binding::sister(from, named_table({"a", "b"}), to, named_table({"b", "new", "a"}), &notes);
  ASSERT_OK(binding);
  EXPECT_THAT(notes, HasSubstr("odd-one"));
  const PolicyNetwork network = random_network(NetworkShape::of(2, from), 9);
  const auto there = FrozenPolicy::make(network, from, Binding::identity(from, 2));
  const auto here = FrozenPolicy::make(network, from, *binding);
  ASSERT_OK(there);
  ASSERT_OK(here);

  Rng rng(2);
  ActionMask all_there, all_here;
  all_there.mappings = 0b101;  // the two that have a counterpart
  all_there.levels = all_here.levels = 0b111;
  all_there.opps = {0b111, 0b11111, 0b11111};
  all_here.mappings = 0b111;
  all_here.opps = {0b111, 0b111, 0b111};
  for (int i = 0; i < 200; ++i) {
    const float a = static_cast<float>(rng.normal()), b = static_cast<float>(rng.normal());
    const Action want = there->decide(std::array<float, 2>{a, b}, all_there);
    const Action got = here->decide(std::array<float, 3>{b, 99.0F, a}, all_here);
    EXPECT_EQ(got.level, want.level);
    EXPECT_EQ(got.mapping, want.mapping == MappingId(0) ? MappingId(2) : MappingId(0));
    if (want.mapping == MappingId(2)) {
      // 0.2, 0.4, 0.6, 0.8, 1.0 of the top there; 0.167, 0.333, 1.0 here.
      constexpr std::array<int, 5> kNearest = {0, 1, 1, 2, 2};
      EXPECT_EQ(got.opp.value, kNearest[want.opp.index()]);
      EXPECT_EQ(got.park.value, kNearest[want.park.index()]);
    } else {
      EXPECT_EQ(got.opp, want.opp);
    }
  }
  for (int i = 0; i < 5000; ++i) {
    const ActionMask mask = random_mask(to, rng);
    const Action a = here->decide(random_features(3, rng), mask);
    ASSERT_TRUE(mask.allows(a.mapping) && mask.allows(a.level) && mask.allows(a.mapping, a.opp));
    ASSERT_TRUE(((mask.parks(a.mapping.index()) >> a.park.index()) & 1U) != 0);
    ASSERT_TRUE(a.mapping != MappingId(1) || mask.mappings == 0b010)
        << "the mapping without counterpart was not forced";
  }
}

TEST(Binding, RefusesBoardsThatShareNothing) {
  const ActionSpace from = small_space();
  ActionSpace to = from;
  const ObservationSpec table = named_table({"a"});
  EXPECT_THAT(Binding::sister(from, table, to, named_table({"b"})),
              IsError(ErrorKind::kMismatch, ::testing::AllOf(HasSubstr("'a'"), HasSubstr("have the same names"))));
  ObservationSpec scaled = table;
  scaled.features[0].normaliser = "/ 2";
  EXPECT_THAT(Binding::sister(from, table, to, scaled), IsError(ErrorKind::kMismatch, HasSubstr("'a'")));
  for (MappingSlot& slot : to.mappings) slot.slot = "npu-" + slot.slot;
  EXPECT_THAT(Binding::sister(from, table, to, table), IsError(ErrorKind::kMismatch, HasSubstr("slot")));
  to = from;
  to.levels = 2;
  EXPECT_THAT(Binding::sister(from, table, to, table), IsError(ErrorKind::kMismatch, HasSubstr("levels")));
}

TEST(Binding, ReadsTheRungOfThePointThatAPointIsBoundTo) {
  const ActionSpace from = small_space();
  ActionSpace to = from;
  to.board = "sister";
  const std::size_t big = 2, points = from.mappings[big].freq_khz.size();
  to.mappings[big].freq_khz.clear();
  for (std::size_t i = 1; i <= 2 * points; ++i)
    to.mappings[big].freq_khz.push_back(static_cast<std::int64_t>(i) * 1000);
  to.mappings[big].relative = relative_capacity(to.mappings[big].freq_khz);
  const auto table = [&](std::size_t count) {
    ObservationSpec spec;
    for (std::size_t i = 1; i <= count; ++i)
      spec.features.push_back({"keeps." + from.mappings[big].name + "." + std::to_string(i), "1", "", false});
    return spec;
  };
  const auto binding = Binding::sister(from, table(points), to, table(2 * points));
  ASSERT_OK(binding);

  // All weights zero but the reach of the points: the fastest that keeps the pace is wanted.
  PolicyNetwork network = PolicyNetwork::zeros(NetworkShape::of(points, from));
  network[LayerName::kMappingOut].bias[big] = 1;
  for (std::size_t o = 0; o < points; ++o) {
    network.reach[big][o] = static_cast<std::uint8_t>(o + 1);
    network[LayerName::kOppReach].weight[o] = static_cast<float>(points - o);
  }
  const auto policy = FrozenPolicy::make(network, from, *binding);
  ASSERT_OK(policy);
  ActionMask mask;
  mask.mappings = 0b111;
  mask.levels = 0b111;
  for (std::size_t m = 0; m < 3; ++m) mask.opps[m] = (std::uint64_t{1} << to.opps(MappingId(m))) - 1;
  for (std::size_t needed = 0; needed < points; ++needed) {
    // Point `needed` of the policy's board is point 2 * needed + 1 here, the slowest that keeps the pace.
    std::vector<float> features(2 * points);
    for (std::size_t o = 2 * needed + 1; o < 2 * points; ++o) features[o] = 1;
    EXPECT_EQ(policy->decide(features, mask).opp, OppId(2 * needed + 1));
  }
}

}  // namespace
}  // namespace reins::policies
