#include "apps/eval_command.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <thread>

#include "apps/progress.hpp"
#include "apps/wiring.hpp"
#include "control/observation_builder.hpp"
#include "control/settings.hpp"
#include "core/csv.hpp"
#include "core/file.hpp"
#include "evaluation/json.hpp"
#include "evaluation/report.hpp"
#include "evaluation/table_report.hpp"
#include "policies/policy_file.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;

constexpr double kHopeless = 0.5;  // of the requests: what misses them is no reference for savings

struct EvalOptions {
  WorkbenchOptions workbench;
  std::vector<std::string> policies;
  bool allow_board = false, allow_network = false;
  bool no_shield = false, grow = false;
  std::string grid = "headline";
  std::vector<double> loads;
  std::vector<std::string> arrivals, targets, floors;
  double requests = 0;
  std::size_t traces = 0;
  std::uint64_t seed = 1000;
  unsigned threads = 0;
  std::string camera;
  std::vector<std::string> trace_files;
  JsonOption json;
  std::string report;
  bool all_rows = false;
};

Result<evaluation::GridConfig> grid_of(const EvalOptions& options) {
  evaluation::GridConfig grid;
  if (options.grid == "quick") {
    grid.loads = {0.1, 0.3, 0.6};
    grid.arrivals = {"poisson"};
    grid.requests = 150;
    grid.traces = 1;
  } else if (options.grid == "full") {
    grid.targets = {"1.1", "1.5", "2.5", "5", "changing"};
    grid.floors = {"drawn", "changing", "top"};
  }
  if (!options.loads.empty()) grid.loads = options.loads;
  if (!options.arrivals.empty()) grid.arrivals = options.arrivals;
  if (!options.targets.empty()) grid.targets = options.targets;
  if (!options.floors.empty()) grid.floors = options.floors;
  if (options.requests > 0) grid.requests = options.requests;
  if (options.traces > 0) grid.traces = options.traces;
  grid.seed = options.seed;
  if (!options.camera.empty()) {
    std::error_code error;
    for (fs::directory_iterator it(options.camera, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".csv") grid.camera_files.push_back(it->path());
    }
    if (error)
      return fail(from_errno(error.value(), "cannot list the camera scenarios", options.camera,
                             "name a folder of CSV files that is there"));
    if (grid.camera_files.empty()) {
      return fail(ErrorKind::kNotFound, "no .csv file of camera arrivals in this folder", options.camera);
    }
    std::sort(grid.camera_files.begin(), grid.camera_files.end());
  }
  return grid;
}

std::string grid_in_words(const evaluation::GridConfig& grid, std::size_t cells) {
  std::string text = std::to_string(cells) + " cells; " + std::to_string(grid.traces) + " held-out trace" +
                     (grid.traces == 1 ? "" : "s") + " a cell of about " + format_number(grid.requests) +
                     " requests, seeds from " + std::to_string(grid.seed);
  if (!grid.camera_files.empty())
    text += "; camera: " + std::to_string(grid.camera_files.size()) + " recorded scenarios a cell";
  return text;
}

/// The user's own traces, one cell each.
Result<std::vector<evaluation::Cell>> own_cells(const EvalOptions& options, double full_latency_s) {
  std::vector<evaluation::Cell> cells;
  for (const std::string& file : options.trace_files) {
    REINS_ASSIGN(data::Trace trace, data::read_trace(file));
    if (trace.rows.empty()) return fail(ErrorKind::kGarbled, "the trace holds no request", file);
    evaluation::Cell cell;
    const double span_s = std::max(trace.end_s - trace.rows.front().time_s, 1e-9);
    // Three digits are what a table can show of it.
    cell.load = std::stod(evaluation::fixed(static_cast<double>(trace.rows.size()) * full_latency_s / span_s, 3));
    cell.arrivals = fs::path(file).stem().native();
    cell.targets = "own";
    cell.floors = "own";
    cell.seeds = {options.seed + cells.size() + 1};
    cell.traces.push_back(std::move(trace));
    cells.push_back(std::move(cell));
  }
  return cells;
}

struct Learned {
  std::vector<evaluation::Contender> contenders;
  std::vector<std::string> names, unshielded, growing;
};

/// A policy's name in tables: its file's stem; where several files share that (every run's best.policy), with the
/// folder before it; and numbered where even those are alike.
std::vector<std::string> names_for(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  for (const std::string& file : files) {
    const fs::path path = fs::path(file).lexically_normal();
    const auto shared = std::count_if(files.begin(), files.end(),
                                      [&](const std::string& other) { return fs::path(other).stem() == path.stem(); });
    const std::string folder = path.parent_path().filename().native();
    const std::string name = shared > 1 && !folder.empty() ? folder + "/" + path.stem().native() : path.stem().native();
    const auto taken = std::count_if(names.begin(), names.end(), [&](const std::string& other) {
      return other == name || other.starts_with(name + "#");
    });
    names.push_back(taken == 0 ? name : name + "#" + std::to_string(taken + 1));
  }
  return names;
}

/// What the shipped controller of this board is rewarded for: the baselines' reward, and that of policies which do not
/// say what theirs was.
Result<env::RewardConfig> default_reward(const std::string& board) {
  const fs::path file = default_controller(board);
  REINS_ASSIGN(const std::string text, read_file(file, std::size_t{1} << 20));
  return env::RewardConfig::of_controller(text, file.native());
}

Result<Learned> load_policies(const EvalOptions& options, const evaluation::Workbench& bench,
                              const env::RewardConfig& shared_reward) {
  Learned learned;
  const control::ObservationBuilder builder(bench.board(), bench.space(), bench.profile());
  const policies::PolicyUse use{bench.space(), builder.spec(), bench.network().fingerprint, options.allow_board,
                                options.allow_network};
  const std::vector<std::string> names = names_for(options.policies);
  for (std::size_t p = 0; p < names.size(); ++p) {
    const std::string& file = options.policies[p];
    const std::string& name = names[p];
    REINS_ASSIGN(const policies::LoadedPolicy loaded, policies::load_policy(file, use, name));
    if (!loaded.warning.empty()) warn(file + ": " + loaded.warning);
    auto make = [policy = loaded.policy](const env::Foresight&) {
      return std::make_unique<policies::FrozenPolicy>(policy);
    };
    // As `serve` runs it: under the settings it was trained with.
    REINS_ASSIGN(const control::RuntimeConfig runtime, control::runtime_from_settings(loaded.file.settings, file));
    env::RewardConfig reward = shared_reward;
    if (const std::string& config = loaded.file.training.config; !config.empty()) {
      REINS_ASSIGN(reward, env::RewardConfig::of_controller(config, file + ", its training configuration"));
    }
    if (!(reward == shared_reward)) {
      warn(file + ": was trained for another reward than the baselines are shown with; compare energy and misses");
    }
    learned.contenders.push_back({name, evaluation::RowKind::kLearned, true, make, runtime, reward});
    learned.names.push_back(name);
    if (options.no_shield) {
      learned.contenders.push_back({name + ", no shield", evaluation::RowKind::kLearned, false, make, runtime, reward});
      learned.unshielded.push_back(name + ", no shield");
    }
    if (options.grow) {
      control::RuntimeConfig growing = runtime;
      growing.grow = true;
      learned.contenders.push_back({name + ", grow", evaluation::RowKind::kLearned, true, make, growing, reward});
      learned.growing.push_back(name + ", grow");
    }
  }
  return learned;
}

evaluation::Evaluation describe(const EvalOptions& options, const evaluation::Workbench& bench, const Learned& learned,
                                const evaluation::CompareConfig& config) {
  evaluation::Evaluation evaluation;
  const boards::Board& board = bench.board();
  evaluation.board = board.name;
  evaluation.board_title = board.title;
  evaluation.board_notes = board.notes;
  evaluation.board_provisional = board.provisional;
  if (!options.workbench.replay.empty()) {
    evaluation.emulated = false;
    evaluation.replayed = options.workbench.replay;
    evaluation.left_out = "kernel governors (a table holds fixed operating points)";
    if (!bench.has_energy())
      evaluation.left_out += "; best static, floor rule, oracle (they weigh energy: it has none)";
  }
  for (const boards::Rail& rail : board.rails) {
    if (rail.accounting && bench.has_energy()) evaluation.accounting_rails.push_back(rail.name);
  }
  evaluation.network = bench.network().name;
  evaluation.dataset = bench.network().dataset;
  evaluation.full_latency_s = bench.full_latency_s();
  if (bench.answers().has_value()) {
    evaluation.answers = std::to_string(bench.answers()->images()) + " images of " + bench.answers()->dataset_title();
  }
  const env::BoardConditions conditions = evaluation::conditions_of(options.seed);
  evaluation.ambient_c = conditions.ambient_c;
  evaluation.start_c = conditions.start_c;
  evaluation.shield_ambient_c = board.thermal.ambient_c;
  evaluation.seed = options.seed;
  evaluation.best_static_miss = config.best_static_miss;
  evaluation.pareto_margin = config.pareto_margin;
  evaluation.version = REINS_VERSION;
  evaluation.learned = learned.names;
  evaluation.unshielded = learned.unshielded;
  evaluation.growing = learned.growing;
  return evaluation;
}

Status eval(const EvalOptions& options) {
  if (options.workbench.board == "host" && options.workbench.replay.empty()) {
    return fail(ErrorKind::kUsage,
                "policies are compared on emulated boards, and this machine's power and heat are not known",
                "--board host",
                "name a board file, or a profile of this machine with --replay; on this machine itself run 'reins "
                "serve' with a workload");
  }
  if (!options.report.empty() && options.report == options.json.file) {
    return fail(ErrorKind::kUsage, "--report and --json name the same file", options.report, "give one another name");
  }
  for (std::size_t i = 0; i < options.policies.size(); ++i) {
    if (std::find(options.policies.begin(), options.policies.begin() + static_cast<std::ptrdiff_t>(i),
                  options.policies[i]) != options.policies.begin() + static_cast<std::ptrdiff_t>(i)) {
      return fail(ErrorKind::kUsage, "given twice, as if it were two training seeds", options.policies[i],
                  "name each --policy once");
    }
  }
  REINS_TRY(check_output(options.report));
  REINS_TRY(check_output(options.json));
  REINS_ASSIGN(const auto bench, make_workbench(options.workbench));
  const env::World world = bench->world();
  evaluation::CompareConfig config;
  REINS_ASSIGN(config.reward, default_reward(options.workbench.board));
  REINS_ASSIGN(const Learned learned, load_policies(options, *bench, config.reward));
  std::vector<evaluation::Cell> cells;
  std::string words;
  if (options.trace_files.empty()) {
    REINS_ASSIGN(const evaluation::GridConfig grid, grid_of(options));
    REINS_ASSIGN(cells, evaluation::make_grid(grid, world, bench->full_latency_s()));
    words = grid_in_words(grid, cells.size());
  } else {
    REINS_ASSIGN(cells, own_cells(options, bench->full_latency_s()));
    words = "own: ";
    for (const std::string& file : options.trace_files) words += (words.ends_with(' ') ? "" : ", ") + file;
  }
  if (cells.empty())
    return fail(ErrorKind::kUsage, "this choice of loads, arrivals, targets and floors leaves no cell", "reins eval");

  config.threads = options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  evaluation::Evaluation evaluation = describe(options, *bench, learned, config);
  config.statics = bench->has_energy();
  evaluation.traces = words;
  const evaluation::Cell shown = cells[evaluation::showcase_cell(cells)];
  {
    Progress progress("eval");
    config.progress = [&](double fraction) { return progress.update(fraction); };
    REINS_ASSIGN(evaluation.cells, evaluation::compare(world, std::move(cells), learned.contenders, config));
  }
  if (!bench->has_energy()) {
    // Without energy an oracle's choices say nothing.
    for (evaluation::CellResult& cell : evaluation.cells)
      std::erase_if(cell.rows, [](const evaluation::Row& row) { return row.kind == evaluation::RowKind::kOracle; });
  }

  const std::string kernel = evaluation::kernel_row(evaluation.cells);
  for (const evaluation::SummaryRow& row : evaluation::summary_of(evaluation, false)) {
    const double miss_rate = row.at(evaluation::Metric::kMissRate).mean;
    if (row.name != kernel || miss_rate <= kHopeless) continue;
    warn(row.name + " misses " + std::to_string(std::lround(100 * miss_rate)) +
         " % of these requests (a load is a share of what the fastest mapping carries): what is saved against it says "
         "little, best static and the oracle say more");
  }

  if (!options.report.empty()) {
    const auto timelines =
        evaluation::timelines_for(world, learned.contenders, shown.traces.front(), shown.seeds.front(), config);
    const std::string title = "A held-out trace: load " + format_number(shown.load) + ", arrivals " + shown.arrivals +
                              ", targets " + shown.targets + ", floors " + shown.floors + ", " +
                              std::to_string(shown.traces.front().rows.size()) + " requests";
    REINS_TRY(write_file_atomic(options.report, evaluation::report_html(evaluation, timelines, title, world)));
  }
  if (options.json.wanted()) REINS_TRY(options.json.write(evaluation::evaluation_json(evaluation)));
  if (!options.json.to_stdout()) {
    std::fputs(evaluation::evaluation_text(evaluation, options.all_rows).c_str(), stdout);
    if (!options.report.empty()) std::printf("\nreport    %s\n", options.report.c_str());
  }
  return {};
}

}  // namespace

void register_eval(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "compare policies on the same traces: table, JSON and HTML report");
  add_workbench_options(*command, options->workbench, HostBoard::kRefused);
  add_replay_option(*command, options->workbench);
  command
      ->add_option("--policy", options->policies,
                   "policy file; several (of different training seeds) get mean and spread")
      ->type_name("FILE");
  command->add_flag(
      "--allow-board", options->allow_board,
      "bind a policy of a sister board by its slots: one whose mappings and clusters have the same names");
  command->add_flag("--allow-network", options->allow_network,
                    "take a policy that was trained with another network of as many levels");
  command->add_flag("--no-shield", options->no_shield, "a row more per policy: without the shield");
  command->add_flag("--grow", options->grow,
                    "a row more per policy: an answer that is there early goes on to the next level while that fits "
                    "its deadline");
  command
      ->add_option("--grid", options->grid, "headline: targets change; full: every target and floor; quick: a minute")
      ->check(CLI::IsMember({"headline", "full", "quick"}))
      ->capture_default_str();
  command
      ->add_option("--loads", options->loads, "share of the full network's capacity at the top frequency, e.g. 0.1,0.6")
      ->delimiter(',')
      ->check(within(0.001, 10.0));
  command->add_option("--arrivals", options->arrivals, "periodic, poisson, bursty, batched")
      ->delimiter(',')
      ->check(CLI::IsMember({"periodic", "poisson", "bursty", "batched"}));
  command
      ->add_option("--targets", options->targets, "latency targets, x fastest full network: 1.1,1.5,2.5,5 or changing")
      ->delimiter(',')
      ->check([](const std::string& text) -> std::string {
        const auto factor = parse_number(text, "--targets");
        if (text == "changing" || (factor.has_value() && *factor > 0)) return {};
        return "a target is a positive factor or 'changing', not '" + text + "'";
      });
  command->add_option("--floors", options->floors, "accuracy floors: changing, top, drawn (constant in a trace)")
      ->delimiter(',')
      ->check(CLI::IsMember({"changing", "top", "drawn"}));
  command->add_option("--traces", options->traces, "traces per cell (default 3; quick 1)")->check(CLI::Range(1, 1000));
  command->add_option("--requests", options->requests, "mean requests per trace (default 300; quick 150)")
      ->check(within(10.0, 1e6));
  command->add_option("--camera", options->camera, "folder of camera scenarios (CSV): adds the arrivals 'camera'")
      ->type_name("DIR");
  command->add_option("--trace", options->trace_files, "compare on a trace (CSV) of your own instead of the grid")
      ->type_name("FILE");
  command->add_option("--seed", options->seed, "the grid's traces, board noise and images")
      ->check(seed_range())
      ->capture_default_str();
  command->add_option("--threads", options->threads, "worker threads (default: all cores); does not change a figure")
      ->check(CLI::Range(1, 1024));
  command->add_option("--report", options->report, "write a self-contained HTML report with plots")
      ->type_name("FILE.html");
  add_json_option(*command, options->json);
  command->add_flag("--all-rows", options->all_rows, "print every governor on every placement");
  const env::BoardConditions air = evaluation::conditions_of(0);
  command->footer(
      "Example:\n  reins eval --policy seed1.policy --grid quick --report report.html\n\n"
      "Each policy runs under the runtime settings and is shown the reward that it was trained with;\n"
      "the other rows run under the defaults, without the shield but where a row says so.\n"
      "Every trace starts at " +
      format_number(air.start_c) + " °C in air of " + format_number(air.ambient_c) +
      " °C, whatever the board file's thermal.ambient_c: that one is what the shield predicts heat with.");
  command->callback([options, &exit_code] {
    const Status status = eval(*options);
    exit_code = status.has_value() ? kOk : report(status.error());
  });
}

}  // namespace reins::apps
