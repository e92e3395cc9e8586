// serving/server.hpp: the inference server: messages in, a driver behind it, replies and telemetry out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/driver.hpp"
#include "core/result.hpp"
#include "inference/api/engine.hpp"
#include "protocol/curve_keys.hpp"

namespace spdlog {
class logger;
}

namespace reins::serving {

/// What a server on any address but loopback needs.
struct CurveAccess {
  protocol::CurveKeyPair server;
  std::vector<std::string> allowed_clients;  ///< public keys, Z85
};

struct ServerOptions {
  std::string endpoint;            ///< tcp://HOST:PORT (port 0: the system's choice) or ipc://PATH
  std::string telemetry_endpoint;  ///< a PUB socket that streams metrics; empty: none
  double telemetry_hz = 10;        ///< 0.1..1000; each message costs one Driver::metrics()
  std::size_t queue_limit = 64;  ///< requests that may wait behind the one in service; beyond it `overloaded`. 1..65536
  std::size_t max_tensor_bytes = std::size_t{4} << 20;
  double drain_s = 1.0;              ///< how long a stopping server waits for answers under way. 0..60
  int apps = 1;                      ///< applications known to the driver: ids 0..apps-1
  std::optional<CurveAccess> curve;  ///< needed off loopback; encrypts and authenticates wherever it is given
  inference::NetworkFacts network;   ///< what is served: shapes are checked against it, `status` shows it
  std::string policy;                ///< shown by `status`
  /// Which of these goals cannot be met, in one line, empty where all can: the `warning` of replies. May be empty.
  std::function<std::string(const policies::Goals&)> unreachable;
  std::shared_ptr<spdlog::logger> log;  ///< null: silent
};

/// Threads: open() on one thread, run() on one thread (another one if you like); nothing else. The driver must outlive
/// it.
class Server {
 public:
  /// Binds. Errors: usage (an address or option that makes no sense, an open address without keys), busy (port in use),
  /// denied, not_found (no such interface), unsupported (libzmq without CURVE).
  static Result<std::unique_ptr<Server>> open(ServerOptions options, control::Driver& driver);
  ~Server();

  /// Where it really listens, e.g. "tcp://127.0.0.1:41327" where port 0 was asked for.
  const std::string& endpoint() const noexcept;
  const std::string& telemetry_endpoint() const noexcept;

  /// Serves until `stop_fd` (an eventfd or pipe, not read here) is readable; then takes no more, waits up to `drain_s`
  /// for what is under way and answers the rest with `stopping`. Does not stop the driver. Ends by itself with the
  /// driver's error where submit() gives one that is not about the request at hand. Errors: that one, io, internal.
  Status run(int stop_fd);
  /// The driver's metrics with what the server itself turned away: offered, rejected and missed.
  control::DriverMetrics metrics() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reins::serving
