// `--live` as a user gives it, on trees laid out like a board; the engine runs on this machine itself.
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/board_command.hpp"
#include "apps/profile_command.hpp"
#include "apps/serve_command.hpp"
#include "apps/wiring.hpp"
#include "core/file.hpp"
#include "tests/apps/run_command.hpp"
#include "tests/support/live_tree.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"
#ifdef REINS_TRAINING
#include "apps/train_command.hpp"
#endif

namespace reins::apps {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SysTree;

Outcome reins(std::vector<std::string> words) {
#ifdef REINS_TRAINING
  return run_command({register_profile, register_serve, register_train}, std::move(words));
#else
  return run_command({register_profile, register_serve}, std::move(words));
#endif
}

void expect_one_line(const Outcome& outcome, int code, const ::testing::Matcher<const std::string&>& line) {
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_THAT(outcome.err, line);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

const std::string kNetwork = std::string(REINS_SOURCE_DIR) + "/assets/networks/synthetic-group4/network.rnet";

class LiveCommand : public ::testing::Test {
 protected:
  /// A Jetson Nano as boards/jetson-nano.toml describes it, its CPUs alone.
  void lay_nano() {
    policy_ = tree_.cpufreq(0, {102000, 204000, 307200, 403200, 518400, 614400, 710400, 825600, 921600, 1036800,
                                1132800, 1224000, 1326000, 1428000, 1479000});
    tree_.put(policy_ + "/related_cpus", "0 1 2 3");
  }
  /// A board of one cluster and a GPU; written below the tree.
  std::string small_board(const std::string& name = "small") {
    const testing::LiveTree laid = testing::lay_live_tree(tree_, name);
    policy_ = laid.policy;
    return laid.board;
  }
  std::vector<std::string> live(std::string command, const std::string& board, std::vector<std::string> more = {}) {
    std::vector<std::string> words = {std::move(command),
                                      "--board",
                                      board,
                                      "--network",
                                      kNetwork,
                                      "--live",
                                      "--root",
                                      tree_.root().native(),
                                      "--state",
                                      tree_.path("run/state.toml").native()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::vector<std::string> profile(const std::string& board, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--max-seconds", "0.05", "--out", out()});
    return live("profile", board, more);
  }
  std::string out() { return tree_.path("profile.csv").native(); }
  /// The machine but for scaling_setspeed: the kernel ties that to the governor, a tree of files does not.
  std::map<std::string, std::string> controls() {
    std::map<std::string, std::string> files = tree_.snapshot("sys");
    files.erase(policy_ + "/scaling_setspeed");
    return files;
  }

  SysTree tree_;
  std::string policy_;
};

TEST_F(LiveCommand, LeavesAGpuOutAndSaysSoOnce) {
  const std::string board = small_board();
  const auto before = controls();
  const Outcome done = reins(profile(board, {"--json"}));
  ASSERT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.err, HasSubstr("board small: left out gpu (this engine runs on CPUs alone); used are cpu-x1"));
  EXPECT_EQ(done.err.find("left out"), done.err.rfind("left out"));
  const auto points = nlohmann::json::parse(done.out)["points"];
  EXPECT_EQ(points.size(), 8U) << "four levels at two points, on the CPU alone";
  for (const auto& point : points) EXPECT_EQ(point["mapping"], "cpu-x1");
  EXPECT_EQ(controls(), before) << "put back";
#ifdef REINS_TRAINING
  const Outcome trained =
      reins(live("train", board, {"--profile", out(), "--steps", "120", "--out", tree_.path("run1").native()}));
  EXPECT_EQ(trained.code, kOk) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("left out gpu"));
  EXPECT_EQ(controls(), before);
#endif
}

#ifdef REINS_TRAINING
TEST_F(LiveCommand, APolicyOfTheEmulationThatKnowsTheGpuSaysWhatToDo) {
  const std::string board = small_board();
  const std::string run = tree_.path("emulated").native();
  const Outcome trained = reins({"train", "--board", board, "--network", kNetwork, "--steps", "120", "--out", run});
  ASSERT_EQ(trained.code, kOk) << trained.err;
  ASSERT_EQ(reins(profile(board)).code, kOk);
  for (const char* flag : {"--json", "--allow-board"}) {
    expect_one_line(reins(live("serve", board, {"--policy", run + "/best.policy", "--profile", out(), flag})),
                    kBadInput, AllOf(HasSubstr("with gpu, left out"), HasSubstr("reins train"), HasSubstr("--live")));
  }
}
#endif

TEST_F(LiveCommand, ProfilesAJetsonNanoOnItsCpus) {
  lay_nano();
  const Outcome done = reins(profile("jetson-nano"));
  ASSERT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.err, HasSubstr("left out gpu (this engine runs on CPUs alone)"));
  const auto csv = read_file(out());
  ASSERT_OK(csv);
  EXPECT_THAT(*csv, AllOf(HasSubstr("a57x1,1479000"), Not(HasSubstr("gpu,"))));
  EXPECT_EQ(tree_.read(policy_ + "/scaling_governor"), "schedutil");
}

TEST_F(LiveCommand, ShowsNoFrequencyWhereThereIsNone) {
  tree_.put("sys/devices/system/cpu/online", "0");
  const Outcome done = reins(profile("host"));
  ASSERT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.out, ::testing::ContainsRegex("\n[a-z0-9-]+ +1 +- +[0-9.]+ +[0-9.]+")) << done.out;
}

#ifdef REINS_TRAINING
TEST(ProgressNote, NamesTheHalfThatTheBestRewardIsOf) {
  training::ControllerProgress progress;
  progress.learner.steps = 500;
  progress.learner.mean_reward = -1.25;
  progress.best_reward = -std::numeric_limits<double>::infinity();
  progress.learner.total = 1000;
  EXPECT_EQ(progress_note(progress, true), "step 500, reward -1.250") << "not validated yet";
  progress.best_reward = -0.5;
  progress.best_at = 499;
  EXPECT_EQ(progress_note(progress, true), "step 500, reward -1.250, best of the first half -0.500");
  progress.best_at = 500;
  EXPECT_EQ(progress_note(progress, true), "step 500, reward -1.250, best of the second half -0.500");
  EXPECT_EQ(progress_note(progress, false), "step 500, reward -1.250");
}

TEST_F(LiveCommand, AFinishedTrainingDoesNotGoOn) {
  const std::string run = tree_.path("finished").native();
  const std::vector<std::string> words = {"train", "--board", "odroid-xu3", "--network", kNetwork, "--out", run};
  const auto with = [&words](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return more;
  };
  ASSERT_EQ(reins(with({"--steps", "300"})).code, kOk);
  for (const char* steps : {"300", "600"}) {
    expect_one_line(reins(with({"--steps", steps, "--resume"})), kBadInput,
                    AllOf(HasSubstr("finished"), HasSubstr("train")));
  }
}
#endif

TEST_F(LiveCommand, AnotherMachinesBoardIsOneLineAndExitCode2) {
  tree_.put("sys/devices/system/cpu/online", "0");
  expect_one_line(reins(profile("jetson-nano")), kBadInput,
                  AllOf(HasSubstr("not that board"), HasSubstr("jetson-nano"), HasSubstr("leave out --live")));
  ASSERT_OK(write_file_atomic(out(), ""));
  expect_one_line(reins(live("serve", "odroid-xu3", {"--policy", "pareto", "--profile", out()})), kBadInput,
                  AllOf(HasSubstr("odroid-xu3"), HasSubstr("not that board")));
#ifdef REINS_TRAINING
  expect_one_line(reins(live("train", "odroid-xu3", {"--profile", out(), "--out", tree_.path("x").native()})),
                  kBadInput, HasSubstr("not that board"));
#endif
}

TEST_F(LiveCommand, AControlThatMayNotBeSavedIsOneLine) {
  const std::string board = small_board();
  tree_.put("run", "a file where the folder should be");
  const Outcome refused = reins(profile(board));
  expect_one_line(refused, refused.code, HasSubstr("run"));
  EXPECT_NE(refused.code, kOk);
  EXPECT_EQ(tree_.read(policy_ + "/scaling_governor"), "schedutil");
}

TEST_F(LiveCommand, ARootThatIsNotThereIsOneLineAndExitCode2) {
  const Outcome refused = reins({"profile", "--live", "--board", "odroid-xu3", "--network", kNetwork, "--root",
                                 tree_.path("nope").native(), "--out", out()});
  expect_one_line(refused, kBadInput, AllOf(HasSubstr("nope"), HasSubstr("--root")));
}

}  // namespace
}  // namespace reins::apps
