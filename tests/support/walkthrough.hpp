// tests/support/walkthrough.hpp: keeps the code that a page under docs/ quotes equal to the sources it quotes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace reins::testing {

inline std::string trimmed(const std::string& line) {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == std::string::npos ? std::string() : line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

/// Every line of a ```cpp or ```cmake block stands in the file that the line above the block names
/// (`path/of/file.cpp`), in the same order, apart from indentation. Returns the number of quoted lines.
inline int expect_quotes_hold(const std::string& source_dir, const std::string& page) {
  std::ifstream text(source_dir + "/" + page);
  EXPECT_TRUE(text.is_open()) << page;
  std::string line;
  std::string above;
  std::vector<std::string> source;
  auto at = source.cbegin();
  bool inside = false;
  int quoted = 0;
  while (std::getline(text, line)) {
    const std::string here = trimmed(line);
    if (inside && here == "```") {
      inside = false;
    } else if (inside) {
      ++quoted;
      const auto found = std::find(at, source.cend(), here);
      EXPECT_NE(found, source.cend()) << page << " quotes a line that is not in " << above
                                      << ", or not behind the one before:\n"
                                      << line;
      if (found != source.cend()) at = found + 1;
    } else if (here == "```cpp" || here == "```cmake") {
      inside = true;
      if (above.size() < 3 || above.front() != '`') {
        ADD_FAILURE() << page << ": no file is named above a block of code";
        continue;
      }
      std::ifstream file(source_dir + "/" + above.substr(1, above.size() - 2));
      EXPECT_TRUE(file.is_open()) << page << " names " << above;
      source.clear();
      for (std::string of_file; std::getline(file, of_file);) source.push_back(trimmed(of_file));
      at = source.cbegin();
    } else if (!here.empty()) {
      above = here;
    }
  }
  return quoted;
}

}  // namespace reins::testing
