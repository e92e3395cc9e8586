#include "evaluation/board_edit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/csv.hpp"
#include "core/text.hpp"

namespace reins::evaluation {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

/// "[cluster.power]" or "[[rail]]" without what follows it; empty where the line is no header.
std::string header_of(std::string_view line) {
  line = trim(line);
  if (line.empty() || line.front() != '[') return {};
  const std::size_t end = line.rfind(']');
  return end == std::string_view::npos ? std::string() : std::string(line.substr(0, end + 1));
}

/// The key that a line sets; empty where it sets none.
std::string_view key_of(std::string_view line) {
  line = trim(line);
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos || line.front() == '#') return {};
  return trim(line.substr(0, equals));
}

/// [first, last) of the lines that belong to the header in line `at`.
std::size_t end_of(const Lines& lines, std::size_t at) {
  std::size_t end = at + 1;
  while (end < lines.size() && header_of(lines[end]).empty()) ++end;
  return end;
}

/// The line of the header that a table such as "cluster gpu power" stands for; lines.size() where it is not there.
std::size_t find_table(const Lines& lines, std::string_view table) {
  if (table == "thermal") {
    std::size_t at = 0;
    while (at < lines.size() && header_of(lines[at]) != "[thermal]") ++at;
    return at;
  }
  const std::size_t blank = table.find(' ');
  const std::string kind(table.substr(0, blank));
  std::string_view name = table.substr(blank + 1);
  std::string_view part;
  if (const std::size_t second = name.find(' '); second != std::string_view::npos) {
    part = name.substr(second + 1);
    name = name.substr(0, second);
  }
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (header_of(lines[at]) != "[[" + kind + "]]") continue;
    bool named = false;
    for (std::size_t i = at + 1; i < end_of(lines, at); ++i) {
      const std::string value = '"' + std::string(name) + '"';
      const std::size_t equals = lines[i].find('=');
      if (key_of(lines[i]) == "name") named = trim(lines[i].substr(equals + 1)).substr(0, value.size()) == value;
    }
    if (!named) continue;
    if (part.empty()) return at;
    for (std::size_t i = at + 1; i < lines.size() && header_of(lines[i]) != "[[" + kind + "]]"; ++i) {
      if (header_of(lines[i]) == "[" + kind + "." + std::string(part) + "]") return i;
    }
  }
  return lines.size();
}

// What a fit may have changed, and what therefore has to read back.
constexpr std::array kPowerFields = {&boards::PowerModel::core_w_per_mhz_v2,
                                     &boards::PowerModel::idle_clock_w_per_mhz_v2, &boards::PowerModel::leak_w,
                                     &boards::PowerModel::leak_per_c, &boards::PowerModel::leak_voltage_exponent};
constexpr std::array kTimeFields = {&boards::TimeModel::macs_per_cycle, &boards::TimeModel::parallel_fraction,
                                    &boards::TimeModel::bytes_per_s,    &boards::TimeModel::overlap,
                                    &boards::TimeModel::launch_cycles,  &boards::TimeModel::launch_s,
                                    &boards::TimeModel::call_cycles};
constexpr std::array kRailFields = {&boards::Rail::constant_w, &boards::Rail::j_per_byte,
                                    &boards::Rail::upstream_w_per_w};
constexpr std::array kThermalFields = {&boards::Thermal::r_c_per_w, &boards::Thermal::c_j_per_c,
                                       &boards::Thermal::ambient_c};

bool same(double a, double b) { return std::abs(a - b) <= 1e-4 * std::max(std::abs(a), std::abs(b)); }

template <typename Model, std::size_t N>
bool reads_back(const Model& wrote, const Model& meant, const std::array<double Model::*, N>& fields) {
  return std::all_of(fields.begin(), fields.end(),
                     [&](double Model::*field) { return same(wrote.*field, meant.*field); });
}

/// Five digits: more than any fit knows.
std::string five(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return text;
}

std::string line_of(const FittedKey& key) {
  std::string line = key.key + " = ";
  if (!key.numbers.empty()) {
    line += "[";
    for (std::size_t i = 0; i < key.numbers.size(); ++i) line += (i > 0 ? ", " : "") + format_number(key.numbers[i]);
    return line + "]  # " + (key.note.starts_with("measured") ? "measured" : "fitted: " + key.note);
  }
  const double low = key.estimate.low;
  line += five(std::min(key.estimate.value, 1e15));
  if (!key.note.empty()) return line + "  # fitted: " + key.note;
  const bool open = !std::isfinite(key.estimate.high);
  return line + "  # fitted: " +
         (open ? "at least " + three_digits(low) : three_digits(low) + " to " + three_digits(key.estimate.high));
}

}  // namespace

Result<std::string> edited_board(std::string_view text, std::string_view where, const BoardFit& fit,
                                 std::string_view note) {
  Lines lines = lines_of(text);
  for (const FittedKey& key : fit.keys) {
    if (key.estimate.standing == Standing::kPrior) continue;
    if (!key.writable) {
      return fail(ErrorKind::kUsage, "what one image costs is not known, so " + key.key + " cannot be written",
                  key.table, "name --macs, --bytes and --launches, or --network, or give them as columns");
    }
    const std::size_t header = find_table(lines, key.table);
    if (header == lines.size()) {
      return fail(ErrorKind::kGarbled, "no [" + key.table + "] to put " + key.key + " into", where,
                  "write it as a table of its own, as the shipped boards do");
    }
    const std::size_t end = end_of(lines, header);
    std::size_t at = header + 1;
    while (at < end && key_of(lines[at]) != key.key) ++at;
    if (at < end) {
      // A list may go over several lines.
      if (lines[at].find('[') != std::string::npos && lines[at].find(']') == std::string::npos) {
        std::size_t last = at;
        while (last < end && lines[last].find(']') == std::string::npos) ++last;
        lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                    lines.begin() + static_cast<std::ptrdiff_t>(std::min(last + 1, end)));
      }
      lines[at] = line_of(key);
    } else {
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(header) + 1, line_of(key));
    }
  }
  std::string out;
  for (const std::string& line : lines_of(note)) out += "# " + line + "\n";
  for (const std::string& line : lines) out += line + "\n";

  const std::string edited = std::string(where) + ", edited";
  REINS_ASSIGN(const boards::Board back, boards::parse_board(out, edited));
  const auto garbled = [&](const std::string& what) {
    return fail(ErrorKind::kGarbled, what + " does not read back as it was fitted", where,
                "write one key a line, as the shipped boards do");
  };
  for (std::size_t c = 0; c < back.clusters.size(); ++c) {
    const boards::Cluster &wrote = back.clusters[c], &meant = fit.board.clusters[c];
    const bool points = std::equal(
        wrote.opps.begin(), wrote.opps.end(), meant.opps.begin(), meant.opps.end(),
        [](const auto& x, const auto& y) { return x.freq_khz == y.freq_khz && same(x.voltage_v, y.voltage_v); });
    if (!points || !reads_back(wrote.power, meant.power, kPowerFields) ||
        !reads_back(wrote.time, meant.time, kTimeFields))
      return garbled("cluster " + wrote.name);
  }
  for (std::size_t r = 0; r < back.rails.size(); ++r) {
    if (!reads_back(back.rails[r], fit.board.rails[r], kRailFields)) return garbled("rail " + back.rails[r].name);
  }
  if (!reads_back(back.thermal, fit.board.thermal, kThermalFields)) return garbled("[thermal]");
  return out;
}

}  // namespace reins::evaluation
