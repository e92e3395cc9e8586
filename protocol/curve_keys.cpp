#include "protocol/curve_keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "core/file.hpp"

namespace reins::protocol {
namespace {

constexpr std::size_t kTextLength = 40;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::string_view kZ85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Made anew with its mode from the first moment, so that no other user reads the secret between creation and chmod.
Status write_new(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) {
    if (errno == EEXIST) {
      return fail(ErrorKind::kBusy, "a key is already there", path.native(),
                  "move it away first, or choose another name");
    }
    return fail(from_errno(errno, "cannot write the key", path.native()));
  }
  int failed = 0;
  while (!text.empty() && failed == 0) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n > 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno != EINTR) {
      failed = errno;
    }
  }
  if (failed == 0 && ::fsync(fd) != 0) failed = errno;
  if (::close(fd) != 0 && failed == 0) failed = errno;
  if (failed != 0) {
    ::unlink(path.c_str());
    return fail(from_errno(failed, "cannot write the key", path.native()));
  }
  return {};
}

std::filesystem::path with_suffix(const std::filesystem::path& prefix, std::string_view suffix) {
  return std::filesystem::path(prefix.native() + std::string(suffix));
}

}  // namespace

bool is_curve_key(std::string_view text) noexcept {
  if (text.size() != kTextLength) return false;
  // zmq_z85_decode of libzmq 4.3.4 does not check every character nor every block's range; this does.
  for (std::size_t block = 0; block < kTextLength; block += 5) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      const std::size_t digit = kZ85.find(text[block + i]);
      if (digit == std::string_view::npos) return false;
      value = value * 85 + digit;
    }
    if (value > UINT32_MAX) return false;
  }
  return true;
}

Result<std::string> curve_key_text(std::string_view bytes) {
  if (bytes.size() != kKeyBytes) return fail(ErrorKind::kGarbled, "a CURVE key that is not 32 bytes");
  std::array<char, kTextLength + 1> text{};
  if (zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()) == nullptr) {
    return fail(ErrorKind::kGarbled, "a CURVE key that Z85 cannot carry");
  }
  return std::string(text.data(), kTextLength);
}

Result<CurveKeyPair> make_curve_keys() {
  std::array<char, kTextLength + 1> public_key{}, secret_key{};
  if (zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) {
    return fail(ErrorKind::kUnsupported, "this libzmq has no CURVE", "libzmq", "install one built with libsodium");
  }
  return CurveKeyPair{std::string(public_key.data(), kTextLength), std::string(secret_key.data(), kTextLength)};
}

Status write_curve_keys(const CurveKeyPair& keys, const std::filesystem::path& prefix) {
  const std::filesystem::path secret = with_suffix(prefix, ".secret");
  const std::filesystem::path open = with_suffix(prefix, ".public");
  REINS_TRY(write_new(secret, keys.secret_key + "\n", 0600));
  if (Status written = write_new(open, keys.public_key + "\n", 0644); !written) {
    ::unlink(secret.c_str());
    return written;
  }
  return {};
}

Result<CurveKeyPair> read_curve_secret(const std::filesystem::path& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0)
    return fail(from_errno(errno, "cannot read the key", path.native(), "make one with reins serve --make-keys"));
  if (S_ISREG(facts.st_mode) && (facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(ErrorKind::kDenied, "a secret key that others may read", path.native(), "chmod 600 it");
  }
  REINS_ASSIGN(const std::string text, read_file(path, kMaxFileBytes));
  CurveKeyPair keys;
  keys.secret_key = trimmed(text);
  if (!is_curve_key(keys.secret_key)) {
    return fail(ErrorKind::kGarbled, "not a CURVE key of 40 characters", path.native(),
                "make one with reins serve --make-keys");
  }
  std::array<char, kTextLength + 1> public_key{};
  if (zmq_curve_public(public_key.data(), keys.secret_key.c_str()) != 0) {
    return fail(ErrorKind::kUnsupported, "this libzmq has no CURVE", "libzmq", "install one built with libsodium");
  }
  keys.public_key.assign(public_key.data(), kTextLength);
  return keys;
}

Result<std::vector<std::string>> read_curve_public_keys(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string text, read_file(path, kMaxFileBytes));
  std::vector<std::string> keys;
  std::size_t line_number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++line_number;
    const std::size_t end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    // `#` is a Z85 character too: a line is a comment only where it is no key.
    if (is_curve_key(line)) {
      keys.emplace_back(line);
    } else if (!line.empty() && line.front() != '#') {
      return fail(ErrorKind::kGarbled, "not a CURVE key of 40 characters",
                  path.native() + ":" + std::to_string(line_number));
    }
  }
  if (keys.empty()) return fail(ErrorKind::kGarbled, "no key in it", path.native(), "put one public key on a line");
  return keys;
}

}  // namespace reins::protocol
