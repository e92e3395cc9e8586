#include "apps/wiring.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/file.hpp"
#include "inference/network_file.hpp"
#include "sensors/host.hpp"

namespace reins::apps {

namespace fs = std::filesystem;

int report(const Error& error) {
  std::string line = error.line();
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::fprintf(stderr, "reins: %s\n", line.c_str());
  return exit_code_of(error.kind());
}

void warn(std::string_view line) {
  std::fprintf(stderr, "reins: warning: %.*s\n", static_cast<int>(line.size()), line.data());
}

void register_absent(CLI::App& parent, int& exit_code, const std::string& name, const Absent& absent) {
  CLI::App* command = parent.add_subcommand(name, "(not in this build: it has no " + absent.library + ")");
  command->prefix_command();
  const std::string where = (parent.get_parent() == nullptr ? "reins " : "reins " + parent.get_name() + " ") + name;
  command->callback([&exit_code, where, absent] {
    exit_code = report(Error(ErrorKind::kUnsupported, "this build has no " + absent.part, where,
                             "build with -D" + absent.option + "=ON and " + absent.library));
  });
}

CLI::Validator seed_range() { return CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000'000'000}); }

CLI::Validator within(double least, double most) {
  return CLI::Range(least, most) & CLI::Validator(
                                       [](std::string& text) {
                                         const bool number = !std::isnan(std::strtod(text.c_str(), nullptr));
                                         return number ? std::string() : text + " is no number";
                                       },
                                       "");
}

fs::path shared_folder(std::string_view what) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path installed = program.parent_path().parent_path() / "share" / "reins";
    if (fs::is_directory(installed, error)) return installed / what;
  }
  return fs::path(REINS_APPS_SOURCE_DIR) / what;
}

fs::path default_network() { return shared_folder("assets") / "networks" / "cifar10-group4" / "network.rnet"; }

fs::path default_controller(const std::string& board) {
  const fs::path shipped = shared_folder("assets") / "controllers";
  const fs::path own = shipped / (fs::path(board).stem().native() + ".toml");
  std::error_code error;
  return fs::exists(own, error) ? own : shipped / "default.toml";
}

Status check_root(const std::string& root) {
  std::error_code error;
  if (fs::is_directory(root, error)) return {};
  return fail(ErrorKind::kNotFound, "is no folder", root, "--root takes a tree laid out like /");
}

fs::path network_of(const std::string& option) { return option.empty() ? default_network() : fs::path(option); }

Result<boards::Board> open_board(const std::string& board, const fs::path& root) {
  if (board == "host") return sensors::discover_board(root, true);
  return boards::find_board(board, shared_folder("boards"));
}

Result<boards::Board> open_emulated_board(const std::string& name) {
  REINS_ASSIGN(boards::Board board, open_board(name));
  for (const boards::Cluster& cluster : board.clusters) {
    if (cluster.max_khz() > 0) continue;
    return fail(ErrorKind::kUsage, "cluster '" + cluster.name + "' has no frequency, so nothing of it can be emulated",
                "board " + board.name,
                "use the machine itself with --live; train and eval can draw its runs from a profile with --replay");
  }
  const auto draws = [](const boards::Cluster& cluster) {
    return cluster.power.core_w_per_mhz_v2 > 0 || cluster.power.leak_w > 0;
  };
  if (std::none_of(board.clusters.begin(), board.clusters.end(), draws)) {
    warn("board " + board.name +
         ": its file has no power for any cluster, so energy tells no choice from another; reins board fit puts it in");
  }
  return board;
}

Result<inference::NetworkFacts> read_facts(const fs::path& network) {
  REINS_ASSIGN(const inference::NetworkFile file, inference::NetworkFile::open(network));
  return file.network().facts;
}

Status check_output(const fs::path& file) {
  if (file == "-")
    return fail(ErrorKind::kUsage, "'-' names no file", "command line", "/dev/stdout is standard output, ./- a file");
  return file.empty() ? Status{} : check_writable(file);
}

Status check_output(const JsonOption& json) { return json.to_stdout() ? Status{} : check_output(fs::path(json.file)); }

void add_board_option(CLI::App& command, std::string& board, HostBoard host) {
  const bool offered = host == HostBoard::kOffered;
  command
      .add_option("--board", board,
                  offered ? "a board by name, the path of a board file, or 'host' for this machine"
                          : "a board by name, or the path of a board file")
      ->capture_default_str()
      ->type_name(offered ? "NAME|PATH|host" : "NAME|PATH");
}

void add_workbench_options(CLI::App& command, WorkbenchOptions& options, HostBoard host) {
  add_board_option(command, options.board, host);
  command.add_option("--network", options.network, "network file (default: the shipped CIFAR-10 network)")
      ->type_name("FILE");
  command.add_option("--answers", options.answers, "recorded answers (default: answers.rans beside the network)")
      ->type_name("FILE");
  command.add_option("--profile", options.profile, "profile CSV (default: taken on the emulated board)")
      ->type_name("FILE");
}

void add_replay_option(CLI::App& command, WorkbenchOptions& options) {
  command
      .add_option("--replay", options.replay,
                  "draw times and power from this profile CSV ('reins profile' on the board, or on 'host') instead of "
                  "the board's physics; no heat, no kernel governors")
      ->type_name("FILE")
      ->excludes("--profile");
}

Result<std::unique_ptr<evaluation::Workbench>> make_workbench(const WorkbenchOptions& options) {
  REINS_ASSIGN(boards::Board board,
               options.replay.empty() ? open_emulated_board(options.board) : open_board(options.board));
  return make_workbench(options, std::move(board));
}

Result<std::unique_ptr<evaluation::Workbench>> make_workbench(const WorkbenchOptions& options, boards::Board board) {
  const fs::path network = network_of(options.network);
  REINS_ASSIGN(inference::NetworkFacts facts, read_facts(network));
  std::optional<inference::Answers> answers;
  const fs::path beside = network.parent_path() / "answers.rans";
  std::error_code error;
  if (!options.answers.empty() || fs::exists(beside, error)) {
    const fs::path path = options.answers.empty() ? beside : fs::path(options.answers);
    REINS_ASSIGN(answers, inference::Answers::read(path));
    if (answers->network_fingerprint() != facts.fingerprint) {
      return fail(ErrorKind::kMismatch, "the answers were recorded with another network", path.native(),
                  "record them again, or name those of this network with --answers");
    }
  }
  std::optional<fs::path> profile;
  if (!options.profile.empty()) profile = options.profile;
  if (!options.replay.empty()) profile = options.replay;
  return evaluation::Workbench::make(std::move(board), std::move(facts), std::move(answers), profile,
                                     !options.replay.empty());
}

Status JsonOption::write(const std::string& text) const {
  if (!wanted()) return {};
  if (!to_stdout()) return write_file_atomic(file, text);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

void add_json_option(CLI::App& command, JsonOption& json) {
  json.option =
      command
          .add_option("--json", json.file,
                      "write JSON to FILE, or (without one, or with -) to standard output in place of the text")
          ->expected(0, 1)
          ->type_name("[FILE]");
}

namespace {

/// The first word that was none of the commands where one was wanted; empty where that is not what is wrong.
std::string unknown_command(const CLI::App& at) {
  const auto known = at.get_subcommands([](const CLI::App*) { return true; });
  const std::vector<std::string> words = at.remaining();
  if (known.empty() || words.empty() || words.front().starts_with("-")) return {};
  std::string line = "'" + words.front() + "' is no command; known:";
  for (const CLI::App* command : known) line += (command == known.front() ? " " : ", ") + command->get_name();
  return line;
}

}  // namespace

int run(CLI::App& app, int argc, char** argv, const int& exit_code) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // help and version
  } catch (const CLI::ParseError& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::string command = app.get_name();
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      command += " " + at->get_name();
    }
    if (at->get_require_subcommand_min() > 0 && at->get_subcommands().empty() && at->remaining().empty()) {
      std::fputs(app.help().c_str(), stderr);
      return kBadInput;
    }
    if (const std::string unknown = unknown_command(*at); !unknown.empty()) {
      line = unknown;
    } else if (const std::vector<std::string> words = at->remaining(true); !words.empty()) {
      // CLI11 lists them all, the last one first.
      const bool option = words.front().starts_with("-");
      line = "'" + words.front() + "' is " + (option ? "no option of '" : "not expected by '") + command + "'";
    }
    std::fprintf(stderr, "%s: %s; see '%s --help'\n", app.get_name().c_str(), line.c_str(), command.c_str());
    return kBadInput;
  }
  return exit_code;
}

}  // namespace reins::apps
