// Replays the committed corpus through the fuzzers' entry points, in every build and under every sanitizer.
#include <algorithm>
#include <filesystem>
#include <set>

#include "core/file.hpp"
#include "fuzz/targets.hpp"
#include "tests/support/matchers.hpp"

namespace reins::fuzz {
namespace {

namespace fs = std::filesystem;

const fs::path kCorpus = fs::path(REINS_SOURCE_DIR) / "fuzz/corpus";

/// Which files of a folder its target takes.
std::set<std::string> taken(std::string_view folder) {
  const auto target = std::find_if(kTargets.begin(), kTargets.end(), [&](const Target& t) { return t.name == folder; });
  std::set<std::string> names;
  int files = 0;
  for (const auto& entry : fs::directory_iterator(kCorpus / folder)) {
    const auto bytes = read_file(entry.path());
    EXPECT_OK(bytes);
    if (target->read(bytes.value_or(""))) names.insert(entry.path().filename().string());
    ++files;
  }
  EXPECT_GT(files, 3) << folder;
  return names;
}

using Names = std::set<std::string>;

TEST(FuzzCorpus, OfNetworkFilesIsReadAndWhatIsWrongRefused) {
  EXPECT_EQ(taken("network_file"), (Names{"float16", "float32", "added-to"}));
}

TEST(FuzzCorpus, OfCifar10IsReadAndWhatIsWrongRefused) { EXPECT_EQ(taken("cifar10"), Names{"two-records"}); }

TEST(FuzzCorpus, OfPolicyFilesIsReadAndWhatIsWrongRefused) { EXPECT_EQ(taken("policy_file"), Names{"body"}); }

TEST(FuzzCorpus, OfMessagesIsReadAndWhatIsWrongRefused) {
  EXPECT_EQ(taken("messages"), (Names{"infer", "infer-float32", "goal", "status", "reply-infer", "reply-goal",
                                      "reply-status", "reply-metrics", "reply-fault"}));
}

// A seed of an older format would fuzz nothing but its refusal: fuzz_write_seeds writes them again.
TEST(FuzzCorpus, HoldsTheSeedsAsThisVersionWritesThem) {
  for (const auto& [name, bytes] : seeds()) {
    const auto committed = read_file(kCorpus / name);
    ASSERT_OK(committed);
    EXPECT_TRUE(*committed == bytes) << name;
  }
}

TEST(FuzzCorpus, NoCutOfANetworkFileIsTaken) {
  const std::string whole = seeds().at("network_file/float16");
  ASSERT_TRUE(read_network_file(whole));
  // Behind the last tensor lies padding alone.
  for (std::size_t n = 0; n + 64 <= whole.size(); n += 7) EXPECT_FALSE(read_network_file({whole.data(), n})) << n;
}

}  // namespace
}  // namespace reins::fuzz
