// core/csv.hpp: comma-separated tables with a header line, `#` comment lines, and errors that name the line.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.hpp"

namespace reins {

/// A table of text cells. Quoting is not supported: none of our formats needs it. CRLF is accepted.
class CsvTable {
 public:
  /// `where` names the source in errors. A row with another number of cells than the header is an error.
  static Result<CsvTable> parse(std::string_view text, std::string_view where);
  static Result<CsvTable> read(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{256} << 20);

  std::size_t rows() const noexcept { return line_numbers_.size(); }
  bool has(std::string_view column) const;
  /// Comment lines in order, without `#` and the blank behind it.
  const std::vector<std::string>& comments() const noexcept { return comments_; }
  const std::vector<std::string>& columns() const noexcept { return columns_; }

  /// The cell as text. Errors: kGarbled for a column that is not there.
  Result<std::string_view> text(std::size_t row, std::string_view column) const;
  /// The cell as a finite number; the error names file, line and column.
  Result<double> number(std::size_t row, std::string_view column) const;
  Result<long long> integer(std::size_t row, std::string_view column) const;
  /// True where the column exists and the cell is not empty.
  bool present(std::size_t row, std::string_view column) const;
  /// What parse() or read() was told.
  const std::string& where() const noexcept { return where_; }
  /// "<where>:<line>" of a row.
  std::string place(std::size_t row) const;

 private:
  std::string where_;
  std::vector<std::string> columns_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::string> cells_;
  std::vector<std::size_t> line_numbers_;
  std::vector<std::string> comments_;
};

/// Finite decimal number, the whole text, independent of the locale.
Result<double> parse_number(std::string_view text, std::string_view where);
Result<long long> parse_integer(std::string_view text, std::string_view where);

/// Shortest text that reads back as the same double.
std::string format_number(double value);

}  // namespace reins
