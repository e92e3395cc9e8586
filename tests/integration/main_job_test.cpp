// tests/integration/main_job_test.cpp: the main job through the built binary, as a user runs it: profile, train,
// freeze, eval; and what each stage says to bad input.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "core/file.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_program.hpp"

namespace reins::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

Ran reins(const std::string& arguments) {
  return run_program(std::string(REINS_BINARY_DIR) + "/bin/reins " + arguments);
}

class MainJob : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "reins-main-job-XXXXXX").native();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = new fs::path(name);
  }
  static void TearDownTestSuite() {
    fs::remove_all(*folder_);
    delete folder_;
  }
  static std::string at(const std::string& name) { return (*folder_ / name).native(); }
  static const std::string synthetic() {
    return std::string(REINS_SOURCE_DIR) + "/assets/networks/synthetic-group4/network.rnet";
  }
  static fs::path* folder_;
};
fs::path* MainJob::folder_ = nullptr;

/// One line for the user: no stack, no second line.
void expect_one_line(const Ran& ran, int code, const std::string& part) {
  EXPECT_EQ(ran.code, code) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr(part));
  std::size_t lines = 0;
  for (const char c : ran.output) lines += c == '\n' ? 1 : 0;
  EXPECT_EQ(lines, 1U) << ran.output;
}

TEST_F(MainJob, ProfilesTrainsFreezesAndComparesOnTheEmulatedBoard) {
  Ran ran = reins("profile --board odroid-xu3 --out " + at("xu3.csv"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("emulated"));

  ran = reins("train --board odroid-xu3 --profile " + at("xu3.csv") + " --steps 6000 --seed 3 --out " + at("run"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_TRUE(fs::exists(at("run/best.policy")));
  EXPECT_TRUE(fs::exists(at("run/checkpoint.pt")));

  ran = reins("freeze --run " + at("run") + " --out " + at("xu3.policy") + " --c-header " + at("xu3.h"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_LT(fs::file_size(at("xu3.policy")), 200'000U);
  ran = reins("freeze --run " + at("run") + " --out " + at("dear.policy") + " --w-miss 40");
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_NE(*read_file(at("dear.policy")), *read_file(at("xu3.policy")));
  expect_one_line(reins("freeze --run " + at("run") + " --out " + at("x.policy") + " --w-miss nan"), 2, "nan");

  ran = reins("eval --board odroid-xu3 --profile " + at("xu3.csv") + " --policy " + at("xu3.policy") +
              " --grid quick --requests 60 --loads 0.3 --json " + at("eval.json") + " --report " + at("report.html"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("EMULATED"));
  for (const char* row : {"schedutil/kernel-like full", "best static", "floor rule", "pareto", "oracle"}) {
    EXPECT_THAT(ran.output, HasSubstr(row));
  }
  const auto text = read_file(at("eval.json"));
  ASSERT_OK(text);
  EXPECT_FALSE(nlohmann::json::parse(*text, nullptr, false).is_discarded());
  const auto html = read_file(at("report.html"));
  ASSERT_OK(html);
  EXPECT_THAT(*html, HasSubstr("<svg"));
  EXPECT_THAT(*html, Not(HasSubstr("<script src")));
}

TEST_F(MainJob, ReplaysAProfile) {
  Ran ran = reins("profile --board odroid-xu3 --out " + at("whole.csv"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  // As of a board where an engine refused one mapping, with a point missing.
  std::istringstream whole(*read_file(at("whole.csv")));
  std::string table;
  for (std::string line; std::getline(whole, line);) {
    if (line.find(",a7x1,") == std::string::npos && !line.starts_with("2,a15x1,1000000,")) table += line + "\n";
  }
  ASSERT_OK(write_file_atomic(at("measured.csv"), table));

  ran =
      reins("train --board odroid-xu3 --replay " + at("measured.csv") + " --steps 2000 --seed 3 --out " + at("rerun"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("(replayed)"));
  EXPECT_THAT(ran.output, Not(HasSubstr("emulated")));
  ran = reins("freeze --run " + at("rerun") + " --out " + at("rerun.policy"));
  ASSERT_EQ(ran.code, 0) << ran.output;

  const std::string eval = "eval --board odroid-xu3 --replay " + at("measured.csv") + " --policy " +
                           at("rerun.policy") + " --grid quick --requests 60 --loads 0.3 --all-rows";
  ran = reins(eval + " --json " + at("replay.json") + " --report " + at("replay.html"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("REPLAYED"));
  EXPECT_THAT(ran.output, HasSubstr("left out  kernel governors"));
  for (const char* row : {"best static", "floor rule", "pareto", "oracle", "rerun"}) {
    EXPECT_THAT(ran.output, HasSubstr(row));
  }
  EXPECT_THAT(ran.output, Not(HasSubstr("ondemand")));
  const auto json = nlohmann::json::parse(*read_file(at("replay.json")), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["board"]["emulated"], false);
  EXPECT_EQ(json["board"]["replayed"], true);
  EXPECT_GT(json["summary"][0]["energy_per_offered_j"], 0);
  EXPECT_THAT(*read_file(at("replay.html")), HasSubstr("replayed"));
  const Ran again = reins(eval);
  EXPECT_EQ(again.output.substr(0, again.output.find("report")), ran.output.substr(0, ran.output.find("\nreport")))
      << "the same seed draws the same runs";

  expect_one_line(reins("eval --board odroid-xu3 --policy " + at("rerun.policy")), 2, "rerun.policy");
  expect_one_line(reins("eval --replay " + at("measured.csv") + " --profile " + at("whole.csv")), 2, "--profile");
}

TEST_F(MainJob, ProfilesAndTrainsLiveOnThisMachine) {
  Ran ran = reins("profile --board host --network " + synthetic() + " --max-seconds 0.05 --state " + at("state.toml") +
                  " --out " + at("host.csv"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("measured"));

  // Its replay needs neither the machine nor its energy.
  ran = reins("eval --board host --network " + synthetic() + " --replay " + at("host.csv") +
              " --grid quick --requests 60 --loads 0.3");
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("REPLAYED"));

  ran = reins("train --board host --network " + synthetic() + " --profile " + at("host.csv") + " --steps 120 --state " +
              at("state.toml") + " --out " + at("live") + " --json " + at("live.json"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("(live)"), HasSubstr("requests, exploration included")));
  const auto json = nlohmann::json::parse(*read_file(at("live.json")), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_LT(json["recent_miss_rate"], 0.7) << "targets of the network's own time are nearly all missed";
  EXPECT_FALSE(fs::exists(at("state.toml"))) << "the board was not put back";
}

TEST_F(MainJob, SameSeedGivesTheSamePolicy) {
  for (const char* run : {"a", "b"}) {
    const Ran ran = reins("train --board odroid-xu3 --steps 1500 --seed 7 --out " + at(run));
    ASSERT_EQ(ran.code, 0) << ran.output;
  }
  EXPECT_EQ(*read_file(at("a/best.policy")), *read_file(at("b/best.policy")));
}

TEST_F(MainJob, SaysInOneLineWhatIsWrong) {
  expect_one_line(reins("eval --policy " + at("none.policy")), 2, "none.policy");
  expect_one_line(reins("freeze --run " + at("none") + " --out " + at("x.policy")), 2, "best.policy");
  expect_one_line(reins("freeze --run " + at("none") + " --out " + at("x.policy")), 2, "reins train --out");
  expect_one_line(reins("train --board odroid-xu4 --out " + at("x")), 2, "odroid-xu3");
  expect_one_line(reins("train --board host --out " + at("x")), 2, "--profile");
  expect_one_line(reins("train --board odroid-xu3 --resume --out " + at("nothing-here")), 2, "--resume");
  expect_one_line(reins("eval --grid sideways"), 2, "sideways");
  ASSERT_OK(write_file_atomic(at("bad.toml"), "[dqn]\nsteps = 1000\nlearning_rat = 1\n"));
  expect_one_line(reins("train --config " + at("bad.toml") + " --out " + at("x")), 2, "learning_rat");
}

TEST_F(MainJob, AnInterruptedTrainingSaysSoAndGoesOn) {
  const std::string run = at("interrupted");
  const std::vector<std::string> words = {
      std::string(REINS_BINARY_DIR) + "/bin/reins", "train", "--board", "odroid-xu3", "--steps", "6000", "--out", run};
  {
    Process training(words);
    const auto log = fs::path(run) / "log.csv";
    for (int i = 0; i < 6000 && !fs::exists(log); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(fs::exists(log)) << training.text;
    training.signal(SIGINT);
    EXPECT_EQ(training.code(), 1) << training.text;
    EXPECT_THAT(training.text, AllOf(HasSubstr("training was interrupted at step"), HasSubstr("of 6000"),
                                     HasSubstr("go on with --resume")));
    EXPECT_THAT(training.text, Not(HasSubstr("trained on")));
  }
  // Another network, or another number of steps, is another run.
  expect_one_line(reins("train --board odroid-xu3 --network " + synthetic() + " --steps 6000 --resume --out " + run), 2,
                  "of a run with board odroid-xu3");
  expect_one_line(reins("train --board odroid-xu3 --resume --out " + run), 2, ": --steps 6000");
  const Ran resumed = reins("train --board odroid-xu3 --steps 6000 --resume --out " + run);
  EXPECT_EQ(resumed.code, 0) << resumed.output;
  EXPECT_THAT(resumed.output, HasSubstr("trained on"));
}

TEST_F(MainJob, AKilledTrainingGoesOnFromItsLastCheckpointAndIsNotOverwritten) {
  const std::string run = at("killed");
  const std::string train = "train --board odroid-xu3 --steps 3000 --out " + run;
  const auto checkpoint = fs::path(run) / "checkpoint.pt";
  {
    Process training({std::string(REINS_BINARY_DIR) + "/bin/reins", "train", "--board", "odroid-xu3", "--steps", "3000",
                      "--out", run});
    for (int i = 0; i < 6000 && !fs::exists(checkpoint); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(fs::exists(checkpoint)) << training.text;
    training.signal(SIGKILL);
    EXPECT_EQ(training.code(), -1) << training.text;
    EXPECT_THAT(training.text, Not(HasSubstr("trained on")));
  }
  expect_one_line(reins(train), 2, "--resume");
  const Ran resumed = reins(train + " --resume");
  EXPECT_EQ(resumed.code, 0) << resumed.output;
  EXPECT_THAT(resumed.output, HasSubstr("trained on"));
  // As of a run that was killed before its first.
  fs::remove(checkpoint);
  for (const char* resume : {"", " --resume"}) {
    expect_one_line(reins(train + resume), 2, "best.policy here, and no checkpoint");
    EXPECT_TRUE(fs::exists(fs::path(run) / "best.policy"));
  }
}

TEST_F(MainJob, RefusesACutOrForeignPolicy) {
  Ran ran = reins("train --board odroid-xu3 --steps 500 --seed 1 --out " + at("cut"));
  ASSERT_EQ(ran.code, 0) << ran.output;
  const auto whole = read_file(at("cut/best.policy"));
  ASSERT_OK(whole);
  ASSERT_OK(write_file_atomic(at("cut.policy"), std::string_view(*whole).substr(0, whole->size() / 2)));
  expect_one_line(reins("eval --policy " + at("cut.policy") + " --grid quick"), 2, "cut.policy");
  ran = reins("eval --board raspberry-pi-4 --policy " + at("cut/best.policy") + " --grid quick");
  expect_one_line(ran, 2, "odroid-xu3");
}

}  // namespace
}  // namespace reins::testing
