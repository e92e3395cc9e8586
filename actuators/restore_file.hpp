// actuators/restore_file.hpp: what was found before the first change, on disk, so that a killed run can be undone.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins::actuators {

/// A kernel file (relative to the root, below sys/) and its text before anything was changed.
struct SavedValue {
  std::string path;
  std::string value;
  /// What the run puts there, as words. Whatever else is found there later is another program's, and stays. Empty: the
  /// run puts there what it likes, and the value is put back over anything.
  std::string ours = {};
  friend bool operator==(const SavedValue&, const SavedValue&) = default;
};

struct RestoreReport {
  struct Line {
    SavedValue saved;
    std::optional<Error> error;  ///< absent: it was put back, or left
    std::string left = {};       ///< what another program has put there since, and keeps; empty: nothing
  };
  std::vector<Line> lines;  ///< empty: there was nothing to put back
  bool complete() const noexcept;
};

/// One process at a time holds a restore file: a lock on "<file>.lock" goes with the process, however it ends.
/// Threads: one instance, one thread.
class RestoreFile {
 public:
  /// Takes the lock and, where a killed run left values, puts those back first: what is found after that is the
  /// machine's own. Errors: busy (another process holds it), denied, garbled, or the first value that could not be put
  /// back.
  static Result<std::shared_ptr<RestoreFile>> open(const std::filesystem::path& file,
                                                   const std::filesystem::path& root);
  ~RestoreFile();
  RestoreFile(const RestoreFile&) = delete;
  RestoreFile& operator=(const RestoreFile&) = delete;

  /// Returns once the values are on disk. A path that is there already keeps its first value. Values are put back in
  /// the order in which they were added. Errors: usage (a path outside sys/, a value that is no single line), denied,
  /// io.
  Status add(std::span<const SavedValue> values);
  /// What the run puts into the saved file `path` from now on. Returns once it is on disk. Errors: usage, denied, io.
  Status amend(std::string_view path, std::string_view ours);
  /// These have been put back. The file goes with the last of them.
  Status forget(std::span<const SavedValue> values);
  const std::vector<SavedValue>& saved() const noexcept { return saved_; }

  /// What `reins restore` does: puts everything back and clears the file. What is denied or refused stays in it to be
  /// tried again; what no longer exists is reported and dropped. No file: an empty report. Errors: busy, garbled, io.
  static Result<RestoreReport> restore_all(const std::filesystem::path& file, const std::filesystem::path& root);

 private:
  RestoreFile(std::filesystem::path file, int lock) noexcept : file_(std::move(file)), lock_(lock) {}
  Status store() const;

  std::filesystem::path file_;
  int lock_;
  std::vector<SavedValue> saved_;
};

}  // namespace reins::actuators
