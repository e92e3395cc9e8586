#include "apps/serve_command.hpp"

#include <pthread.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/live.hpp"
#include "apps/scheduling.hpp"
#include "apps/wiring.hpp"
#include "control/control_loop.hpp"
#include "control/settings.hpp"
#include "core/clock.hpp"
#include "env/emulated_plant.hpp"
#include "inference/engines.hpp"
#include "policies/baselines.hpp"
#include "policies/policy_file.hpp"
#include "protocol/curve_keys.hpp"
#include "serving/server.hpp"

namespace reins::apps {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kParetoMargin = 0.1;

struct ServeOptions {
  WorkbenchOptions workbench;
  std::string policy;
  bool allow_board = false, allow_network = false;
  LiveOptions live;
  SchedulingOptions scheduling;
  std::string endpoint = "tcp://127.0.0.1:5555";
  std::string telemetry = "tcp://127.0.0.1:5556";
  double telemetry_hz = 10;
  bool grow = false;
  std::size_t queue = 0;  // 0: what the policy was trained with
  double drain_s = 1;
  policies::Goals goals;
  std::string server_key, client_keys, make_keys;
  std::uint64_t seed = 1;
  std::string log_level = "info";
  JsonOption json;
};

/// SIGINT, SIGTERM and SIGHUP as something to poll. Made before any thread, so that all of them leave these signals
/// alone.
class StopSignals {
 public:
  StopSignals() {
    ::sigemptyset(&mask_);
    ::sigaddset(&mask_, SIGINT);
    ::sigaddset(&mask_, SIGTERM);
    ::sigaddset(&mask_, SIGHUP);
    ::pthread_sigmask(SIG_BLOCK, &mask_, &before_);
    fd_ = ::signalfd(-1, &mask_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~StopSignals() {
    // What is pending has been obeyed; handed out now it would kill the program on its last line.
    signalfd_siginfo seen{};
    while (fd_ >= 0 && ::read(fd_, &seen, sizeof seen) > 0) continue;
    if (fd_ >= 0) ::close(fd_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  int fd() const noexcept { return fd_; }

 private:
  sigset_t mask_{}, before_{};
  int fd_ = -1;
};

struct ChosenPolicy {
  std::unique_ptr<policies::Policy> policy;
  control::RuntimeConfig config;
};

Result<ChosenPolicy> choose_policy(const ServeOptions& options, const evaluation::Workbench& bench) {
  ChosenPolicy chosen;
  if (options.policy == "pareto") {
    chosen.policy = std::make_unique<policies::ParetoPolicy>(bench.space(), bench.profile(), kParetoMargin);
  } else {
    const control::ObservationBuilder builder(bench.board(), bench.space(), bench.profile());
    const policies::PolicyUse use{bench.space(), builder.spec(), bench.network().fingerprint, options.allow_board,
                                  options.allow_network};
    REINS_ASSIGN(policies::LoadedPolicy loaded,
                 policies::load_policy(options.policy, use, fs::path(options.policy).stem().native()));
    if (!loaded.warning.empty()) warn(loaded.warning);
    // A policy runs under the settings it was trained with.
    REINS_ASSIGN(chosen.config, control::runtime_from_settings(loaded.file.settings, options.policy));
    chosen.policy = std::make_unique<policies::FrozenPolicy>(std::move(loaded.policy));
  }
  if (options.queue > 0) chosen.config.queue_limit = options.queue;
  if (options.grow) chosen.config.grow = true;
  return chosen;
}

Result<std::optional<serving::CurveAccess>> curve_of(const ServeOptions& options) {
  if (options.server_key.empty()) return std::optional<serving::CurveAccess>();
  serving::CurveAccess access;
  REINS_ASSIGN(access.server, protocol::read_curve_secret(options.server_key));
  REINS_ASSIGN(access.allowed_clients, protocol::read_curve_public_keys(options.client_keys));
  return std::optional(std::move(access));
}

json summary_of(const control::DriverMetrics& m, std::string_view policy) {
  const auto or_null = [](const std::optional<double>& value) { return value ? json(*value) : json(); };
  const bool claims = !m.energy_source.empty() && m.energy_source != "none";
  const auto served = [&](double x) { return m.served > 0 ? json(x) : json(); };
  return {{"board", m.board},
          {"emulated", m.emulated},
          {"policy", policy},
          {"uptime_s", m.uptime_s},
          {"offered", m.offered},
          {"served", m.served},
          {"missed", m.missed},
          {"rejected", m.rejected},
          {"decisions", m.decisions},
          {"switches", m.switches},
          {"switches_per_s", m.uptime_s > 0 ? static_cast<double>(m.switches) / m.uptime_s : 0.0},
          {"shield_interventions", m.shield_interventions},
          {"grown", m.grown},
          {"latency_s", {{"p50", served(m.p50_s)}, {"p95", served(m.p95_s)}, {"p99", served(m.p99_s)}}},
          {"mean_accuracy", served(m.mean_accuracy)},
          {"energy_j", claims ? or_null(m.energy_j) : json()},
          {"energy_ci_j", claims ? or_null(m.energy_ci_j) : json()},
          {"sensor_failures", m.sensor_failures},
          {"foreign_changes", m.foreign_changes},
          {"adjusted_settings", m.adjusted_settings},
          {"energy_source", claims ? m.energy_source : "none"}};
}

void print_summary(const control::DriverMetrics& m) {
  const char* emulated = m.emulated ? ", emulated" : "";
  std::printf("served    %llu of %llu requests in %.1f s, %llu missed, %llu rejected\n",
              static_cast<unsigned long long>(m.served), static_cast<unsigned long long>(m.offered), m.uptime_s,
              static_cast<unsigned long long>(m.missed), static_cast<unsigned long long>(m.rejected));
  if (m.served > 0) {
    std::printf("latency   p50 %.3f ms, p95 %.3f ms, p99 %.3f ms%s\n", m.p50_s * 1e3, m.p95_s * 1e3, m.p99_s * 1e3,
                emulated);
  }
  std::printf("decisions %llu, switches %llu (%.3g per second), shield interventions %llu, grown %llu\n",
              static_cast<unsigned long long>(m.decisions), static_cast<unsigned long long>(m.switches),
              m.uptime_s > 0 ? static_cast<double>(m.switches) / m.uptime_s : 0.0,
              static_cast<unsigned long long>(m.shield_interventions), static_cast<unsigned long long>(m.grown));
  if (m.energy_j && m.energy_source != "none") {
    std::printf("energy    %.4g J", *m.energy_j);
    if (m.energy_ci_j) std::printf(" +- %.2g", *m.energy_ci_j);
    std::printf(", %s%s, idle included\n", m.energy_source.c_str(), emulated);
  } else {
    std::printf("energy    no energy claim\n");
  }
  if (m.sensor_failures + m.foreign_changes + m.adjusted_settings > 0) {
    std::printf(
        "amiss     %llu sensor failures, %llu changes by other programs, %llu settings rounded, capped or left\n",
        static_cast<unsigned long long>(m.sensor_failures), static_cast<unsigned long long>(m.foreign_changes),
        static_cast<unsigned long long>(m.adjusted_settings));
  }
}

Status serve(const ServeOptions& options) {
  if (!options.make_keys.empty()) {
    REINS_ASSIGN(const protocol::CurveKeyPair keys, protocol::make_curve_keys());
    REINS_TRY(protocol::write_curve_keys(keys, options.make_keys));
    std::printf("wrote %s.secret (keep it) and %s.public (give it out)\n", options.make_keys.c_str(),
                options.make_keys.c_str());
    return {};
  }
  REINS_TRY(check_output(options.json));
  if (options.policy.empty()) return fail(ErrorKind::kUsage, "is needed", "--policy", "a policy file, or 'pareto'");
  const bool live = options.live.on(options.workbench.board);
  if (live && options.workbench.profile.empty()) {
    return fail(ErrorKind::kUsage, "is needed to serve on this machine itself", "--profile",
                "take one with 'reins profile'");
  }
  REINS_TRY(check_scheduling(options.scheduling));
  if (!live && !options.scheduling.sampler_cpus.empty()) {
    return fail(ErrorKind::kUsage, "an emulated board has no sampling thread", "--sampler-cpus", "give it with --live");
  }
  REINS_TRY(lock_memory(options.scheduling));
  const StopSignals stop;
  if (stop.fd() < 0) return fail(from_errno(errno, "cannot wait for signals", "signalfd"));
  REINS_ASSIGN(const auto curve, curve_of(options));
  REINS_ASSIGN(const std::unique_ptr<inference::Engine> engine,
               inference::open_engine(network_of(options.workbench.network)));
  control::LiveBoard bound;
  if (live) {
    REINS_ASSIGN(bound, open_live_board(options.workbench.board, *engine, options.live));
  } else {
    REINS_ASSIGN(bound.board, open_emulated_board(options.workbench.board));
  }
  REINS_ASSIGN(const auto bench, make_workbench(options.workbench, bound.board));
  REINS_ASSIGN(ChosenPolicy chosen, choose_policy(options, *bench));

  const MonotonicClock clock;
  env::EmulatedBoard emulated(bench->board(), bench->network().levels);
  std::unique_ptr<control::Plant> plant;
  if (live) {
    LiveOptions live_options = options.live;
    live_options.on_sampler = [&options] { return schedule_thread(options.scheduling, Role::kSampler, true); };
    REINS_ASSIGN(plant, make_live_plant(bound, bench->board(), *engine, clock, live_options));
  } else {
    env::BoardConditions conditions;
    conditions.seed = options.seed;
    plant = std::make_unique<env::EmulatedPlant>(emulated, engine.get(), clock, conditions);
  }
  control::LoopSetup setup;
  setup.board = &bench->board();
  setup.space = &bench->space();
  setup.profile = &bench->profile();
  setup.network = &bench->network();
  setup.policy = chosen.policy.get();
  setup.plant = plant.get();
  setup.on_thread = [&options] { return schedule_thread(options.scheduling, Role::kServer, false); };
  control::ControlLoop loop(setup, chosen.config, options.goals);
  REINS_TRY(loop.start());
  // ZeroMQ's own threads are made by this one, and like it.
  REINS_TRY(schedule_thread(options.scheduling, Role::kServer, true));

  serving::ServerOptions server_options;
  server_options.endpoint = options.endpoint;
  server_options.telemetry_endpoint = options.telemetry == "none" ? "" : options.telemetry;
  server_options.telemetry_hz = options.telemetry_hz;
  server_options.queue_limit = chosen.config.queue_limit;
  server_options.drain_s = options.drain_s;
  server_options.curve = curve;
  server_options.network = bench->network();
  server_options.policy = std::string(chosen.policy->name());
  server_options.unreachable = [&profile = bench->profile()](const policies::Goals& goals) {
    return profile.unreachable(goals);
  };
  server_options.log =
      std::make_shared<spdlog::logger>("reins", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  server_options.log->set_level(spdlog::level::from_str(options.log_level));
  REINS_ASSIGN(const auto server, serving::Server::open(server_options, loop));
  if (!options.json.to_stdout()) {
    std::printf("serving %s on %s%s under %s at %s\n", bench->network().name.c_str(), bench->board().name.c_str(),
                live ? "" : " (emulated, paced to wall time; classes are really computed here)",
                server_options.policy.c_str(), server->endpoint().c_str());
    if (!options.goals.latency_s) {
      std::printf(
          "no latency goal yet: until a client sets one, or a request brings a deadline, only energy counts, and the "
          "load is kept up with at the price of waiting\n");
    }
    std::fflush(stdout);
  }
  if (const std::string line = bench->profile().unreachable(options.goals); !line.empty()) warn(line);
  const Status served = server->run(stop.fd());
  const Status stopped = loop.stop();
  const control::DriverMetrics metrics = server->metrics();
  if (options.json.wanted()) {
    REINS_TRY(options.json.write(summary_of(metrics, server_options.policy).dump(2) + "\n"));
  }
  if (!options.json.to_stdout()) print_summary(metrics);
  REINS_TRY(served);
  return stopped;
}

}  // namespace

void register_serve(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "inference server under a policy, over ZeroMQ");
  add_workbench_options(*command, options->workbench);
  command->add_option("--policy", options->policy, "policy file, or 'pareto' for the look-up of the profiled table")
      ->type_name("FILE|pareto");
  command->add_flag(
      "--allow-board", options->allow_board,
      "bind a policy of a sister board by its slots: one whose mappings and clusters have the same names");
  command->add_flag("--allow-network", options->allow_network,
                    "take a policy that was trained with another network of as many levels");
  add_live_options(*command, options->live, "serve");
  add_scheduling_options(*command, options->scheduling);
  command->add_option("--endpoint", options->endpoint, "where to listen: tcp://HOST:PORT or ipc://PATH")
      ->capture_default_str();
  command->add_option("--telemetry", options->telemetry, "where to publish telemetry; 'none': nowhere")
      ->capture_default_str();
  command->add_option("--telemetry-hz", options->telemetry_hz, "messages a second")
      ->check(within(0.1, 1000.0))
      ->capture_default_str();
  command
      ->add_option(
          "--queue", options->queue,
          "requests that may wait behind the one in service; beyond it: overloaded (default: what the policy was "
          "trained with)")
      ->check(CLI::Range(1, 256));
  command->add_flag("--grow", options->grow,
                    "an answer that is there early goes on to the next level while that fits the request's deadline");
  command->add_option("--drain", options->drain_s, "seconds to finish what is under way when stopped")
      ->check(within(0.0, 60.0))
      ->capture_default_str();
  command->add_option("--latency", options->goals.latency_s, "goal at the start: arrival to reply, seconds")
      ->check(within(1e-6, 3600.0));
  command->add_option("--energy", options->goals.energy_j, "goal at the start: joules per request")
      ->check(within(1e-9, 1e6));
  command->add_option("--power", options->goals.power_w, "goal at the start: watts over a second")
      ->check(within(1e-3, 1e5));
  command->add_option("--accuracy", options->goals.accuracy_floor, "goal at the start: accuracy floor, 0 to 1")
      ->check(within(0.0, 1.0));
  auto* server_key =
      command->add_option("--server-key", options->server_key, "file with this server's secret CURVE key")
          ->type_name("FILE");
  auto* client_keys = command
                          ->add_option("--client-keys", options->client_keys,
                                       "file with the public CURVE keys of the clients that may connect, one a line")
                          ->type_name("FILE");
  server_key->needs(client_keys);
  client_keys->needs(server_key);
  command->add_option("--make-keys", options->make_keys, "only write PREFIX.secret and PREFIX.public")
      ->type_name("PREFIX");
  command->add_option("--seed", options->seed, "noise of the emulated board")
      ->check(seed_range())
      ->capture_default_str();
  command->add_option("--log-level", options->log_level, "debug, info, warning, error or off")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  add_json_option(*command, options->json);
  command->footer(
      "Example:\n  reins serve --board odroid-xu3 --policy policy.policy\nWithout --live the board is emulated, paced "
      "to "
      "wall time. Stop it with Ctrl-C or SIGTERM; it prints "
      "its "
      "totals and puts the board back.\nClients change goals with the op 'goal' (latency_s, energy_j, power_w, "
      "accuracy); "
      "what is minimised under them is energy, and another 'objective' is refused.");
  command->callback([options, &exit_code] {
    const Status status = serve(*options);
    exit_code = kOk;
    if (!status.has_value()) {
      exit_code = report(status.error());
      // A port in use is the user's to change, as any other argument.
      if (status.error().kind() == ErrorKind::kBusy) exit_code = kBadInput;
    }
  });
}

}  // namespace reins::apps
