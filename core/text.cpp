#include "core/text.hpp"

#include <array>
#include <cstdio>

namespace reins {

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view kBlank = " \t\r";
  while (!text.empty() && kBlank.find(text.front()) != kBlank.npos) text.remove_prefix(1);
  while (!text.empty() && kBlank.find(text.back()) != kBlank.npos) text.remove_suffix(1);
  return text;
}

bool holds_word(std::string_view text, std::string_view word) noexcept {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    if (text.substr(0, space) == word) return true;
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
  }
  return false;
}

std::string three_digits(double value) {
  std::array<char, 32> shown;
  std::snprintf(shown.data(), shown.size(), "%.3g", value);
  return shown.data();
}

}  // namespace reins
