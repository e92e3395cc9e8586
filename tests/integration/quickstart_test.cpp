// tests/integration/quickstart_test.cpp: scripts/quickstart.sh from its first stage to its last, in its quick form,
// with the programs of this build.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <regex>
#include <string>

#include "core/file.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/run_program.hpp"

namespace reins::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string kScript = REINS_SOURCE_DIR "/scripts/quickstart.sh ";

TEST(Quickstart, RunsEndToEndInItsQuickForm) {
  std::string folder = (fs::temp_directory_path() / "reins-quickstart-XXXXXX").native();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const fs::path out = folder;
  const Ran ran = run_program(kScript + "--quick --built " REINS_BINARY_DIR " --out " + folder);
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("figures are not meaningful"));
  for (const char* file : {"network/network.rnet", "host.csv", "xu3.policy", "xu3-synthetic.policy", "host.policy"}) {
    EXPECT_TRUE(fs::exists(out / file)) << file;
  }
  const auto report = read_file(out / "report.html");
  ASSERT_OK(report);
  EXPECT_THAT(*report, HasSubstr("</html>"));
  // Two servers, the emulated board's and this machine's; each says what it served.
  const std::regex account("\nserved +([0-9]+) of [0-9]+ requests");
  int servers = 0;
  for (std::sregex_iterator it(ran.output.begin(), ran.output.end(), account), end; it != end; ++it, ++servers) {
    EXPECT_GT(std::stoi((*it)[1]), 0) << it->str();
  }
  EXPECT_EQ(servers, 2) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("under host at tcp://"));
  EXPECT_FALSE(fs::exists(out / "found-on-this-machine.toml")) << "the machine was not put back";
  fs::remove_all(out);
}

TEST(Quickstart, RefusesWhatItCannotUse) {
  for (const char* arguments : {"--sideways", "--data", "--data /nowhere", "--built /nowhere"}) {
    const Ran ran = run_program(kScript + arguments);
    EXPECT_EQ(ran.code, 2) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("quickstart.sh: "));
  }
}

}  // namespace
}  // namespace reins::testing
