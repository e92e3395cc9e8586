// tests/serving/client_example_test.cpp: the client that the README shows, run as it stands there.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>

#include "core/file.hpp"
#include "tests/serving/running_server.hpp"
#include "tests/support/matchers.hpp"

namespace reins::testing {
namespace {

using ::testing::HasSubstr;

const std::string kPython = "/usr/bin/python3";
const std::string kClient = REINS_SOURCE_DIR "/examples/client.py";

struct Ran {
  int code = -1;
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    ran.output.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

TEST(ClientExample, IsAnsweredByAServer) {
  if (run(kPython + " -c 'import zmq, msgpack'").code != 0) {
    GTEST_SKIP() << "needs python3-zmq and python3-msgpack";
  }
  serving::ServerOptions options = loopback_options();
  options.network.input_shape = {1, 3, 32, 32};
  RunningServer running(std::move(options));
  const Ran ran = run(kPython + " " + kClient + " " + running.server->endpoint());
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("'class': 0, 'level': 2, 'mapping': 'big'"));
  EXPECT_THAT(ran.output, HasSubstr("'energy_source': 'modelled', 'emulated': False"));
  EXPECT_EQ(running.driver.metrics().served, 1U);
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
