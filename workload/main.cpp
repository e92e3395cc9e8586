// workload/main.cpp: reins-workload, the external load generator: arguments, wiring and printing.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "core/exit_code.hpp"
#include "data/image_set.hpp"
#include "data/trace.hpp"
#include "protocol/curve_keys.hpp"
#include "workload/load.hpp"
#include "workload/replay.hpp"
#include "workload/summary.hpp"

namespace {

using namespace reins;

std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");
extern "C" void on_signal(int /*signal*/) { stop_asked.store(true); }

struct Arguments {
  std::string connect = "tcp://127.0.0.1:5555";
  std::string trace, generate = "bursty", data, dataset, server_key, client_key;
  workload::LoadConfig load;
  workload::ReplayOptions replay;
  std::uint64_t data_seed = 1;
  bool json = false, quiet = false;
};

int report(const Error& error) {
  std::fprintf(stderr, "reins-workload: %s\n", error.line().c_str());
  return exit_code_of(error.kind());
}

void declare(CLI::App& app, Arguments& a) {
  app.description("Offers inference requests to a reins server, open loop, and prints what came of them.");
  app.footer(
      "Example:\n  reins-workload --generate bursty --rate 8 --duration 20 --targets 0.1,0.3 --dataset synthetic\n\n"
      "A request goes out when it is due, whatever became of the last one; latency runs from when it was due.\n"
      "Exit code: 0 done, 1 failed (no server there, or it was lost on the way), 2 bad usage or input.");
  app.add_option("--connect", a.connect, "the server: tcp://HOST:PORT or ipc://PATH")->capture_default_str();
  auto* trace = app.add_option("--trace", a.trace, "replay this CSV file (time_s, app, latency_target_s, ...)");
  auto* generate = app.add_option("--generate", a.generate, "make a trace: bursty, poisson, periodic or batched")
                       ->capture_default_str();
  generate->excludes(trace);
  app.add_option("--rate", a.load.rate_hz, "mean requests a second")->capture_default_str()->excludes(trace);
  app.add_option("--duration", a.load.duration_s, "seconds")->capture_default_str()->excludes(trace);
  app.add_option("--targets", a.load.targets_s, "latency targets in seconds; several change at random")
      ->delimiter(',')
      ->excludes(trace);
  app.add_option("--floors", a.load.floors, "accuracy floors, 0 to 1; several change at random")
      ->delimiter(',')
      ->excludes(trace);
  app.add_option("--segment", a.load.segment_s, "mean seconds between such changes")
      ->capture_default_str()
      ->excludes(trace);
  const CLI::Range seeds(std::int64_t{0}, std::int64_t{1'000'000'000'000'000});  // a minus would wrap around
  app.add_option("--seed", a.load.seed, "of the trace and of the order of images")->check(seeds)->capture_default_str();
  auto* data = app.add_option("--data", a.data, "folder with CIFAR-10's binary files; its test images are sent");
  app.add_option("--dataset", a.dataset, "cifar10 or synthetic (default: synthetic, with --data cifar10)");
  app.add_option("--data-seed", a.data_seed, "of the synthetic images")
      ->check(seeds)
      ->capture_default_str()
      ->excludes(data);
  const CLI::Validator not_nan(  // which no range refuses: it is neither below nor above
      [](std::string& text) {
        return std::isnan(std::strtod(text.c_str(), nullptr)) ? text + " is no number" : std::string();
      },
      "");
  app.add_option("--timeout", a.replay.answer_timeout_s, "seconds to wait for missing answers at the end")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 3600.0) & not_nan);
  app.add_option("--connect-timeout", a.replay.connect_timeout_s, "seconds to wait for the server's first answer")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 3600.0) & not_nan);
  auto* server_key = app.add_option("--server-key", a.server_key, "file with the server's public CURVE key");
  auto* client_key = app.add_option("--client-key", a.client_key, "file with this client's secret CURVE key");
  server_key->needs(client_key);
  client_key->needs(server_key);
  app.add_flag("--json", a.json, "print one JSON object instead of text");
  app.add_flag("--quiet", a.quiet, "no progress bar");
}

void show_progress(const workload::Progress& p) {
  constexpr int kWidth = 30;
  const int done = p.total_s > 0 ? static_cast<int>(kWidth * p.elapsed_s / p.total_s) : kWidth;
  std::fprintf(stderr, "\r[%.*s%*s] %5.1f / %.1f s, %zu sent, %zu answered ", done, "##############################",
               kWidth - done, "", p.elapsed_s, p.total_s, p.sent, p.answered);
}

Result<data::Trace> trace_of(const Arguments& a) {
  if (!a.trace.empty()) return data::read_trace(a.trace);
  workload::LoadConfig load = a.load;
  const auto arrivals = data::arrivals_named(a.generate);
  if (!arrivals) {
    return fail(ErrorKind::kUsage, "'" + a.generate + "' is no way to arrive", "--generate",
                "bursty, poisson, periodic or batched");
  }
  load.arrivals = *arrivals;
  return workload::make_load(load);
}

Result<data::ImageSet> images_of(const Arguments& a) {
  const std::string dataset = !a.dataset.empty() ? a.dataset : a.data.empty() ? "synthetic" : "cifar10";
  return data::load_images(dataset, a.data, data::Split::kTest, a.data_seed);
}

Result<workload::ServerAddress> address_of(const Arguments& a) {
  workload::ServerAddress address;
  address.endpoint = a.connect;
  if (!a.server_key.empty()) {
    REINS_ASSIGN(const std::vector<std::string> keys, protocol::read_curve_public_keys(a.server_key));
    REINS_ASSIGN(address.own_keys, protocol::read_curve_secret(a.client_key));
    address.server_key = keys.front();
  }
  return address;
}

int run(Arguments& a) {
  const auto trace = trace_of(a);
  if (!trace) return report(trace.error());
  const auto images = images_of(a);
  if (!images) return report(images.error());
  auto address = address_of(a);
  if (!address) return report(address.error());
  a.replay.server = std::move(*address);
  a.replay.seed = a.load.seed;

  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  const bool bar = !a.quiet && ::isatty(STDERR_FILENO) == 1;
  std::function<void(const workload::Progress&)> progress;
  if (bar) progress = show_progress;
  const auto result = workload::replay(*trace, *images, a.replay, progress, [] { return stop_asked.load(); });
  if (bar) std::fprintf(stderr, "\r\033[K");
  if (!result) {
    // What the server sends is no argument of the user's: garbled replies are a failure, not a usage error.
    if (result.error().kind() == ErrorKind::kUsage) return report(result.error());
    report(result.error());
    return kFailed;
  }
  const workload::Summary summary = workload::summarise(*result);
  const std::string text = a.json ? workload::json_of(summary) + "\n" : workload::text_of(summary);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (summary.server_lost) {
    std::fprintf(stderr, "reins-workload: %s: the server did not answer any more at the end; look at its log\n",
                 a.connect.c_str());
    return kFailed;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app;
  app.name("reins-workload");
  app.set_version_flag("--version", "reins-workload " REINS_VERSION);
  Arguments arguments;
  declare(app, arguments);
  try {
    app.parse(argc, argv);
    return run(arguments);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "reins-workload: %s; see reins-workload --help\n", error.what());
    return kBadInput;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reins-workload: %s\n", error.what());
    return kFailed;
  }
}
