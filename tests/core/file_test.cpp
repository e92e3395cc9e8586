// Whole files: bounds, errors, and that a kill at any moment leaves the old file or the new one.
#include "core/file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "core/rng.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins {
namespace {

using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

TEST(File, ReadsBackWhatWasWritten) {
  SysTree tree;
  std::string bytes(300000, '\0');
  Rng rng(1);
  for (char& c : bytes) c = static_cast<char>(rng.below(256));
  const auto path = tree.path("new/folder/file.bin");
  ASSERT_OK(write_file_atomic(path, bytes));
  EXPECT_EQ(*read_file(path), bytes);
  ASSERT_OK(write_file_atomic(path, ""));
  EXPECT_EQ(*read_file(path), "");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1) << "no temporary file stays";
}

TEST(File, SaysWhatIsWrongWithAPath) {
  SysTree tree;
  tree.put("file", "12345");
  EXPECT_THAT(read_file(tree.path("none")), IsError(ErrorKind::kNotFound, HasSubstr("none")));
  EXPECT_THAT(read_file(tree.root()), IsError(ErrorKind::kUsage, HasSubstr("directory")));
  EXPECT_THAT(read_file(tree.path("file"), 3), IsError(ErrorKind::kGarbled, HasSubstr("larger")));
  EXPECT_THAT(write_file_atomic(tree.path("file/below"), "x"), IsError(ErrorKind::kNotFound, HasSubstr("file")));
  EXPECT_FALSE(write_file_atomic("/proc/no-such-place/file", "x").has_value());
}

TEST(File, AFailedWriteKeepsTheOldFileAndLeavesNothingBeside) {
  SysTree tree;
  const auto path = tree.path("file");
  tree.put("file/taken", "x");  // a folder of that name: the rename must fail
  EXPECT_FALSE(write_file_atomic(path, "new").has_value());
  EXPECT_EQ(tree.read("file/taken"), "x");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(tree.root()), {}), 1);
}

TEST(File, ALinksTargetIsReplacedAndAPipeIsWrittenInto) {
  SysTree tree;
  tree.put("folder/real", "old");
  std::filesystem::create_symlink("folder/real", tree.path("link"));
  ASSERT_OK(check_writable(tree.path("link")));
  ASSERT_OK(write_file_atomic(tree.path("link"), "new"));
  EXPECT_TRUE(std::filesystem::is_symlink(tree.path("link")));
  EXPECT_EQ(tree.read("folder/real"), "new");

  const auto pipe = tree.path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ASSERT_OK(check_writable(pipe));
  ASSERT_OK(write_file_atomic(pipe, "through"));
  std::array<char, 16> got{};
  EXPECT_EQ(::read(reader, got.data(), got.size()), 7);
  ::close(reader);
  EXPECT_STREQ(got.data(), "through");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));

  std::filesystem::create_symlink("nothing", tree.path("dangling"));
  EXPECT_THAT(write_file_atomic(tree.path("dangling"), "x"),
              IsError(ErrorKind::kNotFound, HasSubstr("not a link to nothing")));
}

TEST(File, WhetherItCanBeWrittenIsFoundWithoutTouchingIt) {
  SysTree tree;
  const auto path = tree.path("new/file");
  tree.put("new/file.tmp." + std::to_string(::getpid()), "remnant of a process of this number");
  ASSERT_OK(check_writable(path));
  EXPECT_TRUE(std::filesystem::is_empty(path.parent_path())) << "the remnant is cleared, nothing is made";
  tree.put("new/file", "old");
  ASSERT_OK(check_writable(path));
  EXPECT_EQ(tree.read("new/file"), "old");
  EXPECT_THAT(check_writable(path.parent_path()), IsError(ErrorKind::kUsage, HasSubstr("name a file in it")));
  ASSERT_OK(check_writable(tree.path("deep/and/deeper/file")));
  EXPECT_FALSE(std::filesystem::exists(tree.path("deep"))) << "folders made on the way are gone again";
  const auto nowhere = check_writable("/proc/no-such-place/file");
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_THAT(nowhere.error().line(), HasSubstr("choose a folder"));
}

TEST(File, AKillAtAnyMomentLeavesAWholeFile) {
  SysTree tree;
  const auto path = tree.path("state");
  const std::string a(200000, 'a');
  const std::string b(150000, 'b');
  ASSERT_OK(write_file_atomic(path, a));
  Rng rng(3);
  int changed = 0;
  for (int round = 0; round < 15; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) {
        if (!write_file_atomic(path, b).has_value() || !write_file_atomic(path, a).has_value()) ::_exit(1);
      }
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(2000 + rng.below(20000));
    while (std::chrono::steady_clock::now() < until) {
      const auto seen = read_file(path);
      ASSERT_OK(seen);
      ASSERT_TRUE(*seen == a || *seen == b) << "half written, " << seen->size() << " bytes";
      changed += *seen == b ? 1 : 0;
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed to write";
    const auto left = read_file(path);
    ASSERT_OK(left);
    EXPECT_TRUE(*left == a || *left == b) << "round " << round;
  }
  EXPECT_GT(changed, 0) << "the children did write";
}

TEST(File, ChecksumsAreTheWellKnownOnes) {
  EXPECT_EQ(crc32("123456789"), 0xCBF43926U);  // the check value of CRC-32/ISO-HDLC
  EXPECT_EQ(crc32(""), 0U);
  EXPECT_EQ(fingerprint("foobar"), "85944171f73967e8");  // FNV-1a 64, from its authors' test vectors
  EXPECT_EQ(fingerprint(""), "cbf29ce484222325");
}

}  // namespace
}  // namespace reins
