// core/text.hpp: words and edges of a line of text.
#pragma once

#include <string>
#include <string_view>

namespace reins {

/// Without blanks, tabs and carriage returns at either end.
std::string_view trim(std::string_view text) noexcept;

/// Whether `word` is one of the words, separated by single blanks.
bool holds_word(std::string_view text, std::string_view word) noexcept;

/// With three significant digits, for people to read ("0.0694", "1.5e+03").
std::string three_digits(double value);

}  // namespace reins
