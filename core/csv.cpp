#include "core/csv.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/file.hpp"
#include "core/text.hpp"

namespace reins {
namespace {

/// The line's cells; one in double quotes may hold commas, and two quotes for one (RFC 4180). None where a quote does
/// not end, or something follows it.
std::optional<std::vector<std::string>> split(std::string_view line) {
  std::vector<std::string> cells;
  for (;;) {
    line = trim(line);
    std::string cell;
    if (line.starts_with('"')) {
      std::size_t at = 1;
      for (; at < line.size() && (line[at] != '"' || line.substr(at + 1).starts_with('"')); ++at) {
        cell += line[at];
        if (line[at] == '"') ++at;
      }
      if (at >= line.size()) return std::nullopt;
      line = trim(line.substr(at + 1));
      if (!line.empty() && line.front() != ',') return std::nullopt;
      cell = trim(cell);
    } else {
      cell = trim(line.substr(0, line.find(',')));
      line.remove_prefix(std::min(line.size(), line.find(',')));
    }
    cells.push_back(std::move(cell));
    if (line.empty()) return cells;
    line.remove_prefix(1);
  }
}

}  // namespace

Result<double> parse_number(std::string_view text, std::string_view where) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return fail(ErrorKind::kGarbled, "'" + std::string(text.substr(0, 40)) + "' is not a finite number", where);
  }
  return value;
}

Result<long long> parse_integer(std::string_view text, std::string_view where) {
  long long value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) {
    return fail(ErrorKind::kGarbled, "'" + std::string(text.substr(0, 40)) + "' is not an integer", where);
  }
  return value;
}

std::string format_number(double value) {
  std::array<char, 32> buffer;
  const auto [end, code] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return code == std::errc() ? std::string(buffer.data(), end) : std::string("0");
}

Result<CsvTable> CsvTable::parse(std::string_view text, std::string_view where) {
  CsvTable table;
  table.where_ = where;
  if (constexpr std::string_view kMark = "\xef\xbb\xbf"; text.starts_with(kMark)) text.remove_prefix(kMark.size());
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::string_view line = trim(text.substr(0, newline));
    text = newline == std::string_view::npos ? std::string_view{} : text.substr(newline + 1);
    ++number;
    if (line.empty()) continue;
    if (line.front() == '#') {
      table.comments_.emplace_back(trim(line.substr(1)));
      continue;
    }
    auto found = split(line);
    if (!found) {
      return fail(ErrorKind::kGarbled, "a quote that does not end with its cell",
                  std::string(where) + ":" + std::to_string(number));
    }
    std::vector<std::string>& cells = *found;
    if (table.columns_.empty()) {
      if (cells.size() == 1 && cells[0].find_first_of(";\t") != std::string::npos) {
        return fail(
            ErrorKind::kGarbled,
            cells[0].find('\t') != std::string::npos ? "cells are separated by tabs" : "cells are separated by ';'",
            std::string(where) + ":" + std::to_string(number), "separate them by commas, with points in numbers");
      }
      table.columns_ = std::move(cells);
      for (std::size_t i = 0; i < table.columns_.size(); ++i) {
        if (!table.index_.emplace(table.columns_[i], i).second) {
          return fail(ErrorKind::kGarbled, "column '" + table.columns_[i] + "' stands twice in the header",
                      std::string(where) + ":" + std::to_string(number));
        }
      }
      continue;
    }
    if (cells.size() != table.columns_.size()) {
      return fail(ErrorKind::kGarbled,
                  std::to_string(cells.size()) + " cells where the header has " + std::to_string(table.columns_.size()),
                  std::string(where) + ":" + std::to_string(number));
    }
    for (auto& cell : cells) table.cells_.push_back(std::move(cell));
    table.line_numbers_.push_back(number);
  }
  if (table.columns_.empty()) return fail(ErrorKind::kGarbled, "the table has no header line", where);
  return table;
}

Result<CsvTable> CsvTable::read(const std::filesystem::path& path, std::size_t max_bytes) {
  REINS_ASSIGN(const std::string bytes, read_file(path, max_bytes));
  return parse(bytes, path.native());
}

bool CsvTable::has(std::string_view column) const { return index_.contains(std::string(column)); }

std::string CsvTable::place(std::size_t row) const { return where_ + ":" + std::to_string(line_numbers_.at(row)); }

Result<std::string_view> CsvTable::text(std::size_t row, std::string_view column) const {
  const auto found = index_.find(std::string(column));
  if (found == index_.end()) {
    return fail(ErrorKind::kGarbled, "the column '" + std::string(column) + "' is missing", where_);
  }
  return std::string_view(cells_.at(row * columns_.size() + found->second));
}

Result<double> CsvTable::number(std::size_t row, std::string_view column) const {
  REINS_ASSIGN(const std::string_view cell, text(row, column));
  return parse_number(cell, place(row) + " column " + std::string(column));
}

Result<long long> CsvTable::integer(std::size_t row, std::string_view column) const {
  REINS_ASSIGN(const std::string_view cell, text(row, column));
  return parse_integer(cell, place(row) + " column " + std::string(column));
}

bool CsvTable::present(std::size_t row, std::string_view column) const {
  const auto found = index_.find(std::string(column));
  return found != index_.end() && !cells_.at(row * columns_.size() + found->second).empty();
}

}  // namespace reins
