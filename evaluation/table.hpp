// evaluation/table.hpp: a table of text cells, printed with aligned columns or as HTML.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reins::evaluation {

enum class Align : bool { kLeft, kRight };

/// A column's title may have several lines ("schedutil\nmJ").
struct Column {
  std::string title;
  Align align = Align::kRight;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// Missing cells are empty, surplus ones are dropped.
  void add(std::vector<std::string> cells);
  /// A line between groups of rows.
  void rule();

  /// Lines ending in '\n', no trailing blanks; widths count code points.
  std::string text() const;
  /// A <table> element; cells are escaped.
  std::string html() const;
  std::size_t rows() const noexcept;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

/// Fixed-point text with `decimals` places; "-0.0" is written "0.0".
std::string fixed(double value, int decimals);
/// For text inside elements and double-quoted attributes: & < > " '.
std::string escaped(std::string_view text);

}  // namespace reins::evaluation
