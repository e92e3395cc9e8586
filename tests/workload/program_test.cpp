// tests/workload/program_test.cpp: reins-workload as a user runs it: output, exit codes, one line for what is wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "protocol/curve_keys.hpp"
#include "tests/serving/running_server.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/run_program.hpp"

namespace reins::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Ran run(const std::string& arguments, bool with_errors = true) {
  return run_program(REINS_WORKLOAD " " + arguments, with_errors);
}

serving::ServerOptions cifar_sized() {
  serving::ServerOptions options = loopback_options();
  options.network.input_shape = {1, 3, 32, 32};
  return options;
}

TEST(WorkloadProgram, PrintsItsHistogramAndTheServersEnergy) {
  RunningServer running(cifar_sized());
  running.driver.set_emulated(true);
  const Ran ran = run("--connect " + running.server->endpoint() +
                      " --generate periodic --rate 100 --duration 0.5 --targets 0.5 --connect-timeout 20");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("ms |"));
  EXPECT_THAT(ran.output, HasSubstr("p50 "));
  EXPECT_THAT(ran.output, HasSubstr("board     fake (emulated"));
  EXPECT_THAT(ran.output, HasSubstr("J emulated, modelled"));
  EXPECT_THAT(ran.output, Not(HasSubstr("\x1b"))) << "no progress bar off a terminal";
}

TEST(WorkloadProgram, PrintsOneJsonObject) {
  RunningServer running(cifar_sized());
  const Ran ran = run("--json --connect " + running.server->endpoint() +
                          " --generate poisson --rate 100 --duration 0.5 --connect-timeout 20",
                      false);
  EXPECT_EQ(ran.code, 0);
  const auto json = nlohmann::json::parse(ran.output, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << ran.output;
  EXPECT_EQ(json["offered"], json["served"]);
  EXPECT_GT(json["offered"].get<int>(), 10);
  EXPECT_EQ(json["emulated"], false);
}

TEST(WorkloadProgram, HelpShowsAnExample) {
  const Ran ran = run("--help");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, HasSubstr("Example:\n  reins-workload --generate"));
}

TEST(WorkloadProgram, SaysItsVersion) {
  const Ran ran = run("--version");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, ::testing::MatchesRegex("reins-workload [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(WorkloadProgram, BadInputIsOneLineAndAnExitCode) {
  struct Case {
    const char* arguments;
    int code;
    const char* says;
  };
  const Case cases[] = {
      {"--connect ipc:///nowhere/at/all --connect-timeout 0.1", 1, "no server answers"},
      {"--connect nonsense", 2, "nonsense: not an address"},
      {"--trace /nowhere/trace.csv", 2, "/nowhere/trace.csv"},
      {"--generate sometimes", 2, "bursty, poisson, periodic or batched"},
      {"--rate -3", 2, "--rate"},
      {"--rate x", 2, "--rate"},
      {"--seed -1", 2, "--seed"},
      {"--data-seed -1", 2, "--data-seed"},
      {"--data /nowhere", 2, "/nowhere"},
      {"--dataset mnist", 2, "mnist"},
      {"--frobnicate", 2, "--frobnicate"},
      {"--trace a.csv --rate 3", 2, "--rate"},
      {"--server-key k", 2, "--client-key"},
      {"--server-key /nowhere/k --client-key /nowhere/c", 2, "/nowhere/k"},
  };
  for (const Case& c : cases) {
    const Ran ran = run(c.arguments);
    EXPECT_EQ(ran.code, c.code) << c.arguments << ": " << ran.output;
    EXPECT_THAT(ran.output, HasSubstr(c.says)) << c.arguments;
    EXPECT_EQ(std::count(ran.output.begin(), ran.output.end(), '\n'), 1) << c.arguments << ": " << ran.output;
  }
}

/// Both programs end alike on the same mistake.
TEST(WorkloadProgram, AKeyThatOthersMayReadFailsAsItDoesInTheServer) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("reins-keys-" + std::to_string(::getpid()));
  const std::string prefix = (folder / "k").native();
  std::filesystem::create_directories(folder);
  const auto keys = protocol::make_curve_keys();
  ASSERT_OK(keys);
  ASSERT_OK(protocol::write_curve_keys(*keys, prefix));
  std::filesystem::permissions(prefix + ".secret", std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  const Ran client = run("--server-key " + prefix + ".public --client-key " + prefix + ".secret");
  const Ran server = run_program(REINS_PROGRAM " serve --policy pareto --server-key " + prefix +
                                 ".secret --client-keys " + prefix + ".public");
  for (const Ran& ran : {client, server}) {
    EXPECT_EQ(ran.code, 1) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("chmod 600"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace reins::testing
