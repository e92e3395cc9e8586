// tests/serving/client_example_test.cpp: the client that the README shows, run as it stands there.
#include <gtest/gtest.h>

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

TEST(ClientExample, StandsInTheReadmeWordForWord) {
  const auto readme = read_file(REINS_SOURCE_DIR "/README.md");
  if (!readme) GTEST_SKIP() << "no README.md in this tree";
  const auto client = read_file(kClient);
  ASSERT_OK(client);
  EXPECT_THAT(*readme, HasSubstr("```python\n" + *client + "```"));
}

}  // namespace
}  // namespace reins::testing
