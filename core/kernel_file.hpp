// core/kernel_file.hpp: a one-line file of /sys or /proc, kept open, read and written without allocation; and finding
// such files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins {

/// An open attribute. Each read asks the kernel anew (pread at 0), each write replaces the whole value.
/// Threads: one instance, one thread. Owns its descriptor.
class KernelFile {
 public:
  enum class Access : std::uint8_t { kRead, kWrite, kReadWrite };

  /// Errors: not_found, denied (with `hint`), gone, io. A folder is not_found.
  static Result<KernelFile> open(const std::filesystem::path& path, Access access = Access::kRead,
                                 std::string_view hint = {});
  KernelFile() noexcept = default;
  ~KernelFile();
  KernelFile(KernelFile&& other) noexcept;
  KernelFile& operator=(KernelFile&& other) noexcept;
  KernelFile(const KernelFile&) = delete;
  KernelFile& operator=(const KernelFile&) = delete;

  bool is_open() const noexcept { return fd_ >= 0; }
  const std::string& path() const noexcept { return path_; }

  /// The text without the white space at its end, in `buffer`. Errors: gone (the file was removed, or the device left),
  /// garbled (it fills the buffer: not what was expected), io. Never allocates.
  Result<std::string_view> read_text(std::span<char> buffer) const noexcept;
  /// A finite decimal number and nothing else. Errors as above; garbled: empty, or no number.
  Result<double> read_number() const noexcept;
  Result<std::int64_t> read_integer() const noexcept;
  /// Errors: denied, gone, busy, unsupported; usage where the kernel refuses the value (EINVAL). Never allocates.
  Status write(std::string_view text) const noexcept;
  Status write_integer(std::int64_t value) const noexcept;

 private:
  int fd_ = -1;
  std::string path_;
};

/// Names in a folder, in natural order (policy4 before policy10); empty where it cannot be listed.
std::vector<std::string> list_folder(const std::filesystem::path& folder);

/// What matches `pattern` below `root`: '*' stands for any text within one component, and '|' separates alternatives,
/// of which the first that matches anything counts. Natural order. A leading '/' of the pattern means `root`.
std::vector<std::filesystem::path> find_paths(const std::filesystem::path& root, std::string_view pattern);

/// True where the effective user may write the file: by permissions, and never where nobody may (the kernel then offers
/// no writing, not even to root) or on a file system that is mounted read-only.
bool may_write(const std::filesystem::path& path) noexcept;

/// The first line of a small file, trimmed; empty where it cannot be read.
std::string first_line(const std::filesystem::path& path);

}  // namespace reins
