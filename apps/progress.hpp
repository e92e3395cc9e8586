// apps/progress.hpp: a progress bar on standard error for whatever runs longer than two seconds.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace reins::apps {

/// On a terminal one line that is redrawn; elsewhere a plain line every half minute. Nothing at all before two seconds
/// have passed. While one lives, the first Ctrl-C only makes `update` return false; the second kills as ever. Threads:
/// one at a time.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `fraction` in 0..1; `note` stands behind the bar. `left_s`: the time left, where the caller knows better than by
  /// what has passed (work that goes on from a checkpoint); negative: it does not. False: Ctrl-C was pressed, wind up.
  bool update(double fraction, std::string_view note = {}, double left_s = -1);
  /// Removes the bar; Ctrl-C is what it was before. Called by the destructor too.
  void done();

 private:
  std::string label_;
  std::chrono::steady_clock::time_point started_, last_drawn_;
  bool terminal_ = false;
  bool drawn_ = false;
  bool over_ = false;
};

/// "train  [#####.....]  48 %  1 min 20 s left  episode 12", cut to `width` columns.
std::string progress_line(std::string_view label, double fraction, double elapsed_s, std::string_view note,
                          std::size_t width);

}  // namespace reins::apps
