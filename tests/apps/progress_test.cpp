#include "apps/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace reins::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ProgressLine, ShowsShareAndTimeLeft) {
  EXPECT_EQ(progress_line("train", 0.25, 20, "episode 3", 200),
            "train  [#######.....................]  25 %  1 min 0 s left  episode 3");
}

TEST(ProgressLine, GuessesNoTimeLeftFromNothing) {
  EXPECT_THAT(progress_line("eval", 0, 5, "", 200), Not(HasSubstr("left")));
}

TEST(ProgressLine, KeepsToItsWidthAndToTheBar) {
  EXPECT_EQ(progress_line("a very long label", 0.5, 10, "and a note", 30).size(), 30U);
  EXPECT_EQ(progress_line("x", 7, 1, "", 200), progress_line("x", 1, 1, "", 200));
  EXPECT_EQ(progress_line("x", -7, 1, "", 200), progress_line("x", 0, 1, "", 200));
}

TEST(Progress, SaysNothingInItsFirstTwoSeconds) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("short");
    EXPECT_TRUE(progress.update(0.5));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, TurnsTheFirstStopSignalIntoAnAnswerAndPutsTheHandlerBack) {
  static volatile std::sig_atomic_t seen = 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    seen = 0;
    const auto found = std::signal(signal, [](int) { seen = 1; });
    {
      Progress progress("work");
      Progress inner("part of it");
      EXPECT_TRUE(progress.update(0.1));
      std::raise(signal);
      EXPECT_FALSE(inner.update(0.2));
      EXPECT_FALSE(progress.update(0.2));
      EXPECT_EQ(seen, 0);
    }
    std::raise(signal);
    EXPECT_EQ(seen, 1);
    std::signal(signal, found);
  }
}

}  // namespace
}  // namespace reins::apps
