#include "apps/board_command.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "actuators/actuator_set.hpp"
#include "apps/board_fit_command.hpp"
#include "apps/inventory_json.hpp"
#include "apps/inventory_print.hpp"
#include "apps/wiring.hpp"
#include "boards/host_file.hpp"
#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/text.hpp"
#include "sensors/catalogue.hpp"
#include "sensors/host.hpp"

namespace reins::apps {
namespace {

using nlohmann::json;

struct BoardOptions {
  std::string board = "host";
  std::string root = "/";
  std::string write;
  bool check = false;
  bool overwrite = false;
  bool all = false;
  JsonOption json;
};

/// What was found, gathered once, then printed as text or JSON.
struct Survey {
  boards::Board board;
  sensors::Found named;                                ///< what the board names
  sensors::Found elsewhere;                            ///< what else the machine has
  std::vector<std::pair<std::string, Error>> missing;  ///< for what: "a15 power_w, mem power_w"
  std::vector<Error> differences;
  sensors::Inventory inventory;
  json document;
};

std::string text_of(const actuators::Setting& setting) {
  if (const auto* freq = std::get_if<actuators::FreqKhz>(&setting)) return mhz(freq->khz) + " MHz";
  if (const auto* governor = std::get_if<actuators::GovernorName>(&setting)) return std::string(governor->text());
  if (const auto* quota = std::get_if<actuators::QuotaCpus>(&setting)) {
    if (quota->cpus == 0) return "no limit";
    char text[32];
    std::snprintf(text, sizeof(text), "%g cpus", quota->cpus);
    return text;
  }
  return {};
}

/// One line for all that one cause keeps away.
void add_missing(Survey& survey, const std::string& name, const Error& error) {
  for (auto& [names, known] : survey.missing) {
    if (known.line() != error.line()) continue;
    names += ", " + name;
    return;
  }
  survey.missing.emplace_back(name, error);
}

std::string cpus_of(const boards::Cluster& cluster) {
  if (cluster.kind == boards::UnitKind::kGpu) return "GPU";
  std::string text = cluster.cpus.size() == 1 ? "cpu " : "cpus ";
  for (std::size_t i = 0; i < cluster.cpus.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(cluster.cpus[i]);
  return text;
}

json sensor_json(sensors::Sensor& sensor) {
  const sensors::Signal& signal = sensor.signal();
  json entry = {{"name", signal.name}, {"quantity", sensors::name_of(signal.quantity)}, {"source", signal.source}};
  const auto reading = sensor.read();
  if (reading) {
    entry["value"] = reading->value;
    entry["age_s"] = reading->age_s;
  } else {
    entry["error"] = reading.error().line();
  }
  return entry;
}

void survey_sensors(Survey& survey, const sensors::Place& place) {
  survey.named = sensors::make_sensors(survey.board, place);
  survey.elsewhere = sensors::discover(place);
  // Shares of cpu time are over at least 0.1 s.
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  json& named = survey.document["sensors"] = json::array();
  for (const auto& sensor : survey.named.sensors) named.push_back(sensor_json(*sensor));
  json& others = survey.document["elsewhere"] = json::array();
  for (const auto& sensor : survey.elsewhere.sensors) {
    const auto same = [&](const auto& one) { return one->signal().source == sensor->signal().source; };
    if (std::none_of(survey.named.sensors.begin(), survey.named.sensors.end(), same))
      others.push_back(sensor_json(*sensor));
  }
  for (const sensors::Missing& missing : survey.named.missing) {
    add_missing(survey, missing.name + " " + std::string(sensors::name_of(missing.quantity)), missing.error);
  }
}

void survey_controls(Survey& survey, const BoardOptions& options) {
  const actuators::ActuatorSet set = actuators::ActuatorSet::make(survey.board, {options.root, {}});
  json& controls = survey.document["controls"] = json::array();
  for (std::size_t i = 0; i < survey.board.clusters.size(); ++i) {
    actuators::FrequencyActuator* actuator = set.frequency(ClusterId(i));
    if (actuator == nullptr) continue;
    json entry = {{"name", actuator->name()},
                  {"source", actuator->source()},
                  {"how", actuator->pins() ? "min = max" : "userspace"}};
    if (const auto present = actuator->present()) entry["present"] = text_of(*present);
    if (const auto cap = actuator->cap_khz()) entry["cap_khz"] = *cap;
    controls.push_back(std::move(entry));
  }
  if (actuators::Actuator* quota = set.quota()) {
    json entry = {{"name", "quota"}, {"source", quota->source()}, {"how", "control group"}};
    if (const auto present = quota->present()) entry["present"] = text_of(*present);
    controls.push_back(std::move(entry));
  }
  for (const auto& missing : set.missing()) add_missing(survey, missing.name + " control", missing.error);
}

void describe_board(Survey& survey) {
  const boards::Board& board = survey.board;
  json& document = survey.document;
  document["board"] = board.name;
  document["title"] = board.title;
  document["fingerprint"] = board.fingerprint;
  document["provisional"] = board.provisional;
  document["notes"] = board.notes;
  for (const boards::Cluster& cluster : board.clusters) {
    json opps = json::array();
    for (const boards::OperatingPoint& opp : cluster.opps)
      opps.push_back({{"freq_khz", opp.freq_khz}, {"voltage_v", opp.voltage_v}});
    document["clusters"].push_back({{"name", cluster.name},
                                    {"cpus", cluster.cpus},
                                    {"opps", std::move(opps)},
                                    {"capacity", cluster.capacity},
                                    {"control", cluster.control}});
  }
  for (const boards::Mapping& mapping : board.mappings) {
    document["mappings"].push_back({{"name", mapping.name},
                                    {"slot", mapping.slot},
                                    {"cores", mapping.cores},
                                    {"cluster", board.clusters[mapping.cluster.index()].name},
                                    {"cpu_quota", mapping.cpu_quota}});
  }
  document["rails"] = json::array();
  for (const boards::Rail& rail : board.rails) {
    document["rails"].push_back({{"name", rail.name}, {"accounting", rail.accounting}, {"contains", rail.contains}});
  }
}

void print_board(const boards::Board& board) {
  std::printf("%s: %s%s\n", board.name.c_str(), board.title.c_str(), board.provisional ? " (provisional)" : "");
  if (!board.notes.empty()) std::printf("  %s\n", board.notes.c_str());
  std::printf("\nClusters\n");
  for (const boards::Cluster& cluster : board.clusters) {
    std::printf("  %-10s %s, ", cluster.name.c_str(), cpus_of(cluster).c_str());
    if (cluster.opps.size() == 1 && cluster.max_khz() == 0) {
      std::printf("no DVFS: runs as the machine runs it\n");
    } else {
      std::printf("%zu operating points, %s to %s MHz\n", cluster.opps.size(),
                  mhz(cluster.opps.front().freq_khz).c_str(), mhz(cluster.max_khz()).c_str());
    }
  }
  std::printf("\nMappings\n ");
  for (const boards::Mapping& mapping : board.mappings) std::printf(" %s", mapping.name.c_str());
  std::printf("\n\nEnergy is counted on\n ");
  bool any = false;
  for (const boards::Rail& rail : board.rails) {
    if (rail.accounting) std::printf(" %s", rail.name.c_str());
    any = any || rail.accounting;
  }
  std::printf(any ? "\n" : " no rail: no energy claim\n");
}

/// Three decimals, without zeros behind; small values three digits. Counts stay whole.
std::string short_number(double value) {
  if (value != 0 && std::abs(value) < 0.1) return three_digits(value);
  char text[64];
  std::snprintf(text, sizeof text, "%.3f", value);
  std::string shown = text;
  shown.erase(shown.find_last_not_of('0') + 1);
  if (shown.back() == '.') shown.pop_back();
  return shown;
}

void print_sensors(const char* title, const json& list, std::size_t most) {
  std::printf("\n%s\n", title);
  if (list.empty()) std::printf("  none\n");
  for (const json& sensor : list) {
    if (most-- == 0) {
      std::printf("  ... %zu in all (--all)\n", list.size());
      break;
    }
    const std::string value =
        sensor.contains("value") ? short_number(sensor["value"].get<double>()) : std::string("no value yet");
    std::printf("  %-24s %-20s %-22s %s\n", sensor["name"].get<std::string>().c_str(),
                sensor["quantity"].get<std::string>().c_str(), value.c_str(),
                sensor["source"].get<std::string>().c_str());
  }
}

void print_problems(const Survey& survey, bool differences) {
  if (!survey.missing.empty()) std::printf("\nMissing\n");
  for (const auto& [names, error] : survey.missing) std::printf("  %s: %s\n", names.c_str(), error.line().c_str());
  if (!differences || survey.differences.empty()) return;
  std::printf("\nDiffers from the board file\n");
  for (const Error& error : survey.differences) std::printf("  %s\n", error.line().c_str());
}

void print(const Survey& survey, const BoardOptions& options) {
  print_board(survey.board);
  if (!survey.document["this_machine"].get<bool>()) {
    std::printf("\nThis machine is not that board (%s); what follows is what there is of it here\n",
                options.check ? "see what differs, below" : "--check lists what differs");
  }
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  print_sensors("Sensors", survey.document["sensors"], kAll);
  std::printf("\nControls\n");
  if (survey.document["controls"].empty()) std::printf("  none beyond placement and thread count\n");
  for (const json& control : survey.document["controls"]) {
    std::printf("  %-24s by %-12s now %-18s %s\n", control["name"].get<std::string>().c_str(),
                control["how"].get<std::string>().c_str(), control.value("present", "?").c_str(),
                control["source"].get<std::string>().c_str());
  }
  print_problems(survey, options.check);
  if (!survey.document["elsewhere"].empty())
    print_sensors("Also on this machine", survey.document["elsewhere"], options.all ? kAll : 12);
  print_inventory(survey.inventory, options.all);
}

json lines_of(const std::vector<Error>& errors) {
  json lines = json::array();
  for (const Error& error : errors) lines.push_back({{"kind", name_of(error.kind())}, {"error", error.line()}});
  return lines;
}

/// What --board host is everywhere else: the file runs here as this user. Said where that leaves something out.
Status write_board(const BoardOptions& options) {
  REINS_ASSIGN(const boards::Board board, sensors::discover_board(options.root, true));
  const std::string text = boards::host_board_toml(board, options.write);
  if (const auto found = read_file(options.write); found && *found != text && !options.overwrite) {
    return fail(ErrorKind::kUsage, "is there already, and says something else", options.write,
                "give --overwrite, or another name");
  }
  REINS_TRY(write_file_atomic(options.write, text));
  REINS_TRY(boards::load_board(options.write));
  if (options.json.to_stdout()) return {};
  std::printf("\nwrote %s: %zu cluster%s, %zu mappings, %zu rail%s\n", options.write.c_str(), board.clusters.size(),
              board.clusters.size() == 1 ? "" : "s", board.mappings.size(), board.rails.size(),
              board.rails.size() == 1 ? "" : "s");
  if (board.notes.find("not this user's to set") != std::string::npos)
    std::printf("  without the frequencies that are not this user's to set; write it again once they are\n");
  std::printf("  next: reins profile --live --board %s --out profile.csv\n", options.write.c_str());
  const bool dvfs = std::all_of(board.clusters.begin(), board.clusters.end(),
                                [](const boards::Cluster& cluster) { return cluster.max_khz() > 0; });
  if (dvfs) {
    std::printf("        reins board fit --board %s --data profile.csv\n", options.write.c_str());
  } else {
    std::printf(
        "        reins train --replay profile.csv --board %s --out run  # no frequencies here: no fit, no emulation\n",
        options.write.c_str());
  }
  return {};
}

Result<int> board(const BoardOptions& options) {
  REINS_TRY(check_root(options.root));
  if (!options.write.empty() && options.board != "host") {
    return fail(ErrorKind::kUsage, "writes what was found on this machine, and a named board has its file already",
                "--write", "leave out --board, or copy that board's file");
  }
  REINS_TRY(check_output(options.write));
  Survey survey;
  if (options.board == "host") {
    REINS_ASSIGN(survey.board, sensors::discover_board(options.root));
  } else {
    REINS_ASSIGN(survey.board, open_board(options.board));
  }
  const MonotonicClock clock;
  describe_board(survey);
  survey_sensors(survey, {options.root, &clock, 0});
  survey_controls(survey, options);
  // NVML speaks of the machine that this runs on, whatever the root.
  survey.inventory = sensors::take_inventory({options.root, options.root == "/" ? "libnvidia-ml.so.1" : ""});
  survey.document["inventory"] = inventory_json(survey.inventory);
  survey.differences = actuators::differences(survey.board, options.root);
  survey.document["this_machine"] = survey.differences.empty();
  for (const Error& cap : actuators::caps(survey.board, options.root)) survey.differences.push_back(cap);
  survey.document["missing"] = json::array();
  for (const auto& [names, error] : survey.missing) {
    survey.document["missing"].push_back({{"what", names}, {"kind", name_of(error.kind())}, {"error", error.line()}});
  }
  if (options.check) survey.document["differences"] = lines_of(survey.differences);
  if (options.json.wanted()) REINS_TRY(options.json.write(survey.document.dump(2) + "\n"));
  if (!options.json.to_stdout()) print(survey, options);
  if (!options.write.empty()) REINS_TRY(write_board(options));
  return options.check && !(survey.missing.empty() && survey.differences.empty()) ? kFailed : kOk;
}

}  // namespace

void register_board(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BoardOptions>();
  CLI::App* command =
      app.add_subcommand("board", "what a board offers, what is writable here, what is missing and how to get it");
  add_board_option(*command, options->board);
  command->add_flag("--check", options->check, "exit 1 where something is missing or differs from the board file");
  command->add_flag("--all", options->all, "show long lists whole");
  command->add_option("--write", options->write, "make a board file from what was found on this machine")
      ->type_name("FILE");
  command->add_flag("--overwrite", options->overwrite, "with --write: also over a file that says something else");
  command->add_option("--root", options->root, "a tree laid out like /, instead of this machine")
      ->capture_default_str()
      ->type_name("DIR");
  add_json_option(*command, options->json);
  command->footer("Examples:\n  reins board --board odroid-xu3 --check\n  reins board --write mine.toml");
  register_board_fit(*command, exit_code);
  command->callback([options, command, &exit_code] {
    if (!command->get_subcommands().empty()) return;
    const Result<int> done = board(*options);
    exit_code = done ? *done : report(done.error());
  });
}

}  // namespace reins::apps
