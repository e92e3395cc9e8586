#include "tests/support/run_program.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>

namespace reins::testing {

Ran run_program(const std::string& command, bool errors) {
  Ran ran;
  FILE* pipe = ::popen((command + (errors ? " 2>&1 </dev/null" : " </dev/null")).c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    ran.output.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

}  // namespace reins::testing
