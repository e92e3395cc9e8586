// serving/endpoint.hpp: ZeroMQ addresses, and which of them other machines can reach.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace reins::serving {

struct Endpoint {
  std::string text;       ///< as ZeroMQ binds it: "localhost" is written 127.0.0.1, port 0 as *
  bool loopback = false;  ///< only this machine reaches it: 127.0.0.0/8, ::1, ipc
};

/// "tcp://HOST:PORT" (HOST a numeric address, an interface, localhost or *) or "ipc://PATH". Port 0 or *: the system
/// chooses. Errors: usage (anything else).
Result<Endpoint> parse_endpoint(std::string_view text);

}  // namespace reins::serving
