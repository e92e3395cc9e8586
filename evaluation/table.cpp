#include "evaluation/table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace reins::evaluation {
namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::vector<std::string> title_lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void append_line(std::string& out, const std::vector<Column>& columns, const std::vector<std::size_t>& widths,
                 const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::string blanks(widths[c] - width_of(cells[c]), ' ');
    if (c > 0) line += "  ";
    line += columns[c].align == Align::kLeft ? cells[c] + blanks : blanks + cells[c];
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  if (!cells.empty()) rows_.push_back(std::move(cells));
}

void Table::rule() {
  if (!rows_.empty() && !rows_.back().empty()) rows_.emplace_back();
}

std::size_t Table::rows() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(rows_.begin(), rows_.end(), [](const auto& row) { return !row.empty(); }));
}

std::string Table::text() const {
  std::vector<std::vector<std::string>> titles;
  std::size_t title_lines = 0;
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    titles.push_back(title_lines_of(columns_[c].title));
    title_lines = std::max(title_lines, titles[c].size());
    for (const std::string& line : titles[c]) widths[c] = std::max(widths[c], width_of(line));
    for (const auto& row : rows_) {
      if (!row.empty()) widths[c] = std::max(widths[c], width_of(row[c]));
    }
  }
  std::size_t total = columns_.empty() ? 0 : 2 * (columns_.size() - 1);
  for (const std::size_t width : widths) total += width;
  const std::string line_between = std::string(total, '-') + "\n";

  std::string out;
  for (std::size_t l = 0; l < title_lines; ++l) {
    std::vector<std::string> cells;
    for (const auto& title : titles) {
      const std::size_t skipped = title_lines - title.size();  // titles stand on the last line
      cells.push_back(l < skipped ? std::string() : title[l - skipped]);
    }
    append_line(out, columns_, widths, cells);
  }
  out += line_between;
  for (const auto& row : rows_) {
    if (row.empty())
      out += line_between;
    else
      append_line(out, columns_, widths, row);
  }
  return out;
}

std::string Table::html() const {
  auto cell_class = [&](std::size_t c) { return columns_[c].align == Align::kLeft ? " class=\"l\"" : ""; };
  std::string out = "<table><thead><tr>";
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::string title;
    for (const std::string& line : title_lines_of(columns_[c].title))
      title += (title.empty() ? "" : "<br>") + escaped(line);
    out += std::string("<th") + cell_class(c) + ">" + title + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  bool ruled = false;
  for (const auto& row : rows_) {
    if (row.empty()) {
      ruled = true;
      continue;
    }
    out += ruled ? "<tr class=\"ruled\">" : "<tr>";
    ruled = false;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      out += std::string("<td") + cell_class(c) + ">" + escaped(row[c]) + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return "-";
  char buffer[64];
  const auto done = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, decimals);
  if (done.ec != std::errc()) return "-";
  std::string text(buffer, done.ptr);
  if (text.starts_with('-') && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace reins::evaluation
