// One-line kernel files, and finding them: patterns, alternatives, natural order; atomic writing in a folder that
// others may write.
#include "core/kernel_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "core/file.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsError;
using testing::SysTree;

class KernelFileTest : public ::testing::Test {
 protected:
  std::vector<std::string> found(std::string_view pattern) {
    std::vector<std::string> names;
    for (const auto& path : find_paths(tree_.root(), pattern))
      names.push_back(path.lexically_relative(tree_.root()).native());
    return names;
  }
  SysTree tree_;
};

TEST_F(KernelFileTest, ReplacesTheWholeValueAtEachWrite) {
  tree_.put("sys/governor", "performance");
  auto file = KernelFile::open(tree_.path("sys/governor"), KernelFile::Access::kReadWrite);
  ASSERT_OK(file);
  EXPECT_OK(file->write("ab"));
  std::array<char, 32> buffer;
  EXPECT_EQ(*file->read_text(buffer), "ab");
  EXPECT_OK(file->write_integer(-1400000));
  EXPECT_EQ(*file->read_integer(), -1400000);
  EXPECT_EQ(tree_.read("sys/governor"), "-1400000");
}

TEST_F(KernelFileTest, TellsIntegersFromOtherNumbers) {
  tree_.put("a", "1.5").put("b", "99999999999999999999").put("c", " 7");
  EXPECT_DOUBLE_EQ(*KernelFile::open(tree_.path("a"))->read_number(), 1.5);
  EXPECT_THAT(KernelFile::open(tree_.path("a"))->read_integer(), IsError(ErrorKind::kGarbled, HasSubstr("no integer")));
  EXPECT_THAT(KernelFile::open(tree_.path("b"))->read_integer(), IsError(ErrorKind::kGarbled, HasSubstr("no integer")));
}

TEST_F(KernelFileTest, RefusesFoldersAndAbsentFilesWithTheHint) {
  tree_.put("sys/folder/file", "1");
  for (const auto access : {KernelFile::Access::kRead, KernelFile::Access::kReadWrite}) {
    EXPECT_THAT(KernelFile::open(tree_.path("sys/folder"), access, "do this"),
                IsError(ErrorKind::kNotFound, HasSubstr("do this")));
    EXPECT_THAT(KernelFile::open(tree_.path("sys/none"), access, "do this"),
                IsError(ErrorKind::kNotFound, HasSubstr("do this")));
  }
}

TEST_F(KernelFileTest, RefusesAPipeAndDoesNotWaitForItsOtherEnd) {
  tree_.put("sys/file", "1");
  const auto pipe = tree_.path("sys/pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(KernelFile::open(pipe), IsError(ErrorKind::kNotFound, HasSubstr("is a pipe")));
}

TEST_F(KernelFileTest, ReportsAWriteThatTheDeviceRefuses) {
  auto full = KernelFile::open("/dev/full", KernelFile::Access::kWrite);
  ASSERT_OK(full);
  EXPECT_THAT(full->write("1"), IsError(ErrorKind::kIo, HasSubstr("/dev/full")));
}

TEST_F(KernelFileTest, FindsByPatternInNaturalOrder) {
  tree_.put("sys/policy10/x", "")
      .put("sys/policy4/x", "")
      .put("sys/policy0/x", "")
      .put("sys/other/x", "")
      .put("sys/policy7/y", "");
  EXPECT_THAT(found("sys/policy*/x"), ElementsAre("sys/policy0/x", "sys/policy4/x", "sys/policy10/x"));
  EXPECT_THAT(found("/sys/*/y"), ElementsAre("sys/policy7/y"));
  EXPECT_THAT(found("sys/p*1*"), ElementsAre("sys/policy10"));
  EXPECT_THAT(found("sys/none*/x"), IsEmpty());
}

TEST_F(KernelFileTest, TakesTheFirstAlternativeThatIsThere) {
  tree_.put("sys/b/f", "").put("sys/c/f", "");
  EXPECT_THAT(found("sys/a/f|sys/b/f|sys/c/f"), ElementsAre("sys/b/f"));
  EXPECT_THAT(found("|sys/c/*"), ElementsAre("sys/c/f"));
  EXPECT_THAT(found("sys/a/f|"), IsEmpty());
}

TEST_F(KernelFileTest, AtomicWritingDoesNotFollowALinkLaidForIt) {
  tree_.put("precious", "kept");
  const std::string temporary = "run/state.toml.tmp." + std::to_string(::getpid());
  tree_.put("run/other", "");
  std::filesystem::create_symlink(tree_.path("precious"), tree_.path(temporary));
  EXPECT_OK(write_file_atomic(tree_.path("run/state.toml"), "new"));
  EXPECT_EQ(tree_.read("precious"), "kept");
  EXPECT_EQ(tree_.read("run/state.toml"), "new");
}

}  // namespace
}  // namespace reins
