#include "core/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

namespace reins {
namespace {

class Fd {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

constexpr std::string_view kElsewhere = "choose a folder that this user may write";

struct Temporary {
  std::string name;
  Fd fd;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// The file that is to be renamed to `path`, empty, in its folder.
Result<Temporary> open_temporary(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(folder_of(path), code);
  if (code) return fail(from_errno(code.value(), "cannot make the folder of this file", path.native(), kElsewhere));
  if (std::filesystem::is_directory(path, code)) {
    return fail(ErrorKind::kUsage, "this is a folder, a file is wanted", path.native(), "name a file in it");
  }
  std::string name = path.native() + ".tmp." + std::to_string(::getpid());
  // Exclusively, after a remnant is out of the way: in a folder that others may write, a link of that name is not
  // followed.
  ::unlink(name.c_str());
  Fd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (fd.get() < 0) return fail(from_errno(errno, "cannot write this file", path.native(), kElsewhere));
  return Temporary{std::move(name), std::move(fd)};
}

/// Where a file's bytes go.
struct Target {
  std::filesystem::path path;  ///< of the file that is replaced; a link's own target
  Fd special;                  ///< instead: a device or pipe, open for writing
};

// A rename would put a file in the place of a link or a device (/dev/null, run as root). What is there is opened first:
// so the kernel's own rules hold for links in folders that others may write.
Result<Target> target_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) return Target{path, Fd(-1)};
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0) {
    const int cause = errno;
    return fail(from_errno(cause, "cannot write this file", path.native(),
                           cause == ENOENT ? "name a file, not a link to nothing" : kElsewhere));
  }
  if (!S_ISREG(info.st_mode)) return Target{path, std::move(fd)};
  std::error_code code;
  std::filesystem::path real = std::filesystem::canonical(path, code);
  if (code) return fail(from_errno(code.value(), "cannot follow this link", path.native()));
  return Target{std::move(real), Fd(-1)};
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0)
    return fail(from_errno(errno, "cannot open file", path.native(), "check the path and its permissions"));
  struct stat info {};
  if (::fstat(fd.get(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return fail(ErrorKind::kUsage, "is a directory, a file is wanted", path.native());
  }
  std::string bytes;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(from_errno(errno, "cannot read file", path.native()));
    if (n == 0) return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
    if (bytes.size() > max_bytes)
      return fail(ErrorKind::kGarbled, "file is larger than its kind may be", path.native());
  }
}

Status check_writable(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    // Not opened: whoever reads a pipe would take its closing for the end.
    if (::access(path.c_str(), W_OK) == 0) return {};
    return fail(from_errno(errno, "cannot write this file", path.native()));
  }
  REINS_ASSIGN(const Target target, target_of(path));
  std::vector<std::filesystem::path> made;  // the deepest first
  std::error_code missing;
  for (auto folder = folder_of(target.path); !folder.empty() && !std::filesystem::exists(folder, missing);
       folder = folder.parent_path()) {
    made.push_back(folder);
  }
  const Result<Temporary> temporary = open_temporary(target.path);
  if (temporary.has_value()) ::unlink(temporary->name.c_str());
  for (const auto& folder : made) ::rmdir(folder.c_str());
  return temporary.has_value() ? Status{} : fail(temporary.error());
}

Status write_file_atomic(const std::filesystem::path& path, std::string_view bytes) {
  REINS_ASSIGN(const Target target, target_of(path));
  if (target.special.get() >= 0) {
    const bool written = write_all(target.special.get(), bytes);
    return written ? Status{} : fail(from_errno(errno, "cannot write file", path.native()));
  }
  REINS_ASSIGN(const Temporary temporary, open_temporary(target.path));
  const auto give_up = [&](std::string_view what) {
    const int cause = errno;
    ::unlink(temporary.name.c_str());
    return fail(from_errno(cause, what, path.native()));
  };
  if (!write_all(temporary.fd.get(), bytes)) return give_up("cannot write file");
  if (::fsync(temporary.fd.get()) != 0) return give_up("cannot sync file");
  if (::rename(temporary.name.c_str(), target.path.c_str()) != 0) return give_up("cannot put file in place");
  const Fd dir(::open(folder_of(target.path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() >= 0) ::fsync(dir.get());
  return {};
}

std::uint32_t crc32(std::string_view bytes) noexcept {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = (c & 1U) != 0 ? 0xEDB88320U ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFU;
}

std::string fingerprint(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return std::string(text.data());
}

}  // namespace reins
