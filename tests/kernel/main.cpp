// Runs the checks where they are, in the guest. With --report=FILE, outside: looks the one that --gtest_filter names up
// in what the guest's console said, so that CTest shows each as a test of its own. A check that is not there has
// failed.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

namespace {

int looked_up(const std::string& report, const std::string& name) {
  std::ifstream file(report);
  if (!file) {
    std::cout << "there is no report " << report << ": kernel.boots makes it\n";
    return 1;
  }
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("NOT BOOTED")) {
      std::cout << "[  SKIPPED ] " << line << '\n';
      return 0;
    }
    if (line == "[ RUN      ] " + name) inside = true;
    if (!inside) continue;
    std::cout << line << '\n';
    if (line.starts_with("[       OK ] " + name + " (")) return 0;
    // Nothing there is optional: a check that skips itself has not proven what it is for.
    if (line.starts_with("[  FAILED  ] " + name + " (") || line.starts_with("[  SKIPPED ] " + name + " (")) return 1;
  }
  std::cout << (inside ? "the guest went down in this check\n" : "the guest did not come to this check\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string report, name;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    constexpr std::string_view kReport = "--report=", kFilter = "--gtest_filter=";
    if (word.starts_with(kReport)) report = word.substr(kReport.size());
    if (word.starts_with(kFilter)) name = word.substr(kFilter.size());
  }
  if (!report.empty()) return looked_up(report, name);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
