// The file that undoes a killed run: what it accepts, keeps, refuses, and in which order it puts things back.
#include "actuators/restore_file.hpp"

#include "tests/support/matchers.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::actuators {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsError;
using testing::SysTree;

class RestoreFileTest : public ::testing::Test {
 protected:
  void state(std::string_view text) { tree_.put("run/state.toml", text); }
  Result<RestoreReport> restore_all() { return RestoreFile::restore_all(file_, tree_.root()); }
  SysTree tree_;
  std::filesystem::path file_ = tree_.path("run/state.toml");
  std::string governor_ = tree_.cpufreq(0, {400000, 800000}) + "/scaling_governor";
};

TEST_F(RestoreFileTest, IsWrittenAtAddAndGoesWithTheLastForget) {
  auto file = *RestoreFile::open(file_, tree_.root());
  EXPECT_FALSE(std::filesystem::exists(file_));
  const SavedValue a{governor_, "schedutil"};
  const SavedValue b{"sys/fs/cgroup/x \"y\\/cpu.max", "max 100000"};
  EXPECT_OK(file->add(std::array{a, b}));
  EXPECT_THAT(file->saved(), ElementsAre(a, b));
  EXPECT_THAT(tree_.read("run/state.toml"), HasSubstr(governor_));
  EXPECT_OK(file->add(std::array{SavedValue{governor_, "performance"}})) << "the first value is the machine's own";
  EXPECT_THAT(file->saved(), ElementsAre(a, b));
  EXPECT_OK(file->forget(std::array{a}));
  EXPECT_TRUE(std::filesystem::exists(file_));
  EXPECT_OK(file->forget(std::array{b}));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(RestoreFileTest, IsHeldByOneProcessAtATime) {
  auto first = RestoreFile::open(file_, tree_.root());
  ASSERT_OK(first);
  EXPECT_THAT(RestoreFile::open(file_, tree_.root()), IsError(ErrorKind::kBusy, HasSubstr("running reins")));
  first->reset();
  EXPECT_OK(RestoreFile::open(file_, tree_.root()));
}

TEST_F(RestoreFileTest, WithoutAFileThereIsNothingToDo) {
  const auto report = restore_all();
  ASSERT_OK(report);
  EXPECT_TRUE(report->complete());
  EXPECT_TRUE(report->lines.empty());
  EXPECT_FALSE(std::filesystem::exists(tree_.path("run"))) << "and nothing is made on the way";
}

TEST_F(RestoreFileTest, PutsBackAndSaysWhat) {
  tree_.put(governor_, "userspace");
  state("schema = 1\n[[saved]]\npath = \"" + governor_ + "\"\nvalue = \"schedutil\"");
  const auto report = restore_all();
  ASSERT_OK(report);
  ASSERT_EQ(report->lines.size(), 1U);
  EXPECT_EQ(report->lines[0].saved, (SavedValue{governor_, "schedutil"}));
  EXPECT_FALSE(report->lines[0].error.has_value());
  EXPECT_EQ(tree_.read(governor_), "schedutil");
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(RestoreFileTest, DropsWhatNoLongerExistsAndDoesTheRest) {
  tree_.put(governor_, "userspace");
  state("schema = 1\n[[saved]]\npath = \"sys/gone/governor\"\nvalue = \"x\"\n[[saved]]\npath = \"" + governor_ +
        "\"\nvalue = \"schedutil\"");
  const auto report = restore_all();
  ASSERT_OK(report);
  EXPECT_FALSE(report->complete());
  ASSERT_EQ(report->lines.size(), 2U);
  EXPECT_EQ(report->lines[0].error->kind(), ErrorKind::kNotFound);
  EXPECT_EQ(tree_.read(governor_), "schedutil");
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(RestoreFileTest, KeepsWhatIsDeniedToBeTriedAgain) {
  tree_.put(governor_, "userspace");
  std::filesystem::permissions(tree_.path(governor_), std::filesystem::perms(0444));
  std::filesystem::create_directories(tree_.path("run"));
  std::filesystem::permissions(tree_.path("run"), std::filesystem::perms(0777));
  state("schema = 1\n[[saved]]\npath = \"" + governor_ + "\"\nvalue = \"schedutil\"");
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path& root) {
        const auto report = RestoreFile::restore_all(root / "run/state.toml", root);
        if (!report) return 1;
        if (report->complete() || report->lines.size() != 1) return 2;
        return report->lines[0].error->kind() == ErrorKind::kDenied ? 0 : 3;
      },
      tree_);
  if (code == 254) GTEST_SKIP() << "cannot give up root here, so permission cannot be tested";
  EXPECT_EQ(code, 0);
  EXPECT_THAT(tree_.read("run/state.toml"), HasSubstr("schedutil"));
  std::filesystem::permissions(tree_.path(governor_), std::filesystem::perms(0644));
  EXPECT_TRUE(restore_all()->complete());
}

TEST_F(RestoreFileTest, AFolderThatMayNotBeLookedIntoIsNoEmptyOne) {
  state("schema = 1\n[[saved]]\npath = \"" + governor_ + "\"\nvalue = \"schedutil\"");
  std::filesystem::permissions(tree_.path("run"), std::filesystem::perms(0700));
  const int code = testing::run_unprivileged(
      [](const std::filesystem::path& root) {
        const auto report = RestoreFile::restore_all(root / "run/state.toml", root);
        return !report && report.error().kind() == ErrorKind::kDenied ? 0 : 1;
      },
      tree_);
  if (code == 254) GTEST_SKIP() << "cannot give up root here, so permission cannot be tested";
  EXPECT_EQ(code, 0);
}

TEST_F(RestoreFileTest, WritesNothingThatReinsDoesNotSet) {
  // `reins restore` runs as root: a file that somebody else wrote must not steer it elsewhere.
  tree_.put("sys/kernel/uevent_helper", "").put("etc/passwd", "root");
  for (const std::string bad : {"sys/kernel/uevent_helper", "etc/passwd", "sys/../etc/passwd", "/etc/passwd",
                                "sys/a/../governor", "sys/governor\\n", "sys"}) {
    state("schema = 1\n[[saved]]\npath = \"" + bad + "\"\nvalue = \"x\"");
    EXPECT_THAT(restore_all(), IsError(ErrorKind::kUsage, HasSubstr("no control below sys/"))) << bad;
  }
  EXPECT_EQ(tree_.read("sys/kernel/uevent_helper"), "");
  auto file = *RestoreFile::open(tree_.path("run/other.toml"), tree_.root());
  EXPECT_THAT(file->add(std::array{SavedValue{"etc/passwd", "x"}}),
              IsError(ErrorKind::kUsage, HasSubstr("no control")));
  EXPECT_THAT(file->add(std::array{SavedValue{governor_, "a\nb"}}),
              IsError(ErrorKind::kUsage, HasSubstr("single line")));
  EXPECT_TRUE(file->saved().empty());
}

TEST_F(RestoreFileTest, RefusesATruncatedOrForeignFileWithItsLine) {
  for (const std::string bad :
       {"schema = 1\n[[saved]]\npath = \"sys/x", "schema = 1\n[[saved]]\npath = \"sys/a/governor\"", "rubbish",
        "schema = 2", "", "schema = 1\nextra = 1"}) {
    state(bad);
    EXPECT_THAT(restore_all(), IsError(ErrorKind::kGarbled, HasSubstr("state.toml:"))) << bad;
    EXPECT_TRUE(std::filesystem::exists(file_)) << "it is left for a person to look at";
  }
}

}  // namespace
}  // namespace reins::actuators
