// tests/serving/running_server.hpp: a server on a thread of its own with a fake driver behind it, and raw clients of
// it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "protocol/reply.hpp"
#include "protocol/request.hpp"
#include "serving/server.hpp"
#include "tests/serving/fake_driver.hpp"

namespace reins::testing {

inline serving::ServerOptions loopback_options() {
  serving::ServerOptions options;
  options.endpoint = "tcp://127.0.0.1:0";
  options.policy = "test policy";
  options.network.name = "test network";
  options.network.dataset = "synthetic";
  options.network.input_shape = {1, 3, 2, 2};
  options.network.levels.resize(2);
  options.network.levels[0].accuracy = 0.5;
  options.network.levels[1].accuracy = 0.75;
  return options;
}

class RunningServer {
 public:
  explicit RunningServer(serving::ServerOptions options = loopback_options())
      : stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    auto opened = serving::Server::open(std::move(options), driver);
    if (!opened) {
      ADD_FAILURE() << opened.error().line();
      return;
    }
    server = std::move(*opened);
    thread_ = std::thread([this] { result_ = server->run(stop_); });
  }
  ~RunningServer() {
    EXPECT_TRUE(stop().has_value());
    ::close(stop_);
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  void ask_to_stop() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_, &one, sizeof one));
  }
  Status stop() {
    ask_to_stop();
    if (thread_.joinable()) thread_.join();
    return result_;
  }

  FakeDriver driver;
  std::unique_ptr<serving::Server> server;

 private:
  int stop_;
  Status result_;
  std::thread thread_;
};

/// A client that sends frames as they are. Every wait has a bound.
class RawClient {
 public:
  explicit RawClient(const std::string& endpoint, zmq::socket_type type = zmq::socket_type::dealer,
                     const std::function<void(zmq::socket_t&)>& prepare = {})
      : socket(context_, type) {
    socket.set(zmq::sockopt::linger, 0);
    if (prepare) prepare(socket);
    socket.connect(endpoint);
  }

  void send_frames(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const bool last = i + 1 == frames.size();
      socket.send(zmq::buffer(frames[i]), last ? zmq::send_flags::none : zmq::send_flags::sndmore);
    }
  }
  void send(const protocol::Request& request) {
    std::vector<std::string> frames{protocol::encode_request(request)};
    if (const auto* infer = std::get_if<protocol::Infer>(&request.body)) frames.emplace_back(infer->tensor.bytes);
    send_frames(frames);
  }
  /// The frames of the next message; none where none comes.
  std::vector<std::string> receive(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    std::vector<std::string> frames;
    socket.set(zmq::sockopt::rcvtimeo, static_cast<int>(timeout.count()));
    zmq::message_t part;
    do {
      if (!socket.recv(part)) return {};
      frames.push_back(part.to_string());
    } while (part.more());
    return frames;
  }
  protocol::Reply reply() {
    const auto frames = receive();
    if (frames.empty()) {
      ADD_FAILURE() << "no reply came";
      return {};
    }
    auto reply = protocol::decode_reply(frames.back());
    if (!reply) {
      ADD_FAILURE() << reply.error().line();
      return {};
    }
    return *reply;
  }
  template <typename Body>
  Body reply_as() {
    const protocol::Reply got = reply();
    if (const auto* body = std::get_if<Body>(&got.body)) return *body;
    if (const auto* fault = std::get_if<protocol::Fault>(&got.body)) ADD_FAILURE() << fault->message;
    ADD_FAILURE() << "another kind of reply than expected";
    return {};
  }
  template <typename Body>
  Body ask(const protocol::Request& request) {
    send(request);
    return reply_as<Body>();
  }

 private:
  zmq::context_t context_;

 public:
  zmq::socket_t socket;
};

/// `bytes` must outlive the request.
inline protocol::Request infer_request(int id, const std::string& bytes,
                                       std::optional<double> deadline_s = std::nullopt) {
  protocol::Request request;
  request.id = Value(id);
  request.body = protocol::Infer{{protocol::DType::kUint8, {1, 3, 2, 2}, bytes}, deadline_s, false};
  return request;
}

template <typename Body>
protocol::Request request_of(int id, Body body) {
  protocol::Request request;
  request.id = Value(id);
  request.body = std::move(body);
  return request;
}

}  // namespace reins::testing
