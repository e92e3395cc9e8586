#include "serving/zap.hpp"

#include "protocol/curve_keys.hpp"

namespace reins::serving {

CurveGate::CurveGate(const std::vector<std::string>& allowed) : allowed_(allowed.begin(), allowed.end()) {}

ZapVerdict CurveGate::judge(const std::vector<std::string_view>& frames) const {
  // version, request id, domain, address, identity, mechanism, credentials
  if (frames.size() < 6 || frames[0] != "1.0") return {};
  ZapVerdict verdict;
  std::string user;
  if (frames.size() == 7 && frames[5] == "CURVE") {
    if (const auto key = protocol::curve_key_text(frames[6])) {
      verdict.allowed = allowed_.contains(*key);
      user = *key;
    }
  }
  verdict.reply = {"1.0",
                   std::string(frames[1]),
                   verdict.allowed ? "200" : "400",
                   verdict.allowed ? "OK" : "this key is not on the list",
                   verdict.allowed ? user : std::string(),
                   ""};
  return verdict;
}

}  // namespace reins::serving
