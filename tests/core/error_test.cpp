// Errors: one line that says what, where and what to do; errno in one place.
#include "core/error.hpp"

#include <cerrno>
#include <type_traits>

#include "core/exit_code.hpp"
#include "core/result.hpp"
#include "tests/support/matchers.hpp"

namespace reins {
namespace {

using ::testing::HasSubstr;
using testing::IsError;

static_assert(std::is_trivially_copyable_v<Error>, "making and handing on an error allocates nothing");

TEST(Error, LineSaysWhereWhatAndWhatToDo) {
  EXPECT_EQ(Error(ErrorKind::kGarbled, "is wrong", "a.toml:3", "correct it").line(), "a.toml:3: is wrong; correct it");
  EXPECT_EQ(Error(ErrorKind::kGarbled, "is wrong").line(), "is wrong");
  EXPECT_EQ(from_errno(ENOENT, "cannot open", "a.toml").line(), "a.toml: cannot open (No such file or directory)");
}

TEST(Error, CutsWhatDoesNotFitAndSaysSo) {
  const std::string text(1000, 'x');
  const Error error(ErrorKind::kIo, text, text, text);
  EXPECT_LT(error.line().size(), 500U);
  EXPECT_TRUE(error.what().ends_with("xxx...")) << error.what();
  EXPECT_TRUE(error.where().ends_with("...")) << error.where();
  EXPECT_TRUE(error.hint().ends_with("...")) << error.hint();
}

TEST(Error, TurnsErrnoIntoWhatACallerCanActOn) {
  const std::pair<int, ErrorKind> wanted[] = {
      {ENOENT, ErrorKind::kNotFound},   {ENOTDIR, ErrorKind::kNotFound},   {EACCES, ErrorKind::kDenied},
      {EPERM, ErrorKind::kDenied},      {EROFS, ErrorKind::kDenied},       {EADDRINUSE, ErrorKind::kBusy},
      {EBUSY, ErrorKind::kBusy},        {ENODEV, ErrorKind::kGone},        {ENXIO, ErrorKind::kGone},
      {ETIMEDOUT, ErrorKind::kTimeout}, {ENOSYS, ErrorKind::kUnsupported}, {EOPNOTSUPP, ErrorKind::kUnsupported},
      {ENOSPC, ErrorKind::kIo}};
  for (const auto& [number, kind] : wanted) {
    EXPECT_EQ(from_errno(number, "w", "x").kind(), kind) << number;
    EXPECT_EQ(from_errno(number, "w", "x").sys_errno(), number);
  }
}

TEST(ExitCode, IsTwoForBadInputAndOneForWhatTheWorldRefuses) {
  for (const ErrorKind kind : {ErrorKind::kUsage, ErrorKind::kNotFound, ErrorKind::kGarbled, ErrorKind::kMismatch}) {
    EXPECT_EQ(exit_code_of(kind), 2) << name_of(kind);
  }
  for (const ErrorKind kind : {ErrorKind::kDenied, ErrorKind::kUnsupported, ErrorKind::kGone, ErrorKind::kBusy,
                               ErrorKind::kTimeout, ErrorKind::kIo, ErrorKind::kInternal}) {
    EXPECT_EQ(exit_code_of(kind), 1) << name_of(kind);
  }
}

Result<int> halves(int x) {
  if (x % 2 != 0) return fail(ErrorKind::kUsage, "is odd", std::to_string(x));
  return x / 2;
}
Result<int> quarters(int x) {
  REINS_ASSIGN(const int half, halves(x));
  REINS_TRY(halves(half));
  return halves(half);
}

TEST(Result, HandsTheFirstErrorOn) {
  EXPECT_EQ(*quarters(12), 3);
  EXPECT_THAT(quarters(7), IsError(ErrorKind::kUsage, HasSubstr("7: is odd")));
  EXPECT_THAT(quarters(6), IsError(ErrorKind::kUsage, HasSubstr("3: is odd")));
}

}  // namespace
}  // namespace reins
