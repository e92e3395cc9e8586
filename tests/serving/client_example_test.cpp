// tests/serving/client_example_test.cpp: the client that the README shows, run as it stands there.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/file.hpp"
#include "tests/serving/running_server.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/run_program.hpp"

namespace reins::testing {
namespace {

using ::testing::HasSubstr;

const std::string kPython = "/usr/bin/python3";
const std::string kClient = REINS_SOURCE_DIR "/examples/client.py";

TEST(ClientExample, IsAnsweredByAServer) {
  if (run_program(kPython + " -c 'import zmq, msgpack'").code != 0) {
    GTEST_SKIP() << "needs python3-zmq and python3-msgpack";
  }
  serving::ServerOptions options = loopback_options();
  options.network.input_shape = {1, 3, 32, 32};
  RunningServer running(std::move(options));
  const Ran ran = run_program(kPython + " " + kClient + " " + running.server->endpoint());
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("'class': 0, 'level': 2, 'mapping': 'big'"));
  EXPECT_THAT(ran.output, HasSubstr("'energy_source': 'modelled', 'emulated': False"));
  EXPECT_EQ(running.driver.metrics().served, 1U);
}

/// The client, and behind it the lines that the README shows for goals.
TEST(ClientExample, ChangesGoalsAsTheReadmeShows) {
  const auto readme = read_file(REINS_SOURCE_DIR "/README.md");
  if (!readme) GTEST_SKIP() << "no README.md in this tree";
  if (run_program(kPython + " -c 'import zmq, msgpack'").code != 0) {
    GTEST_SKIP() << "needs python3-zmq and python3-msgpack";
  }
  const std::size_t from = readme->find("```python\ngoal = ");
  ASSERT_NE(from, std::string::npos);
  const std::size_t begin = readme->find('\n', from) + 1;
  const auto client = read_file(kClient);
  ASSERT_OK(client);
  const std::string script = ::testing::TempDir() + "reins_goal_" + std::to_string(::getpid()) + ".py";
  ASSERT_OK(write_file_atomic(script, *client + readme->substr(begin, readme->find("```", begin) - begin)));
  serving::ServerOptions options = loopback_options();
  options.network.input_shape = {1, 3, 32, 32};
  RunningServer running(std::move(options));
  const Ran ran = run_program(kPython + " " + script + " " + running.server->endpoint());
  std::filesystem::remove(script);
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("'latency_s': 0.2"));
  EXPECT_EQ(running.driver.goals(AppId{0}).latency_s, 0.2);
  EXPECT_EQ(running.driver.goals(AppId{0}).accuracy_floor, 0.8);
}

TEST(ClientExample, WithoutAServerRaisesWhatTheReadmeNames) {
  const auto readme = read_file(REINS_SOURCE_DIR "/README.md");
  if (!readme) GTEST_SKIP() << "no README.md in this tree";
  if (run_program(kPython + " -c 'import zmq, msgpack'").code != 0) {
    GTEST_SKIP() << "needs python3-zmq and python3-msgpack";
  }
  const std::string nobody = "ipc://" + ::testing::TempDir() + "reins_nobody_" + std::to_string(::getpid());
  const Ran ran = run_program(kPython + " " + kClient + " " + nobody);
  EXPECT_EQ(ran.code, 1) << ran.output;
  const std::string error = "zmq.error.Again: Resource temporarily unavailable";
  EXPECT_THAT(ran.output, HasSubstr(error));
  EXPECT_THAT(*readme, HasSubstr(error));
}

TEST(ClientExample, StandsInTheReadmeWordForWord) {
  const auto readme = read_file(REINS_SOURCE_DIR "/README.md");
  if (!readme) GTEST_SKIP() << "no README.md in this tree";
  const auto client = read_file(kClient);
  ASSERT_OK(client);
  EXPECT_THAT(*readme, HasSubstr("```python\n" + *client + "```"));
}

}  // namespace
}  // namespace reins::testing
