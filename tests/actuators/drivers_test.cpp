// What is particular to one actuator: rounding, caps, the order of writes, other programs, and the real machine where
// it can be tried.
#include "actuators/linux/drivers.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <thread>

#include "core/clock.hpp"
#include "tests/support/cooling_device.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::actuators {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

constexpr std::string_view kPolicy0 = "sys/devices/system/cpu/cpufreq/policy0";

class Frequencies : public ::testing::Test {
 protected:
  Site site() { return {tree_.root(), *RestoreFile::open(tree_.path("run/state.toml"), tree_.root())}; }
  std::unique_ptr<FrequencyActuator> cpufreq() {
    auto made = make_cpufreq("c", kPolicy0, site());
    EXPECT_OK(made);
    return made ? std::move(*made) : nullptr;
  }
  std::string at(std::string_view file) { return tree_.read(std::string(kPolicy0) + "/" + std::string(file)); }
  void put(std::string_view file, std::string_view text) {
    tree_.put(std::string(kPolicy0) + "/" + std::string(file), text);
  }
  SysTree tree_;
};

TEST_F(Frequencies, RoundUpToAStepAsTheKernelDoes) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000});
  const auto c = cpufreq();
  // Seen on a real kernel (acpi-cpufreq, userspace): 1250000 becomes 1600000.
  EXPECT_EQ(*c->apply(FreqKhz{1250000}), Setting(FreqKhz{1600000}));
  EXPECT_EQ(at("scaling_setspeed"), "1600000");
  EXPECT_EQ(*c->apply(FreqKhz{1}), Setting(FreqKhz{400000}));
  EXPECT_EQ(*c->apply(FreqKhz{9999999}), Setting(FreqKhz{2000000}));
  EXPECT_EQ(*c->apply(FreqKhz{800000}), Setting(FreqKhz{800000}));
  EXPECT_THAT(c->apply(FreqKhz{0}), IsError(ErrorKind::kUsage, HasSubstr("above zero")));
  EXPECT_THAT(c->available_khz(), ElementsAre(400000, 800000, 1600000, 2000000));
}

TEST_F(Frequencies, AreSortedWhateverOrderTheKernelListsThem) {
  tree_.cpufreq(0, {400000, 2000000});
  put("scaling_available_frequencies", "2000000 1600000 800000 400000 ");
  EXPECT_THAT(cpufreq()->available_khz(), ElementsAre(400000, 800000, 1600000, 2000000));
}

TEST_F(Frequencies, TakeAnyValueWhereTheDriverListsNone) {
  tree_.cpufreq(0, {400000, 3000000}, "powersave", "performance powersave");
  tree_.remove(std::string(kPolicy0) + "/scaling_available_frequencies");
  const auto c = cpufreq();
  EXPECT_TRUE(c->pins());
  EXPECT_EQ(*c->apply(FreqKhz{1234567}), Setting(FreqKhz{1234567}));
  EXPECT_EQ(at("scaling_min_freq"), "1234567");
  EXPECT_EQ(at("scaling_max_freq"), "1234567");
  EXPECT_EQ(*c->apply(FreqKhz{100}), Setting(FreqKhz{400000}));
  EXPECT_EQ(*c->apply(FreqKhz{9000000}), Setting(FreqKhz{3000000}));
}

TEST_F(Frequencies, StayBelowACapFoundAtTheStart) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000});
  put("scaling_max_freq", "1700000");
  const auto c = cpufreq();
  EXPECT_EQ(*c->cap_khz(), 1700000);
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{1600000}));
  EXPECT_EQ(at("scaling_max_freq"), "1700000") << "what a user asked for stays";
}

/// A maximum that is already cut down when the program starts comes back with the device that cut it.
TEST_F(Frequencies, UseWhatACoolingDeviceThatCappedBeforeTheStartLifts) {
  for (const char* governors : {"schedutil userspace", "schedutil"}) {  // set by setspeed, and pinned
    SCOPED_TRACE(governors);
    tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", governors);
    put("scaling_max_freq", "800000");
    const auto c = cpufreq();
    {
      const testing::CoolingDevice hot(800000);
      EXPECT_EQ(*c->cap_khz(), 800000);
      EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{800000}));
      EXPECT_EQ(*c->apply(FreqKhz{400000}), Setting(FreqKhz{400000}));
      EXPECT_EQ(*c->cap_khz(), 800000);
    }
    // It has cooled down: what is in force is what was asked for last.
    if (!c->pins()) put("scaling_max_freq", "2000000");
    EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{2000000}));
    EXPECT_EQ(*c->cap_khz(), 2000000);
    EXPECT_OK(c->restore());
    EXPECT_EQ(at("scaling_max_freq"), "2000000") << "a device's cap must not be left behind as a user's";
  }
}

TEST_F(Frequencies, PutBackWhatAUserAskedForThoughADeviceCapsAboveIt) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", "schedutil");
  put("scaling_max_freq", "800000");
  const auto c = cpufreq();
  const testing::CoolingDevice hot(1600000);
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{800000}));
  EXPECT_OK(c->restore());
  EXPECT_EQ(at("scaling_max_freq"), "800000");
}

TEST_F(Frequencies, LeaveTheTopToRestoreAfterAKillWhereADeviceCapped) {
  tree_.cpufreq(0, {400000, 800000, 2000000});
  put("scaling_max_freq", "800000");
  const testing::CoolingDevice hot(800000);
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  EXPECT_THAT(tree_.read("run/state.toml"),
              ::testing::AllOf(HasSubstr("2000000"), ::testing::Not(HasSubstr("800000"))));
}

TEST_F(Frequencies, StayBelowACapFoundAtTheStartWhilePinning) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", "schedutil");
  put("scaling_max_freq", "1600000");
  const auto c = cpufreq();
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{1600000}));
  EXPECT_EQ(*c->apply(FreqKhz{400000}), Setting(FreqKhz{400000}));
  EXPECT_EQ(*c->cap_khz(), 1600000) << "our own maximum is no cap";
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{1600000}));
}

TEST_F(Frequencies, FollowACoolingDeviceWhileItCaps) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000});
  const auto c = cpufreq();
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{2000000}));
  put("scaling_max_freq", "800000");
  EXPECT_EQ(*c->cap_khz(), 800000);
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{800000}));
  put("scaling_max_freq", "2000000");
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{2000000}));
}

TEST_F(Frequencies, SeeACapWhilePinningAndLookWhetherItStillStands) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", "performance schedutil");
  const auto c = cpufreq();
  ASSERT_TRUE(c->pins());
  EXPECT_EQ(*c->apply(FreqKhz{1600000}), Setting(FreqKhz{1600000}));
  EXPECT_EQ(*c->cap_khz(), 2000000) << "our own maximum is no cap";
  put("scaling_max_freq", "800000");  // a cooling device, below what we ask for
  EXPECT_EQ(*c->cap_khz(), 800000);
  put("scaling_max_freq", "1600000");  // and up again: what we ask for is in force
  EXPECT_EQ(*c->cap_khz(), 2000000);
}

TEST_F(Frequencies, KeepACapInMindBelowWhichTheyPin) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", "performance schedutil");
  const auto c = cpufreq();
  {
    const testing::CoolingDevice hot(1600000);  // after it was opened
    put("scaling_max_freq", "1600000");
    EXPECT_EQ(*c->apply(FreqKhz{400000}), Setting(FreqKhz{400000}));
    EXPECT_EQ(*c->cap_khz(), 1600000) << "it cannot show in a maximum of 400 MHz";
  }
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{2000000})) << "nothing in this tree holds it down any more";
  EXPECT_EQ(*c->cap_khz(), 2000000);
  EXPECT_OK(c->apply(FreqKhz{400000}));
  EXPECT_OK(c->restore());
  EXPECT_EQ(at("scaling_max_freq"), "2000000");
}

TEST_F(Frequencies, TakeTheRangeThatAnotherProgramGivesThemWhilePinning) {
  tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", "performance schedutil");
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  put("scaling_max_freq", "1600000");  // no cooling device raises what we asked for
  EXPECT_EQ(*c->cap_khz(), 1600000);
  EXPECT_EQ(*c->apply(FreqKhz{2000000}), Setting(FreqKhz{1600000}));
  EXPECT_OK(c->restore());
  EXPECT_EQ(at("scaling_max_freq"), "1600000");
}

TEST_F(Frequencies, LowerAMinimumThatWouldHoldThemUpAndPutItBack) {
  tree_.cpufreq(0, {400000, 800000, 1600000});
  put("scaling_min_freq", "800000");
  auto c = cpufreq();
  EXPECT_EQ(*c->apply(FreqKhz{400000}), Setting(FreqKhz{400000}));
  EXPECT_EQ(at("scaling_min_freq"), "400000");
  EXPECT_OK(c->apply(GovernorName("powersave")));
  EXPECT_EQ(at("scaling_min_freq"), "800000") << "a governor gets the range it was found with";
  c.reset();
  EXPECT_EQ(at("scaling_min_freq"), "800000");
  EXPECT_EQ(at("scaling_governor"), "schedutil");
}

// A server may wait for minutes before its first request.
TEST_F(Frequencies, FindWhatIsThereWhenTheyAreFirstSetNotWhenTheyWereOpened) {
  for (const char* governors : {"userspace schedutil", "performance schedutil"}) {
    SCOPED_TRACE(governors);
    tree_.cpufreq(0, {400000, 800000, 1600000, 2000000}, "schedutil", governors);
    auto c = cpufreq();
    put("scaling_min_freq", "800000");
    put("scaling_max_freq", "1600000");
    EXPECT_OK(c->apply(FreqKhz{800000}));
    EXPECT_THAT(tree_.read("run/state.toml"), ::testing::AllOf(HasSubstr("800000"), HasSubstr("1600000")));
    EXPECT_EQ(c->foreign().changes, 0U) << "that was before";
    c.reset();
    EXPECT_EQ(at("scaling_min_freq"), "800000");
    EXPECT_EQ(at("scaling_max_freq"), "1600000");
    EXPECT_EQ(at("scaling_governor"), "schedutil");
    put("scaling_min_freq", "400000");
  }
}

TEST_F(Frequencies, GiveAGovernorItsWholeRangeAfterPinning) {
  tree_.cpufreq(0, {400000, 1600000}, "schedutil", "performance schedutil");
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  EXPECT_OK(c->apply(GovernorName("performance")));
  EXPECT_EQ(at("scaling_max_freq"), "1600000");
  EXPECT_EQ(at("scaling_governor"), "performance");
  EXPECT_THAT(c->apply(GovernorName("ondemand")), IsError(ErrorKind::kUsage, HasSubstr("no such governor")));
  EXPECT_EQ(at("scaling_governor"), "performance");
}

TEST_F(Frequencies, LeaveAMaximumThatAnotherProgramLowersMeanwhile) {
  tree_.cpufreq(0, {400000, 800000, 1600000});
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{1600000}));
  put("scaling_max_freq", "800000");
  EXPECT_EQ(*c->apply(FreqKhz{1600000}), Setting(FreqKhz{800000}));
  EXPECT_OK(c->apply(GovernorName("ondemand")));
  EXPECT_EQ(at("scaling_max_freq"), "800000");
  EXPECT_OK(c->restore());
  EXPECT_EQ(at("scaling_governor"), "schedutil");
  EXPECT_EQ(at("scaling_max_freq"), "800000");
}

TEST_F(Frequencies, SayBusyWhenAnotherProgramTakesTheGovernor) {
  tree_.cpufreq(0, {400000, 1600000});
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  put("scaling_governor", "ondemand");
  EXPECT_THAT(c->apply(FreqKhz{1600000}), IsError(ErrorKind::kBusy, HasSubstr("scaling_governor")));
}

TEST_F(Frequencies, ReadBackWhatTheKernelMadeOfThem) {
  tree_.cpufreq(0, {400000, 800000, 1600000});
  const auto c = cpufreq();
  const testing::StubbornFile coordinated("scaling_setspeed", 800000);  // two policies on one clock
  EXPECT_EQ(*c->apply(FreqKhz{400000}), Setting(FreqKhz{800000}));
}

TEST_F(Frequencies, OfDevfreqReadBackTheGovernorsTarget) {
  const std::string gpu = tree_.devfreq("gpu", {114750, 510000, 1109250});
  tree_.put(gpu + "/target_freq", "114750000");
  auto made = make_devfreq("gpu", gpu, site());
  ASSERT_OK(made);
  EXPECT_EQ(*(*made)->apply(FreqKhz{510000}), Setting(FreqKhz{114750}))
      << "its set point only repeats what was written";
}

TEST_F(Frequencies, HandOutTheKernelsRefusal) {
  tree_.cpufreq(0, {400000, 1600000});
  auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  for (const auto& [number, kind] : {std::pair{EIO, ErrorKind::kIo}, {EPERM, ErrorKind::kDenied}}) {
    const auto refusing = testing::StubbornFile::refusing("scaling_setspeed", number);
    EXPECT_THAT(c->apply(FreqKhz{1600000}), IsError(kind, HasSubstr("scaling_setspeed")));
  }
  EXPECT_OK(c->restore());
  EXPECT_EQ(at("scaling_governor"), "schedutil");
}

TEST_F(Frequencies, AreLeftToWhoChangesGovernorOrMinimumUntilTheyAreGivenBack) {
  for (const char* governors : {"schedutil userspace performance", "schedutil performance"}) {
    SCOPED_TRACE(governors);
    tree_.cpufreq(0, {400000, 800000, 1600000}, "schedutil", governors);
    const auto c = cpufreq();
    EXPECT_FALSE(c->look()->taken) << "nothing is set yet";
    put("scaling_governor", "performance");
    EXPECT_OK(c->apply(FreqKhz{800000})) << "what is there at the first change is what was found";
    EXPECT_FALSE(c->look()->taken);
    const auto ours = tree_.snapshot();
    put("scaling_governor", "schedutil");
    EXPECT_TRUE(c->look()->taken);
    EXPECT_EQ(c->look()->changes, 1U) << "once a change";
    EXPECT_EQ(c->foreign().governor, GovernorName("schedutil"));
    const auto theirs = tree_.snapshot();
    EXPECT_THAT(c->apply(FreqKhz{400000}), IsError(ErrorKind::kBusy, HasSubstr("scaling_governor")));
    EXPECT_EQ(tree_.snapshot(), theirs);
    put("scaling_governor", c->pins() ? "performance" : "userspace");
    EXPECT_EQ(tree_.snapshot(), ours);
    EXPECT_OK(c->apply(FreqKhz{400000}));

    const std::string min = at("scaling_min_freq");
    put("scaling_min_freq", "1600000");
    EXPECT_THAT(c->apply(FreqKhz{800000}), IsError(ErrorKind::kBusy, HasSubstr("scaling_min_freq")));
    EXPECT_EQ(c->foreign().changes, 2U);
    EXPECT_OK(c->restore());
    EXPECT_EQ(at("scaling_governor"), "performance");
    EXPECT_EQ(at("scaling_min_freq"), "1600000") << "another program's";
    EXPECT_EQ(at("scaling_max_freq"), "1600000");
    put("scaling_min_freq", min);
  }
}

TEST_F(Frequencies, TakeACapThatPullsTheMinimumAlongForNoOthersHand) {
  tree_.cpufreq(0, {400000, 800000, 1600000}, "schedutil", "schedutil");
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{1600000}));
  put("scaling_max_freq", "800000");
  put("scaling_min_freq", "800000");  // the kernel keeps the range a range
  EXPECT_FALSE(c->look()->taken);
  EXPECT_EQ(*c->apply(FreqKhz{400000}), Setting(FreqKhz{400000}));
}

TEST_F(Frequencies, AreLeftWholeWhereAnotherProgramHasOneOfSeveralPolicies) {
  tree_.cpufreq(0, {400000, 1600000});
  tree_.cpufreq(1, {400000, 1600000});
  auto made = make_cpufreq("cpu", "sys/devices/system/cpu/cpufreq/policy*", site());
  ASSERT_OK(made);
  EXPECT_OK((*made)->apply(FreqKhz{400000}));
  tree_.put("sys/devices/system/cpu/cpufreq/policy1/scaling_governor", "performance");
  EXPECT_THAT((*made)->apply(FreqKhz{1600000}), IsError(ErrorKind::kBusy, HasSubstr("policy1")));
  EXPECT_EQ(at("scaling_setspeed"), "400000");
  EXPECT_EQ((*made)->foreign().governor, GovernorName("performance"));
}

TEST_F(Frequencies, RefuseASecondRunWhateverStateFileItHas) {
  tree_.cpufreq(0, {400000, 1600000});
  const auto first = cpufreq();
  const auto state = RestoreFile::open(tree_.path("elsewhere/state.toml"), tree_.root());
  ASSERT_OK(state);
  EXPECT_THAT(make_cpufreq("c", kPolicy0, {tree_.root(), *state}),
              IsError(ErrorKind::kBusy, HasSubstr("running reins sets this")));
  EXPECT_OK(make_cpufreq("c", kPolicy0, {tree_.root(), nullptr})) << "looking is free";
}

TEST_F(Frequencies, AfterAKillAreLeftWhereAnotherProgramHasSetThemSince) {
  tree_.cpufreq(0, {400000, 800000, 1600000});
  put("scaling_min_freq", "800000");
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  EXPECT_OK(c->apply(GovernorName("powersave")));
  EXPECT_OK(c->apply(FreqKhz{400000}));
  const std::string saved = tree_.read("run/state.toml");
  EXPECT_THAT(saved, HasSubstr("ours = \"userspace schedutil powersave\""));
  // As it is after a kill at this moment, with another program's governor.
  tree_.put("run/killed.toml", saved);
  put("scaling_governor", "performance");
  auto report = RestoreFile::restore_all(tree_.path("run/killed.toml"), tree_.root());
  ASSERT_OK(report);
  EXPECT_TRUE(report->complete());
  EXPECT_EQ(report->lines[0].left, "performance");
  EXPECT_EQ(at("scaling_governor"), "performance");
  EXPECT_EQ(at("scaling_min_freq"), "800000") << "this was the run's own";
  // And with each governor that the run itself may have left.
  for (const char* governor : {"userspace", "powersave"}) {
    tree_.put("run/killed.toml", saved);
    put("scaling_governor", governor);
    EXPECT_OK(RestoreFile::restore_all(tree_.path("run/killed.toml"), tree_.root()));
    EXPECT_EQ(at("scaling_governor"), "schedutil");
  }
}

TEST_F(Frequencies, SayGoneWhenTheirCpusGoOffline) {
  tree_.cpufreq(0, {400000, 1600000});
  const auto c = cpufreq();
  EXPECT_OK(c->apply(FreqKhz{400000}));
  tree_.remove(kPolicy0);
  EXPECT_THAT(c->apply(FreqKhz{1600000}), IsError(ErrorKind::kGone, HasSubstr("policy0")));
}

/// The order in which files of a folder were first written since the last call, by the kernel's own account.
class Writes {
 public:
  explicit Writes(const std::filesystem::path& folder) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    ::inotify_add_watch(fd_, folder.c_str(), IN_MODIFY);
  }
  ~Writes() { ::close(fd_); }
  Writes(const Writes&) = delete;
  Writes& operator=(const Writes&) = delete;
  std::vector<std::string> take() {
    std::vector<std::string> names;
    alignas(inotify_event) std::array<char, 8192> buffer;
    for (;;) {
      const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
      if (n <= 0) return names;
      for (ssize_t at = 0; at < n;) {
        inotify_event event;
        std::memcpy(&event, buffer.data() + at, sizeof(event));
        const std::string name(buffer.data() + at + sizeof(event));
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
        at += static_cast<ssize_t>(sizeof(event) + event.len);
      }
    }
  }

 private:
  int fd_;
};

TEST_F(Frequencies, WriteMinimumAndMaximumSoThatTheRangeNeverTurnsOver) {
  tree_.cpufreq(0, {400000, 800000, 1600000}, "schedutil", "schedutil");
  const auto c = cpufreq();
  Writes writes(tree_.path(kPolicy0));
  EXPECT_OK(c->apply(FreqKhz{400000}));
  EXPECT_THAT(writes.take(), ElementsAre("scaling_min_freq", "scaling_max_freq")) << "down: the minimum first";
  EXPECT_OK(c->apply(FreqKhz{1600000}));
  EXPECT_THAT(writes.take(), ElementsAre("scaling_max_freq", "scaling_min_freq")) << "up: the maximum first";
  EXPECT_OK(c->apply(FreqKhz{800000}));
  EXPECT_THAT(writes.take(), ElementsAre("scaling_min_freq", "scaling_max_freq"));
  EXPECT_OK(c->restore());
  EXPECT_THAT(writes.take(), ElementsAre("scaling_governor", "scaling_min_freq", "scaling_max_freq"));
}

TEST_F(Frequencies, OfPoliciesThatMatchOnePatternAreSetTogether) {
  tree_.cpufreq(0, {400000, 1600000});
  tree_.cpufreq(1, {400000, 1600000});
  put("scaling_max_freq", "1600000");
  tree_.put("sys/devices/system/cpu/cpufreq/policy1/scaling_max_freq", "400000");
  auto made = make_cpufreq("cpu", "sys/devices/system/cpu/cpufreq/policy*", site());
  ASSERT_OK(made);
  EXPECT_EQ(*(*made)->cap_khz(), 400000) << "the lowest cap of all";
  EXPECT_OK((*made)->apply(FreqKhz{400000}));
  EXPECT_EQ(at("scaling_setspeed"), "400000");
  EXPECT_EQ(tree_.read("sys/devices/system/cpu/cpufreq/policy1/scaling_setspeed"), "400000");
  made->reset();
  EXPECT_EQ(at("scaling_governor"), "schedutil");
  EXPECT_EQ(tree_.read("sys/devices/system/cpu/cpufreq/policy1/scaling_governor"), "schedutil");
}

TEST_F(Frequencies, OfDevfreqAreWrittenInHertz) {
  const std::string gpu = tree_.devfreq("gpu", {114750, 510000, 1109250});
  auto made = make_frequency("gpu", "sys/class/nowhere|sys/class/devfreq/*", site());
  ASSERT_OK(made);
  EXPECT_EQ(*(*made)->apply(FreqKhz{500000}), Setting(FreqKhz{510000}));
  EXPECT_EQ(tree_.read(gpu + "/userspace/set_freq"), "510000000");
  EXPECT_EQ(*(*made)->cap_khz(), 1109250);
  EXPECT_THAT((*made)->available_khz(), ElementsAre(114750, 510000, 1109250));
}

TEST_F(Frequencies, OfDevfreqFindTheSetPointThatAppearsWithTheGovernor) {
  const std::string gpu = tree_.devfreq("gpu", {114750, 1109250});
  tree_.remove(gpu + "/userspace");
  auto made = make_devfreq("gpu", gpu, site());
  ASSERT_OK(made) << "userspace/set_freq is not there before the governor is";
  tree_.put(gpu + "/userspace/set_freq", "undefined");
  EXPECT_OK((*made)->apply(FreqKhz{114750}));
  EXPECT_EQ(tree_.read(gpu + "/userspace/set_freq"), "114750000");
}

class Quota : public Frequencies {};

TEST_F(Quota, RoundsToMicrosecondsAndTheKernelsLeast) {
  tree_.put("sys/fs/cgroup/a/cpu.max", "max 100000");
  const auto made = make_cgroup_quota("q", "sys/fs/cgroup/a", site());
  ASSERT_OK(made);
  EXPECT_EQ(*(*made)->apply(QuotaCpus{1.0 / 3.0}), Setting(QuotaCpus{0.33333}));
  EXPECT_EQ(tree_.read("sys/fs/cgroup/a/cpu.max"), "33333 100000");
  EXPECT_EQ(*(*made)->apply(QuotaCpus{0.0001}), Setting(QuotaCpus{0.01}));
  EXPECT_EQ(tree_.read("sys/fs/cgroup/a/cpu.max"), "1000 100000");
  EXPECT_OK((*made)->apply(QuotaCpus{0}));
  EXPECT_EQ(tree_.read("sys/fs/cgroup/a/cpu.max"), "max 100000");
  EXPECT_THAT((*made)->apply(QuotaCpus{-1}), IsError(ErrorKind::kUsage, HasSubstr("between 0")));
  EXPECT_THAT((*made)->apply(QuotaCpus{std::nan("")}), IsError(ErrorKind::kUsage, HasSubstr("between 0")));
}

TEST_F(Quota, KeepsThePeriodOfVersion1) {
  tree_.put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "20000").put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "25000");
  auto made = make_cgroup_quota("q", "sys/fs/cgroup/cpu", site());
  ASSERT_OK(made);
  EXPECT_EQ(*(*made)->present(), Setting(QuotaCpus{0.8}));
  EXPECT_OK((*made)->apply(QuotaCpus{2}));
  EXPECT_EQ(tree_.read("sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "50000");
  EXPECT_OK((*made)->restore());
  EXPECT_EQ(tree_.read("sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "20000");
}

TEST_F(Quota, FindsTheGroupOfAProcessInBothVersions) {
  tree_.put("proc/7/cgroup", "4:memory:/m\n3:cpu,cpuacct:/user.slice\n0::/user.slice/x.scope");
  tree_.put("proc/8/cgroup", "0::/user.slice/x.scope");
  tree_.put("proc/9/cgroup", "0::/");
  tree_.put("sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_quota_us", "-1");
  tree_.put("sys/fs/cgroup/user.slice/x.scope/cpu.max", "max 100000");
  EXPECT_EQ(*own_cgroup(tree_.root(), 7), "sys/fs/cgroup/cpu,cpuacct/user.slice");
  EXPECT_EQ(*own_cgroup(tree_.root(), 8), "sys/fs/cgroup/user.slice/x.scope");
  EXPECT_THAT(own_cgroup(tree_.root(), 9), IsError(ErrorKind::kNotFound, HasSubstr("systemd-run")));
  EXPECT_THAT(own_cgroup(tree_.root(), 10), IsError(ErrorKind::kNotFound, HasSubstr("10/cgroup")));
  tree_.put("proc/11/cgroup", "rubbish");
  EXPECT_THAT(own_cgroup(tree_.root(), 11), IsError(ErrorKind::kGarbled, HasSubstr("colons")));
}

TEST(QuotaHere, ReallyLimitsAChildProcess) {
  const auto own = own_cgroup("/", 0);
  if (!own) GTEST_SKIP() << "no cpu quota to try: " << own.error().line();
  const std::filesystem::path group = std::filesystem::path("/") / *own / ("reins-test-" + std::to_string(::getpid()));
  std::error_code code;
  if (!std::filesystem::create_directory(group, code))
    GTEST_SKIP() << "may not make a control group: " << code.message();
  SysTree state;
  auto restore = RestoreFile::open(state.path("state.toml"), "/");
  ASSERT_OK(restore);
  auto quota = make_cgroup_quota("q", group.native().substr(1), {"/", *restore});
  if (!quota) {
    ::rmdir(group.c_str());
    GTEST_SKIP() << "the new group has no quota: " << quota.error().line();
  }
  EXPECT_EQ(*(*quota)->apply(QuotaCpus{0.2}), Setting(QuotaCpus{0.2}));
  EXPECT_EQ(*(*quota)->present(), Setting(QuotaCpus{0.2}));
  const MonotonicClock clock;
  const double start_s = clock.now_s();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::ofstream(group / "cgroup.procs") << ::getpid() << std::flush;
    volatile double sink = 0;
    for (const double begin_s = clock.now_s(); clock.now_s() - begin_s < 1.0;) sink = sink + 1;
    ::_exit(0);
  }
  int status = 0;
  rusage used{};
  ASSERT_EQ(::wait4(child, &status, 0, &used), child);
  const double wall_s = clock.now_s() - start_s;
  const double cpu_s = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                       1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  // 0.2 cpus over at least a second, plus one period's quota at either end.
  EXPECT_LT(cpu_s, 0.2 * wall_s + 0.1);
  EXPECT_OK((*quota)->restore());
  EXPECT_EQ(*(*quota)->present(), Setting(QuotaCpus{0}));
  ::rmdir(group.c_str());
}

}  // namespace
}  // namespace reins::actuators
