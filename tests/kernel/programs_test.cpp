// The shipped program on a real kernel: what it prints, refuses, holds and gives back.
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/kernel/fixture.hpp"
#include "tests/kernel/serving.hpp"

namespace reins::kernel_tests {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Not;
using testing::Process;

constexpr unsigned kNobody = 65534;

class Programs : public OnTheKernel {
 protected:
  static void SetUpTestSuite() {
    write_network();
    // Emulated: what is measured is the other suite's subject.
    Process profile({kProgram, "profile", "--board", kBoardFile, "--network", kNetwork, "--out", kEmulatedProfile});
    ASSERT_EQ(profile.code(), 0) << profile.text;
  }
  static std::vector<std::string> serve() {
    return serve_command({"--policy", "pareto", "--profile", kEmulatedProfile});
  }
  static std::ptrdiff_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }
};

TEST_F(Programs, BoardSaysWhatTheKernelHas) {
  Process board({kProgram, "board", "--board", kBoardFile, "--json"});
  ASSERT_EQ(board.code(), 0) << board.text;
  const json said = json::parse(board.text, nullptr, false);
  ASSERT_FALSE(said.is_discarded()) << board.text;
  EXPECT_EQ(said["this_machine"], true) << board.text;
  EXPECT_TRUE(said["missing"].empty()) << said["missing"].dump();
  ASSERT_EQ(said["controls"].size(), 2U);
  for (const json& control : said["controls"]) {
    EXPECT_EQ(control["how"], "userspace");
    EXPECT_EQ(control["present"], "schedutil");
  }
  std::vector<std::string> sources;
  for (const char* list : {"sensors", "elsewhere"}) {
    for (const json& sensor : said[list]) {
      EXPECT_TRUE(sensor.contains("value")) << sensor.dump();
      sources.push_back(sensor["source"]);
    }
  }
  for (const char* part : {"in_power2_raw", "temp1_input", "thermal_zone", "BAT0/", "policy0/", "policy1/"}) {
    const bool there = std::any_of(sources.begin(), sources.end(),
                                   [&](const std::string& source) { return source.find(part) != std::string::npos; });
    EXPECT_TRUE(there) << part;
  }
  Process host({kProgram, "board", "--board", "host", "--check"});
  EXPECT_EQ(host.code(), 0) << host.text;
}

TEST_F(Programs, AnotherUserIsToldInOneLineAndChangesNothing) {
  ASSERT_EQ(::chmod("/tmp", 01777), 0);
  for (const char* state : {"/run/reins/state.toml", "/tmp/nobody.toml"}) {
    std::vector<std::string> words = serve();
    words.insert(words.end(), {"--state", state});
    Process refused(words, kNobody);
    EXPECT_EQ(refused.code(), 1) << refused.text;
    EXPECT_EQ(lines(refused.text), 1) << refused.text;
    EXPECT_THAT(refused.text, AllOf(HasSubstr("Permission denied"), HasSubstr("run as root")));
  }
  Process board({kProgram, "board", "--board", kBoardFile}, kNobody);
  EXPECT_EQ(board.code(), 0) << "looking needs no rights";
  EXPECT_THAT(board.text, AllOf(HasSubstr("Missing"), HasSubstr("run as root")));
  EXPECT_EQ(frequency_settings(), found_);
}

TEST_F(Programs, ASecondControllerIsRefusedInOneLine) {
  Server first(serve());
  ASSERT_TRUE(first.up()) << first.text();
  ASSERT_TRUE(first.infer()) << "a decision holds the frequencies";
  Process second(serve());
  EXPECT_NE(second.code(), 0);
  EXPECT_EQ(lines(second.text), 1) << second.text;
  EXPECT_THAT(second.text, HasSubstr("a running reins holds this board's settings"));
  EXPECT_EQ(first_line(kBigPolicy + "/scaling_governor"), "userspace") << "the first still holds it";
  EXPECT_TRUE(first.infer()) << "and still answers";
  EXPECT_EQ(first.stop(), 0) << first.text();
  EXPECT_EQ(frequency_settings(), found_);
}

TEST_F(Programs, WhatAKilledRunLeftIsPutBackByRestore) {
  // Something other than the kernel's defaults, so that it is seen what is put back.
  ASSERT_EQ(put(kBigPolicy + "/scaling_governor", "conservative"), 0);
  ASSERT_EQ(put(kBigPolicy + "/scaling_min_freq", "800000"), 0);
  ASSERT_EQ(put(kLittlePolicy + "/scaling_governor", "ondemand"), 0);
  const std::string before = frequency_settings();
  {
    Server killed(serve());
    ASSERT_TRUE(killed.up()) << killed.text();
    ASSERT_TRUE(killed.infer());
    killed.kill();
  }
  EXPECT_NE(frequency_settings(), before);
  Process restore({kProgram, "restore"});
  EXPECT_EQ(restore.code(), 0) << restore.text;
  EXPECT_THAT(restore.text, HasSubstr("put back conservative to"));
  EXPECT_EQ(frequency_settings(), before);
  EXPECT_FALSE(std::filesystem::exists(state_file()));
  Process again({kProgram, "restore"});
  EXPECT_EQ(again.code(), 0);
  EXPECT_THAT(again.text, HasSubstr("nothing to put back"));
}

TEST_F(Programs, SignalsEndARunAndPutTheMachineBack) {
  for (const int number : {SIGINT, SIGTERM}) {
    Server server(serve());
    ASSERT_TRUE(server.up()) << server.text();
    ASSERT_TRUE(server.infer());
    EXPECT_NE(frequency_settings(), found_);
    EXPECT_EQ(server.stop(number), 0) << server.text();
    EXPECT_EQ(frequency_settings(), found_);
  }
}

// What the run does on its end with the governor that the other program took is printed, not asserted.
TEST_F(Programs, AGovernorThatAnotherProgramTookIsReportedAndLeftToIt) {
  Server server(serve());
  ASSERT_TRUE(server.up()) << server.text();
  ASSERT_TRUE(server.infer());
  ASSERT_EQ(put(kBigPolicy + "/scaling_governor", "performance"), 0);
  EXPECT_TRUE(wait_for([&] {
    static_cast<void>(server.infer());
    return server.metrics().foreign_changes == 1;
  }));
  EXPECT_THAT(server.metrics().warning, HasSubstr("another program"));
  EXPECT_EQ(first_line(kBigPolicy + "/scaling_governor"), "performance") << "not fought";
  EXPECT_TRUE(server.infer()) << "it goes on with what is left";
  EXPECT_EQ(server.stop(), 0) << server.text();
  EXPECT_EQ(first_line(kBigPolicy + "/scaling_governor"), "performance") << "nor undone at the end";
}

TEST_F(Programs, AProcessorThatGoesOfflineIsDoneWithoutUntilItIsBack) {
  const std::string online = "/sys/devices/system/cpu/cpu1/online";
  {
    Server server(serve());
    ASSERT_TRUE(server.up()) << server.text();
    ASSERT_TRUE(server.infer());
    ASSERT_EQ(put(online, "0"), 0);
    int answered = 0, asked = 0;
    EXPECT_TRUE(wait_for([&] {
      ++asked;
      answered += server.infer() ? 1 : 0;
      return server.metrics().warning.find("little cannot be set now") != std::string::npos;
    })) << server.metrics().warning;
    for (int i = 0; i < 5; ++i, ++asked) answered += server.infer() ? 1 : 0;
    EXPECT_EQ(answered, asked) << "the other processor serves on";
    ASSERT_EQ(put(online, "1"), 0);
    EXPECT_TRUE(wait_for([&] {
      static_cast<void>(server.infer());
      return server.metrics().warning.empty();
    })) << server.metrics().warning;
    EXPECT_EQ(server.stop(), 0) << server.text();
  }
  static_cast<void>(put(online, "1"));
  EXPECT_EQ(frequency_settings(), found_);
}

TEST_F(Programs, ADriverThatIsUnloadedEndsInNoTemperatureNotInTheLast) {
  Chips chips;
  ASSERT_TRUE(chips.set_temperature_c(61));
  Server server(serve());
  ASSERT_TRUE(server.up()) << server.text();
  ASSERT_TRUE(wait_for([&] { return server.metrics().temperature_c == 61; }));
  ASSERT_TRUE(unload_module("lm75"));
  EXPECT_TRUE(wait_for([&] { return !server.metrics().temperature_c.has_value(); }));
  EXPECT_TRUE(wait_for([&] { return !server.metrics().warning.empty(); }));
  EXPECT_THAT(server.metrics().warning, HasSubstr("board temperature_c is failing"));
  EXPECT_TRUE(server.infer()) << "it goes on without";
  EXPECT_EQ(server.stop(), 0) << server.text();
}

// What the energy is called instead is printed: it depends on the profile.
TEST_F(Programs, AnUnpluggedPowerSensorEndsWhatIsCalledMeasured) {
  Chips chips;
  Server server(serve());
  ASSERT_TRUE(server.up()) << server.text();
  double power_w = 1;
  ASSERT_TRUE(wait_for([&] {
    power_w = 2.5 - power_w;  // a power that never changes would not be believed either
    const bool set = chips.set_power_w(power_w).has_value() && server.infer();
    const auto now = server.metrics();
    return set && now.energy_source == "measured" && now.energy_j.value_or(0) > 0.5 && now.energy_ci_j.has_value();
  }));
  EXPECT_EQ(server.metrics().warning, "");
  const double before_j = server.metrics().energy_j.value_or(0);
  ASSERT_TRUE(unplug("ina226"));
  EXPECT_TRUE(wait_for([&] { return server.metrics().energy_source != "measured"; }));
  for (int i = 0; i < 20; ++i) {
    if (i == 10) {
      ASSERT_TRUE(plug("ina226"));  // for all that the server knows another chip
    }
    const auto answer = server.answer();
    ASSERT_TRUE(answer.has_value()) << "it goes on without";
    EXPECT_NE(answer->energy_source, "measured");
    const auto now = server.metrics();
    EXPECT_NE(now.energy_source, "measured") << "of a time in which nothing was";
    EXPECT_FALSE(now.energy_ci_j.has_value()) << "how far off is known of what is measured";
    EXPECT_THAT(now.warning, AllOf(HasSubstr("soc power_w is failing"), HasSubstr("energy is not measured")));
    EXPECT_GE(now.sensor_failures, 1U);
    if (i % 10 == 9) {
      std::printf("measured before: %.3f J; now %.3f J, %s, a reply's %s; power %s; %s\n", before_j,
                  now.energy_j.value_or(-1), now.energy_source.c_str(), answer->energy_source.c_str(),
                  now.power_w ? "said" : "not said", now.warning.c_str());
    }
  }
  EXPECT_EQ(server.stop(), 0) << server.text();
  EXPECT_THAT(server.text(), AllOf(HasSubstr("soc power_w is failing"), Not(HasSubstr(" measured, idle included"))));
  std::printf("%s\n", server.text().c_str());
}

}  // namespace
}  // namespace reins::kernel_tests
