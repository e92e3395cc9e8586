#include "core/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace reins {
namespace {

template <std::size_t N>
void copy_cut(char (&to)[N], std::string_view from) noexcept {
  const std::size_t n = std::min(from.size(), N - 1);
  if (n > 0) std::memcpy(to, from.data(), n);
  to[n] = '\0';
  if (from.size() > n) std::memcpy(to + n - 3, "...", 3);
}

}  // namespace

std::string_view name_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kNotFound:
      return "not_found";
    case ErrorKind::kDenied:
      return "denied";
    case ErrorKind::kGarbled:
      return "garbled";
    case ErrorKind::kMismatch:
      return "mismatch";
    case ErrorKind::kUnsupported:
      return "unsupported";
    case ErrorKind::kGone:
      return "gone";
    case ErrorKind::kBusy:
      return "busy";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kIo:
      return "io";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "internal";
}

Error::Error(ErrorKind kind, std::string_view what, std::string_view where, std::string_view hint,
             int sys_errno) noexcept
    : sys_errno_(sys_errno), kind_(kind) {
  copy_cut(what_, what);
  copy_cut(where_, where);
  copy_cut(hint_, hint);
}

std::string Error::line() const {
  std::string text;
  if (where_[0] != '\0') text.append(where_).append(": ");
  text.append(what_);
  if (sys_errno_ != 0) text.append(" (").append(std::generic_category().message(sys_errno_)).append(")");
  if (hint_[0] != '\0') text.append("; ").append(hint_);
  return text;
}

Error from_errno(int sys_errno, std::string_view what, std::string_view where, std::string_view hint) noexcept {
  ErrorKind kind = ErrorKind::kIo;
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
      kind = ErrorKind::kNotFound;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      kind = ErrorKind::kDenied;
      break;
    case EADDRINUSE:
    case EBUSY:
      kind = ErrorKind::kBusy;
      break;
    case ENODEV:
    case ENXIO:
      kind = ErrorKind::kGone;
      break;
    case ETIMEDOUT:
      kind = ErrorKind::kTimeout;
      break;
    case ENOSYS:
    case EOPNOTSUPP:
      kind = ErrorKind::kUnsupported;
      break;
    default:
      break;
  }
  return Error(kind, what, where, hint, sys_errno);
}

}  // namespace reins
