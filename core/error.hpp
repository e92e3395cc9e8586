// core/error.hpp: what went wrong, as a small value that allocates nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reins {

/// What sort of failure it is: what a caller can act on.
enum class ErrorKind : std::uint8_t {
  kUsage,        ///< the user asked for something that makes no sense: exit code 2
  kNotFound,     ///< a file, device or name is not there
  kDenied,       ///< no permission
  kGarbled,      ///< bytes or text that do not parse
  kMismatch,     ///< well-formed, but made for something else (another board, another schema)
  kUnsupported,  ///< this machine or build cannot do it
  kGone,         ///< it was there and is no more
  kBusy,         ///< in use by somebody else (a port, a lock), or a queue is full
  kTimeout,      ///< a deadline passed
  kIo,           ///< the system call failed
  kInternal,     ///< a library threw something unexpected
};

/// Stable lower-case name of a kind, e.g. "not_found".
std::string_view name_of(ErrorKind kind) noexcept;

/// A failure of the outside world. Fixed size; texts longer than the buffers are cut.
/// `what` says what is wrong, `where` names the file, device or field, `hint` says what to do.
class Error {
 public:
  Error() noexcept : Error(ErrorKind::kInternal, "unknown error") {}
  Error(ErrorKind kind, std::string_view what, std::string_view where = {}, std::string_view hint = {},
        int sys_errno = 0) noexcept;

  ErrorKind kind() const noexcept { return kind_; }
  int sys_errno() const noexcept { return sys_errno_; }
  std::string_view what() const noexcept { return what_; }
  std::string_view where() const noexcept { return where_; }
  std::string_view hint() const noexcept { return hint_; }

  /// One line: "<where>: <what> (<errno text>); <hint>".
  std::string line() const;

 private:
  char what_[168];
  char where_[160];
  char hint_[152];
  int sys_errno_ = 0;
  ErrorKind kind_ = ErrorKind::kInternal;
};

/// The one function that turns errno into an Error: ENOENT -> kNotFound, EACCES/EPERM/EROFS -> kDenied,
/// EADDRINUSE/EBUSY -> kBusy, ENODEV/ENXIO -> kGone, ETIMEDOUT -> kTimeout, ENOSYS/EOPNOTSUPP -> kUnsupported, else
/// kIo.
Error from_errno(int sys_errno, std::string_view what, std::string_view where, std::string_view hint = {}) noexcept;

}  // namespace reins
