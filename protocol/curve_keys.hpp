// protocol/curve_keys.hpp: CURVE key files, for the server and for its clients.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins::protocol {

/// Both in Z85, 40 characters each (ZeroMQ RFC 32).
struct CurveKeyPair {
  std::string public_key, secret_key;
};

/// Errors: unsupported (libzmq was built without CURVE).
Result<CurveKeyPair> make_curve_keys();

/// `<prefix>.secret` with mode 0600 and `<prefix>.public`. Never overwrites: a key that is lost locks everybody out.
/// Errors: busy (a file is already there), denied, not_found (no such folder), io.
Status write_curve_keys(const CurveKeyPair& keys, const std::filesystem::path& prefix);

/// The pair of a `.secret` file; its public half is computed. Errors: not_found, garbled, denied (others than its owner
/// may read it).
Result<CurveKeyPair> read_curve_secret(const std::filesystem::path& path);

/// Public keys, one a line; blank lines and lines that begin with `#` are skipped. Errors: not_found, garbled (with the
/// line; also where there is no key at all).
Result<std::vector<std::string>> read_curve_public_keys(const std::filesystem::path& path);

/// 40 characters of Z85.
bool is_curve_key(std::string_view text) noexcept;

/// A key of 32 bytes as Z85. Errors: garbled (another length).
Result<std::string> curve_key_text(std::string_view bytes);

}  // namespace reins::protocol
