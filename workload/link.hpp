// workload/link.hpp: the client's end of the wire: one DEALER socket, with waits that end when they should.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "protocol/curve_keys.hpp"
#include "protocol/reply.hpp"
#include "protocol/request.hpp"

namespace reins::workload {

struct ServerAddress {
  std::string endpoint;                            ///< tcp://HOST:PORT or ipc://PATH
  std::optional<protocol::CurveKeyPair> own_keys;  ///< with `server_key`: CURVE
  std::string server_key;                          ///< the server's public key, Z85
};

/// Threads: one.
class Link {
 public:
  /// Connecting does not wait for the server. Errors: usage (no such form of address), unsupported (no CURVE in
  /// libzmq).
  static Result<std::unique_ptr<Link>> open(const ServerAddress& address);
  ~Link();

  /// Never waits. Errors: busy (the server takes nothing more: what was sent already fills all buffers), io.
  Status send(const protocol::Request& request);
  /// The next reply, or none by `until_s` (CLOCK_MONOTONIC) or after a signal. Errors: garbled, mismatch (no reply of
  /// this protocol), io.
  Result<std::optional<protocol::Reply>> receive(double until_s);
  /// Sends and waits up to `timeout_s` for the reply with this id; other replies on the way are dropped. A fault is an
  /// error of kind usage. Errors: timeout.
  Result<protocol::Reply> ask(const protocol::Request& request, double timeout_s,
                              const std::function<bool()>& cancelled = {});

 private:
  class Impl;
  explicit Link(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reins::workload
