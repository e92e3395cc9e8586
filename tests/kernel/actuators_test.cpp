// Actuators on cpufreq policies of a real kernel (acpi-cpufreq): what they say is what the kernel does.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "actuators/actuator_set.hpp"
#include "tests/kernel/fixture.hpp"

namespace reins::kernel_tests {
namespace {

using actuators::ActuatorSet;
using actuators::FreqKhz;
using actuators::GovernorName;
using actuators::Setting;
using ::testing::AllOf;
using testing::IsError;
using ::testing::Not;

const ClusterId kBig(0), kLittle(1);

class Actuators : public OnTheKernel {
 protected:
  ActuatorSet make() { return ActuatorSet::make(board_, {"/", state_file()}); }
};

/// What the kernel runs the policy at, kHz.
std::int64_t in_force(const std::string& policy) { return std::stoll(first_line(policy + "/scaling_cur_freq")); }

bool is_freq(const Result<Setting>& setting, std::int64_t khz) {
  const auto* freq = setting.has_value() ? std::get_if<FreqKhz>(&*setting) : nullptr;
  return freq != nullptr && freq->khz == khz;
}

/// A pinned range is in force as soon as the governor next looks, which schedutil does when work wakes up there:
/// `at_once` is for what the kernel does within the write.
void set_every_point(ActuatorSet& set, bool at_once) {
  for (const auto& [cluster, policy, points] :
       {std::tuple(kBig, kBigPolicy, kBigKhz), std::tuple(kLittle, kLittlePolicy, kLittleKhz)}) {
    actuators::FrequencyActuator* const actuator = set.frequency(cluster);
    ASSERT_NE(actuator, nullptr);
    EXPECT_EQ(std::vector<std::int64_t>(actuator->available_khz().begin(), actuator->available_khz().end()), points);
    for (const std::int64_t khz : points) {
      EXPECT_TRUE(is_freq(set.apply({cluster, FreqKhz{khz}}), khz)) << khz;
      if (!at_once) wait_for([&] { return in_force(policy) == khz; });
      EXPECT_EQ(in_force(policy), khz);
      EXPECT_TRUE(is_freq(actuator->present(), khz)) << khz;
    }
  }
}

TEST_F(Actuators, SetEveryPointOfBothPoliciesAndReadItBack) {
  {
    ActuatorSet set = make();
    ASSERT_TRUE(set.missing().empty());
    EXPECT_FALSE(set.frequency(kBig)->pins());
    set_every_point(set, true);
    EXPECT_EQ(first_line(kBigPolicy + "/scaling_governor"), "userspace");
    EXPECT_OK(set.restore());
  }
  EXPECT_EQ(frequency_settings(), found_);
  EXPECT_FALSE(std::filesystem::exists(state_file()));
}

TEST_F(Actuators, PinWhereTheKernelHasNoUserspaceGovernor) {
  ASSERT_TRUE(unload_module("cpufreq_userspace"));
  {
    ActuatorSet set = make();
    EXPECT_TRUE(set.missing().empty());
    EXPECT_TRUE(set.frequency(kBig)->pins());
    set_every_point(set, false);
    EXPECT_EQ(first_line(kBigPolicy + "/scaling_min_freq"), first_line(kBigPolicy + "/scaling_max_freq"));
    EXPECT_OK(set.restore());
  }
  EXPECT_TRUE(load_module("cpufreq_userspace"));
  EXPECT_EQ(frequency_settings(), found_);
}

// acpi-cpufreq takes the lowest P-state at or above (CPUFREQ_RELATION_L).
TEST_F(Actuators, SayWhatTheKernelRoundedAFrequencyTo) {
  ActuatorSet set = make();
  for (const auto& [wanted, made] :
       {std::pair(1250000, 1600000), {1600001, 2000000}, {2500000, 2000000}, {1, 400000}}) {
    EXPECT_TRUE(is_freq(set.apply({kBig, FreqKhz{wanted}}), made)) << wanted;
    EXPECT_EQ(in_force(kBigPolicy), made);
  }
}

TEST_F(Actuators, KeepToAMaximumThatAUserSet) {
  ASSERT_EQ(put(kBigPolicy + "/scaling_max_freq", "1200000"), 0);
  const std::string capped = frequency_settings();
  {
    ActuatorSet set = make();
    EXPECT_TRUE(is_freq(set.apply({kBig, FreqKhz{2000000}}), 1200000));
    EXPECT_EQ(in_force(kBigPolicy), 1200000);
    const auto cap = set.cap(kBig);
    EXPECT_TRUE(cap.has_value() && cap->index() == 2);
    // Lowered meanwhile: what is in force follows, and so does what is said.
    ASSERT_EQ(put(kBigPolicy + "/scaling_max_freq", "800000"), 0);
    EXPECT_TRUE(is_freq(set.apply({kBig, FreqKhz{1200000}}), 800000));
    EXPECT_EQ(in_force(kBigPolicy), 800000);
    ASSERT_EQ(put(kBigPolicy + "/scaling_max_freq", "1200000"), 0);
  }
  EXPECT_EQ(frequency_settings(), capped);
}

TEST_F(Actuators, RefuseAGovernorThatTheKernelHasNot) {
  ActuatorSet set = make();
  EXPECT_THAT(set.apply({kBig, GovernorName("warp")}),
              IsError(ErrorKind::kUsage, AllOf(HasSubstr("no such governor"), Not(HasSubstr("\n")))));
  EXPECT_EQ(frequency_settings(), found_);
}

TEST_F(Actuators, LeaveAPolicyToEachOfTheKernelsGovernors) {
  {
    ActuatorSet set = make();
    for (const char* name : {"performance", "powersave", "ondemand", "conservative", "schedutil"}) {
      EXPECT_OK(set.apply({kLittle, GovernorName(name)})) << name;
      EXPECT_EQ(first_line(kLittlePolicy + "/scaling_governor"), name);
    }
  }
  EXPECT_EQ(frequency_settings(), found_);
}

TEST_F(Actuators, SayThatAnotherProgramTookTheGovernorAndLeaveItThere) {
  ActuatorSet set = make();
  ASSERT_TRUE(is_freq(set.apply({kBig, FreqKhz{800000}}), 800000));
  ASSERT_EQ(put(kBigPolicy + "/scaling_governor", "performance"), 0);
  for (int again = 0; again < 3; ++again) {
    EXPECT_THAT(set.apply({kBig, FreqKhz{400000}}),
                IsError(ErrorKind::kBusy, AllOf(HasSubstr("another program"), HasSubstr("policy0"))));
    EXPECT_EQ(first_line(kBigPolicy + "/scaling_governor"), "performance");
    EXPECT_EQ(in_force(kBigPolicy), 2000000);
  }
  EXPECT_TRUE(is_freq(set.apply({kLittle, FreqKhz{600000}}), 600000)) << "the other policy is still ours";
}

// The kernel keeps an offline processor's policy folder, and refuses to read or write it.
TEST_F(Actuators, SayThatAProcessorIsOfflineAndGoOnWhenItIsBack) {
  {
    ActuatorSet set = make();
    ASSERT_TRUE(is_freq(set.apply({kLittle, FreqKhz{600000}}), 600000));
    ASSERT_EQ(put("/sys/devices/system/cpu/cpu1/online", "0"), 0);
    const auto refused = set.apply({kLittle, FreqKhz{900000}});
    ASSERT_FALSE(refused.has_value()) << "nothing can be in force on a processor that is off";
    std::printf("offline: %s\n", refused.error().line().c_str());
    EXPECT_THAT(refused, IsError(ErrorKind::kBusy, AllOf(HasSubstr("policy1"), Not(HasSubstr("\n")))));
    EXPECT_TRUE(is_freq(set.apply({kBig, FreqKhz{1600000}}), 1600000)) << "the other policy is not touched by it";
    ASSERT_EQ(put("/sys/devices/system/cpu/cpu1/online", "1"), 0);
    EXPECT_TRUE(is_freq(set.apply({kLittle, FreqKhz{900000}}), 900000));
    EXPECT_EQ(in_force(kLittlePolicy), 900000);
    EXPECT_OK(set.restore());
  }
  EXPECT_EQ(frequency_settings(), found_);
}

}  // namespace
}  // namespace reins::kernel_tests
