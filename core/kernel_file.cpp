#include "core/kernel_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace reins {
namespace {

std::string_view trim_end(std::string_view text) noexcept {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\t' || text.back() == '\0')) {
    text.remove_suffix(1);
  }
  return text;
}

/// Digits compare as numbers, so that policy4 stands before policy10.
bool natural_less(const std::string& a, const std::string& b) noexcept {
  std::size_t i = 0;
  std::size_t j = 0;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      std::size_t p = i;
      std::size_t q = j;
      while (p < a.size() && digit(a[p])) ++p;
      while (q < b.size() && digit(b[q])) ++q;
      const std::string_view x(a.data() + i, p - i);
      const std::string_view y(b.data() + j, q - j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      i = p;
      j = q;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

bool matches(std::string_view pattern, std::string_view text) noexcept {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    for (std::size_t skip = 0; skip <= text.size(); ++skip) {
      if (matches(pattern.substr(1), text.substr(skip))) return true;
    }
    return false;
  }
  return !text.empty() && pattern.front() == text.front() && matches(pattern.substr(1), text.substr(1));
}

void expand(const std::filesystem::path& base, std::string_view rest, std::vector<std::filesystem::path>& found) {
  while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
  if (rest.empty()) {
    found.push_back(base);
    return;
  }
  const std::size_t slash = rest.find('/');
  const std::string_view component = rest.substr(0, slash);
  const std::string_view behind = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
  if (component.find('*') == std::string_view::npos) {
    const std::filesystem::path next = base / component;
    std::error_code code;
    if (std::filesystem::exists(next, code)) expand(next, behind, found);
    return;
  }
  for (const std::string& name : list_folder(base)) {
    if (matches(component, name)) expand(base / name, behind, found);
  }
}

}  // namespace

Result<KernelFile> KernelFile::open(const std::filesystem::path& path, Access access, std::string_view hint) {
  const int mode = access == Access::kRead ? O_RDONLY : access == Access::kWrite ? O_WRONLY : O_RDWR;
  KernelFile file;
  file.path_ = path.native();
  // A kernel's attributes know no blocking; a pipe in their place would wait for its other end.
  file.fd_ = ::open(path.c_str(), mode | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) {
    const int cause = errno;
    if (cause == EISDIR) return fail(ErrorKind::kNotFound, "is a folder, a file is wanted", file.path_, hint);
    return fail(from_errno(cause, access == Access::kRead ? "cannot be read" : "cannot be written", file.path_, hint));
  }
  struct stat info {};
  if (::fstat(file.fd_, &info) == 0 && S_ISDIR(info.st_mode)) {
    return fail(ErrorKind::kNotFound, "is a folder, a file is wanted", file.path_, hint);
  }
  if (::fstat(file.fd_, &info) == 0 && S_ISFIFO(info.st_mode)) {
    return fail(ErrorKind::kNotFound, "is a pipe, a file is wanted", file.path_, hint);
  }
  return file;
}

KernelFile::~KernelFile() {
  if (fd_ >= 0) ::close(fd_);
}

KernelFile::KernelFile(KernelFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

KernelFile& KernelFile::operator=(KernelFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Result<std::string_view> KernelFile::read_text(std::span<char> buffer) const noexcept {
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t n = ::pread(fd_, buffer.data() + size, buffer.size() - size, static_cast<off_t>(size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(from_errno(errno, "cannot be read", path_));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
    // An attribute comes whole: short of the buffer and at the end of a line there is no more to ask for.
    if (size < buffer.size() && buffer[size - 1] == '\n') break;
  }
  // The kernel answers ENODEV for a device that left; a plain file that was removed would go on giving its last value.
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && info.st_nlink == 0) return fail(ErrorKind::kGone, "is no longer there", path_);
  if (size == buffer.size()) return fail(ErrorKind::kGarbled, "holds more text than such a file may", path_);
  return trim_end({buffer.data(), size});
}

Result<double> KernelFile::read_number() const noexcept {
  std::array<char, 64> buffer;
  const auto text = read_text(buffer);
  if (!text) return fail(text.error());
  if (text->empty()) return fail(ErrorKind::kGarbled, "is empty, a number is wanted", path_);
  double value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, code] = std::from_chars(text->data(), end, value);
  if (code != std::errc() || stop != end || !std::isfinite(value)) {
    return fail(ErrorKind::kGarbled, "holds no number", path_);
  }
  return value;
}

Result<std::int64_t> KernelFile::read_integer() const noexcept {
  std::array<char, 64> buffer;
  const auto text = read_text(buffer);
  if (!text) return fail(text.error());
  if (text->empty()) return fail(ErrorKind::kGarbled, "is empty, an integer is wanted", path_);
  std::int64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, code] = std::from_chars(text->data(), end, value);
  if (code != std::errc() || stop != end) return fail(ErrorKind::kGarbled, "holds no integer", path_);
  return value;
}

Status KernelFile::write(std::string_view text) const noexcept {
  // sysfs takes a whole value per write; cutting first matters for plain files alone (a test's tree), and its failure
  // does not.
  if (::ftruncate(fd_, 0) != 0) errno = 0;
  for (;;) {
    const ssize_t n = ::pwrite(fd_, text.data(), text.size(), 0);
    if (n == static_cast<ssize_t>(text.size())) return {};
    if (n >= 0) return fail(ErrorKind::kIo, "took only a part of the value", path_);
    if (errno == EINTR) continue;
    if (errno == EINVAL || errno == ERANGE) {
      return fail(Error(ErrorKind::kUsage, "refuses the value", path_, {}, errno));
    }
    return fail(from_errno(errno, "cannot be written", path_));
  }
}

Status KernelFile::write_integer(std::int64_t value) const noexcept {
  std::array<char, 24> buffer;
  const auto [end, code] = std::to_chars(buffer.data(), buffer.data() + buffer.size() - 1, value);
  if (code != std::errc()) return fail(ErrorKind::kInternal, "cannot format a number", path_);
  *end = '\n';
  return write({buffer.data(), static_cast<std::size_t>(end + 1 - buffer.data())});
}

std::vector<std::string> list_folder(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (std::filesystem::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    names.push_back(it->path().filename().native());
  }
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

std::vector<std::filesystem::path> find_paths(const std::filesystem::path& root, std::string_view pattern) {
  std::vector<std::filesystem::path> found;
  while (found.empty()) {
    const std::size_t bar = pattern.find('|');
    if (!pattern.substr(0, bar).empty()) expand(root, pattern.substr(0, bar), found);
    if (bar == std::string_view::npos) break;
    pattern.remove_prefix(bar + 1);
  }
  return found;
}

bool may_write(const std::filesystem::path& path) noexcept {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 0222) == 0) return false;
  return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

std::string first_line(const std::filesystem::path& path) {
  auto file = KernelFile::open(path);
  if (!file) return {};
  std::array<char, 4096> buffer;
  const auto text = file->read_text(buffer);
  if (!text) return {};
  return std::string(trim_end(text->substr(0, text->find('\n'))));
}

}  // namespace reins
