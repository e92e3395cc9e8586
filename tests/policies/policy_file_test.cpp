#include "policies/policy_file.hpp"

#include <filesystem>

#include "core/file.hpp"
#include "core/pack.hpp"
#include "tests/policies/sample_policy.hpp"
#include "tests/support/matchers.hpp"

namespace reins::policies {
namespace {

using ::reins::testing::IsError;
using ::reins::testing::sample_policy;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

PolicyFile decided() {
  PolicyFile file = sample_policy();
  const Status status = decide_examples(file);
  EXPECT_OK(status);
  return file;
}

PolicyUse use_of(const PolicyFile& file) { return {file.space, file.observation, file.network_fingerprint, false}; }

TEST(PolicyFile, ReadsBackEverythingItWrote) {
  const PolicyFile file = decided();
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "reins_policy_test.policy";
  ASSERT_OK(write_policy(file, path));
  const auto back = read_policy(path);
  ASSERT_OK(back);
  EXPECT_EQ(*back, file);
  const auto loaded = load_policy(path, use_of(file), "mine");
  std::filesystem::remove(path);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->warning, "");
  EXPECT_EQ(loaded->policy.name(), "mine");
  for (const PolicyExample& example : file.examples) {
    EXPECT_EQ(loaded->policy.decide(example.features, example.mask), action_of(example.choice));
  }
}

TEST(PolicyFile, NoticesEveryByteThatWasChanged) {
  const PolicyFile file = decided();
  const auto bytes = format_policy(file);
  ASSERT_OK(bytes);
  ASSERT_OK(parse_policy(*bytes, "p"));
  Rng rng(1);
  const auto refused = [&](std::size_t at, char flip) {
    std::string bad = *bytes;
    bad[at] = static_cast<char>(bad[at] ^ flip);
    return !parse_policy(bad, "p").has_value();
  };
  // Head and tail in every bit, the rest at every place of a stride with a random flip.
  for (std::size_t at = 0; at < bytes->size(); at += at < 64 || at + 64 > bytes->size() ? 1 : 97) {
    if (at < 64) {
      for (int bit = 0; bit < 8; ++bit)
        ASSERT_TRUE(refused(at, static_cast<char>(1 << bit))) << "byte " << at << " bit " << bit;
    }
    ASSERT_TRUE(refused(at, static_cast<char>(1 + rng.below(255)))) << "byte " << at;
  }
}

TEST(PolicyFile, RefusesEveryLengthButItsOwn) {
  const auto bytes = format_policy(decided());
  ASSERT_OK(bytes);
  for (std::size_t length = 0; length < bytes->size(); length += length < 64 ? 1 : 211) {
    ASSERT_THAT(parse_policy(bytes->substr(0, length), "p"), IsError(ErrorKind::kGarbled, HasSubstr("cut short")))
        << length;
  }
  EXPECT_THAT(parse_policy(*bytes + "x", "p"), IsError(ErrorKind::kGarbled, HasSubstr("damaged")));
}

TEST(PolicyFile, TellsAStrangersFileAnotherSchemaAndAMissingOneApart) {
  EXPECT_THAT(parse_policy("\x89PNG\r\n\x1a\nwhatever it is", "p"),
              IsError(ErrorKind::kGarbled, HasSubstr("not a Reins policy file")));
  EXPECT_THAT(parse_policy(pack(Value::Array{"reins-policy", 99, 0, Value::Binary{"x"}}), "p"),
              IsError(ErrorKind::kMismatch, AllOf(HasSubstr("schema 99"), HasSubstr("the program that froze it"))));
  EXPECT_THAT(parse_policy(pack(Value::Array{"reins-policy", 1, 0, Value::Binary{"x"}}), "p"),
              IsError(ErrorKind::kMismatch, AllOf(HasSubstr("schema 1"), HasSubstr("train it anew"))));
  EXPECT_THAT(read_policy("/nonexistent/x.policy"), IsError(ErrorKind::kNotFound, HasSubstr("x.policy")));
  const std::string body = pack(Value::Map{{"space", 1}});
  EXPECT_THAT(parse_policy(pack(Value::Array{"reins-policy", kPolicySchema, static_cast<std::int64_t>(crc32(body)),
                                             Value::Binary{body}}),
                           "p"),
              IsError(ErrorKind::kGarbled, Not(HasSubstr("checksum"))));
}

TEST(PolicyFile, RefusesADecisionThatComesOutOtherwise) {
  PolicyFile file = decided();
  const auto good = format_policy(file);
  ASSERT_OK(good);
  HeadChoice& choice = file.examples[4].choice;
  choice.park = static_cast<std::uint8_t>(choice.park + 1);
  EXPECT_THAT(format_policy(file), IsError(ErrorKind::kMismatch, HasSubstr("example 5")));

  // A file that says so, with every checksum right.
  const auto outer = unpack(*good, "p");
  ASSERT_OK(outer);
  const auto body = unpack(*(*outer->array())[3].binary(), "p");
  ASSERT_OK(body);
  Value::Map map = *body->map();
  Value::Array examples = *map["examples"].array();
  Value::Map example = *examples[0].map();
  Value::Array decision = *example["choice"].array();
  decision[3] = Value(*decision[3].integer() + 1);
  example["choice"] = decision;
  examples[0] = example;
  map["examples"] = examples;
  const std::string changed = pack(map);
  EXPECT_THAT(parse_policy(pack(Value::Array{"reins-policy", kPolicySchema, static_cast<std::int64_t>(crc32(changed)),
                                             Value::Binary{changed}}),
                           "p"),
              IsError(ErrorKind::kMismatch, HasSubstr("example 1")));
}

TEST(PolicyFile, WantsExamplesThatFit) {
  PolicyFile file = decided();
  file.examples[0].mask.levels = 0;
  EXPECT_THAT(decide_examples(file), IsError(ErrorKind::kUsage, HasSubstr("mask")));
  file = decided();
  file.examples[0].mask.mappings = 0b1000;
  EXPECT_THAT(decide_examples(file), IsError(ErrorKind::kUsage, HasSubstr("mask")));
  file = decided();
  file.examples.clear();
  EXPECT_THAT(format_policy(file), IsError(ErrorKind::kGarbled, HasSubstr("no example")));
  file = decided();
  file.observation.features.pop_back();
  EXPECT_THAT(format_policy(file), IsError(ErrorKind::kGarbled, HasSubstr("observation table")));
}

TEST(PolicyFile, RefusesAReachOrAParkPointThatThereIsNot) {
  PolicyFile file = decided();
  file.network.reach[0][0] = static_cast<std::uint8_t>(file.network.shape.features + 1);
  EXPECT_THAT(format_policy(file), IsError(ErrorKind::kGarbled, HasSubstr("reach")));
  file = decided();
  file.examples[0].mask.park[0] = std::uint64_t{1} << file.space.mappings[0].freq_khz.size();
  EXPECT_THAT(decide_examples(file), IsError(ErrorKind::kUsage, HasSubstr("mask")));

  // The same with every checksum right.
  const auto good = format_policy(decided());
  ASSERT_OK(good);
  const auto outer = unpack(*good, "p");
  ASSERT_OK(outer);
  const auto body = unpack(*(*outer->array())[3].binary(), "p");
  ASSERT_OK(body);
  const auto with_reach = [&](Value::Array reach) {
    Value::Map map = *body->map();
    Value::Map network = *map["network"].map();
    network["reach"] = std::move(reach);
    map["network"] = network;
    const std::string bytes = pack(map);
    return parse_policy(pack(Value::Array{"reins-policy", kPolicySchema, static_cast<std::int64_t>(crc32(bytes)),
                                          Value::Binary{bytes}}),
                        "p");
  };
  const Value::Array reach = *body->map()->at("network").map()->at("reach").array();
  EXPECT_OK(with_reach(reach));
  Value::Array changed = reach;
  changed.pop_back();
  EXPECT_THAT(with_reach(changed), IsError(ErrorKind::kGarbled, HasSubstr("reach")));
  for (const std::int64_t feature : {-1L, 255L, 1000L}) {
    changed = reach;
    changed[0] = Value(feature);
    EXPECT_THAT(with_reach(changed), IsError(ErrorKind::kGarbled, HasSubstr("reach")));
  }
}

TEST(PolicyFile, RefusesAnotherBoardUnlessTold) {
  const PolicyFile file = decided();
  ActionSpace other = file.space;
  other.board = "other";
  other.mappings[2].freq_khz = {1000000, 4000000};
  other.mappings[2].relative = {0.25F, 1};
  PolicyUse use{other, file.observation, "", false};
  EXPECT_THAT(
      bind_policy(file, use, "p"),
      IsError(ErrorKind::kMismatch, AllOf(HasSubstr("trained on board small, not other"), HasSubstr("--allow-board"))));
  use.allow_board = true;
  const auto bound = bind_policy(file, use, "p");
  ASSERT_OK(bound);
  EXPECT_THAT(bound->warning, AllOf(HasSubstr("small"), HasSubstr("other")));

  // The same board with another fingerprint: same slots, other physics.
  ActionSpace edited = file.space;
  edited.board_fingerprint = "ffff";
  PolicyUse edited_use{edited, file.observation, "", false};
  EXPECT_THAT(bind_policy(file, edited_use, "p"), IsError(ErrorKind::kMismatch, HasSubstr("another version")));
  edited_use.allow_board = true;
  const auto same_slots = bind_policy(file, edited_use, "p");
  ASSERT_OK(same_slots);
  EXPECT_NE(same_slots->warning, "");
  for (const PolicyExample& example : file.examples) {
    EXPECT_EQ(same_slots->policy.decide(example.features, example.mask), action_of(example.choice));
  }
}

/// The board itself, live, with an engine that runs on CPUs alone: the policy observes a mapping that is not there.
TEST(PolicyFile, NamesTheMappingsThatAreLeftOutHereAndDoesNotOfferWhatCannotHelp) {
  PolicyFile file = sample_policy();
  ActionSpace left = file.space;
  left.board_fingerprint = "ffff";
  left.mappings.erase(left.mappings.begin());
  ObservationSpec table = file.observation;
  table.features[0].name = "present.of-another";
  for (const bool allow_board : {false, true}) {
    EXPECT_THAT(bind_policy(file, {left, table, "", allow_board}, "p"),
                IsError(ErrorKind::kMismatch, AllOf(HasSubstr("with little-x2, left out"), HasSubstr("reins train"),
                                                    HasSubstr("--allow-board cannot"))));
  }
  // Where nothing that it observes is gone, it can still choose among the rest.
  EXPECT_THAT(bind_policy(file, {left, file.observation, "", false}, "p"),
              IsError(ErrorKind::kMismatch, AllOf(HasSubstr("little-x2"), HasSubstr("pass --allow-board"))));
  EXPECT_OK(bind_policy(file, {left, file.observation, "", true}, "p"));
}

TEST(PolicyFile, ComparesObservationTableLevelsAndNetwork) {
  const PolicyFile file = decided();
  ObservationSpec table = file.observation;
  table.features[2].normaliser = "x / 2";
  EXPECT_THAT(bind_policy(file, {file.space, table, "", false}, "p"),
              IsError(ErrorKind::kMismatch, HasSubstr("observation table")));
  ActionSpace space = file.space;
  space.levels = 2;
  EXPECT_THAT(bind_policy(file, {space, file.observation, "", false}, "p"),
              IsError(ErrorKind::kMismatch, HasSubstr("3 levels")));
  EXPECT_THAT(bind_policy(file, {file.space, file.observation, "net9", true}, "p"),
              IsError(ErrorKind::kMismatch, AllOf(HasSubstr("net0123"), HasSubstr("--allow-network"))));
  const auto other_network = bind_policy(file, {file.space, file.observation, "net9", false, true}, "p");
  ASSERT_OK(other_network);
  EXPECT_THAT(other_network->warning, HasSubstr("another network"));
}

}  // namespace
}  // namespace reins::policies
