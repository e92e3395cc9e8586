#include "serving/endpoint.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include "core/csv.hpp"

namespace reins::serving {
namespace {

constexpr std::string_view kHint = "write tcp://127.0.0.1:5555 or ipc:///run/reins/serve";
constexpr std::size_t kMaxPath = sizeof(sockaddr_un{}.sun_path) - 1;

bool is_loopback(const std::string& host) {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']' &&
      ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return false;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text) {
  if (text.starts_with("ipc://")) {
    const std::string_view path = text.substr(6);
    if (path.empty() || path.size() > kMaxPath) {
      return fail(ErrorKind::kUsage, "an ipc path has 1 to 107 characters", text, kHint);
    }
    return Endpoint{std::string(text), true};
  }
  if (!text.starts_with("tcp://")) return fail(ErrorKind::kUsage, "not an address that can be served", text, kHint);
  const std::string_view rest = text.substr(6);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return fail(ErrorKind::kUsage, "no host and port in it", text, kHint);
  std::string host(rest.substr(0, colon));
  std::string port(rest.substr(colon + 1));
  if (host == "localhost") host = "127.0.0.1";  // ZeroMQ binds to addresses and interfaces, not to names
  if (port != "*") {
    const auto number = parse_integer(port, text);
    if (!number || *number < 0 || *number > 65535) {
      return fail(ErrorKind::kUsage, "the port is no number from 0 to 65535", text, kHint);
    }
    if (*number == 0) port = "*";
  }
  return Endpoint{"tcp://" + host + ":" + port, is_loopback(host)};
}

}  // namespace reins::serving
