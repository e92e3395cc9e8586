// tests/support/process.hpp: a program run beside the test: its output is read, its end is waited for, both within
// bounds.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

namespace reins::testing {

inline constexpr auto kPatience = std::chrono::seconds(60);

/// A program under way. Killed where it has not ended when this goes.
class Process {
 public:
  /// `user`: whose it is, where not this process's own.
  explicit Process(std::vector<std::string> arguments, std::optional<unsigned> user = std::nullopt) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(ends[1], STDERR_FILENO);
      if (user && (::setgid(*user) != 0 || ::setuid(*user) != 0)) ::_exit(126);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~Process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(output_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// True once `wanted` has been printed.
  bool prints(const std::string& wanted) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (text.find(wanted) == std::string::npos && std::chrono::steady_clock::now() < until && read_some()) continue;
    return text.find(wanted) != std::string::npos;
  }
  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }
  /// The exit code; -1 where it was killed or does not end.
  int code(std::chrono::seconds patience = kPatience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until && read_some()) continue;
    int status = 0;
    if (std::chrono::steady_clock::now() >= until || ::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string text;

 private:
  /// False at the end of the output.
  bool read_some() {
    pollfd item{output_, POLLIN, 0};
    if (::poll(&item, 1, 200) <= 0) return true;
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(output_, buffer.data(), buffer.size());
    if (n <= 0) return false;
    text.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
  }
  pid_t pid_ = -1;
  int output_ = -1;
};

}  // namespace reins::testing
