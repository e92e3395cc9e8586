// serving/zap.hpp: who may connect: the CURVE side of ZeroMQ's authentication protocol (ZAP, RFC 27).
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace reins::serving {

struct ZapVerdict {
  bool allowed = false;
  std::vector<std::string> reply;  ///< frames to send back; empty where the request was not even a ZAP request
};

/// Judges one ZAP request: allowed is a CURVE client whose public key is listed; everybody else is not.
class CurveGate {
 public:
  /// `allowed`: public keys in Z85.
  explicit CurveGate(const std::vector<std::string>& allowed);
  ZapVerdict judge(const std::vector<std::string_view>& frames) const;

 private:
  std::set<std::string, std::less<>> allowed_;
};

}  // namespace reins::serving
