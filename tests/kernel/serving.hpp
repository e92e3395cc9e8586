// tests/kernel/serving.hpp: `reins serve --live` in the guest, and a client of it.
#pragma once

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inference/network_file.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/kernel/guest.hpp"
#include "tests/serving/running_server.hpp"
#include "tests/support/process.hpp"

namespace reins::kernel_tests {

inline const std::string kNetwork = "/tmp/network.rnet";
inline const std::string kEmulatedProfile = "/tmp/emulated.csv";

/// Two groups, of which the first is a level of its own; sized so that an inference takes some tens of milliseconds in
/// a guest without KVM.
inline void write_network() {
  inference::GroupArchitecture a;
  a.groups = 2;
  a.stages = {{8, true}, {16, true}, {32, true}};
  const auto facts = inference::describe(a, "guest", "synthetic", "none");
  const Status written =
      inference::write_network(kNetwork, facts, testing::random_weights(a, 1), inference::WeightType::kFloat16);
  ASSERT_TRUE(written.has_value()) << written.error().line();
}

inline std::vector<std::string> serve_command(const std::vector<std::string>& more) {
  std::vector<std::string> words = {kProgram, "serve",      "--board",           kBoardFile,    "--live", "--network",
                                    kNetwork, "--endpoint", "tcp://127.0.0.1:0", "--telemetry", "none"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Of a server at an endpoint.
class Client {
 public:
  void connect(const std::string& endpoint) { client_ = std::make_unique<testing::RawClient>(endpoint); }

  /// One request; true where an answer came that is no error.
  bool infer() { return answer().has_value(); }
  std::optional<protocol::InferAnswer> answer() {
    const std::string image(3 * 32 * 32, '\x40');
    protocol::Request request = testing::infer_request(1, image);
    std::get<protocol::Infer>(request.body).tensor.shape = {1, 3, 32, 32};
    client_->send(request);
    const auto frames = client_->receive();
    const auto reply = frames.empty() ? Result<protocol::Reply>(fail(ErrorKind::kTimeout, "no reply"))
                                      : protocol::decode_reply(frames.back());
    const auto* const answer = reply.has_value() ? std::get_if<protocol::InferAnswer>(&reply->body) : nullptr;
    return answer == nullptr ? std::nullopt : std::optional(*answer);
  }
  protocol::MetricsAnswer metrics() {
    return client_->ask<protocol::MetricsAnswer>(testing::request_of(1, protocol::MetricsQuery{}));
  }

 private:
  std::unique_ptr<testing::RawClient> client_;
};

/// A server of the check's own, and a client of it.
class Server : public Client {
 public:
  explicit Server(const std::vector<std::string>& command) : process_(command) {}

  /// True once it listens.
  bool up() {
    if (!process_.prints(" at tcp://") || !process_.prints("\n")) return false;
    const std::size_t at = process_.text.find("tcp://", process_.text.find(" at tcp://"));
    endpoint_ = process_.text.substr(at, process_.text.find_first_of(" \n", at) - at);
    connect(endpoint_);
    return true;
  }
  const std::string& endpoint() const { return endpoint_; }

  /// The exit code.
  int stop(int number = SIGTERM) {
    process_.signal(number);
    return process_.code();
  }
  void kill() {
    process_.signal(SIGKILL);
    static_cast<void>(process_.code());
  }
  const std::string& text() const { return process_.text; }

 private:
  testing::Process process_;
  std::string endpoint_;
};

}  // namespace reins::kernel_tests
