#include "protocol/fault.hpp"

#include <array>
#include <utility>

namespace reins::protocol {
namespace {

constexpr std::array<std::pair<Code, std::string_view>, 9> kNames = {{
    {Code::kMalformed, "malformed"},
    {Code::kVersion, "version"},
    {Code::kUnknownOp, "unknown_op"},
    {Code::kInvalid, "invalid"},
    {Code::kTooLarge, "too_large"},
    {Code::kMismatch, "mismatch"},
    {Code::kOverloaded, "overloaded"},
    {Code::kStopping, "stopping"},
    {Code::kInternal, "internal"},
}};

}  // namespace

std::string_view name_of(Code code) noexcept {
  for (const auto& [c, name] : kNames) {
    if (c == code) return name;
  }
  return "internal";
}

std::optional<Code> code_named(std::string_view name) noexcept {
  for (const auto& [code, n] : kNames) {
    if (n == name) return code;
  }
  return std::nullopt;
}

Fault fault_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kBusy:
      return {Code::kOverloaded, error.line()};
    case ErrorKind::kUsage:
      return {Code::kInvalid, error.line()};
    case ErrorKind::kMismatch:
      return {Code::kMismatch, error.line()};
    default:
      return {Code::kInternal, error.line()};
  }
}

}  // namespace reins::protocol
