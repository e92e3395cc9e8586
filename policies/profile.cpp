#include "policies/profile.hpp"

#include <algorithm>
#include <limits>

#include "core/assert.hpp"
#include "core/csv.hpp"
#include "core/file.hpp"
#include "core/stats.hpp"
#include "core/text.hpp"

namespace reins::policies {
namespace {

constexpr const char* kHeader =
    "level,mapping,freq_khz,latency_s,p50_s,p95_s,p99_s,energy_j,energy_ci_j,power_w,accuracy,n,source,"
    "temperature_c\n";

std::string cell(const std::optional<double>& value) { return value ? format_number(*value) : std::string(); }

constexpr double kAbsoluteZero_c = -273.15;

Result<std::optional<double>> optional_number(const CsvTable& table, std::size_t row, std::string_view column,
                                              double least) {
  if (!table.present(row, column)) return std::optional<double>();
  REINS_ASSIGN(const double value, table.number(row, column));
  if (value < least) {
    return fail(ErrorKind::kGarbled, std::string(column) + " is below " + format_number(least), table.place(row));
  }
  return std::optional<double>(value);
}

Result<double> positive(const CsvTable& table, std::size_t row, std::string_view column) {
  REINS_ASSIGN(const double value, table.number(row, column));
  if (!(value > 0)) return fail(ErrorKind::kGarbled, std::string(column) + " is not above zero", table.place(row));
  return value;
}

Result<MappingId> mapping_named(const ActionSpace& space, std::string_view name, const std::string& place) {
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    if (space.mappings[m].name == name) return MappingId(m);
  }
  return fail(ErrorKind::kMismatch, "board " + space.board + " has no mapping '" + std::string(name) + "'", place,
              "profile this board anew");
}

Result<OppId> opp_at(const ActionSpace& space, MappingId mapping, long long freq_khz, const std::string& place) {
  const std::vector<std::int64_t>& all = space.mappings[mapping.index()].freq_khz;
  const auto found = std::find(all.begin(), all.end(), freq_khz);
  if (found == all.end()) {
    return fail(ErrorKind::kMismatch,
                space.mappings[mapping.index()].name + " does not run at " + std::to_string(freq_khz) + " kHz", place,
                "profile this board anew");
  }
  return OppId(static_cast<std::int64_t>(found - all.begin()));
}

}  // namespace

Profile::Profile(const ActionSpace& space) : levels_(space.levels), mappings_(space.mappings.size()) {
  board = space.board;
  board_fingerprint = space.board_fingerprint;
  std::size_t total = 0;
  for (const MappingSlot& slot : space.mappings) {
    opps_.push_back(total);
    total += slot.freq_khz.size();
  }
  opps_.push_back(total);
  points_.resize(levels_ * total);
  idle_.resize(total);
}

std::size_t Profile::index(LevelId level, MappingId mapping, OppId opp) const noexcept {
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  if (!level.valid() || !mapping.valid() || !opp.valid()) return kNone;
  if (level.index() >= levels_ || mapping.index() >= mappings_) return kNone;
  const std::size_t first = opps_[mapping.index()];
  if (opp.index() >= opps_[mapping.index() + 1] - first) return kNone;
  return level.index() * opps_.back() + first + opp.index();
}

void Profile::set(const ProfilePoint& point) {
  const std::size_t i = index(point.level, point.mapping, point.opp);
  REINS_ASSERT(i < points_.size());
  points_[i] = point;
}

void Profile::set_idle(const IdlePoint& point) {
  const std::size_t i = index(LevelId(0), point.mapping, point.opp);
  REINS_ASSERT(i < idle_.size());
  idle_[i] = point;
}

const ProfilePoint* Profile::at(LevelId level, MappingId mapping, OppId opp) const noexcept {
  const std::size_t i = index(level, mapping, opp);
  return i < points_.size() && points_[i] ? &*points_[i] : nullptr;
}

const IdlePoint* Profile::idle(MappingId mapping, OppId opp) const noexcept {
  const std::size_t i = index(LevelId(0), mapping, opp);
  return i < idle_.size() && idle_[i] ? &*idle_[i] : nullptr;
}

std::optional<double> Profile::idle_w(MappingId mapping, OppId opp) const noexcept {
  const IdlePoint* point = idle(mapping, opp);
  return point != nullptr ? std::optional(point->power_w) : std::nullopt;
}

bool Profile::complete() const noexcept {
  return !points_.empty() && std::all_of(points_.begin(), points_.end(), [](const auto& p) { return p.has_value(); });
}

std::uint64_t Profile::measured(MappingId mapping) const noexcept {
  std::uint64_t all = 0;
  for (std::size_t o = 0; o < opps_[mapping.index() + 1] - opps_[mapping.index()]; ++o) {
    bool every = levels_ > 0;
    for (std::size_t l = 0; l < levels_; ++l) every = every && at(LevelId(l), mapping, OppId(o)) != nullptr;
    if (every) all |= std::uint64_t{1} << o;
  }
  return all;
}

bool Profile::has_idle() const noexcept {
  return !idle_.empty() && std::all_of(idle_.begin(), idle_.end(), [](const auto& w) { return w.has_value(); });
}

bool Profile::has_energy() const noexcept {
  bool any = false;
  for (const auto& point : points_) {
    if (!point) continue;
    if (!point->energy_j) return false;
    any = true;
  }
  return any;
}

double Profile::accuracy(LevelId level) const noexcept {
  if (!level.valid() || level.index() >= levels_) return 0;
  const std::size_t width = opps_.back();
  for (std::size_t i = level.index() * width; i < (level.index() + 1) * width; ++i) {
    if (points_[i]) return points_[i]->accuracy;
  }
  return 0;
}

const ProfilePoint* Profile::fastest(LevelId level) const noexcept {
  if (!level.valid() || level.index() >= levels_) return nullptr;
  const std::size_t width = opps_.back();
  const ProfilePoint* fastest = nullptr;
  for (std::size_t i = level.index() * width; i < (level.index() + 1) * width; ++i) {
    if (points_[i] && (fastest == nullptr || points_[i]->latency_s <= fastest->latency_s)) fastest = &*points_[i];
  }
  return fastest;
}

std::string Profile::unreachable(const Goals& goals) const {
  std::string text;
  const auto say = [&text](const std::string& clause) { text += (text.empty() ? "" : "; ") + clause; };
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double best_accuracy = -1;
  for (const auto& point : points_) {
    if (point) best_accuracy = std::max(best_accuracy, point->accuracy);
  }
  if (best_accuracy < 0) return text;
  // As the observation takes it: a hair below is the same level, and above the best one the best one serves.
  double floor = goals.accuracy_floor.value_or(0);
  if (floor > best_accuracy + 1e-6) {
    say("no level has accuracy " + three_digits(floor) + ", the best has " + three_digits(best_accuracy) +
        " and is what runs");
    floor = best_accuracy;
  }
  double least_s = kNone, least_j = kNone, least_w = kNone;
  for (const auto& point : points_) {
    if (!point || point->accuracy < floor - 1e-6) continue;
    least_s = std::min(least_s, point->latency_s);
    if (point->energy_j) least_j = std::min(least_j, *point->energy_j);
  }
  for (const auto& idle : idle_) {
    if (idle) least_w = std::min(least_w, idle->power_w);
  }
  const std::string at_floor = goals.accuracy_floor ? " at this accuracy floor" : "";
  if (goals.latency_s && *goals.latency_s < least_s) {
    say("latency " + three_digits(*goals.latency_s) + " s is below the fastest profiled time" + at_floor + ", " +
        three_digits(least_s) + " s: nearly every request will miss it");
  }
  if (goals.energy_j && least_j < kNone && *goals.energy_j < least_j) {
    say("energy " + three_digits(*goals.energy_j) + " J is below the least profiled" + at_floor + ", " +
        three_digits(least_j) + " J");
  }
  if (goals.power_w && least_w < kNone && *goals.power_w < least_w) {
    say("power " + three_digits(*goals.power_w) + " W is below the least idle power, " + three_digits(least_w) + " W");
  }
  return text;
}

double Profile::fastest_s(LevelId level) const noexcept {
  const ProfilePoint* point = fastest(level);
  return point != nullptr ? point->latency_s : 0;
}

double Profile::relative_sigma() const {
  constexpr double kNormal95 = 1.645;      // standard deviations from the median to p95
  constexpr std::int64_t kLeastRuns = 20;  // fewer have no p95
  std::vector<double> sigmas;
  for (const std::optional<ProfilePoint>& point : points_) {
    if (!point.has_value() || point->n < kLeastRuns || point->p50_s <= 0 || point->p95_s < point->p50_s) continue;
    sigmas.push_back((point->p95_s - point->p50_s) / (kNormal95 * point->p50_s));
  }
  return quantile_of(std::move(sigmas), 0.5);
}

std::string Profile::format(const ActionSpace& space) const {
  std::string text = "# reins profile\n";
  const auto comment = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) text += "# " + std::string(key) + " = " + value + "\n";
  };
  comment("version", version);
  comment("kernel", kernel);
  comment("board", board);
  comment("board_fingerprint", board_fingerprint);
  comment("network_fingerprint", network_fingerprint);
  text += kHeader;
  for (std::size_t m = 0; m < mappings_; ++m) {
    const MappingSlot& slot = space.mappings[m];
    for (std::size_t o = 0; o < slot.freq_khz.size(); ++o) {
      const std::string where = slot.name + "," + std::to_string(slot.freq_khz[o]);
      if (const IdlePoint* at_rest = idle(MappingId(m), OppId(o))) {
        text +=
            "0," + where + ",,,,,,," + format_number(at_rest->power_w) + ",,,," + cell(at_rest->temperature_c) + "\n";
      }
      for (std::size_t l = 0; l < levels_; ++l) {
        const ProfilePoint* p = at(LevelId(l), MappingId(m), OppId(o));
        if (p == nullptr) continue;
        text += std::to_string(l + 1) + "," + where + "," + format_number(p->latency_s) + "," +
                format_number(p->p50_s) + "," + format_number(p->p95_s) + "," + format_number(p->p99_s) + "," +
                cell(p->energy_j) + "," + cell(p->energy_ci_j) + "," + cell(p->power_w) + "," +
                format_number(p->accuracy) + "," + std::to_string(p->n) + "," + p->source + "," +
                cell(p->temperature_c) + "\n";
      }
    }
  }
  return text;
}

Status Profile::write(const ActionSpace& space, const std::filesystem::path& path) const {
  return write_file_atomic(path, format(space));
}

Result<Profile> Profile::read(const ActionSpace& space, const std::filesystem::path& path, bool skip_others) {
  REINS_ASSIGN(const std::string bytes, read_file(path, std::size_t{64} << 20));
  return parse(space, bytes, path.native(), skip_others);
}

Result<Profile> Profile::parse(const ActionSpace& space, std::string_view text, std::string_view where,
                               bool skip_others) {
  REINS_ASSIGN(const CsvTable table, CsvTable::parse(text, where));
  Profile profile(space);
  profile.board.clear();
  profile.board_fingerprint.clear();
  for (const std::string& comment : table.comments()) {
    const std::size_t equals = comment.find(" = ");
    if (equals == std::string::npos) continue;
    const std::string key = comment.substr(0, equals);
    const std::string value = comment.substr(equals + 3);
    if (key == "board") profile.board = value;
    if (key == "board_fingerprint") profile.board_fingerprint = value;
    if (key == "network_fingerprint") profile.network_fingerprint = value;
    if (key == "kernel") profile.kernel = value;
    if (key == "version") profile.version = value;
  }
  if (!profile.board.empty() && profile.board != space.board) {
    return fail(ErrorKind::kMismatch, "this profile is of board " + profile.board + ", not " + space.board, where,
                "profile this board, or name the profile's board");
  }
  for (const std::string_view column : {"level", "mapping", "freq_khz"}) {
    if (!table.has(column)) {
      return fail(ErrorKind::kGarbled, "no profile: the column '" + std::string(column) + "' is missing", where,
                  "name a CSV that 'reins profile' has written");
    }
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string place = table.place(row);
    REINS_ASSIGN(const long long level, table.integer(row, "level"));
    REINS_ASSIGN(const std::string_view name, table.text(row, "mapping"));
    REINS_ASSIGN(const long long freq_khz, table.integer(row, "freq_khz"));
    const auto named = mapping_named(space, name, place);
    if (!named.has_value() && skip_others) continue;
    REINS_ASSIGN(const MappingId mapping, named);
    REINS_ASSIGN(const OppId opp, opp_at(space, mapping, freq_khz, place));
    REINS_ASSIGN(const std::optional<double> power_w, optional_number(table, row, "power_w", 0));
    REINS_ASSIGN(const std::optional<double> temperature_c,
                 optional_number(table, row, "temperature_c", kAbsoluteZero_c));
    if (level == 0) {
      if (!power_w) return fail(ErrorKind::kGarbled, "an idle row (level 0) without power_w", place);
      if (profile.idle_w(mapping, opp)) return fail(ErrorKind::kGarbled, "this idle point stands twice", place);
      profile.set_idle({mapping, opp, *power_w, temperature_c});
      continue;
    }
    if (level < 0 || static_cast<std::size_t>(level) > space.levels) {
      return fail(ErrorKind::kMismatch,
                  "level " + std::to_string(level) + ", and the network has 1 to " + std::to_string(space.levels),
                  place, "profile this network anew");
    }
    ProfilePoint point;
    point.level = LevelId(static_cast<std::int64_t>(level - 1));
    point.mapping = mapping;
    point.opp = opp;
    REINS_ASSIGN(point.latency_s, positive(table, row, "latency_s"));
    REINS_ASSIGN(point.p50_s, positive(table, row, "p50_s"));
    REINS_ASSIGN(point.p95_s, positive(table, row, "p95_s"));
    REINS_ASSIGN(point.p99_s, positive(table, row, "p99_s"));
    REINS_ASSIGN(point.energy_j, optional_number(table, row, "energy_j", 0));
    REINS_ASSIGN(point.energy_ci_j, optional_number(table, row, "energy_ci_j", 0));
    point.power_w = power_w;
    point.temperature_c = temperature_c;
    REINS_ASSIGN(point.accuracy, table.number(row, "accuracy"));
    if (point.accuracy < 0 || point.accuracy > 1) return fail(ErrorKind::kGarbled, "accuracy is outside 0 to 1", place);
    REINS_ASSIGN(point.n, table.integer(row, "n"));
    if (point.n < 1) return fail(ErrorKind::kGarbled, "n is below 1", place);
    REINS_ASSIGN(point.source, table.text(row, "source"));
    if (profile.at(point.level, mapping, opp) != nullptr) {
      return fail(ErrorKind::kGarbled, "this point stands twice", place);
    }
    profile.set(point);
  }
  return profile;
}

}  // namespace reins::policies
