// `reins net` as a user runs it, on the shipped networks and on the synthetic images.
#include "apps/net_command.hpp"

#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/wiring.hpp"
#include "core/file.hpp"
#include "inference/answers.hpp"
#include "tests/apps/run_command.hpp"
#include "tests/support/matchers.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

Outcome reins(std::vector<std::string> words) { return run_command({register_net}, std::move(words)); }

const fs::path kNetworks = fs::path(REINS_SOURCE_DIR) / "assets" / "networks";

class NetCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("reins-net-command-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(NetCommand, InfoDescribesTheShippedNetworkWhoseAccuracyRises) {
  for (const char* name : {"cifar10-group4", "synthetic-group4"}) {
    const Outcome text = reins({"net", "info", (kNetworks / name / "network.rnet").string(), "--layers"});
    EXPECT_EQ(text.code, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr(name), HasSubstr("group 4 classifier")));
    // Whose sums, and what for.
    EXPECT_EQ(
        text.out.find("MD5") != std::string::npos,
        text.out.find("the image files were hashed, to tell which copy of the data set they are: they have the MD5 "
                      "sums of") != std::string::npos);
    const Outcome made = reins({"net", "info", (kNetworks / name / "network.rnet").string(), "--json"});
    ASSERT_EQ(made.code, 0) << made.err;
    const auto document = nlohmann::json::parse(made.out);
    ASSERT_EQ(document["levels"].size(), 4U);
    for (std::size_t i = 1; i < 4; ++i) {
      EXPECT_GT(document["levels"][i]["accuracy"], document["levels"][i - 1]["accuracy"]) << name;
      EXPECT_GT(document["levels"][i]["macs"], document["levels"][i - 1]["macs"]) << name;
    }
    const auto answers = inference::Answers::read(kNetworks / name / "answers.rans");
    ASSERT_OK(answers);
    EXPECT_EQ(answers->network_fingerprint(), document["fingerprint"]);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(document["levels"][i]["accuracy"], answers->accuracy(LevelId(i))) << name;
    }
  }
}

// The synthetic images are drawn anew here; the shipped table was made elsewhere. A sum that rounds otherwise may turn
// a close call, no more.
TEST_F(NetCommand, EvalRepeatsTheShippedAnswersOnTheSyntheticImages) {
  const fs::path recorded = folder_ / "answers.rans";
  const Outcome made = reins({"net", "eval", (kNetworks / "synthetic-group4" / "network.rnet").string(), "--record",
                              recorded.string(), "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto again = inference::Answers::read(recorded);
  const auto shipped = inference::Answers::read(kNetworks / "synthetic-group4" / "answers.rans");
  ASSERT_OK(again);
  ASSERT_OK(shipped);
  ASSERT_EQ(again->images(), shipped->images());
  for (std::size_t level = 0; level < 4; ++level) {
    int different = 0;
    for (std::size_t i = 0; i < again->images(); ++i) {
      EXPECT_EQ(again->label(i), shipped->label(i));
      different += again->predicted(LevelId(level), i) != shipped->predicted(LevelId(level), i) ? 1 : 0;
    }
    EXPECT_LE(different, 4) << "of 2000, level " << level + 1;
  }
}

TEST_F(NetCommand, InfoTellsThePeakOfActivations) {
  const Outcome made = reins({"net", "info", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto levels = nlohmann::json::parse(made.out)["levels"];
  // 24 maps of 16x16 in and 48 of 8x8 out, 4 bytes each, a group.
  EXPECT_EQ(levels[0]["peak_activation_bytes"], 4 * (24 * 256 + 48 * 64));
  EXPECT_EQ(levels[3]["peak_activation_bytes"], 4 * 4 * (24 * 256 + 48 * 64));
  EXPECT_THAT(reins({"net", "info"}).out, AllOf(HasSubstr("peak KiB"), HasSubstr(" 144.0 ")));
}

TEST_F(NetCommand, EvalTakesTheRecordsOfAFile) {
  std::string records(12 * 3073, '\x40');
  for (std::size_t i = 0; i < 12; ++i) records[i * 3073] = static_cast<char>(i % 10);
  const fs::path file = folder_ / "some.bin";
  ASSERT_OK(write_file_atomic(file, records));
  const Outcome made = reins({"net", "eval", "--test-file", file.string(), "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto document = nlohmann::json::parse(made.out);
  EXPECT_EQ(document["images"], 12);
  EXPECT_EQ(document["dataset_title"], "CIFAR-10 (some.bin)");
  ASSERT_OK(write_file_atomic(file, records.substr(1)));
  const Outcome cut = reins({"net", "eval", "--test-file", file.string()});
  EXPECT_EQ(cut.code, 2);
  EXPECT_THAT(cut.err, AllOf(HasSubstr("some.bin"), HasSubstr("no whole number of records")));
}

TEST_F(NetCommand, EvalRefusesMoreThreadsThanCores) {
  const Outcome refused = reins({"net", "eval", "--threads", "64", "--test-file", "/dev/null"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("--threads"), HasSubstr("at most that many")));
}

TEST_F(NetCommand, SaysInOneLineWhatIsWrong) {
  Outcome outcome = reins({"net", "info", (folder_ / "absent.rnet").string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("absent.rnet"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
  ASSERT_OK(write_file_atomic(folder_ / "cut.rnet", "REINSNET"));
  outcome = reins({"net", "eval", (folder_ / "cut.rnet").string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("cut short"));
  outcome = reins({"net", "eval", (kNetworks / "cifar10-group4" / "network.rnet").string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--data"));
  outcome = reins({"net", "eval", "--data", folder_.string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("test_batch.bin"));
}

TEST_F(NetCommand, EvalRefusesAFolderToRecordInBeforeItRuns) {
  const Outcome refused = reins({"net", "eval", (folder_ / "absent.rnet").string(), "--record", folder_.string()});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr(folder_.string()), HasSubstr("this is a folder"))) << "not the network";
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
}

TEST_F(NetCommand, NamesAnUnknownCommand) {
  const Outcome refused = reins({"net", "trian"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.err, "reins: 'trian' is no command; known: train, compare, eval, info; see 'reins net --help'\n");
}

#ifdef REINS_TRAINING
TEST_F(NetCommand, ResumeWithoutACheckpointIsOneLine) {
  const fs::path out = folder_ / "nothing";
  const Outcome refused = reins({"net", "train", "--dataset", "synthetic", "--out", out.string(), "--resume"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("no checkpoint"), HasSubstr("leave out --resume")));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
  EXPECT_FALSE(fs::exists(out));
}

TEST_F(NetCommand, ABatchThatIsNoneIsRefused) {
  for (const char* batch : {"0", "1", "5000"}) {
    const Outcome refused =
        reins({"net", "train", "--dataset", "synthetic", "--out", (folder_ / "batch").string(), "--batch", batch});
    EXPECT_EQ(refused.code, 2) << batch;
    EXPECT_THAT(refused.err, AllOf(HasSubstr("--batch"), HasSubstr("2 to 4096")));
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
  }
}

TEST_F(NetCommand, TrainsOnFewImagesAndShips) {
  const std::string out = (folder_ / "net").string();
  const Outcome made = reins({"net", "train", "--dataset", "synthetic", "--out", out, "--epochs", "1", "--groups", "2",
                              "--stages", "4p,8p", "--images", "256", "--threads", "1", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(nlohmann::json::parse(made.out)["test_accuracy"].size(), 2U);
  EXPECT_EQ(reins({"net", "info", out + "/network.rnet"}).code, 0);
  EXPECT_EQ(reins({"net", "train", "--dataset", "synthetic", "--out", out}).code, 2);  // a checkpoint is there
  EXPECT_EQ(reins({"net", "train", "--dataset", "synthetic", "--out", out + "2", "--stages", "4q"}).code, 2);
  EXPECT_EQ(reins({"net", "train"}).code, 2);
}

TEST_F(NetCommand, TrainTakesTheGroupFamilyAndATeacherAndNoOther) {
  const std::string out = (folder_ / "taught").string();
  const auto train = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"net",      "train", "--dataset", "synthetic", "--out",    out,   "--epochs",  "1",
                                   "--groups", "2",     "--stages",  "4p,8p",     "--images", "128", "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return reins(words);
  };
  Outcome refused = train({"--family", "slimmable"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("'slimmable'"), HasSubstr("known: group"), HasSubstr("net compare")));
  refused = train({"--distil", "0.5"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--teacher"));
  refused = train({"--teacher", (folder_ / "absent.rnet").string()});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("absent.rnet"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
  EXPECT_FALSE(fs::exists(out)) << "nothing is begun that cannot be done";
  const Outcome made = train({"--family", "group", "--teacher",
                              (kNetworks / "synthetic-group4" / "network.rnet").string(), "--distil", "0.7"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(reins({"net", "info", out + "/network.rnet"}).out, HasSubstr("share 0.7"));
}

TEST_F(NetCommand, ComparesTheRowsThatAreAskedFor) {
  const std::string out = (folder_ / "families").string();
  const std::vector<std::string> words{"net",      "compare", "--dataset", "synthetic", "--out",    out,
                                       "--epochs", "1",       "--groups",  "2",         "--stages", "4p,8p",
                                       "--images", "128",     "--threads", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return reins(more);
  };
  const Outcome made = with({"--only", "early-exit,pruned", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto document = nlohmann::json::parse(made.out);
  ASSERT_EQ(document["rows"].size(), 2U);
  EXPECT_EQ(document["rows"][0]["family"], "pruned");
  EXPECT_EQ(document["rows"][1]["levels"].size(), 2U);
  Outcome refused = with({"--only", "early-exit"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--resume"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
  const Outcome again = with({"--only", "early-exit", "--resume"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, AllOf(HasSubstr("early-exit"), HasSubstr("pruned"), HasSubstr("comparison.txt")));
  refused = with({"--only", "late-exit"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("'late-exit'"), HasSubstr("known: incremental")));
  EXPECT_EQ(reins({"net", "compare"}).code, 2);
}
#endif

}  // namespace
}  // namespace reins::apps
