// bench/support.hpp: what the benchmarks that are programs of their own share.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "core/result.hpp"

namespace reins::bench {

/// A benchmark ends with what went wrong. Throws std::runtime_error.
template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().line());
  return std::move(*result);
}
inline void must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().line());
}

/// Of an even number the upper one.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Parses and calls `f`, which may throw CLI::ValidationError; the exit status: 2 for bad input, 1 for what failed,
/// each with one line.
template <typename F>
int run_program(CLI::App& app, int argc, char** argv, F f) {
  try {
    app.parse(argc, argv);
    return f();
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "%s: %s; see %s --help\n", app.get_name().c_str(), error.what(), app.get_name().c_str());
    return 2;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), problem.what());
    return 1;
  }
}

}  // namespace reins::bench
