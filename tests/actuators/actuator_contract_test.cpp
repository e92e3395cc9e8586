// What every actuator promises, proven on each implementation and on the fake: apply, present, restore, also after a
// kill.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <thread>

#include "actuators/linux/drivers.hpp"
#include "tests/support/count_allocations.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/faulty_actuator.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::actuators {
namespace {

using testing::FakeClock;
using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

using Made = Result<std::unique_ptr<Actuator>>;

struct Case {
  std::string name;
  std::function<void(SysTree&)> lay;
  std::function<Made(const Site&)> make;
  std::vector<Setting> settings;   ///< each can be in force exactly as it stands
  Setting wrong;                   ///< a kind it does not take
  std::vector<std::string> files;  ///< what it writes below the root
  std::string garbage_in;          ///< a file whose garbled text it must refuse at opening; empty: reads none
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

constexpr const char* kPolicy = "sys/devices/system/cpu/cpufreq/policy4";
constexpr const char* kGpu = "sys/class/devfreq/17000000.gpu";
const std::vector<std::int64_t> kOppsKhz = {200000, 600000, 1400000, 2000000};

template <typename T>
Made up(Result<std::unique_ptr<T>> made) {
  if (!made) return fail(made.error());
  return Made(std::move(*made));
}

FakeClock g_clock;

const std::vector<Case>& cases() {
  const auto cpufreq = [](const Site& s) { return up(make_cpufreq("big", kPolicy, s)); };
  const auto devfreq = [](const Site& s) { return up(make_devfreq("gpu", kGpu, s)); };
  const std::string policy = kPolicy;
  const std::string gpu = kGpu;
  const std::vector<Setting> freqs = {FreqKhz{600000}, FreqKhz{2000000}, FreqKhz{200000}, GovernorName("performance"),
                                      FreqKhz{1400000}};
  static const std::vector<Case> all = {
      {"cpufreq_userspace",
       [](SysTree& t) { t.cpufreq(4, kOppsKhz); },
       cpufreq,
       freqs,
       QuotaCpus{1},
       {policy + "/scaling_governor", policy + "/scaling_setspeed"},
       policy + "/scaling_max_freq"},
      {"cpufreq_found_in_userspace",
       [](SysTree& t) { t.cpufreq(4, kOppsKhz, "userspace"); },
       cpufreq,
       freqs,
       QuotaCpus{1},
       {policy + "/scaling_setspeed"},
       policy + "/scaling_min_freq"},
      {"cpufreq_pinning",
       [](SysTree& t) { t.cpufreq(4, kOppsKhz, "schedutil", "performance powersave schedutil"); },
       cpufreq,
       freqs,
       QuotaCpus{1},
       {policy + "/scaling_min_freq", policy + "/scaling_max_freq"},
       policy + "/scaling_max_freq"},
      {"devfreq_userspace",
       [](SysTree& t) { t.devfreq("17000000.gpu", kOppsKhz); },
       devfreq,
       freqs,
       QuotaCpus{1},
       {gpu + "/governor", gpu + "/userspace/set_freq"},
       gpu + "/min_freq"},
      {"devfreq_pinning",
       [](SysTree& t) { t.devfreq("17000000.gpu", kOppsKhz, "nvhost_podgov", "nvhost_podgov performance"); },
       devfreq,
       freqs,
       QuotaCpus{1},
       {gpu + "/min_freq", gpu + "/max_freq"},
       gpu + "/max_freq"},
      {"cgroup_v1",
       [](SysTree& t) {
         t.put("sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "-1").put("sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000");
       },
       [](const Site& s) { return make_cgroup_quota("quota", "sys/fs/cgroup/cpu/app", s); },
       {QuotaCpus{0.5}, QuotaCpus{0}, QuotaCpus{2.25}},
       FreqKhz{600000},
       {"sys/fs/cgroup/cpu/app/cpu.cfs_quota_us"},
       "sys/fs/cgroup/cpu/app/cpu.cfs_quota_us"},
      {"cgroup_v2",
       [](SysTree& t) { t.put("sys/fs/cgroup/app.scope/cpu.max", "max 50000"); },
       [](const Site& s) { return make_cgroup_quota("quota", "sys/fs/cgroup/app.scope", s); },
       {QuotaCpus{0.5}, QuotaCpus{0}, QuotaCpus{1.5}},
       FreqKhz{600000},
       {"sys/fs/cgroup/app.scope/cpu.max"},
       "sys/fs/cgroup/app.scope/cpu.max"},
      {"fake",
       [](SysTree&) {},
       [](const Site&) { return Made(std::make_unique<testing::FaultyActuator>("fake", kOppsKhz, g_clock)); },
       freqs,
       QuotaCpus{1},
       {},
       ""},
  };
  return all;
}

class ActuatorContract : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { GetParam().lay(tree_); }
  Site site() {
    auto restore = RestoreFile::open(state_, tree_.root());
    EXPECT_OK(restore);
    return {tree_.root(), restore ? *restore : nullptr};
  }
  std::filesystem::path state_file() const { return state_; }
  SysTree tree_;
  std::filesystem::path state_ = tree_.path("run/reins/state.toml");
};

TEST_P(ActuatorContract, ChangesNothingUntilTold) {
  const auto before = tree_.snapshot();
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  EXPECT_FALSE((*actuator)->name().empty());
  EXPECT_FALSE((*actuator)->source().empty());
  EXPECT_OK((*actuator)->present());
  EXPECT_OK((*actuator)->restore());
  EXPECT_EQ(tree_.snapshot(), before);
  EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_P(ActuatorContract, PutsEachSettingInForceAndSaysSo) {
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  for (const Setting& setting : GetParam().settings) {
    for (int twice = 0; twice < 2; ++twice) {
      const auto applied = (*actuator)->apply(setting);
      ASSERT_OK(applied);
      EXPECT_EQ(*applied, setting);
      const auto present = (*actuator)->present();
      ASSERT_OK(present);
      EXPECT_EQ(*present, setting);
    }
  }
}

TEST_P(ActuatorContract, PutsBackWhatItFound) {
  const auto before = tree_.snapshot();
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  const auto found = (*actuator)->present();
  for (int rounds = 0; rounds < 2; ++rounds) {
    for (const Setting& setting : GetParam().settings) ASSERT_OK((*actuator)->apply(setting));
    EXPECT_OK((*actuator)->restore());
    EXPECT_EQ(*(*actuator)->present(), *found);
    // Only the set point of a governor that is not in force may differ: the kernel shows none then.
    auto after = tree_.snapshot();
    auto wanted = before;
    for (auto& [path, text] : wanted) {
      if ((path.ends_with("setspeed") && text == "<unsupported>") || text == "undefined") after[path] = text;
    }
    EXPECT_EQ(after, wanted);
    EXPECT_FALSE(std::filesystem::exists(state_)) << "nothing is left to restore";
  }
}

TEST_P(ActuatorContract, PutsBackWhatItFoundWhenItGoes) {
  auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  const auto found = *(*actuator)->present();
  ASSERT_OK((*actuator)->apply(GetParam().settings.front()));
  actuator = fail(ErrorKind::kGone, "dropped");
  const auto again = GetParam().make(site());
  ASSERT_OK(again);
  EXPECT_EQ(*(*again)->present(), found);
}

TEST_P(ActuatorContract, RefusesAnotherKindOfSettingAndStaysAsItIs) {
  const auto before = tree_.snapshot();
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  EXPECT_THAT((*actuator)->apply(GetParam().wrong), IsError(ErrorKind::kUnsupported, HasSubstr("takes a")));
  EXPECT_EQ(tree_.snapshot(), before);
}

TEST_P(ActuatorContract, AllocatesNothingAfterTheFirstApply) {
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  for (const Setting& setting : GetParam().settings) ASSERT_OK((*actuator)->apply(setting));
  bool ok = true;
  const long allocations = testing::allocations_in([&] {
    for (const Setting& setting : GetParam().settings) ok = (*actuator)->apply(setting).has_value() && ok;
    ok = (*actuator)->present().has_value() && ok;
  });
  EXPECT_EQ(allocations, 0);
  EXPECT_TRUE(ok);
}

/// For those that change what outlives the process: files of the kernel.
class KernelActuatorContract : public ActuatorContract {};

TEST_P(KernelActuatorContract, SavesWhatItFoundBeforeTheFirstChange) {
  const auto before = tree_.snapshot();
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  ASSERT_OK((*actuator)->apply(GetParam().settings.front()));
  EXPECT_NE(tree_.snapshot(), before);
  const std::string saved = tree_.read("run/reins/state.toml");
  for (const std::string& file : GetParam().files) {
    const std::string& text = before.at(file);
    if (text == "<unsupported>" || text == "undefined") continue;
    EXPECT_THAT(saved, HasSubstr("path = \"" + file + "\"\nvalue = \"" + text + "\""));
  }
}

TEST_P(KernelActuatorContract, RefusesToChangeWhatItCannotSave) {
  const auto before = tree_.snapshot();
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  tree_.put("run/reins/state.toml/in_the_way", "");  // a folder where the file should go
  EXPECT_FALSE((*actuator)->apply(GetParam().settings.front()).has_value());
  EXPECT_EQ(tree_.snapshot(), before);
}

TEST_P(KernelActuatorContract, IsUndoneAfterAKill) {
  const auto before = tree_.snapshot();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto restore = RestoreFile::open(state_, tree_.root());
    if (!restore) ::_exit(2);
    const auto actuator = GetParam().make({tree_.root(), *restore});
    if (!actuator || !(*actuator)->apply(GetParam().settings.front())) ::_exit(3);
    if (::write(ready[1], "x", 1) != 1) ::_exit(4);
    for (;;) ::pause();
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the child could not apply the setting";
  EXPECT_NE(tree_.snapshot(), before);
  EXPECT_THAT(RestoreFile::restore_all(state_, tree_.root()), IsError(ErrorKind::kBusy, HasSubstr("running reins")));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ::close(ready[0]);
  const auto report = RestoreFile::restore_all(state_, tree_.root());
  ASSERT_OK(report);
  EXPECT_TRUE(report->complete());
  EXPECT_FALSE(report->lines.empty());
  for (const std::string& file : GetParam().files) {
    if (before.at(file) == "<unsupported>" || before.at(file) == "undefined") continue;
    EXPECT_EQ(tree_.read(file), before.at(file)) << file;
  }
  EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_P(KernelActuatorContract, PutsBackWhatAKilledRunLeftBeforeItLooks) {
  const auto before = tree_.snapshot();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto restore = RestoreFile::open(state_, tree_.root());
    const auto actuator = restore ? GetParam().make({tree_.root(), *restore}) : Made(fail(restore.error()));
    if (actuator && (*actuator)->apply(GetParam().settings.front())) ::kill(::getpid(), SIGKILL);
    ::_exit(3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto actuator = GetParam().make(site());
  ASSERT_OK(actuator);
  ASSERT_OK((*actuator)->apply(GetParam().settings.back()));
  ASSERT_OK((*actuator)->restore());
  for (const std::string& file : GetParam().files) {
    if (before.at(file) == "<unsupported>" || before.at(file) == "undefined") continue;
    EXPECT_EQ(tree_.read(file), before.at(file)) << file;
  }
}

TEST_P(KernelActuatorContract, SaysNotFoundWhereItIsAbsent) {
  tree_.remove("sys");
  EXPECT_THAT(GetParam().make(site()), IsError(ErrorKind::kNotFound, HasSubstr(";"))) << "with what to do about it";
}

TEST_P(KernelActuatorContract, RefusesGarbledAndTruncatedFilesAtOpening) {
  for (const std::string bad : {"", "rubbish", "12 34 x"}) {
    tree_.put(GetParam().garbage_in, bad);
    EXPECT_THAT(GetParam().make(site()), IsError(ErrorKind::kGarbled, HasSubstr(GetParam().garbage_in)))
        << "'" << bad << "'";
  }
}

const Case* g_case = nullptr;

TEST_P(KernelActuatorContract, SaysWhichFileIsDenied) {
  g_case = &GetParam();
  std::filesystem::permissions(tree_.path(g_case->files.front()), std::filesystem::perms(0444));
  std::filesystem::create_directories(tree_.path("run"));
  std::filesystem::permissions(tree_.path("run"), std::filesystem::perms(0777));
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path& root) {
        auto restore = RestoreFile::open(root / "run/state.toml", root);
        if (!restore) return 1;
        const auto made = g_case->make({root, *restore});
        if (made) return 2;
        if (made.error().kind() != ErrorKind::kDenied) return 3;
        const std::string folder = std::filesystem::path(g_case->files.front()).parent_path();
        return made.error().line().find(folder.substr(0, folder.find("/userspace"))) == std::string::npos ? 4 : 0;
      },
      tree_);
  if (code == 254) GTEST_SKIP() << "cannot give up root here, so permission cannot be tested";
  EXPECT_EQ(code, 0) << "1: no restore file, 2: it opened, 3: another kind of error, 4: the file is not named";
}

std::vector<Case> cases_with_files() {
  std::vector<Case> some;
  std::copy_if(cases().begin(), cases().end(), std::back_inserter(some),
               [](const Case& c) { return !c.files.empty(); });
  return some;
}

INSTANTIATE_TEST_SUITE_P(Linux, KernelActuatorContract, ::testing::ValuesIn(cases_with_files()),
                         [](const auto& parameter) { return parameter.param.name; });
INSTANTIATE_TEST_SUITE_P(Linux, ActuatorContract, ::testing::ValuesIn(cases()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(FaultyActuator, FailsStallsAndCapsOnDemand) {
  FakeClock clock;
  testing::FaultyActuator actuator("a15", kOppsKhz, clock);
  actuator.fail_nth(2, Error(ErrorKind::kDenied, "no", "fake"));
  EXPECT_OK(actuator.apply(FreqKhz{200000}));
  EXPECT_THAT(actuator.apply(FreqKhz{600000}), IsError(ErrorKind::kDenied, HasSubstr("no")));
  EXPECT_EQ(*actuator.present(), Setting(FreqKhz{200000}));
  actuator.cap(700000);
  actuator.stall(0.001);
  const double before_s = clock.now_s();
  EXPECT_EQ(*actuator.apply(FreqKhz{2000000}), Setting(FreqKhz{600000}));
  EXPECT_DOUBLE_EQ(clock.now_s(), before_s + 0.001);
  actuator.die(Error(ErrorKind::kGone, "left", "fake"));
  EXPECT_THAT(actuator.restore(), IsError(ErrorKind::kGone, HasSubstr("left")));
}

}  // namespace
}  // namespace reins::actuators
