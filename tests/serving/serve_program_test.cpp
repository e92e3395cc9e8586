// tests/serving/serve_program_test.cpp: `reins serve` as a user runs it, with clients and the workload generator
// against it.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "inference/network_file.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/serving/running_server.hpp"
#include "tests/support/live_tree.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/process.hpp"

namespace reins::testing {
namespace {

using ::testing::HasSubstr;

class ServeProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "reins-serve-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    inference::GroupArchitecture a;
    a.groups = 2;
    a.stages = {{4, true}, {8, true}};
    ASSERT_OK(inference::write_network(network(), inference::describe(a, "tiny", "synthetic", "none"),
                                       random_weights(a, 1), inference::WeightType::kFloat16));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string network() const { return (folder_ / "network.rnet").string(); }
  std::vector<std::string> serve(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {REINS_PROGRAM, "serve", "--network", network()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static std::string endpoint_in(const std::string& text) {
    const std::size_t at = text.find("tcp://");
    return text.substr(at, text.find_first_of(" \n", at) - at);
  }
  std::filesystem::path folder_;
};

TEST_F(ServeProgram, ServesAnEmulatedBoardUntilItIsStopped) {
  Process server(
      serve({"--policy", "pareto", "--endpoint", "tcp://127.0.0.1:0", "--telemetry", "none", "--log-level", "off"}));
  ASSERT_TRUE(server.prints(" under pareto at tcp://127.0.0.1:") && server.prints("\n")) << server.text;
  EXPECT_THAT(server.text, HasSubstr("tiny on odroid-xu3 (emulated"));
  const std::string endpoint = endpoint_in(server.text);

  RawClient client(endpoint);
  const std::string image(3 * 32 * 32, '\x40');
  protocol::Request request = infer_request(1, image, 5.0);
  std::get<protocol::Infer>(request.body).tensor.shape = {1, 3, 32, 32};
  std::get<protocol::Infer>(request.body).probabilities = true;
  const auto answer = client.ask<protocol::InferAnswer>(request);
  EXPECT_TRUE(answer.emulated);
  ASSERT_EQ(answer.probabilities.size(), 10U) << "the real engine ran";
  const auto most = std::max_element(answer.probabilities.begin(), answer.probabilities.end());
  EXPECT_EQ(answer.predicted, most - answer.probabilities.begin());
  EXPECT_GT(answer.latency_s, 0);
  EXPECT_GT(answer.freq_khz, 0);
  EXPECT_FALSE(answer.missed);

  Process workload({REINS_WORKLOAD, "--json", "--connect", endpoint, "--generate", "poisson", "--rate", "20",
                    "--duration", "2", "--targets", "2", "--connect-timeout", "30"});
  EXPECT_EQ(workload.code(), 0) << workload.text;
  const auto json = nlohmann::json::parse(workload.text, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << workload.text;
  EXPECT_EQ(json["emulated"], true);
  EXPECT_GT(json["served"].get<int>(), 10);
  EXPECT_EQ(json["offered"], json["served"]);
  EXPECT_GT(json["energy_j"].get<double>(), 0);

  server.signal(SIGTERM);
  EXPECT_EQ(server.code(), 0) << server.text;
  EXPECT_THAT(server.text, HasSubstr("emulated, idle included"));
  EXPECT_THAT(server.text, HasSubstr("0 rejected"));
}

TEST_F(ServeProgram, SaysWhatItsGoalsMeanAndItsQueueIsTheOneAskedFor) {
  Process server(serve({"--policy", "pareto", "--endpoint", "tcp://127.0.0.1:0", "--telemetry", "none", "--log-level",
                        "off", "--queue", "7"}));
  ASSERT_TRUE(server.prints("no latency goal")) << server.text;
  RawClient client(endpoint_in(server.text));
  EXPECT_EQ(client.ask<protocol::StatusAnswer>(request_of(1, protocol::StatusQuery{})).queue_limit, 7U);
  protocol::Goal goal;
  goal.latency_s = {true, 1e-6};
  EXPECT_THAT(client.ask<protocol::GoalsInForce>(request_of(2, goal)).warning, HasSubstr("fastest profiled time"));

  Process hurried(serve({"--policy", "pareto", "--endpoint", "tcp://127.0.0.1:0", "--telemetry", "none", "--log-level",
                         "off", "--latency", "1e-6"}));
  ASSERT_TRUE(hurried.prints("fastest profiled time")) << hurried.text;
  EXPECT_EQ(hurried.text.find("no latency goal"), std::string::npos);
}

TEST_F(ServeProgram, PrintsItsTotalsAsJson) {
  Process server(serve({"--policy", "pareto", "--endpoint", "tcp://127.0.0.1:0", "--telemetry", "none", "--json"}));
  ASSERT_TRUE(server.prints("listening on tcp://")) << server.text;
  server.signal(SIGHUP);
  EXPECT_EQ(server.code(), 0);
  const auto json = nlohmann::json::parse(server.text.substr(server.text.find("\n{")), nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << server.text;
  EXPECT_EQ(json["emulated"], true);
  EXPECT_EQ(json["served"], 0);
}

TEST_F(ServeProgram, APortInUseIsOneLineAndExitCode2) {
  RunningServer first;
  Process second(serve({"--policy", "pareto", "--endpoint", first.server->endpoint(), "--telemetry", "none"}));
  EXPECT_EQ(second.code(), 2);
  EXPECT_THAT(second.text, HasSubstr("another program has this address"));
  EXPECT_EQ(std::count(second.text.begin(), second.text.end(), '\n'), 1) << second.text;
}

TEST_F(ServeProgram, BadInputIsOneLineAndExitCode2) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  const Case cases[] = {
      {{}, "--policy"},
      {{"--policy", "/nowhere/policy.rpol"}, "/nowhere/policy.rpol"},
      {{"--policy", network()}, "network.rnet"},
      {{"--policy", "pareto", "--board", "commodore-64"}, "commodore-64"},
      {{"--policy", "pareto", "--board", "host"}, "--profile"},
      {{"--policy", "pareto", "--endpoint", "5555"}, "tcp://127.0.0.1:5555"},
      {{"--policy", "pareto", "--endpoint", "tcp://0.0.0.0:0"}, "CURVE keys"},
      {{"--policy", "pareto", "--telemetry", "tcp://*:0", "--endpoint", "tcp://127.0.0.1:0"}, "CURVE keys"},
      {{"--policy", "pareto", "--server-key", "k"}, "--client-keys"},
      {{"--policy", "pareto", "--server-key", "/nowhere/k", "--client-keys", "/nowhere/c"}, "/nowhere/k"},
      {{"--policy", "pareto", "--accuracy", "2"}, "--accuracy"},
      {{"--policy", "pareto", "--queue", "0"}, "--queue"},
      {{"--policy", "pareto", "--frobnicate"}, "--frobnicate"},
  };
  Process nothing({REINS_PROGRAM, "serve", "--policy", "pareto", "--network", "/nowhere/net.rnet"});
  EXPECT_EQ(nothing.code(), 2);
  EXPECT_THAT(nothing.text, HasSubstr("/nowhere/net.rnet"));
  for (const Case& c : cases) {
    Process process(serve(c.arguments));
    EXPECT_EQ(process.code(), 2) << c.says << ": " << process.text;
    EXPECT_THAT(process.text, HasSubstr(c.says));
    EXPECT_EQ(std::count(process.text.begin(), process.text.end(), '\n'), 1) << process.text;
  }
}

/// The server on a tree laid out like a board, the engine on this machine.
class ServeLive : public ServeProgram {
 protected:
  void SetUp() override {
    ServeProgram::SetUp();
    laid_ = lay_live_tree(tree_);
    Process profile(live("profile", {"--max-seconds", "0.05", "--out", tree_.path("profile.csv").native()}));
    ASSERT_EQ(profile.code(), 0) << profile.text;
  }
  std::vector<std::string> live(const std::string& command, const std::vector<std::string>& more,
                                const std::string& state = "run/state.toml") const {
    std::vector<std::string> arguments = {REINS_PROGRAM,
                                          command,
                                          "--network",
                                          network(),
                                          "--board",
                                          laid_.board,
                                          "--live",
                                          "--root",
                                          tree_.root().native(),
                                          "--state",
                                          tree_.path(state).native()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::vector<std::string> live_server(const std::vector<std::string>& more = {},
                                       const std::string& state = "run/state.toml") const {
    std::vector<std::string> arguments = {
        "--policy",          "pareto",      "--profile", tree_.path("profile.csv").native(), "--endpoint",
        "tcp://127.0.0.1:0", "--telemetry", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return live("serve", arguments, state);
  }
  static protocol::InferAnswer infer(RawClient& client) {
    static const std::string image(3 * 32 * 32, '\x40');
    protocol::Request request = infer_request(1, image, 5.0);
    std::get<protocol::Infer>(request.body).tensor.shape = {1, 3, 32, 32};
    return client.ask<protocol::InferAnswer>(request);
  }
  std::string governor() const { return tree_.read(laid_.policy + "/scaling_governor"); }

  SysTree tree_;
  LiveTree laid_;
};

TEST_F(ServeLive, ASecondControllerIsRefusedWithOneLineWhateverStateFileItNames) {
  Process first(live_server());
  ASSERT_TRUE(first.prints(" under pareto at tcp://127.0.0.1:") && first.prints("\n")) << first.text;
  for (const char* state : {"run/state.toml", "elsewhere/state.toml"}) {
    Process second(live_server({}, state));
    EXPECT_EQ(second.code(), 2);
    EXPECT_THAT(second.text, HasSubstr("a running reins"));
    EXPECT_EQ(std::count(second.text.begin(), second.text.end(), '\n'), 1) << second.text;
  }
  first.signal(SIGINT);
  EXPECT_EQ(first.code(), 0) << first.text;
}

TEST_F(ServeLive, AfterAKillRestorePutsBackWhatItFound) {
  {
    Process server(live_server());
    ASSERT_TRUE(server.prints(" at tcp://127.0.0.1:") && server.prints("\n")) << server.text;
    RawClient client(endpoint_in(server.text));
    EXPECT_GT(infer(client).freq_khz, 0);
    EXPECT_EQ(governor(), "userspace");
    server.signal(SIGKILL);
    EXPECT_EQ(server.code(), -1);
  }
  EXPECT_EQ(governor(), "userspace");
  Process restore(
      {REINS_PROGRAM, "restore", "--root", tree_.root().native(), "--state", tree_.path("run/state.toml").native()});
  EXPECT_EQ(restore.code(), 0) << restore.text;
  EXPECT_THAT(restore.text, HasSubstr("put back schedutil"));
  EXPECT_EQ(governor(), "schedutil");
}

TEST_F(ServeLive, AnotherProgramsGovernorIsReportedAndStays) {
  Process server(live_server());
  ASSERT_TRUE(server.prints(" at tcp://127.0.0.1:") && server.prints("\n")) << server.text;
  RawClient client(endpoint_in(server.text));
  infer(client);
  tree_.put(laid_.policy + "/scaling_governor", "performance");
  ASSERT_TRUE(server.prints("another program set the governor")) << "in the log";
  infer(client);
  const auto metrics = client.ask<protocol::MetricsAnswer>(request_of(2, protocol::MetricsQuery{}));
  EXPECT_EQ(metrics.foreign_changes, 1U);
  EXPECT_THAT(metrics.warning, HasSubstr("governor now performance"));
  EXPECT_EQ(client.ask<protocol::StatusAnswer>(request_of(3, protocol::StatusQuery{})).warning, metrics.warning);
  server.signal(SIGTERM);
  EXPECT_EQ(server.code(), 0) << server.text;
  EXPECT_THAT(server.text, HasSubstr("1 changes by other programs"));
  EXPECT_EQ(governor(), "performance");
}

TEST_F(ServeLive, IsScheduledAsAskedOrSaysWhyNot) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  for (const Case& c :
       {Case{{"--sched", "soon"}, "--sched"}, Case{{"--server-cpus", "4-1"}, "0,2-3"},
        Case{{"--server-cpus", "1000"}, "--server-cpus"}, Case{{"--sampler-cpus", "1000"}, "--sampler-cpus"}}) {
    Process refused(live_server(c.arguments));
    EXPECT_EQ(refused.code(), 2) << refused.text;
    EXPECT_THAT(refused.text, HasSubstr(c.says));
    EXPECT_EQ(governor(), "schedutil");
  }
  Process server(live_server({"--sched", "batch", "--sampler-cpus", "0-1000", "--server-cpus", "0-1000"}));
  ASSERT_TRUE(server.prints(" at tcp://127.0.0.1:") && server.prints("\n")) << server.text;
  RawClient client(endpoint_in(server.text));
  infer(client);
  server.signal(SIGTERM);
  EXPECT_EQ(server.code(), 0) << server.text;
}

TEST_F(ServeProgram, MakesKeysThatLetAClientIn) {
  const std::string server_keys = (folder_ / "server").string(), client_keys = (folder_ / "client").string();
  for (const std::string& prefix : {server_keys, client_keys}) {
    Process process({REINS_PROGRAM, "serve", "--make-keys", prefix});
    EXPECT_EQ(process.code(), 0) << process.text;
  }
  Process again({REINS_PROGRAM, "serve", "--make-keys", server_keys});
  EXPECT_EQ(again.code(), 2);
  EXPECT_THAT(again.text, HasSubstr("already there"));

  Process server(serve({"--policy", "pareto", "--endpoint", "tcp://127.0.0.1:0", "--telemetry", "none", "--server-key",
                        server_keys + ".secret", "--client-keys", client_keys + ".public", "--log-level", "off"}));
  ASSERT_TRUE(server.prints(" at tcp://127.0.0.1:") && server.prints("\n")) << server.text;
  const std::string endpoint = endpoint_in(server.text);
  Process welcome({REINS_WORKLOAD, "--connect", endpoint, "--server-key", server_keys + ".public", "--client-key",
                   client_keys + ".secret", "--generate", "periodic", "--rate", "10", "--duration", "0.5",
                   "--connect-timeout", "30"});
  EXPECT_EQ(welcome.code(), 0) << welcome.text;
  Process stranger({REINS_WORKLOAD, "--connect", endpoint, "--generate", "periodic", "--connect-timeout", "0.5"});
  EXPECT_EQ(stranger.code(), 1);
  EXPECT_THAT(stranger.text, HasSubstr("no server answers"));
}

}  // namespace
}  // namespace reins::testing
