// tests/apps/run_command.hpp: subcommands of `reins` as a user runs them, in this process.
#pragma once

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <string>
#include <vector>

#include "apps/wiring.hpp"

namespace reins::apps {

struct Outcome {
  int code;
  std::string out, err;
};

/// `words`: what stands behind `reins`.
inline Outcome run_command(std::initializer_list<void (*)(CLI::App&, int&)> commands, std::vector<std::string> words) {
  CLI::App app("test", "reins");
  app.require_subcommand(1);
  int exit_code = kOk;
  for (const auto add : commands) add(app, exit_code);
  words.insert(words.begin(), "reins");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int code = run(app, static_cast<int>(argv.size()), argv.data(), exit_code);
  return {code, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
}

}  // namespace reins::apps
