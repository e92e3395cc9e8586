#include "apps/progress.hpp"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace reins::apps {
namespace {

using Seconds = std::chrono::duration<double>;

volatile std::sig_atomic_t interrupted = 0;
int bars = 0;  // bars that live; they nest (train runs an evaluation)
constexpr std::array kStops{SIGINT, SIGTERM, SIGHUP};
std::array<struct sigaction, kStops.size()> found;

void on_interrupt(int) { interrupted = 1; }

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(seconds));
  if (whole >= 3600) return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
  if (whole >= 60) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole) + " s";
}

}  // namespace

std::string progress_line(std::string_view label, double fraction, double elapsed_s, std::string_view note,
                          std::size_t width) {
  constexpr std::size_t kCells = 28;
  fraction = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(kCells));
  std::string line(label);
  line += "  [" + std::string(filled, '#') + std::string(kCells - filled, '.') + "]  " +
          std::to_string(static_cast<int>(fraction * 100)) + " %";
  if (fraction > 0.01 && fraction < 1) line += "  " + duration_text(elapsed_s * (1 - fraction) / fraction) + " left";
  if (!note.empty()) line += "  " + std::string(note);
  if (line.size() > width) line.resize(width);
  return line;
}

Progress::Progress(std::string label)
    : label_(std::move(label)),
      started_(std::chrono::steady_clock::now()),
      last_drawn_(started_),
      terminal_(isatty(STDERR_FILENO) == 1) {
  if (bars++ > 0) return;
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (std::size_t i = 0; i < kStops.size(); ++i) sigaction(kStops[i], &action, &found[i]);
}

Progress::~Progress() { done(); }

bool Progress::update(double fraction, std::string_view note, double left_s) {
  const auto now = std::chrono::steady_clock::now();
  const double elapsed_s = Seconds(now - started_).count();
  const double pause_s = terminal_ ? 0.1 : 30.0;
  if (!over_ && elapsed_s >= 2 && (Seconds(now - last_drawn_).count() >= pause_s || !drawn_)) {
    // The time that would have passed, had all of `fraction` been done at the pace that leaves `left_s`.
    const double passed_s = left_s >= 0 && fraction < 1 ? left_s * fraction / (1 - fraction) : elapsed_s;
    const std::string line = progress_line(label_, fraction, passed_s, note, terminal_ ? terminal_width() - 1 : 200);
    if (terminal_)
      std::fprintf(stderr, "\r\033[K%s", line.c_str());
    else
      std::fprintf(stderr, "%s\n", line.c_str());
    std::fflush(stderr);
    last_drawn_ = now;
    drawn_ = true;
  }
  return interrupted == 0;
}

void Progress::done() {
  if (over_) return;
  over_ = true;
  if (drawn_ && terminal_) {
    std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
  }
  if (--bars > 0) return;
  for (std::size_t i = 0; i < kStops.size(); ++i) sigaction(kStops[i], &found[i], nullptr);
}

}  // namespace reins::apps
