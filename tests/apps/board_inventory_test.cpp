// `reins board` on trees of real boards: the overview, --all, --json with its documented keys, and --write.
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "apps/board_command.hpp"
#include "apps/eval_command.hpp"
#include "apps/profile_command.hpp"
#include "apps/wiring.hpp"
#include "core/file.hpp"
#include "tests/apps/run_command.hpp"
#include "tests/support/board_trees.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/same_board.hpp"

namespace reins::apps {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SysTree;

Outcome board(const SysTree& tree, std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"board", "--root", tree.root().native()};
  words.insert(words.end(), more.begin(), more.end());
  return run_command({register_board}, std::move(words));
}

long lines_in(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

using Lay = void (*)(SysTree&);
const std::vector<std::pair<const char*, Lay>> kBoards = {
    {"xu3 3.10", testing::lay_xu3_old},
    {"xu3 mainline", testing::lay_xu3_mainline},
    {"nano", testing::lay_jetson_nano},
    {"orin", testing::lay_orin_nano},
    {"pi 4", testing::lay_raspberry_pi_4},
    {"laptop", testing::lay_laptop},
    {"a bare machine", [](SysTree& tree) { tree.put("sys/devices/system/cpu/online", "0-3"); }}};

TEST(BoardInventory, IsAnOverviewInAScreenfulOrTwo) {
  SysTree tree;
  testing::lay_xu3_mainline(tree);
  const Outcome done = board(tree);
  ASSERT_EQ(done.code, kOk) << done.err;
  EXPECT_THAT(
      done.out,
      AllOf(HasSubstr(
                "policy4  cpus 4-7, cpufreq-dt, schedutil (of 6), 200 to 1900 MHz in 18 and 1 with boost, capped at "
                "1800, may be set"),
            HasSubstr("11800000.gpu (gpu)  simple_ondemand (of 4), 177 to 600 MHz in 7"),
            HasSubstr("cpus 4-7, capacity 1024, cluster 0"), HasSubstr("boost        on, "),
            HasSubstr("ina231 (hwmon, 0-0040) every 35 ms: 1 = ina231:0-0040"), HasSubstr("passive 70"),
            HasSubstr("cpufreq-cpu4  at 2 of 18: it cools now"), HasSubstr("C1 (exit 1000 us, residency 10000 us)"),
            HasSubstr("v2  /sys/fs/cgroup/user.slice")));
  EXPECT_LT(lines_in(done.out), 110) << done.out;
  const Outcome all = board(tree, {"--all"});
  EXPECT_GT(lines_in(all.out), lines_in(done.out));
  EXPECT_THAT(all.out, AllOf(HasSubstr("MHz 177 266 350 420 480 543 600"), HasSubstr("governors conservative ondemand"),
                             Not(HasSubstr("(--all)"))));
}

TEST(BoardInventory, SaysWhatIsMissingWithItsCommandAndWhatCannotBeRead) {
  SysTree tree;
  testing::lay_raspberry_pi_4(tree);
  tree.put("sys/class/thermal/thermal_zone0/temp", "warm");
  const Outcome done = board(tree);
  EXPECT_EQ(done.code, kOk) << "a broken file ends nothing: " << done.err;
  EXPECT_THAT(done.out,
              AllOf(HasSubstr("modprobe ina2xx && echo ina226 0x40 > /sys/bus/i2c/devices/i2c-1/new_device"),
                    HasSubstr("thermal_zone0/temp: holds no number"), HasSubstr("cpu-thermal  no temperature")));
  SysTree laptop;
  testing::lay_laptop(laptop);
  EXPECT_THAT(
      board(laptop).out,
      AllOf(HasSubstr("policy0 ... policy3 (4 alike)  intel_pstate, powersave (of 2), 400 to 4700 MHz, no list"),
            HasSubstr("intel-rapl:0  package-0, readable, turns over after 262143 J, limit 28 W"),
            HasSubstr("5200 MT/s"), HasSubstr("BAT0  Battery, Discharging, 87 %, 7.35 W")));
}

/// Every key of `value`, at any depth.
void keys_of(const json& value, std::set<std::string>& keys) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      keys.insert(key);
      keys_of(inner, keys);
    }
  } else if (value.is_array()) {
    for (const json& inner : value) keys_of(inner, keys);
  }
}

TEST(BoardInventory, EveryJsonKeyIsDocumented) {
  std::ifstream file(std::string(REINS_SOURCE_DIR) + "/docs/board-json.md");
  std::ostringstream document;
  document << file.rdbuf();
  ASSERT_FALSE(document.str().empty());
  std::set<std::string> keys;
  for (const auto& [name, lay] : kBoards) {
    SysTree tree;
    lay(tree);
    const Outcome done = board(tree, {"--json", "--check"});
    ASSERT_EQ(done.err, "") << name;
    const json parsed = json::parse(done.out);
    EXPECT_FALSE(parsed["inventory"]["topology"]["cores"].empty()) << name;
    keys_of(parsed, keys);
  }
  EXPECT_GT(keys.size(), 100U);
  for (const std::string& key : keys) {
    EXPECT_NE(document.str().find("`" + key + "`"), std::string::npos) << key << " is not in docs/board-json.md";
  }
}

TEST(BoardWrite, GivesTheBoardThatHostIs) {
  for (const auto& [name, lay] : kBoards) {
    SCOPED_TRACE(name);
    SysTree tree;
    lay(tree);
    const std::string file = tree.path("out/mine.toml").native();
    const Outcome done = board(tree, {"--write", file});
    ASSERT_EQ(done.code, kOk) << done.err;
    const bool bare = std::string_view(name) == "a bare machine";
    EXPECT_THAT(done.out, AllOf(HasSubstr("wrote " + file), HasSubstr("next: reins profile --live --board " + file),
                                HasSubstr(bare ? "--replay profile.csv" : "reins board fit --board " + file)));
    const auto written = boards::load_board(file);
    ASSERT_OK(written);
    const auto host = open_board("host", tree.root());
    ASSERT_OK(host);
    testing::expect_same_board(*written, *host);
    EXPECT_THAT(written->notes, AllOf(HasSubstr("reins profile --live"), HasSubstr("reins board fit")));
    const Outcome checked =
        run_command({register_board}, {"board", "--board", file, "--root", tree.root().native(), "--json"});
    EXPECT_EQ(json::parse(checked.out)["this_machine"], true) << checked.err;
  }
}

TEST(BoardWrite, LeavesAFileThatSaysSomethingElse) {
  SysTree tree;
  testing::lay_raspberry_pi_4(tree);
  const std::string file = tree.path("out/mine.toml").native();
  ASSERT_EQ(board(tree, {"--write", file}).code, kOk);
  EXPECT_EQ(board(tree, {"--write", file}).code, kOk) << "it says the same";
  const std::string edited = *read_file(file) + "# by hand\n";
  ASSERT_OK(write_file_atomic(file, edited));
  const Outcome refused = board(tree, {"--write", file});
  EXPECT_EQ(refused.code, kBadInput);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("is there already"), HasSubstr("--overwrite")));
  EXPECT_EQ(*read_file(file), edited);
  EXPECT_EQ(board(tree, {"--write", file, "--overwrite"}).code, kOk);
  EXPECT_NE(*read_file(file), edited);
}

TEST(BoardWrite, IsOfThisMachineAlone) {
  SysTree tree;
  testing::lay_raspberry_pi_4(tree);
  const Outcome done = board(tree, {"--board", "odroid-xu3", "--write", tree.path("x.toml").native()});
  EXPECT_EQ(done.code, kBadInput);
  EXPECT_THAT(done.err, HasSubstr("--write: writes what was found on this machine"));
  EXPECT_FALSE(std::filesystem::exists(tree.path("x.toml")));
}

TEST(BoardWrite, IsEmulatedWithAWarningThatItsPowerIsNotKnown) {
  SysTree tree;
  testing::lay_raspberry_pi_4(tree);
  const std::string file = tree.path("mine.toml").native();
  ASSERT_EQ(board(tree, {"--write", file}).code, kOk);
  for (const auto& [name, warns] : {std::pair<std::string, bool>{file, true}, {"odroid-xu3", false}}) {
    ::testing::internal::CaptureStderr();
    EXPECT_OK(open_emulated_board(name));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("no power for any cluster") != std::string::npos, warns) << name << ": " << said;
  }
}

TEST(BoardWrite, OfAMachineWithoutDvfsIsNotEmulated) {
  SysTree tree;
  tree.put("sys/devices/system/cpu/online", "0-3");
  const std::string file = tree.path("mine.toml").native();
  const Outcome written = board(tree, {"--write", file});
  ASSERT_EQ(written.code, kOk);
  EXPECT_THAT(written.out, AllOf(HasSubstr("--replay profile.csv"), Not(HasSubstr("reins board fit --board " + file))));
  const Outcome profiled =
      run_command({register_profile}, {"profile", "--board", file, "--out", tree.path("p.csv").native()});
  EXPECT_EQ(profiled.code, kBadInput);
  EXPECT_THAT(profiled.err, AllOf(HasSubstr("cluster 'cpu' has no frequency"), HasSubstr("--live")));
  const Outcome compared = run_command({register_eval}, {"eval", "--board", file});
  EXPECT_EQ(compared.code, kBadInput);
  EXPECT_THAT(compared.err, HasSubstr("--replay"));
}

}  // namespace
}  // namespace reins::apps
