// apps/wiring.hpp: what the subcommands share: where boards and networks lie, the common options, errors and exit
// codes.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "core/exit_code.hpp"
#include "core/result.hpp"
#include "evaluation/workbench.hpp"

namespace reins::apps {

/// Prints "reins: <one line>" to standard error and gives the exit code.
int report(const Error& error);
void warn(std::string_view line);

/// CLI::Range for numbers that have a fraction: NaN, which that one lets through because it is neither below nor above,
/// is no number here.
CLI::Validator within(double least, double most);

/// For seeds of either sign's type: a minus would wrap around.
CLI::Validator seed_range();

/// What a build may lack, the option that builds it, and the library that this takes.
struct Absent {
  std::string part, option, library;
};
inline const Absent kNoTraining{"training", "REINS_TRAINING", "libtorch"};
inline const Absent kNoServing{"server", "REINS_SERVING", "ZeroMQ"};
/// In place of a command that this build lacks: whatever is asked of it, it says what to build.
void register_absent(CLI::App& parent, int& exit_code, const std::string& name, const Absent& absent);

/// `boards`, `assets`, ...: in <folder of the program>/../share/reins where that exists (installed), else in the source
/// tree, at which an installed program never looks.
std::filesystem::path shared_folder(std::string_view what);
/// The shipped network, trained on CIFAR-10.
std::filesystem::path default_network();
/// The controller's configuration that is shipped for this board, else the one for all.
std::filesystem::path default_controller(const std::string& board);

/// A name, a path, or "host", which is looked at below `root`. Errors: those of boards::find_board and discover_host.
Result<boards::Board> open_board(const std::string& board, const std::filesystem::path& root = "/");
/// The same for a board whose physics is to be computed. Errors: also usage, for a machine without DVFS.
Result<boards::Board> open_emulated_board(const std::string& name);
/// A --root that is there. Errors: not_found.
Status check_root(const std::string& root);
/// The facts of a network file. Errors: those of NetworkFile::open.
Result<inference::NetworkFacts> read_facts(const std::filesystem::path& network);

/// check_writable() of a file that is to be written at the end of long work; an empty path is fine.
Status check_output(const std::filesystem::path& file);

/// A board with a network on it. Empty paths: the shipped network; the answers beside it; a profile taken on the
/// emulated board.
struct WorkbenchOptions {
  std::string board = "odroid-xu3";
  std::string network, answers, profile;
  std::string replay;  ///< a profile whose runs are drawn again; empty: physics, or this machine
};
/// Whether the command takes "host" for a board, so that its help says so.
enum class HostBoard : std::uint8_t { kOffered, kRefused };
void add_board_option(CLI::App& command, std::string& board, HostBoard host = HostBoard::kOffered);
void add_workbench_options(CLI::App& command, WorkbenchOptions& options, HostBoard host = HostBoard::kOffered);
/// --replay, for the commands that run a workbench in virtual time.
void add_replay_option(CLI::App& command, WorkbenchOptions& options);
Result<std::unique_ptr<evaluation::Workbench>> make_workbench(const WorkbenchOptions& options);
/// The same with a board that is open already; `options.board` is not looked at.
Result<std::unique_ptr<evaluation::Workbench>> make_workbench(const WorkbenchOptions& options, boards::Board board);
/// --network, else the shipped one.
std::filesystem::path network_of(const std::string& option);

/// `--json [FILE]`: to the file, or to standard output without one or with "-".
struct JsonOption {
  CLI::Option* option = nullptr;
  std::string file;
  bool wanted() const { return option != nullptr && option->count() > 0; }
  bool to_stdout() const { return wanted() && (file.empty() || file == "-"); }
  /// Writes where it was asked to.
  Status write(const std::string& text) const;
};
void add_json_option(CLI::App& command, JsonOption& json);
/// As for the file that it names, if any.
Status check_output(const JsonOption& json);

/// Parses and runs; prints errors of the command line as one line, and the help where a command is wanted and nothing
/// was written. The exit code.
int run(CLI::App& app, int argc, char** argv, const int& exit_code);

}  // namespace reins::apps
