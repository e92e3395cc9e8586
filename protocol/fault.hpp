// protocol/fault.hpp: why a request was not done, as it goes over the wire: a stable code and one line for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace reins::protocol {

enum class Code : std::uint8_t {
  kMalformed,   ///< not a message of this protocol: frames, msgpack, a missing key
  kVersion,     ///< `v` is not the version spoken here
  kUnknownOp,   ///< `op` is not one of infer, goal, status, metrics
  kInvalid,     ///< a key whose value is out of range, of the wrong type, or not known
  kTooLarge,    ///< a frame over its limit
  kMismatch,    ///< a well-formed tensor that the network served here does not take
  kOverloaded,  ///< the queue is full: try again later
  kStopping,    ///< the server is on its way out
  kInternal,    ///< the server failed
};

/// Lower-case name on the wire, e.g. "unknown_op".
std::string_view name_of(Code code) noexcept;
std::optional<Code> code_named(std::string_view name) noexcept;

struct Fault {
  Code code = Code::kInternal;
  std::string message;
  bool emulated = false;  ///< who answers stands for an emulated board
  friend bool operator==(const Fault&, const Fault&) = default;
};

/// busy -> overloaded, usage -> invalid, mismatch -> mismatch, else internal; the message is the error's line.
Fault fault_of(const Error& error);

}  // namespace reins::protocol
