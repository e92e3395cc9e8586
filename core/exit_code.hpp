// core/exit_code.hpp: how our programs end: 0 done, 1 failed, 2 bad usage or bad input.
#pragma once

#include "core/error.hpp"

namespace reins {

inline constexpr int kOk = 0, kFailed = 1, kBadInput = 2;

/// What was given makes no sense, is not there or does not parse or fit: 2. The world said no (a permission, a device,
/// a server): 1. `reins serve` counts a board or an address that another program has as bad input: its user chose them.
constexpr int exit_code_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kNotFound:
    case ErrorKind::kGarbled:
    case ErrorKind::kMismatch:
      return kBadInput;
    case ErrorKind::kDenied:
    case ErrorKind::kUnsupported:
    case ErrorKind::kGone:
    case ErrorKind::kBusy:
    case ErrorKind::kTimeout:
    case ErrorKind::kIo:
    case ErrorKind::kInternal:
      break;
  }
  return kFailed;
}

}  // namespace reins
