#include "evaluation/measured_rows.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "boards/by_name.hpp"
#include "core/text.hpp"

namespace reins::evaluation {
namespace {

/// A column of ours: a quantity in a unit.
struct Known {
  const char* column;
  const char* quantity;
  double to_si;
};
// Frequencies in kHz, all else in SI units.
constexpr std::array kKnown = {Known{"mapping", "mapping", 0},
                               Known{"rail", "rail", 0},
                               Known{"level", "level", 1},
                               Known{"freq_khz", "freq", 1},
                               Known{"freq_mhz", "freq", 1e3},
                               Known{"freq_hz", "freq", 1e-3},
                               Known{"batch", "batch", 1},
                               Known{"latency_s", "latency", 1},
                               Known{"latency_ms", "latency", 1e-3},
                               Known{"latency_us", "latency", 1e-6},
                               Known{"power_w", "power", 1},
                               Known{"power_mw", "power", 1e-3},
                               Known{"energy_j", "energy", 1},
                               Known{"energy_mj", "energy", 1e-3},
                               Known{"throughput_per_s", "throughput", 1},
                               Known{"busy_cores", "busy_cores", 1},
                               Known{"temperature_c", "temperature", 1},
                               Known{"temperature_mc", "temperature", 1e-3},
                               Known{"voltage_v", "voltage", 1},
                               Known{"voltage_mv", "voltage", 1e-3},
                               Known{"time_s", "time", 1},
                               Known{"heat_w", "heat", 1},
                               Known{"macs", "macs", 1},
                               Known{"bytes", "bytes", 1},
                               Known{"launches", "launches", 1}};

constexpr double kAbsoluteZero_c = -273.15;
constexpr double kHottest_c = 300;  // beyond what any silicon works at: a slip of units
constexpr double kNear = 0.005;     // of an operating point's frequency
constexpr double kAgree = 0.05;     // of power x latency: an energy no further off is the same
constexpr double kSlip = 2;         // further off than that is no measuring error

/// Where each quantity stands in the file.
class Columns {
 public:
  static Result<Columns> make(const CsvTable& table, const RowOptions& options) {
    Columns columns;
    for (const auto& [ours, theirs] : options.columns) {
      if (!table.has(theirs)) {
        std::string all;
        for (const std::string& name : table.columns()) all += (all.empty() ? "" : ", ") + name;
        return fail(ErrorKind::kGarbled, "the column '" + theirs + "' is missing", "--columns " + ours,
                    "the file has " + all);
      }
    }
    std::set<std::string> named;  // quantities whose column --columns names: others that would give them do not count
    for (const Known& known : kKnown) {
      if (options.columns.contains(known.column)) named.insert(known.quantity);
    }
    for (const Known& known : kKnown) {
      if (named.contains(known.quantity) && !options.columns.contains(known.column)) continue;
      const auto renamed = options.columns.find(known.column);
      const std::string name = renamed != options.columns.end() ? renamed->second : known.column;
      if (!table.has(name)) continue;
      if (!columns.found_.emplace(known.quantity, std::pair{name, known.to_si}).second) {
        return fail(ErrorKind::kGarbled, "two columns give the " + std::string(known.quantity), name,
                    "leave one out, or name one with --columns");
      }
    }
    return columns;
  }

  bool has(const std::string& quantity) const { return found_.contains(quantity); }
  bool reads(const std::string& column) const {
    return std::ranges::any_of(found_, [&](const auto& found) { return found.second.first == column; });
  }

  /// The cell in SI units; none where the column or the cell is empty. Errors: garbled, for text, infinities and
  /// numbers below `least` (`open`: at it, too).
  Result<std::optional<double>> number(const CsvTable& table, std::size_t row, const std::string& quantity,
                                       double least, bool open) const {
    const auto at = found_.find(quantity);
    if (at == found_.end() || !table.present(row, at->second.first)) return std::optional<double>();
    REINS_ASSIGN(const double value, table.number(row, at->second.first));
    const double si = value * at->second.second;
    if (si < least || (open && si == least)) {
      return fail(ErrorKind::kGarbled,
                  at->second.first + " " + format_number(value) + " is not " + (open ? "above " : "at least ") +
                      format_number(least / at->second.second),
                  table.place(row));
    }
    return std::optional<double>(si);
  }

  Result<std::string> text(const CsvTable& table, std::size_t row, const std::string& quantity) const {
    const auto at = found_.find(quantity);
    if (at == found_.end()) return std::string();
    REINS_ASSIGN(const std::string_view cell, table.text(row, at->second.first));
    return std::string(cell);
  }

 private:
  std::map<std::string, std::pair<std::string, double>> found_;
};

Result<bool> wanted(const CsvTable& table, std::size_t row, const RowOptions& options) {
  for (const auto& [column, text] : options.where) {
    REINS_ASSIGN(const std::string_view cell, table.text(row, column));
    if (cell != text) return false;
  }
  return true;
}

/// One row but for its operating point, and the frequency that stands for it.
struct Read {
  MeasuredRow row;
  double freq_khz = 0;
};

struct Reader {
  const CsvTable& table;
  const boards::Board& board;
  const RowOptions& options;
  Columns columns;
  MeasuredRows out;

  Status workload_of(std::size_t r, MeasuredRow& row, std::optional<double> level) {
    REINS_ASSIGN(const auto macs, columns.number(table, r, "macs", 0, true));
    REINS_ASSIGN(const auto bytes, columns.number(table, r, "bytes", 0, false));
    REINS_ASSIGN(const auto launches, columns.number(table, r, "launches", 0, false));
    Workload workload{{{.macs = 1, .bytes = 1, .launches = 1}}, false};
    if (macs) {
      workload = {{{.macs = *macs, .bytes = bytes.value_or(0), .launches = launches.value_or(0)}}, true};
    } else if (bytes || launches) {
      return fail(ErrorKind::kGarbled, "bytes or launches without macs", row.place);
    } else if (options.workload) {
      workload = *options.workload;
    } else if (level && *level >= 1 && !options.levels.empty()) {
      const auto index = static_cast<std::size_t>(*level) - 1;
      if (index >= options.levels.size()) {
        return fail(
            ErrorKind::kMismatch,
            "level " + format_number(*level) + ", and the network has 1 to " + std::to_string(options.levels.size()),
            row.place, "name the network that was measured with --network");
      }
      workload = options.levels[index];
    }
    const auto same = [&](const Workload& other) {
      return other.known == workload.known &&
             std::equal(other.layers.begin(), other.layers.end(), workload.layers.begin(), workload.layers.end(),
                        [](const LayerCost& a, const LayerCost& b) {
                          return a.macs == b.macs && a.bytes == b.bytes && a.launches == b.launches;
                        });
    };
    const auto at = std::find_if(out.workloads.begin(), out.workloads.end(), same);
    row.workload = static_cast<std::size_t>(at - out.workloads.begin());
    if (at == out.workloads.end()) out.workloads.push_back(std::move(workload));
    return {};
  }

  /// Where all three are given, energy is to be power x latency.
  Status agree(const MeasuredRow& row) {
    if (!row.power_w || !row.energy_j || !row.latency_s) return {};
    const double product_j = *row.power_w * *row.latency_s, ratio = *row.energy_j / product_j;
    if (std::abs(ratio - 1) <= kAgree) return {};
    const std::string what =
        "power x latency is " + three_digits(product_j) + " J, but the energy is " + three_digits(*row.energy_j) + " J";
    if (ratio >= kSlip || ratio <= 1 / kSlip) {
      return fail(ErrorKind::kGarbled, what, row.place,
                  "mend the unit of one (energy is of a whole batch), or leave its column out");
    }
    if (out.disagreeing++ == 0) out.disagreement = row.place + ": " + what;
    return {};
  }

  Result<Read> read(std::size_t r) {
    Read read;
    MeasuredRow& row = read.row;
    row.place = table.place(r);
    REINS_ASSIGN(std::string mapping, columns.text(table, r, "mapping"));
    if (mapping.empty()) mapping = options.mapping;
    const std::size_t m = boards::index_of(board.mappings, mapping);
    if (m == board.mappings.size()) {
      return fail(ErrorKind::kMismatch,
                  mapping.empty() ? "no mapping is named" : "board " + board.name + " has no mapping '" + mapping + "'",
                  row.place,
                  "its mappings are " + boards::names_of(board.mappings) + "; --mapping names that of all rows");
    }
    row.mapping = MappingId(m);
    REINS_ASSIGN(std::string rail, columns.text(table, r, "rail"));
    if (rail.empty()) rail = options.rail;
    if (!rail.empty()) {
      row.rail = boards::index_of(board.rails, rail);
      if (*row.rail == board.rails.size()) {
        return fail(ErrorKind::kMismatch, "board " + board.name + " has no rail '" + rail + "'", row.place,
                    "its rails are " + boards::names_of(board.rails));
      }
    }
    REINS_ASSIGN(const auto freq_khz, columns.number(table, r, "freq", 0, false));
    if (!freq_khz)
      return fail(ErrorKind::kGarbled, "no frequency", row.place, "a column freq_khz, freq_mhz or freq_hz");
    read.freq_khz = *freq_khz;
    REINS_ASSIGN(const auto level, columns.number(table, r, "level", 0, false));
    REINS_ASSIGN(const auto batch, columns.number(table, r, "batch", 1, false));
    row.batch = batch.value_or(1);
    REINS_ASSIGN(row.latency_s, columns.number(table, r, "latency", 0, true));
    REINS_ASSIGN(row.power_w, columns.number(table, r, "power", 0, true));
    REINS_ASSIGN(row.energy_j, columns.number(table, r, "energy", 0, true));
    REINS_ASSIGN(row.throughput_per_s, columns.number(table, r, "throughput", 0, true));
    REINS_ASSIGN(row.busy_cores, columns.number(table, r, "busy_cores", 0, false));
    const boards::Cluster& cluster = board.cluster_of(row.mapping);
    const double cores = std::max(1.0, static_cast<double>(cluster.cpus.size()));
    if (row.busy_cores && *row.busy_cores > 1.05 * cores) {  // a sum of logged shares may be a little above
      return fail(ErrorKind::kGarbled,
                  "busy_cores " + format_number(*row.busy_cores) + ", but cluster " + cluster.name + " has " +
                      format_number(cores),
                  row.place);
    }
    REINS_ASSIGN(row.temperature_c, columns.number(table, r, "temperature", kAbsoluteZero_c, false));
    if (row.temperature_c && *row.temperature_c > kHottest_c) {
      return fail(ErrorKind::kGarbled, "no chip runs at " + format_number(*row.temperature_c) + " C", row.place,
                  "a column of thousandths of a degree is temperature_mc");
    }
    REINS_ASSIGN(row.voltage_v, columns.number(table, r, "voltage", 0, true));
    REINS_ASSIGN(row.time_s, columns.number(table, r, "time", 0, false));
    REINS_ASSIGN(row.heat_w, columns.number(table, r, "heat", 0, false));
    if (level == 0.0) row.busy_cores = 0;
    if (row.latency_s && row.busy_cores) {
      return fail(ErrorKind::kGarbled, "a latency and busy_cores: a row is of an inference or of a load", row.place);
    }
    REINS_TRY(agree(row));
    if (!row.power_w && row.energy_j && row.latency_s) row.power_w = *row.energy_j / *row.latency_s;
    if (!row.energy_j && row.power_w && row.latency_s) row.energy_j = *row.power_w * *row.latency_s;
    if (row.energy_j && !row.power_w) {
      return fail(ErrorKind::kGarbled, "an energy without latency", row.place, "power follows from both");
    }
    if (row.power_w && !row.latency_s && !row.busy_cores) {
      return fail(ErrorKind::kGarbled, "a power without latency or busy_cores", row.place,
                  "say how many cores were busy (0: idle)");
    }
    const bool heat = row.time_s && row.temperature_c && row.heat_w;
    if (!row.latency_s && !row.power_w && !row.voltage_v && !heat) {
      return fail(ErrorKind::kGarbled, "neither latency nor power nor voltage nor heat", row.place,
                  "columns are " + known_columns() + "; --columns renames");
    }
    REINS_TRY(workload_of(r, row, level));
    return read;
  }
};

/// Voltage at `freq_khz`, drawn through the operating points and level beyond their ends.
double voltage_at(const std::vector<boards::OperatingPoint>& opps, double freq_khz) {
  for (std::size_t i = 0; i < opps.size(); ++i) {
    const auto high_khz = static_cast<double>(opps[i].freq_khz);
    if (freq_khz > high_khz) continue;
    if (i == 0) return opps[0].voltage_v;
    const auto low_khz = static_cast<double>(opps[i - 1].freq_khz);
    return opps[i - 1].voltage_v +
           (opps[i].voltage_v - opps[i - 1].voltage_v) * (freq_khz - low_khz) / (high_khz - low_khz);
  }
  return opps.back().voltage_v;
}

void take_frequencies(boards::Board& board, const std::vector<Read>& reads) {
  std::map<std::size_t, std::set<std::int64_t>> of_cluster;
  for (const Read& read : reads) {
    of_cluster[board.mappings[read.row.mapping.index()].cluster.index()].insert(std::llround(read.freq_khz));
  }
  for (const auto& [c, freqs_khz] : of_cluster) {
    std::vector<boards::OperatingPoint> opps;
    for (const std::int64_t khz : freqs_khz) {
      opps.push_back({khz, voltage_at(board.clusters[c].opps, static_cast<double>(khz))});
    }
    board.clusters[c].opps = std::move(opps);
  }
}

Result<OppId> opp_at(const boards::Cluster& cluster, const Read& read) {
  std::size_t nearest = 0;
  for (std::size_t i = 1; i < cluster.opps.size(); ++i) {
    const auto off = [&](std::size_t k) {
      return std::abs(static_cast<double>(cluster.opps[k].freq_khz) - read.freq_khz);
    };
    if (off(i) < off(nearest)) nearest = i;
  }
  const auto khz = static_cast<double>(cluster.opps[nearest].freq_khz);
  if (std::abs(khz - read.freq_khz) > kNear * std::max(khz, 1.0)) {
    const std::string asked =
        read.freq_khz < 1e15 ? std::to_string(std::llround(read.freq_khz)) : format_number(read.freq_khz);
    return fail(
        ErrorKind::kMismatch, cluster.name + " does not run at " + asked + " kHz", read.row.place,
        "its nearest is " + std::to_string(cluster.opps[nearest].freq_khz) + "; --new-frequencies takes the file's");
  }
  return OppId(nearest);
}

}  // namespace

std::string known_columns() {
  std::string text;
  for (const Known& known : kKnown) text += (text.empty() ? "" : ", ") + std::string(known.column);
  return text;
}

Result<std::map<std::string, std::string>> parse_columns(std::string_view text) {
  std::map<std::string, std::string> columns;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const std::size_t equals = item.find('=');
    const std::string ours(trim(item.substr(0, equals)));
    if (equals == std::string_view::npos || trim(item.substr(equals + 1)).empty()) {
      return fail(ErrorKind::kUsage, "'" + std::string(item) + "' is not OURS=THEIRS", "--columns");
    }
    if (std::none_of(kKnown.begin(), kKnown.end(), [&](const Known& known) { return ours == known.column; })) {
      return fail(ErrorKind::kUsage, "there is no column '" + ours + "'", "--columns", "known: " + known_columns());
    }
    columns[ours] = trim(item.substr(equals + 1));
  }
  return columns;
}

Result<MeasuredRows> read_rows(const CsvTable& table, boards::Board& board, const RowOptions& options) {
  REINS_ASSIGN(Columns columns, Columns::make(table, options));
  Reader reader{table, board, options, std::move(columns), {}};
  for (const auto& [column, text] : options.where) {
    if (!table.has(column)) {
      return fail(ErrorKind::kGarbled, "the column '" + column + "' is missing", "--where " + column + "=" + text);
    }
  }
  for (const std::string& column : table.columns()) {
    const bool chooses = std::ranges::any_of(options.where, [&](const auto& where) { return where.first == column; });
    if (!chooses && !reader.columns.reads(column)) reader.out.unread.push_back(column);
  }
  std::vector<Read> reads;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    REINS_ASSIGN(const bool take, wanted(table, r, options));
    if (!take) continue;
    REINS_ASSIGN(Read read, reader.read(r));
    reads.push_back(std::move(read));
  }
  if (reads.empty()) {
    if (table.rows() > 0) {
      return fail(ErrorKind::kGarbled, "no rows that --where lets through", table.where(),
                  "name columns and texts that stand in it");
    }
    return fail(ErrorKind::kGarbled, "no rows: nothing stands behind the header line", table.where(),
                "a header of columns such as mapping,freq_khz,latency_s,power_w, then a line for each measurement");
  }
  if (options.new_frequencies) take_frequencies(board, reads);
  for (Read& read : reads) {
    REINS_ASSIGN(read.row.opp, opp_at(board.cluster_of(read.row.mapping), read));
    reader.out.rows.push_back(std::move(read.row));
  }
  return std::move(reader.out);
}

}  // namespace reins::evaluation
