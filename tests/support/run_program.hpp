// tests/support/run_program.hpp: a program run to its end by the shell, with what it printed.
#pragma once

#include <string>

namespace reins::testing {

struct Ran {
  int code = -1;  ///< exit status; -1 where it was killed or never started
  std::string output;
};

/// Standard output, and with `errors` standard error too. Its standard input is empty.
Ran run_program(const std::string& command, bool errors = true);

}  // namespace reins::testing
