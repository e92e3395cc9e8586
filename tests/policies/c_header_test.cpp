#include "policies/c_header.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "core/file.hpp"
#include "tests/policies/sample_policy.hpp"
#include "tests/support/matchers.hpp"

namespace reins::policies {
namespace {

using ::reins::testing::sample_policy;

// Prints what reins_decide makes of every example, then what reins_selftest says.
constexpr const char* kMain = R"(
#include "reins_policy.h"
#include <stdio.h>
int main(void) {
  int i;
  for (i = 0; i < REINS_EXAMPLES; ++i) {
    const reins_action a = reins_decide(reins_example_features + i * REINS_FEATURES, &reins_example_masks[i]);
    printf("%d %d %d %d\n", a.mapping, a.level, a.opp, a.park);
  }
  printf("%d\n", reins_selftest());
  return reins_feature_names[0][0] == 'f' && reins_freq_khz[0] == 200000 && reins_mapping_names[0][0] == 'l' ? 0 : 1;
}
)";

class CHeader : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::string(REINS_C_COMPILER).find("NOTFOUND") != std::string::npos)
      GTEST_SKIP() << "no C compiler on this machine";
    folder_ = std::filesystem::path(::testing::TempDir()) / ("reins_c_header_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string run(const PolicyFile& file) {
    EXPECT_OK(write_file_atomic(folder_ / "reins_policy.h", c_header(file)));
    EXPECT_OK(write_file_atomic(folder_ / "main.c", kMain));
    const std::string in = "cd '" + folder_.native() + "' && ";
    const std::string compile =
        in + "'" + REINS_C_COMPILER + "' -std=c99 -O2 -Wall -Wextra -Wpedantic -Wconversion -Werror -o main main.c";
    EXPECT_EQ(std::system(compile.c_str()), 0);
    EXPECT_EQ(std::system((in + REINS_EMULATOR " ./main > out.txt").c_str()), 0);
    const auto out = read_file(folder_ / "out.txt");
    EXPECT_OK(out);
    return out.value_or("");
  }

  std::filesystem::path folder_;
};

TEST_F(CHeader, DecidesAsThePolicyFileDoes) {
  PolicyFile file = sample_policy();
  ASSERT_OK(decide_examples(file));
  std::ostringstream want;
  for (const PolicyExample& example : file.examples) {
    const HeadChoice& c = example.choice;
    want << int{c.mapping} << ' ' << int{c.level} << ' ' << int{c.opp} << ' ' << int{c.park} << '\n';
  }
  want << "0\n";
  EXPECT_EQ(run(file), want.str());
}

TEST_F(CHeader, CountsTheExamplesThatComeOutOtherwise) {
  PolicyFile file = sample_policy();
  ASSERT_OK(decide_examples(file));
  file.examples[3].choice.level ^= 1;
  file.space.board = "quote\" back\\slash\n*/ ?\?/";
  EXPECT_TRUE(run(file).ends_with("\n1\n"));
}

}  // namespace
}  // namespace reins::policies
