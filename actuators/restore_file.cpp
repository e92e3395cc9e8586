#include "actuators/restore_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/file.hpp"
#include "core/kernel_file.hpp"
#include "core/text.hpp"
#include "core/toml.hpp"

namespace reins::actuators {
namespace {

constexpr std::int64_t kSchema = 1;

/// All that our actuators change. `reins restore` runs as root on a file that a group may write: nothing else is ever
/// written.
constexpr std::array<std::string_view, 10> kOurFiles = {
    "scaling_governor", "scaling_min_freq", "scaling_max_freq", "scaling_setspeed", "governor",
    "min_freq",         "max_freq",         "set_freq",         "cpu.max",          "cpu.cfs_quota_us"};

Status check(const SavedValue& saved, std::string_view where) {
  const std::filesystem::path path(saved.path);
  const bool inside = saved.path.starts_with("sys/") && std::find(path.begin(), path.end(), "..") == path.end() &&
                      std::find(kOurFiles.begin(), kOurFiles.end(), path.filename().native()) != kOurFiles.end();
  const auto odd = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!inside || std::any_of(saved.path.begin(), saved.path.end(), odd)) {
    return fail(ErrorKind::kUsage, "'" + saved.path.substr(0, 60) + "' is no control below sys/ that reins sets",
                where);
  }
  const auto no_line = [&odd](const std::string& text) {
    return text.size() > 4096 || std::any_of(text.begin(), text.end(), odd);
  };
  if (no_line(saved.value) || no_line(saved.ours)) {
    return fail(ErrorKind::kUsage, "a saved value is not a single line of text", where);
  }
  return {};
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

Result<std::vector<SavedValue>> load(const std::filesystem::path& file) {
  std::error_code code;
  if (!std::filesystem::exists(file, code)) return std::vector<SavedValue>{};
  REINS_ASSIGN(const TomlTable table, TomlTable::read(file));
  REINS_TRY(table.integer("schema", kSchema, kSchema));
  REINS_ASSIGN(const std::vector<TomlTable> entries, table.tables("saved"));
  REINS_TRY(table.reject_unknown());
  std::vector<SavedValue> saved;
  for (const TomlTable& entry : entries) {
    REINS_ASSIGN(std::string path, entry.text("path"));
    REINS_ASSIGN(std::string value, entry.text("value"));
    REINS_ASSIGN(std::string ours, entry.text_or("ours", ""));
    REINS_TRY(entry.reject_unknown());
    saved.push_back({std::move(path), std::move(value), std::move(ours)});
    REINS_TRY(check(saved.back(), entry.place("path")));
  }
  return saved;
}

Result<int> lock(const std::filesystem::path& file) {
  const std::filesystem::path path = file.native() + ".lock";
  std::error_code code;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), code);
  constexpr std::string_view kHint = "run as root, or name a state file in a folder that you may write (--state)";
  if (code) return fail(from_errno(code.value(), "cannot make folder", path.parent_path().native(), kHint));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
  if (fd < 0) return fail(from_errno(errno, "cannot be written", path.native(), kHint));
  // The next run may be another member of the group; where the file is not ours it was made so by its owner.
  static_cast<void>(::fchmod(fd, 0664));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int cause = errno;
    ::close(fd);
    if (cause == EWOULDBLOCK) {
      return fail(ErrorKind::kBusy, "a running reins holds this board's settings", file.native(),
                  "stop it; it puts them back itself");
    }
    return fail(from_errno(cause, "cannot be locked", path.native()));
  }
  return fd;
}

/// `left`: what stays there instead, for it is neither the saved value nor the killed run's.
Status put_back(const SavedValue& saved, const std::filesystem::path& root, std::string& left) {
  REINS_ASSIGN(const KernelFile file, KernelFile::open(root / saved.path, KernelFile::Access::kWrite, "run as root"));
  if (!saved.ours.empty()) {
    const std::string present = first_line(root / saved.path);
    if (!present.empty() && present != saved.value && !holds_word(saved.ours, present)) {
      left = present;
      return {};
    }
  }
  return file.write(saved.value + "\n");
}

bool no_more_there(const Error& error) {
  return error.kind() == ErrorKind::kNotFound || error.kind() == ErrorKind::kGone;
}

/// Older kernels refuse a minimum above the present maximum and the reverse, so what was refused is tried again after
/// the rest.
RestoreReport put_all_back(const std::vector<SavedValue>& values, const std::filesystem::path& root) {
  RestoreReport report;
  for (const SavedValue& saved : values) report.lines.push_back({saved, Error(ErrorKind::kInternal, "not tried")});
  for (int pass = 0; pass < 3 && !report.complete(); ++pass) {
    for (RestoreReport::Line& line : report.lines) {
      if (!line.error) continue;
      const Status status = put_back(line.saved, root, line.left);
      line.error = status ? std::nullopt : std::optional<Error>(status.error());
    }
  }
  return report;
}

}  // namespace

bool RestoreReport::complete() const noexcept {
  return std::none_of(lines.begin(), lines.end(), [](const Line& line) { return line.error.has_value(); });
}

RestoreFile::~RestoreFile() { ::close(lock_); }

Result<std::shared_ptr<RestoreFile>> RestoreFile::open(const std::filesystem::path& file,
                                                       const std::filesystem::path& root) {
  REINS_ASSIGN(const int fd, lock(file));
  std::shared_ptr<RestoreFile> held(new RestoreFile(file, fd));
  REINS_ASSIGN(held->saved_, load(file));
  if (held->saved_.empty()) return held;
  const RestoreReport report = put_all_back(held->saved_, root);
  for (const RestoreReport::Line& line : report.lines) {
    if (line.error && !no_more_there(*line.error)) return fail(*line.error);
  }
  held->saved_.clear();
  REINS_TRY(held->store());
  return held;
}

Status RestoreFile::store() const {
  if (saved_.empty()) {
    std::error_code code;
    std::filesystem::remove(file_, code);
    if (code) return fail(from_errno(code.value(), "cannot be removed", file_.native()));
    return {};
  }
  std::string text =
      "# What was found before anything was changed. `reins restore` puts it back; a run that ends by itself already "
      "has.\nschema = 1\n";
  for (const SavedValue& saved : saved_) {
    text += "\n[[saved]]\npath = " + toml_text(saved.path) + "\nvalue = " + toml_text(saved.value) + "\n";
    if (!saved.ours.empty()) text += "ours = " + toml_text(saved.ours) + "\n";
  }
  return write_file_atomic(file_, text);
}

Status RestoreFile::add(std::span<const SavedValue> values) {
  const std::vector<SavedValue> before = saved_;
  for (const SavedValue& value : values) {
    const Status good = check(value, file_.native());
    if (!good) {
      saved_ = before;
      return good;
    }
    const auto same = [&](const SavedValue& saved) { return saved.path == value.path; };
    if (std::none_of(saved_.begin(), saved_.end(), same)) saved_.push_back(value);
  }
  if (saved_.size() == before.size()) return {};
  Status stored = store();
  if (!stored) saved_ = before;
  return stored;
}

Status RestoreFile::amend(std::string_view path, std::string_view ours) {
  for (SavedValue& saved : saved_) {
    if (saved.path != path) continue;
    const std::string before = std::exchange(saved.ours, std::string(ours));
    Status stored = check(saved, file_.native());
    if (stored) stored = store();
    if (!stored) saved.ours = before;
    return stored;
  }
  return fail(ErrorKind::kUsage, "nothing was saved of this file", path);
}

Status RestoreFile::forget(std::span<const SavedValue> values) {
  std::erase_if(saved_, [&](const SavedValue& saved) {
    return std::any_of(values.begin(), values.end(), [&](const SavedValue& value) { return value.path == saved.path; });
  });
  return store();
}

Result<RestoreReport> RestoreFile::restore_all(const std::filesystem::path& file, const std::filesystem::path& root) {
  std::error_code code;
  if (!std::filesystem::exists(file, code)) {
    if (code)
      return fail(from_errno(code.value(), "cannot look for what is to be put back", file.native(),
                             "run it as the user whose run left it, or as root"));
    return RestoreReport{};
  }
  REINS_ASSIGN(const int fd, lock(file));
  const std::shared_ptr<RestoreFile> held(new RestoreFile(file, fd));
  REINS_ASSIGN(held->saved_, load(file));
  RestoreReport report = put_all_back(held->saved_, root);
  held->saved_.clear();
  for (const RestoreReport::Line& line : report.lines) {
    if (line.error && !no_more_there(*line.error)) held->saved_.push_back(line.saved);
  }
  REINS_TRY(held->store());
  return report;
}

}  // namespace reins::actuators
