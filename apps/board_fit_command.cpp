#include "apps/board_fit_command.hpp"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/progress.hpp"
#include "apps/wiring.hpp"
#include "core/file.hpp"
#include "evaluation/board_edit.hpp"
#include "evaluation/fit_check.hpp"
#include "evaluation/table.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;
using evaluation::Standing;
using nlohmann::json;

// Mean errors of the rows that were fitted: above the one nobody should rely on the file, above the other none is made.
constexpr double kPoor = 0.15, kUseless = 0.5;

struct FitCommand {
  std::string board, data, columns, mapping, rail, network, out, hold_out = "none", arrivals = "auto";
  std::vector<std::string> where;
  double macs = 0, bytes = 0, launches = 0;
  bool keep_voltages = false, new_frequencies = false, overwrite = false;
  JsonOption json;
};

/// The file behind a board's name: what --out keeps everything else of.
fs::path file_of(const std::string& board) {
  if (board.find('/') != std::string::npos || board.ends_with(".toml")) return board;
  return shared_folder("boards") / (board + ".toml");
}

Result<evaluation::RowOptions> row_options(const FitCommand& options, const CsvTable& table) {
  evaluation::RowOptions rows;
  REINS_ASSIGN(rows.columns, evaluation::parse_columns(options.columns));
  for (const std::string& where : options.where) {
    const std::size_t equals = where.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorKind::kUsage, "'" + where + "' is not COLUMN=TEXT", "--where");
    }
    rows.where.emplace_back(where.substr(0, equals), where.substr(equals + 1));
  }
  rows.mapping = options.mapping;
  rows.rail = options.rail;
  rows.new_frequencies = options.new_frequencies;
  if (options.macs > 0) {
    rows.workload =
        evaluation::Workload{{{.macs = options.macs, .bytes = options.bytes, .launches = options.launches}}, true};
  } else if (options.bytes > 0 || options.launches > 0) {
    return fail(ErrorKind::kUsage, "--bytes or --launches without --macs", "--macs");
  } else if (!options.network.empty() || table.has("level")) {
    REINS_ASSIGN(const inference::NetworkFacts facts, read_facts(network_of(options.network)));
    for (const auto& comment : table.comments()) {
      constexpr std::string_view kKey = "network_fingerprint = ";
      if (comment.starts_with(kKey) && comment.substr(kKey.size()) != facts.fingerprint) {
        return fail(ErrorKind::kMismatch, "measured with another network than " + facts.name, options.data,
                    "name the one it was measured with: --network FILE");
      }
    }
    for (const inference::LevelFacts& level : facts.levels) rows.levels.push_back({level.layers, true});
  }
  return rows;
}

std::string number(double value) {
  if (!std::isfinite(value)) return "inf";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string percent(double share) { return evaluation::fixed(100 * share, 1) + " %"; }

std::string standing_of(const evaluation::Estimate& estimate) {
  switch (estimate.standing) {
    case Standing::kFitted:
      return "fitted";
    case Standing::kAtBound:
      // Of a constant that the file has one over, the bound is at the upper end.
      return std::isfinite(estimate.high) ? "fitted, may be " + number(estimate.low) : "fitted, may be unlimited";
    case Standing::kPrior:
      return "PRIOR KEPT";
  }
  return "";
}

/// What time constants are called where one image is the unit.
std::string shown_key(const evaluation::FittedKey& key) {
  if (key.writable) return key.key;
  if (key.key == "macs_per_cycle") return "images per cycle";
  if (key.key == "bytes_per_s") return "images per s (memory)";
  if (key.key == "launch_cycles") return "cycles per batch";
  if (key.key == "launch_s") return "s per batch";
  if (key.key == "j_per_byte") return "J per image (memory)";
  return key.key;
}

void print_keys(const evaluation::BoardFit& fit) {
  evaluation::Table table({{"constant", evaluation::Align::kLeft},
                           {"prior"},
                           {"value"},
                           {"95 % from"},
                           {"to"},
                           {"", evaluation::Align::kLeft}});
  std::string last;
  for (const evaluation::FittedKey& key : fit.keys) {
    if (key.table != last) {
      if (!last.empty()) table.rule();
      table.add({key.table});
    }
    last = key.table;
    const bool prior = key.estimate.standing == Standing::kPrior;
    table.add({"  " + shown_key(key) + (key.numbers.empty() ? "" : " (lowest)"), number(key.prior),
               number(key.estimate.value), prior ? "-" : number(key.estimate.low),
               prior ? "-" : number(key.estimate.high),
               standing_of(key.estimate) + (key.note.empty() ? "" : "; " + key.note)});
  }
  std::printf("%s", table.text().c_str());
}

void print_errors(const char* title, const evaluation::RowErrors& errors) {
  if (errors.latency.rows + errors.power.rows == 0) return;
  std::printf("\n%s\n", title);
  evaluation::Table table({{"", evaluation::Align::kLeft}, {"rows"}, {"mean"}, {"median"}, {"p90"}, {"worst"}});
  const auto row = [&](const char* what, const evaluation::Errors& of) {
    if (of.rows == 0) return;
    table.add(
        {what, std::to_string(of.rows), percent(of.mean), percent(of.median), percent(of.p90), percent(of.worst)});
  };
  row("  latency", errors.latency);
  row("  power", errors.power);
  row("  energy", errors.energy);
  std::printf("%s", table.text().c_str());
}

json errors_json(const evaluation::RowErrors& errors) {
  const auto one = [](const evaluation::Errors& of) {
    return json{{"rows", of.rows}, {"mean", of.mean}, {"median", of.median}, {"p90", of.p90}, {"worst", of.worst}};
  };
  return {{"latency", one(errors.latency)}, {"power", one(errors.power)}, {"energy", one(errors.energy)}};
}

json keys_json(const evaluation::BoardFit& fit) {
  json keys = json::array();
  for (const evaluation::FittedKey& key : fit.keys) {
    const bool prior = key.estimate.standing == Standing::kPrior;
    json entry = {{"table", key.table},          {"key", shown_key(key)}, {"prior", key.prior},
                  {"value", key.estimate.value}, {"prior_kept", prior},   {"written", key.writable && !prior}};
    if (!prior) {
      entry["low"] = key.estimate.low;
      // JSON has no infinity: an interval without an upper end has none here.
      if (std::isfinite(key.estimate.high)) entry["high"] = key.estimate.high;
    }
    if (!key.numbers.empty()) entry["numbers"] = key.numbers;
    if (!key.note.empty()) entry["note"] = key.note;
    keys.push_back(std::move(entry));
  }
  return keys;
}

json optimum_json(const boards::Board& board, const evaluation::Optimum& optimum) {
  const auto one = [](const evaluation::Regret& of) {
    if (of.groups == 0) return json{{"groups", 0}, {"median", nullptr}, {"p90", nullptr}, {"worst", nullptr}};
    return json{{"groups", of.groups}, {"median", of.median}, {"p90", of.p90}, {"worst", of.worst}};
  };
  json groups = json::array();
  for (const evaluation::Optimum::Group& group : optimum.groups) {
    groups.push_back({{"mapping", board.mappings[group.mapping.index()].name},
                      {"batch", group.batch},
                      {"fitted_khz", group.fitted_khz},
                      {"measured_khz", group.measured_khz},
                      {"regret", group.regret},
                      {"free_curve_regret", group.free_regret}});
    if (group.rail) groups.back()["rail"] = board.rails[*group.rail].name;
  }
  return {{"fitted", one(optimum.fitted)}, {"free_curve", one(optimum.free_curve)}, {"groups", groups}};
}

void print_optimum(const evaluation::Optimum& optimum) {
  if (optimum.fitted.groups == 0) return;
  std::printf(
      "\nMeasured energy at the frequency that is best by the fit, above the least measured; of %zu mappings and batch "
      "sizes\n",
      optimum.fitted.groups);
  evaluation::Table table({{"", evaluation::Align::kLeft}, {"median"}, {"p90"}, {"worst"}});
  const auto row = [&](const char* what, const evaluation::Regret& of) {
    if (of.groups > 0) table.add({what, percent(of.median), percent(of.p90), percent(of.worst)});
  };
  row("  this fit", optimum.fitted);
  row("  a free curve per batch size (cubic in log f)", optimum.free_curve);
  std::printf("%s", table.text().c_str());
}

Status fit(const FitCommand& options, const std::string& command_line) {
  if (options.board == "host") {
    return fail(ErrorKind::kUsage, "a fit starts from a board file", "--board host",
                "'reins board --write FILE' makes one of this machine");
  }
  const fs::path base_file = file_of(options.board);
  if (!options.out.empty()) {
    if (options.new_frequencies) {
      return fail(ErrorKind::kUsage, "--new-frequencies is for a look, and --out keeps the board's", "--out",
                  "put the frequencies into the board file first");
    }
    std::error_code none;  // an absent file is not the base
    if (!options.overwrite && fs::exists(options.out, none) && !fs::equivalent(options.out, base_file, none)) {
      return fail(ErrorKind::kUsage, "is there already", options.out, "give --overwrite, or another name");
    }
  }
  REINS_ASSIGN(boards::Board base, open_board(options.board));
  REINS_ASSIGN(const std::string base_text, read_file(base_file, std::size_t{1} << 20));
  REINS_ASSIGN(const CsvTable table, CsvTable::read(options.data));
  REINS_ASSIGN(const evaluation::RowOptions row_choice, row_options(options, table));
  REINS_ASSIGN(const evaluation::MeasuredRows rows, evaluation::read_rows(table, base, row_choice));
  REINS_ASSIGN(const evaluation::Split split, evaluation::hold_out(base, rows, options.hold_out));
  REINS_TRY(check_output(options.out));
  REINS_TRY(check_output(options.json));
  evaluation::FitOptions how;
  how.keep_voltages = options.keep_voltages;
  if (options.arrivals == "alone") how.arrivals = evaluation::Arrivals::kAlone;
  if (options.arrivals == "closed-loop") how.arrivals = evaluation::Arrivals::kClosedLoop;
  how.threads = std::max(1U, std::thread::hardware_concurrency());
  Progress progress("board fit");
  how.progress = [&progress](double share) { return progress.update(share); };
  REINS_ASSIGN(const evaluation::BoardFit fitted, evaluation::fit_board(base, split.fitted, how));
  progress.done();
  const bool held = !split.held_out.rows.empty();
  const evaluation::RowErrors in_fit = evaluation::errors_of(fitted, split.fitted);
  evaluation::BoardFit before = fitted;
  before.board = base;
  const evaluation::RowErrors prior = evaluation::errors_of(before, rows);
  const evaluation::RowErrors held_out = evaluation::errors_of(fitted, split.held_out);
  const evaluation::Optimum optimum = evaluation::optimum_of(fitted, rows, split.fitted);

  for (const auto& [what, errors] : {std::pair{"latencies", in_fit.latency}, {"powers", in_fit.power}}) {
    if (errors.mean <= kPoor) continue;
    warn("the fit is " + number(std::round(100 * errors.mean)) + " % off the " + what +
         " that it was fitted to, on average: they are too few, or no constants of this model make them");
  }

  const bool useless = std::max(in_fit.latency.mean, in_fit.power.mean) > kUseless;
  const bool written = !options.out.empty() && !useless;
  std::string edited;
  if (written) {
    const std::string note = "Fitted by: " + command_line + "\nto " + std::to_string(split.fitted.rows.size()) +
                             " rows; keys marked 'fitted' carry their 95 % interval.";
    REINS_ASSIGN(edited, evaluation::edited_board(base_text, base_file.native(), fitted, note));
    REINS_TRY(write_file_atomic(options.out, edited));
  }

  const char* arrivals = fitted.arrivals == evaluation::Arrivals::kClosedLoop ? "closed loop" : "alone";
  if (!options.json.to_stdout()) {
    std::printf("%s: %zu rows fitted, %zu held out (%s)\n", base.title.c_str(), split.fitted.rows.size(),
                split.held_out.rows.size(), options.hold_out.c_str());
    std::string unread;
    for (const std::string& column : rows.unread) unread += (unread.empty() ? "" : ", ") + column;
    if (rows.disagreeing > 0) {
      std::printf("Rows whose energy is more than 5 %% off power x latency: %zu (power is what is fitted), first %s\n",
                  rows.disagreeing, rows.disagreement.c_str());
    }
    if (!unread.empty()) std::printf("Columns that nothing was taken from: %s\n", unread.c_str());
    if (fitted.latency_sigma > 0) {
      std::printf("Latency of a batch: %s%s\n",
                  fitted.arrivals == evaluation::Arrivals::kClosedLoop
                      ? "in a closed loop: half of the clients are served while the other half waits"
                      : "served alone",
                  fitted.known_workload ? "" : "; what an image costs is not known (--macs), so it is the unit");
      if (fitted.think_s > 0) std::printf("Between a reply and the next request: %.3g ms\n", fitted.think_s * 1e3);
      if (fitted.lone_s > 1e-6)
        std::printf("A request that nobody waits behind takes %.3g ms more\n", fitted.lone_s * 1e3);
    }
    std::printf("\n");
    print_keys(fitted);
    std::printf(
        "Intervals take residuals for independent noise and kept priors for exact (sigma: latency %.2g %%, power %.2g "
        "%%%s).\n",
        100 * fitted.latency_sigma, 100 * fitted.power_sigma,
        fitted.temperature_sigma_c > 0 ? (", temperature " + number(fitted.temperature_sigma_c) + " C").c_str() : "");
    for (const std::string& cluster : fitted.assumed_voltages) {
      std::printf(
          "Cluster %s: V(f) is the base file's, and the best frequency depends on it: a shape takes power at five "
          "frequencies. Give voltage_v where it is known.\n",
          cluster.c_str());
    }
    print_errors("Error of the fitted rows", in_fit);
    if (held) print_errors("Error of the rows held out", held_out);
    if (fitted.known_workload) print_errors("Error of the board file as it was, all rows", prior);
    print_optimum(optimum);
    if (written) std::printf("\nwrote %s\n", options.out.c_str());
  }
  const Status end = !useless || options.out.empty()
                         ? Status{}
                         : fail(ErrorKind::kUsage,
                                "not written: the fit is more than " + number(100 * kUseless) +
                                    " % off the rows that it was fitted to, on average",
                                options.out, "look at the units and at --columns, --macs and --arrivals");
  if (!options.json.wanted()) return end;
  json document = {{"board", base.name},
                   {"rows",
                    {{"fitted", split.fitted.rows.size()},
                     {"held_out", split.held_out.rows.size()},
                     {"energy_disagrees", rows.disagreeing}}},
                   {"hold_out", options.hold_out},
                   {"arrivals", arrivals},
                   {"known_workload", fitted.known_workload},
                   {"think_s", fitted.think_s},
                   {"lone_s", fitted.lone_s},
                   {"sigma",
                    {{"latency", fitted.latency_sigma},
                     {"power", fitted.power_sigma},
                     {"temperature_c", fitted.temperature_sigma_c}}},
                   {"constants", keys_json(fitted)},
                   {"errors", {{"fitted", errors_json(in_fit)}}},
                   {"assumed_voltages", fitted.assumed_voltages},
                   {"optimum", optimum_json(base, optimum)}};
  if (fitted.known_workload) document["errors"]["as_it_was"] = errors_json(prior);
  if (held) document["errors"]["held_out"] = errors_json(held_out);
  if (written) document["file"] = options.out;
  REINS_TRY(options.json.write(document.dump(2) + "\n"));
  return end;
}

/// As the user would type it, for the head of the file.
std::string spoken(const FitCommand& options) {
  std::string line =
      "reins board fit --board " + options.board + " --data " + fs::path(options.data).filename().string();
  const auto add = [&](const char* name, const std::string& value) {
    const bool quote = value.find_first_of(" ,=") != std::string::npos;
    if (!value.empty()) line += std::string(" ") + name + " " + (quote ? "'" + value + "'" : value);
  };
  for (const std::string& where : options.where) add("--where", where);
  add("--columns", options.columns);
  add("--mapping", options.mapping);
  add("--rail", options.rail);
  if (options.macs > 0) add("--macs", number(options.macs));
  if (options.bytes > 0) add("--bytes", number(options.bytes));
  if (options.launches > 0) add("--launches", number(options.launches));
  if (options.hold_out != "none") add("--hold-out", options.hold_out);
  if (options.arrivals != "auto") add("--arrivals", options.arrivals);
  if (options.keep_voltages) line += " --keep-voltages";
  return line;
}

}  // namespace

void register_board_fit(CLI::App& board, int& exit_code) {
  auto options = std::make_shared<FitCommand>();
  CLI::App* command =
      board.add_subcommand("fit", "fit a board file's constants to measured rows (columns: docs/board-fit.md)");
  command->add_option("--board", options->board, "board whose constants are the prior: a name or a file")
      ->required()
      ->type_name("NAME");
  command->add_option("--data", options->data, "CSV of measured rows, or what 'reins profile' wrote")
      ->required()
      ->type_name("CSV");
  command->add_option("--columns", options->columns, "names of columns: 'latency_s=Latency,freq_hz=Frequency'")
      ->type_name("OURS=THEIRS,...");
  command->add_option("--where", options->where, "rows with this text in this column alone; may be given again")
      ->type_name("COLUMN=TEXT");
  command->add_option("--mapping", options->mapping, "mapping of rows that name none");
  command->add_option("--rail", options->rail,
                      "rail that powers are of, where rows name none (default: those accounted)");
  command->add_option("--network", options->network, "network that rows with a level ran (default: the shipped one)");
  command
      ->add_option("--macs", options->macs, "multiply-accumulates of one image, where the network is no file of ours")
      ->check(within(1e-12, 1e18));
  command->add_option("--bytes", options->bytes, "bytes that one image moves (activations in and out)")
      ->check(within(1e-12, 1e18));
  command->add_option("--launches", options->launches, "kernel launches of one batch")->check(within(1e-12, 1e18));
  command
      ->add_option(
          "--hold-out", options->hold_out,
          "rows that the fit does not see: none, every-other-frequency, other-every-other-frequency, or MHz,...")
      ->capture_default_str();
  command
      ->add_option(
          "--arrivals", options->arrivals,
          "what a latency is of: alone (one batch by itself), closed-loop (as many clients, half of which wait), "
          "auto (the rows decide)")
      ->check(CLI::IsMember({"auto", "alone", "closed-loop"}))
      ->capture_default_str();
  command->add_flag("--keep-voltages", options->keep_voltages, "fit no shape of V(f)");
  command->add_flag("--new-frequencies", options->new_frequencies, "take the file's frequencies for operating points");
  command->add_option("--out", options->out, "board file to write: the base with what was fitted in place")
      ->type_name("FILE");
  command->add_flag("--overwrite", options->overwrite,
                    "with --out: also over a file that is there and is not the base");
  add_json_option(*command, options->json);
  command->footer(
      "Example:\n  reins profile --board odroid-xu3 --out profile.csv\n"
      "  reins board fit --board odroid-xu3 --data profile.csv --hold-out every-other-frequency --out mine.toml");
  command->callback([options, &exit_code] {
    const Status status = fit(*options, spoken(*options));
    exit_code = status.has_value() ? kOk : report(status.error());
  });
}

}  // namespace reins::apps
