// boards/by_name.hpp: looking for a part of a board by its name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reins::boards {

/// Index of the first of `items` that is called so; their number where none is.
template <typename T>
std::size_t index_of(const std::vector<T>& items, std::string_view name) {
  std::size_t i = 0;
  while (i < items.size() && items[i].name != name) ++i;
  return i;
}

/// Their names, for an error message: "a15, a7".
template <typename T>
std::string names_of(const std::vector<T>& items) {
  std::string text;
  for (const T& item : items) text += (text.empty() ? "" : ", ") + item.name;
  return text;
}

}  // namespace reins::boards
