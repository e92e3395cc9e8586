// What Reins ships for systemd and udev, under both: rights without root, and the machine put back whatever ends.
#include <pwd.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/file.hpp"
#include "tests/kernel/fixture.hpp"
#include "tests/kernel/serving.hpp"

namespace reins::kernel_tests {
namespace {

namespace fs = std::filesystem;
using testing::Process;

const std::string kServe = "reins-serve.service";
const std::string kRestore = "reins-restore.service";
const std::string kEndpoint = "tcp://127.0.0.1:5600";

class Units : public OnTheKernel {
 protected:
  // As packaging/README.md says; the files lie where it puts them (boot.sh).
  static void SetUpTestSuite() {
    write_network();
    fs::copy_file(kNetwork, "/etc/reins/network.rnet", fs::copy_options::overwrite_existing);
    Process profile(
        {kProgram, "profile", "--board", kBoardFile, "--network", kNetwork, "--out", "/etc/reins/profile.csv"});
    ASSERT_EQ(profile.code(), 0) << profile.text;
    ASSERT_EQ(systemctl({"enable", "--now", kRestore}), "");
    std::ofstream("/etc/default/reins")
        << "REINS_SERVE=\"--board " << kBoardFile << " --live --network /etc/reins/network.rnet --endpoint "
        << kEndpoint
        << " --telemetry none --policy pareto --profile /etc/reins/profile.csv --sched fifo:10 --mlock\"\n";
  }
  void SetUp() override {
    OnTheKernel::SetUp();
    const passwd* const user = ::getpwnam("reins");
    ASSERT_NE(user, nullptr) << "reins.sysusers makes it";
    user_ = user->pw_uid;
    group_ = user->pw_gid;
    ASSERT_TRUE(wait_for([&] { return group_may_set(kBigPolicy) && group_may_set(kLittlePolicy); })) << rights();
  }
  void TearDown() override {
    EXPECT_EQ(systemctl({"stop", kServe}), "");
    if (HasFailure())
      std::printf("%s said:\n%s\n", kServe.c_str(), read_file("/run/reins-serve.log").value_or("").c_str());
    OnTheKernel::TearDown();
  }

  /// What it says where it fails or has something to say; empty where all went well.
  static std::string systemctl(const std::vector<std::string>& words) {
    std::vector<std::string> all = {"/bin/systemctl", "--quiet"};
    all.insert(all.end(), words.begin(), words.end());
    Process process(all);
    const int code = process.code();
    return code == 0 ? process.text : "exit code " + std::to_string(code) + ": " + process.text;
  }
  /// A property of the server's unit.
  static std::string shown(const std::string& property) {
    Process process({"/bin/systemctl", "show", "--value", "-p", property, kServe});
    static_cast<void>(process.code());
    return process.text.substr(0, process.text.find('\n'));
  }

  /// The group's rights on all that sets this policy's frequency; nobody else's.
  bool group_may_set(const std::string& policy) const {
    for (const char* file : {"scaling_governor", "scaling_min_freq", "scaling_max_freq", "scaling_setspeed"}) {
      struct stat facts {};
      if (::stat((policy + "/" + file).c_str(), &facts) != 0) return false;
      if (facts.st_gid != group_ || (facts.st_mode & 0777) != 0664) return false;
    }
    return true;
  }
  static std::string rights() {
    Process list({"/bin/ls", "-l", kBigPolicy, kLittlePolicy});
    static_cast<void>(list.code());
    return list.text;
  }

  /// Started, answering, and holding the frequencies.
  void serve(Client& client) {
    ASSERT_EQ(systemctl({"start", kServe}), "");
    client.connect(kEndpoint);
    ASSERT_TRUE(client.infer());
    ASSERT_EQ(first_line(kBigPolicy + "/scaling_governor"), "userspace") << "a decision holds the frequencies";
  }
  /// Something other than the kernel's defaults, so that it is seen what is put back.
  static std::string settings_of_another() {
    EXPECT_EQ(put(kBigPolicy + "/scaling_governor", "conservative"), 0);
    EXPECT_EQ(put(kBigPolicy + "/scaling_min_freq", "800000"), 0);
    EXPECT_EQ(put(kLittlePolicy + "/scaling_governor", "ondemand"), 0);
    return frequency_settings();
  }

  unsigned user_ = 0, group_ = 0;
};

TEST_F(Units, TheGroupMaySetFrequenciesAlsoOfAProcessorThatComesBack) {
  Process board({kProgram, "board", "--board", kBoardFile}, user_);
  EXPECT_EQ(board.code(), 0) << board.text;
  EXPECT_THAT(board.text, ::testing::Not(HasSubstr("run as root")));
  const std::string online = "/sys/devices/system/cpu/cpu1/online";
  ASSERT_EQ(put(online, "0"), 0);
  ASSERT_EQ(put(online, "1"), 0);
  EXPECT_TRUE(wait_for([&] { return group_may_set(kLittlePolicy); })) << rights();
}

TEST_F(Units, TheServersUnitHoldsTheFrequenciesWithoutRootAndGivesThemBack) {
  const std::string before = settings_of_another();
  Client client;
  ASSERT_NO_FATAL_FAILURE(serve(client));
  const std::string process = "/proc/" + shown("MainPID");
  std::ifstream status(process + "/status");
  std::string uid, locked, capabilities;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Uid:")) uid = line;
    if (line.starts_with("VmLck:")) locked = line;
    if (line.starts_with("CapEff:")) capabilities = line;
  }
  EXPECT_THAT(uid, HasSubstr(std::to_string(user_)));
  EXPECT_THAT(capabilities, HasSubstr("0000000000000000"));
  EXPECT_GT(std::stol(locked.substr(locked.find_first_of("0123456789"))), 1000) << "kB, by --mlock; " << locked;
  bool real_time = false;
  for (const fs::directory_entry& thread : fs::directory_iterator(process + "/task")) {
    std::ifstream scheduling(thread.path() / "sched");
    for (std::string line; std::getline(scheduling, line);) {
      real_time |= line.starts_with("policy") && line.ends_with(" 1");
    }
  }
  EXPECT_TRUE(real_time) << "a thread of SCHED_FIFO, by --sched fifo:10";
  EXPECT_EQ(systemctl({"stop", kServe}), "");
  EXPECT_EQ(shown("Result"), "success");
  EXPECT_EQ(frequency_settings(), before);
  EXPECT_FALSE(fs::exists(state_file()));
}

TEST_F(Units, WhatAKilledServerLeftIsPutBackByItsUnitWhichServesOn) {
  const std::string before = settings_of_another();
  Client client;
  ASSERT_NO_FATAL_FAILURE(serve(client));
  const std::string killed = shown("MainPID");
  ASSERT_TRUE(fs::exists(state_file()));
  ASSERT_EQ(::kill(std::stoi(killed), SIGKILL), 0);
  // The next server sets nothing before it is asked.
  EXPECT_TRUE(wait_for([&] { return frequency_settings() == before; })) << frequency_settings();
  EXPECT_TRUE(wait_for([&] { return shown("NRestarts") == "1" && shown("ActiveState") == "active"; }));
  EXPECT_NE(shown("MainPID"), killed);
  Client next;
  next.connect(kEndpoint);
  EXPECT_TRUE(next.infer());
  EXPECT_NE(frequency_settings(), before);
  EXPECT_EQ(systemctl({"stop", kServe}), "");
  EXPECT_EQ(frequency_settings(), before);
}

TEST_F(Units, WhatAKilledRunOfAUsersOwnLeftIsPutBackWhenTheRestoringUnitIsStartedAgain) {
  const std::string before = settings_of_another();
  {
    Server server(serve_command({"--policy", "pareto", "--profile", "/etc/reins/profile.csv"}));
    ASSERT_TRUE(server.up()) << server.text();
    ASSERT_TRUE(server.infer());
    server.kill();
  }
  EXPECT_NE(frequency_settings(), before);
  EXPECT_EQ(systemctl({"restart", kRestore}), "");
  EXPECT_EQ(frequency_settings(), before);
  EXPECT_FALSE(fs::exists(state_file()));
}

}  // namespace
}  // namespace reins::kernel_tests
