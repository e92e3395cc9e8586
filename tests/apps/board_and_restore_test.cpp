// `reins board` and `reins restore` as a user runs them, on trees laid out like a board.
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/board_command.hpp"
#include "apps/restore_command.hpp"
#include "apps/wiring.hpp"
#include "tests/apps/run_command.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::apps {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SysTree;

TEST(NoCommand, IsAnsweredWithTheHelp) {
  const Outcome done = run_command({register_board, register_restore}, {});
  EXPECT_EQ(done.code, kBadInput);
  EXPECT_THAT(done.err, AllOf(HasSubstr("Subcommands"), HasSubstr("restore"), HasSubstr("what a board offers")));
  EXPECT_EQ(done.out, "");
}

Outcome reins(std::vector<std::string> words) {
  return run_command({register_board, register_restore}, std::move(words));
}

/// An XU3 with its old kernel, as boards/odroid-xu3.toml describes it.
void lay_xu3(SysTree& tree) {
  std::vector<std::int64_t> a15;
  std::vector<std::int64_t> a7;
  for (std::int64_t khz = 200000; khz <= 2000000; khz += 100000) a15.push_back(khz);
  for (std::int64_t khz = 200000; khz <= 1400000; khz += 100000) a7.push_back(khz);
  tree.put(tree.cpufreq(4, a15) + "/related_cpus", "4 5 6 7");
  tree.put(tree.cpufreq(0, a7) + "/related_cpus", "0 1 2 3");
  std::string stat = "cpu  0 0 0 0 0 0 0 0";
  for (int cpu = 0; cpu < 8; ++cpu) stat += "\ncpu" + std::to_string(cpu) + " 5 0 0 5 0 0 0 0";
  tree.put("proc/stat", stat);
  tree.put("proc/self/task/1/stat", "1 (reins) S");
  for (const char* address : {"40", "41", "44", "45"}) {
    const std::string device = "sys/bus/i2c/drivers/INA231/3-00" + std::string(address);
    tree.put(device + "/enable", "1").put(device + "/sensor_W", "0.846000");
  }
  tree.thermal(0, "exynos-therm", "52000");
}

TEST(BoardCommand, OfACompleteBoardPassesItsCheck) {
  SysTree tree;
  lay_xu3(tree);
  const auto before = tree.snapshot("");
  const Outcome done = reins({"board", "--board", "odroid-xu3", "--check", "--root", tree.root().native()});
  EXPECT_EQ(done.code, kOk) << done.out << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr("a15"), HasSubstr("200 to 2000 MHz"), HasSubstr("0.846"), HasSubstr("52"),
                              HasSubstr("by userspace"), HasSubstr("now schedutil"), Not(HasSubstr("Missing")),
                              Not(HasSubstr("not that board"))));
  EXPECT_EQ(tree.snapshot(""), before) << "it only looks";
}

TEST(BoardCommand, SaysWhatIsMissingAndHowToGetIt) {
  SysTree tree;
  lay_xu3(tree);
  tree.remove("sys/bus/i2c").put("sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "1900000");
  const std::vector<std::string> words = {"board", "--board", "odroid-xu3", "--root", tree.root().native()};
  const Outcome shown = reins(words);
  EXPECT_EQ(shown.code, kOk) << "without --check it is information";
  EXPECT_THAT(shown.out, AllOf(HasSubstr("a15 power_w: "), HasSubstr("modprobe ina2xx")));
  std::vector<std::string> checked = words;
  checked.push_back("--check");
  const Outcome refused = reins(checked);
  EXPECT_EQ(refused.code, kFailed);
  EXPECT_THAT(refused.out, HasSubstr("capped at 1900000 kHz"));
}

TEST(BoardCommand, SaysThatThisMachineIsAnotherBoard) {
  SysTree tree;
  const Outcome done = reins({"board", "--board", "odroid-xu3", "--root", tree.root().native()});
  EXPECT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.out, HasSubstr("This machine is not that board (--check lists what differs)"));
  const Outcome json = reins({"board", "--board", "odroid-xu3", "--json", "--root", tree.root().native()});
  EXPECT_EQ(nlohmann::json::parse(json.out)["this_machine"], false);
}

TEST(BoardCommand, PrintsThreeDecimals) {
  SysTree tree;
  lay_xu3(tree);
  tree.put("sys/bus/i2c/drivers/INA231/3-0040/sensor_W", "0.84612345678");
  const std::vector<std::string> words = {"board", "--board", "odroid-xu3", "--root", tree.root().native()};
  const Outcome done = reins(words);
  EXPECT_THAT(done.out, AllOf(HasSubstr(" 0.846 "), Not(HasSubstr("0.8461")))) << done.out;
  std::vector<std::string> for_machines = words;
  for_machines.push_back("--json");
  EXPECT_THAT(reins(for_machines).out, HasSubstr("0.84612345678"));
}

TEST(BoardCommand, SpeaksJson) {
  SysTree tree;
  lay_xu3(tree);
  const Outcome done = reins({"board", "--board", "odroid-xu3", "--json", "--root", tree.root().native()});
  ASSERT_EQ(done.code, kOk);
  const auto document = nlohmann::json::parse(done.out);
  EXPECT_EQ(document["board"], "odroid-xu3");
  EXPECT_EQ(document["clusters"][0]["opps"].size(), 19U);
  EXPECT_TRUE(document["missing"].empty());
  bool power = false;
  for (const auto& sensor : document["sensors"])
    power = power || (sensor["quantity"] == "power_w" && sensor["value"] == 0.846);
  EXPECT_TRUE(power);
}

TEST(BoardCommand, OfABareHostClaimsNoEnergy) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-1").put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Test CPU");
  tree.put("proc/stat", "cpu  0 0 0 0\ncpu0 1 0 0 1 0 0 0 0\ncpu1 1 0 0 1 0 0 0 0")
      .put("proc/self/task/1/stat", "1 (x) S");
  const Outcome done = reins({"board", "--root", tree.root().native(), "--check"});
  EXPECT_EQ(done.code, kOk) << done.out << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr("Test CPU"), HasSubstr("no DVFS"), HasSubstr("no energy claim")));
}

TEST(BoardCommand, RefusesBadInputWithOneLineAndCodeTwo) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"board", "--board", "no-such-board"},
                                             {"board", "--root", "/no/such/root"},
                                             {"board", "--nonsense"},
                                             {"restore", "extra"}}) {
    const Outcome done = reins(words);
    EXPECT_EQ(done.code, kBadInput) << words[1];
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    EXPECT_TRUE(done.out.empty());
  }
}

class RestoreCommand : public ::testing::Test {
 protected:
  Outcome restore(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"restore", "--root", tree_.root().native(), "--state",
                                      tree_.path("run/state.toml").native()};
    words.insert(words.end(), more.begin(), more.end());
    return reins(words);
  }
  SysTree tree_;
  std::string policy_ = tree_.cpufreq(0, {400000, 1600000});
};

TEST_F(RestoreCommand, PutsBackWhatAKilledRunLeft) {
  tree_.put(policy_ + "/scaling_governor", "userspace");
  tree_.put("run/state.toml",
            "schema = 1\n[[saved]]\npath = \"" + policy_ + "/scaling_governor\"\nvalue = \"schedutil\"");
  const Outcome done = restore();
  EXPECT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.out, HasSubstr("put back schedutil to /" + policy_ + "/scaling_governor"));
  EXPECT_EQ(tree_.read(policy_ + "/scaling_governor"), "schedutil");
  EXPECT_THAT(restore().out, HasSubstr("nothing to put back"));
}

TEST_F(RestoreCommand, LeavesWhatAnotherProgramHasSetSince) {
  tree_.put(policy_ + "/scaling_governor", "performance");
  const std::string saved =
      "schema = 1\n[[saved]]\npath = \"" + policy_ + "/scaling_governor\"\nvalue = \"schedutil\"\nours = \"userspace\"";
  tree_.put("run/state.toml", saved);
  const Outcome done = restore();
  EXPECT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr("left performance in /" + policy_), HasSubstr("another program")));
  EXPECT_EQ(tree_.read(policy_ + "/scaling_governor"), "performance");
  EXPECT_THAT(restore().out, HasSubstr("nothing to put back"));
  tree_.put("run/state.toml", saved);
  EXPECT_EQ(nlohmann::json::parse(restore({"--json"}).out)["lines"][0]["left"], "performance");
}

TEST(StateFile, IsTheUsersOwnWhereTheSystemsMayNotBeWritten) {
  SysTree tree;
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path& root) {
        if (::access("/run/reins", W_OK) == 0 || ::access("/run", W_OK) == 0) return 254;
        ::setenv("XDG_RUNTIME_DIR", root.c_str(), 1);
        if (default_state_file() != (root / "reins/state.toml").native()) return 1;
        ::unsetenv("XDG_RUNTIME_DIR");
        return default_state_file() == "/run/reins/state.toml" ? 0 : 2;
      },
      tree);
  if (code == 254) GTEST_SKIP() << "this user may write /run, and cannot give that up here";
  EXPECT_EQ(code, 0) << "1: with XDG_RUNTIME_DIR, 2: without";
}

TEST_F(RestoreCommand, FailsWhereAValueIsRefusedAndDropsWhatLeftWithItsDevice) {
  tree_.put("run/state.toml", "schema = 1\n[[saved]]\npath = \"sys/gone/governor\"\nvalue = \"x\"");
  const Outcome said = restore({});
  EXPECT_EQ(said.code, kOk);
  EXPECT_EQ(said.out, "there is no /sys/gone/governor any more: x is not put back\n");
  EXPECT_EQ(said.err, "");
  tree_.put("run/state.toml", "schema = 1\n[[saved]]\npath = \"sys/gone/governor\"\nvalue = \"x\"");
  const Outcome gone = restore({"--json"});
  EXPECT_EQ(gone.code, kOk);
  EXPECT_EQ(nlohmann::json::parse(gone.out)["lines"][0]["ok"], false);
  // /dev/full refuses every write, whoever asks.
  tree_.remove(policy_ + "/scaling_governor");
  std::filesystem::create_symlink("/dev/full", tree_.path(policy_ + "/scaling_governor"));
  tree_.put("run/state.toml",
            "schema = 1\n[[saved]]\npath = \"" + policy_ + "/scaling_governor\"\nvalue = \"schedutil\"");
  const Outcome full = restore();
  EXPECT_EQ(full.code, kFailed);
  EXPECT_THAT(full.err, HasSubstr("scaling_governor"));
  EXPECT_THAT(tree_.read("run/state.toml"), HasSubstr("schedutil")) << "kept, to be tried again";
}

TEST_F(RestoreCommand, RefusesADamagedFile) {
  tree_.put("run/state.toml", "schema = 1\n[[saved]]\npath = \"sys");
  const Outcome done = restore();
  EXPECT_EQ(done.code, kBadInput);
  EXPECT_THAT(done.err, HasSubstr("state.toml:"));
}

TEST(Commands, RestoreOfARootThatIsNotThereIsOneLineAndExitCode2) {
  SysTree tree;
  const Outcome refused = reins({"restore", "--root", tree.path("nope").native()});
  EXPECT_EQ(refused.code, kBadInput);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("nope: is no folder"), HasSubstr("--root")));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
  EXPECT_EQ(refused.out, "");
}

TEST(Commands, AnUnknownOneIsNamedWithThoseThatThereAre) {
  const Outcome refused = reins({"bord"});
  EXPECT_EQ(refused.code, kBadInput);
  EXPECT_EQ(refused.err, "reins: 'bord' is no command; known: board, restore; see 'reins --help'\n");
  EXPECT_THAT(reins({"--bogus"}).err, Not(HasSubstr("is no command")));
}

}  // namespace
}  // namespace reins::apps
