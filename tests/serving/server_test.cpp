// tests/serving/server_test.cpp: the server's conduct towards clients, good and bad, over real sockets.
#include "serving/server.hpp"

#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/rng.hpp"
#include "tests/serving/running_server.hpp"
#include "tests/support/matchers.hpp"

namespace reins::testing {
namespace {

using protocol::Code;
using protocol::Fault;
using protocol::InferAnswer;
using protocol::MetricsAnswer;
using protocol::StatusAnswer;
using ::testing::HasSubstr;

const std::string kImage(12, '\x05');

void wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(condition()) << "waited 10 s in vain";
}

TEST(Server, AnswersADealer) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  const auto answer = client.ask<InferAnswer>(infer_request(1, kImage));
  EXPECT_EQ(answer.predicted, 5);
  EXPECT_EQ(answer.level, 2) << "levels count from 1 on the wire";
  EXPECT_EQ(answer.mapping, "big");
  EXPECT_EQ(answer.freq_khz, 1'800'000);
  EXPECT_EQ(answer.energy_j, 0.5);
  EXPECT_EQ(answer.energy_source, "modelled");
  EXPECT_TRUE(answer.probabilities.empty()) << "not asked for";
  EXPECT_FALSE(answer.missed);
}

TEST(Server, AnswersAReqWithItsDelimiter) {
  RunningServer running;
  RawClient plain(running.server->endpoint(), zmq::socket_type::req);
  EXPECT_EQ(plain.ask<InferAnswer>(infer_request(1, kImage)).predicted, 5);
  plain.send_frames({"rubbish"});
  EXPECT_EQ(plain.reply_as<Fault>().code, Code::kMalformed);
  RawClient correlated(running.server->endpoint(), zmq::socket_type::req,
                       [](zmq::socket_t& socket) { socket.set(zmq::sockopt::req_correlate, true); });
  EXPECT_EQ(correlated.ask<InferAnswer>(infer_request(2, kImage)).predicted, 5);
}

TEST(Server, ADealerThatSendsADelimiterGetsOneBack) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  client.send_frames({"", protocol::encode_request(request_of(1, protocol::StatusQuery{}))});
  const auto frames = client.receive();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0], "");
}

TEST(Server, RepliesCarryTheIdOfTheirRequest) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  for (int id = 0; id < 50; ++id) client.send(infer_request(id, kImage));
  for (int id = 0; id < 50; ++id) EXPECT_EQ(client.reply().id, Value(id));
}

TEST(Server, TakesFloatTensorsWhereverTheyLieInMemory) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  std::vector<float> values(12, 3.0F);
  const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  protocol::Request request = infer_request(1, bytes);
  std::get<protocol::Infer>(request.body).tensor.dtype = protocol::DType::kFloat32;
  // Strings of growing length in front shift where the tensor begins in the receive buffer.
  for (int length = 0; length < 8; ++length) {
    request.id = Value(std::string(static_cast<std::size_t>(length), 'i'));
    EXPECT_EQ(client.ask<InferAnswer>(request).predicted, 3);
  }
}

TEST(Server, PassesOnTheDeadlineAndTheWishForProbabilities) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  protocol::Request request = infer_request(1, kImage, 0.001);
  std::get<protocol::Infer>(request.body).probabilities = true;
  const auto answer = client.ask<InferAnswer>(request);
  EXPECT_TRUE(answer.missed);
  EXPECT_EQ(answer.probabilities, (std::vector<double>{0.25, 0.75}));
}

TEST(Server, GoalsChangeOneByOneAndClear) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  protocol::Goal set;
  set.latency_s = {true, 0.1};
  set.accuracy = {true, 0.7};
  auto goals = client.ask<protocol::GoalsInForce>(request_of(1, set));
  EXPECT_EQ(goals.latency_s, 0.1);
  EXPECT_EQ(goals.accuracy, 0.7);
  protocol::Goal clear;
  clear.latency_s = {true, std::nullopt};
  goals = client.ask<protocol::GoalsInForce>(request_of(2, clear));
  EXPECT_EQ(goals.latency_s, std::nullopt);
  EXPECT_EQ(goals.accuracy, 0.7) << "not named, not touched";
  EXPECT_EQ(client.ask<StatusAnswer>(request_of(3, protocol::StatusQuery{})).goals, goals);
}

TEST(Server, WarnsOfGoalsThatCannotBeMet) {
  serving::ServerOptions options = loopback_options();
  options.unreachable = [](const policies::Goals& goals) {
    return goals.latency_s && *goals.latency_s < 0.05 ? std::string("too fast") : std::string();
  };
  RunningServer running(std::move(options));
  RawClient client(running.server->endpoint());
  protocol::Goal goal;
  goal.latency_s = {true, 0.04};
  const auto set = client.ask<protocol::GoalsInForce>(request_of(1, goal));
  EXPECT_EQ(set.latency_s, 0.04) << "in force all the same";
  EXPECT_EQ(set.warning, "too fast");
  RawClient another(running.server->endpoint());
  EXPECT_EQ(another.ask<StatusAnswer>(request_of(2, protocol::StatusQuery{})).goals, set) << "they are the server's";
  goal.latency_s.value = 0.06;
  EXPECT_EQ(client.ask<protocol::GoalsInForce>(request_of(3, goal)).warning, "");
}

TEST(Server, AGoalsAnswerSaysWhetherTheBoardIsEmulated) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  for (const bool emulated : {false, true}) {
    running.driver.set_emulated(emulated);
    EXPECT_EQ(client.ask<protocol::GoalsInForce>(request_of(1, protocol::Goal{})).emulated, emulated);
  }
}

TEST(Server, AGoalThatTheDriverRefusesIsAFault) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  protocol::Goal goal;
  goal.latency_s = {true, 0.0001};
  const auto fault = client.ask<Fault>(request_of(1, goal));
  EXPECT_EQ(fault.code, Code::kInvalid);
  EXPECT_THAT(fault.message, HasSubstr("no level is that fast"));
  EXPECT_EQ(running.driver.goal_changes(), 0);
}

TEST(Server, StatusSaysWhatIsServed) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  const auto status = client.ask<StatusAnswer>(request_of(1, protocol::StatusQuery{}));
  EXPECT_EQ(status.board, "fake");
  EXPECT_EQ(status.network, "test network");
  EXPECT_EQ(status.policy, "test policy");
  EXPECT_EQ(status.input_shape, (std::array<std::int64_t, 4>{1, 3, 2, 2}));
  EXPECT_EQ(status.accuracies, (std::vector<double>{0.5, 0.75}));
  EXPECT_EQ(status.queue_limit, 64U);
}

TEST(Server, MetricsCountWhatWasServed) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  const auto before = client.ask<MetricsAnswer>(request_of(0, protocol::MetricsQuery{}));
  EXPECT_EQ(before.p50_s, std::nullopt) << "of nothing";
  EXPECT_EQ(before.mean_accuracy, std::nullopt);
  for (int id = 0; id < 3; ++id) client.ask<InferAnswer>(infer_request(id, kImage));
  const auto metrics = client.ask<MetricsAnswer>(request_of(9, protocol::MetricsQuery{}));
  EXPECT_EQ(metrics.offered, 3U);
  EXPECT_EQ(metrics.served, 3U);
  EXPECT_EQ(metrics.energy_j, 1.5);
  EXPECT_EQ(metrics.switches_per_s, 1.25);
  EXPECT_EQ(metrics.level, 2);
}

TEST(Server, ClaimsNoEnergyWithoutASource) {
  RunningServer running;
  running.driver.set_energy_source("none");
  RawClient client(running.server->endpoint());
  const auto answer = client.ask<InferAnswer>(infer_request(1, kImage));
  EXPECT_EQ(answer.energy_j, std::nullopt);
  EXPECT_EQ(answer.energy_source, "none");
  EXPECT_EQ(client.ask<MetricsAnswer>(request_of(2, protocol::MetricsQuery{})).energy_j, std::nullopt);
}

TEST(Server, AMalformedMessageIsAnsweredAndChangesNothing) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  const std::string good = protocol::encode_request(infer_request(1, kImage));
  const std::vector<std::vector<std::string>> bad = {{"rubbish"},
                                                     {good},
                                                     {good, kImage, "one more"},
                                                     {good, kImage + "x"},
                                                     {"\xc1", kImage},
                                                     {kImage, good},
                                                     {good, kImage, "a", "b", "c", "d", "e", "f", "g"}};
  for (const auto& frames : bad) {
    client.send_frames(frames);
    const Code code = client.reply_as<Fault>().code;
    EXPECT_TRUE(code == Code::kMalformed || code == Code::kInvalid);
  }
  const auto metrics = client.ask<MetricsAnswer>(request_of(2, protocol::MetricsQuery{}));
  EXPECT_EQ(metrics.offered, 0U);
  EXPECT_EQ(metrics.malformed, bad.size());
  EXPECT_EQ(running.driver.goal_changes(), 0);
  EXPECT_EQ(client.ask<InferAnswer>(infer_request(3, kImage)).predicted, 5) << "and the next good one is served";
}

TEST(Server, AWrongShapeOrAppIsTold) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  protocol::Request request = infer_request(1, kImage);
  std::get<protocol::Infer>(request.body).tensor.shape = {1, 1, 3, 4};
  Fault fault = client.ask<Fault>(request);
  EXPECT_EQ(fault.code, Code::kMismatch);
  EXPECT_THAT(fault.message, HasSubstr("takes 1x3x2x2, the tensor is 1x1x3x4"));
  request = infer_request(2, kImage);
  request.app = 1;
  fault = client.ask<Fault>(request);
  EXPECT_EQ(fault.code, Code::kInvalid);
  EXPECT_THAT(fault.message, HasSubstr("app 1"));
}

TEST(Server, AFrameOverTheLimitIsTold) {
  serving::ServerOptions options = loopback_options();
  options.max_tensor_bytes = 64;
  RunningServer running(std::move(options));
  RawClient client(running.server->endpoint());
  client.send_frames({protocol::encode_request(infer_request(1, kImage)), std::string(65, 'x')});
  EXPECT_EQ(client.reply_as<Fault>().code, Code::kTooLarge);
}

TEST(Server, RandomMessagesNeverTakeItDown) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  Rng rng(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> frames(1 + rng.below(4));
    for (std::string& frame : frames) {
      frame.resize(rng.below(40));
      for (char& c : frame) c = static_cast<char>(rng.below(256));
    }
    client.send_frames(frames);
    ASSERT_FALSE(client.receive().empty()) << "every message is answered";
  }
  EXPECT_EQ(client.ask<InferAnswer>(infer_request(1, kImage)).predicted, 5);
}

TEST(Server, BeyondItsQueueItSaysOverloadedAtOnce) {
  serving::ServerOptions options = loopback_options();
  options.queue_limit = 4;
  RunningServer running(std::move(options));
  running.driver.hold(true);
  RawClient client(running.server->endpoint());
  for (int id = 0; id < 8; ++id) client.send(infer_request(id, kImage));
  // One in service and four that wait.
  for (int id = 5; id < 8; ++id) {
    const protocol::Reply reply = client.reply();
    EXPECT_EQ(reply.id, Value(id)) << "the refusals come while the others wait";
    EXPECT_EQ(std::get<Fault>(reply.body).code, Code::kOverloaded);
    EXPECT_THAT(std::get<Fault>(reply.body).message, HasSubstr("4 requests are waiting"));
  }
  EXPECT_EQ(running.driver.waiting(), 5U);
  const auto status = client.ask<StatusAnswer>(request_of(9, protocol::StatusQuery{}));
  EXPECT_EQ(status.queue_limit, 4U);
  EXPECT_EQ(status.waiting, 4U);
  running.driver.hold(false);
  for (int id = 0; id < 5; ++id) EXPECT_EQ(client.reply().id, Value(id));
  const auto metrics = client.ask<MetricsAnswer>(request_of(9, protocol::MetricsQuery{}));
  EXPECT_EQ(metrics.offered, 8U);
  EXPECT_EQ(metrics.served, 5U);
  EXPECT_EQ(metrics.rejected, 3U);
  EXPECT_EQ(metrics.missed, 3U) << "a request turned away is a miss";
}

TEST(Server, TheDriversFullQueueIsOverloadToo) {
  RunningServer running;
  running.driver.hold(true);
  running.driver.set_capacity(1);
  RawClient client(running.server->endpoint());
  client.send(infer_request(1, kImage));
  EXPECT_EQ(client.ask<Fault>(infer_request(2, kImage)).code, Code::kOverloaded);
}

TEST(Server, AnEngineThatFailsIsReportedForThatRequestAlone) {
  RunningServer running;
  RawClient client(running.server->endpoint());
  const std::string cursed(FakeDriver::kCurse);
  const auto fault = client.ask<Fault>(infer_request(1, cursed));
  EXPECT_EQ(fault.code, Code::kInternal);
  EXPECT_THAT(fault.message, HasSubstr("the accelerator hung"));
  EXPECT_EQ(client.ask<InferAnswer>(infer_request(2, kImage)).predicted, 5);
}

TEST(Server, EndsWithTheErrorOfADriverThatFailed) {
  FakeDriver driver;
  auto server = serving::Server::open(loopback_options(), driver);
  ASSERT_OK(server);
  ASSERT_OK(driver.stop());
  Status result;
  const int never = ::eventfd(0, EFD_CLOEXEC);
  std::thread thread([&] { result = (*server)->run(never); });
  RawClient client((*server)->endpoint());
  EXPECT_EQ(client.ask<Fault>(infer_request(1, kImage)).code, Code::kInternal);
  thread.join();
  ::close(never);
  EXPECT_THAT(result, IsError(ErrorKind::kGone, HasSubstr("stopped")));
}

TEST(Server, EndsWithADriverThatFailsWhileNobodyAsks) {
  FakeDriver driver;
  auto server = serving::Server::open(loopback_options(), driver);
  ASSERT_OK(server);
  const int never = ::eventfd(0, EFD_CLOEXEC);
  Status result;
  std::thread thread([&] { result = (*server)->run(never); });
  driver.set_failure(Error(ErrorKind::kBusy, "cannot be read", "scaling_governor"));
  thread.join();
  ::close(never);
  EXPECT_THAT(result, IsError(ErrorKind::kBusy, HasSubstr("scaling_governor")));
}

TEST(Server, SurvivesAClientThatLeavesBeforeItsAnswer) {
  RunningServer running;
  running.driver.hold(true);
  {
    RawClient leaver(running.server->endpoint());
    leaver.send(infer_request(1, kImage));
    wait_until([&] { return running.driver.waiting() == 1; });
  }
  running.driver.hold(false);
  RawClient client(running.server->endpoint());
  EXPECT_EQ(client.ask<InferAnswer>(infer_request(2, kImage)).predicted, 5);
}

TEST(Server, ServesManyClientsAtOnce) {
  RunningServer running;
  std::vector<std::thread> threads;
  for (int c = 0; c < 4; ++c) {
    threads.emplace_back([&running, c] {
      RawClient client(running.server->endpoint());
      const std::string image(12, static_cast<char>(c));
      for (int id = 0; id < 50; ++id) EXPECT_EQ(client.ask<InferAnswer>(infer_request(id, image)).predicted, c);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Server, FinishesWhatIsUnderWayBeforeItStops) {
  serving::ServerOptions options = loopback_options();
  options.drain_s = 20;
  RunningServer running(std::move(options));
  running.driver.hold(true);
  RawClient client(running.server->endpoint());
  client.send(infer_request(1, kImage));
  wait_until([&] { return running.driver.waiting() == 1; });
  running.ask_to_stop();
  // The stop is asynchronous; once it is in force, new work is refused.
  int id = 2;
  while (true) {
    client.send(infer_request(id, kImage));
    const auto frames = client.receive(std::chrono::milliseconds(200));
    if (frames.empty()) {
      ++id;
      ASSERT_LT(id, 60);
      continue;
    }
    EXPECT_EQ(std::get<Fault>(protocol::decode_reply(frames.back())->body).code, Code::kStopping);
    break;
  }
  running.driver.hold(false);
  EXPECT_EQ(client.reply_as<InferAnswer>().predicted, 5);
  EXPECT_OK(running.stop());
}

TEST(Server, TellsThoseStillWaitingWhenItMustStop) {
  serving::ServerOptions options = loopback_options();
  options.drain_s = 0;
  RunningServer running(std::move(options));
  running.driver.hold(true);
  RawClient client(running.server->endpoint());
  client.send(infer_request(1, kImage));
  wait_until([&] { return running.driver.waiting() == 1; });
  EXPECT_OK(running.stop());
  EXPECT_EQ(client.reply_as<Fault>().code, Code::kStopping);
}

TEST(Server, PublishesTelemetry) {
  serving::ServerOptions options = loopback_options();
  options.telemetry_endpoint = "tcp://127.0.0.1:0";
  options.telemetry_hz = 50;
  RunningServer running(std::move(options));
  RawClient subscriber(running.server->telemetry_endpoint(), zmq::socket_type::sub,
                       [](zmq::socket_t& socket) { socket.set(zmq::sockopt::subscribe, "telemetry"); });
  for (int i = 0; i < 3; ++i) {
    const auto frames = subscriber.receive();
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_EQ(frames[0], "telemetry");
    const auto reply = protocol::decode_reply(frames[1]);
    ASSERT_OK(reply);
    EXPECT_EQ(std::get<MetricsAnswer>(reply->body).board, "fake");
  }
}

// A server may be stopped before it next looks; the log then still says what its answers said.
TEST(Server, LogsAtItsEndWhatWentAmissJustBefore) {
  std::ostringstream text;
  serving::ServerOptions options = loopback_options();
  options.log = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  RunningServer running(options);
  RawClient client(running.server->endpoint());
  running.driver.set_warning("power_w is failing");
  EXPECT_EQ(client.ask<MetricsAnswer>(request_of(1, protocol::MetricsQuery{})).warning, "power_w is failing");
  EXPECT_OK(running.stop());
  EXPECT_THAT(text.str(), HasSubstr("power_w is failing"));
}

TEST(ServerOpen, APortInUseIsOneLine) {
  RunningServer first;
  FakeDriver driver;
  serving::ServerOptions options = loopback_options();
  options.endpoint = first.server->endpoint();
  EXPECT_THAT(serving::Server::open(options, driver),
              IsError(ErrorKind::kBusy, HasSubstr("another program has this address")));
}

TEST(ServerOpen, ServesOverIpcAndNeverStealsASocketOrAFile) {
  std::string pattern = (std::filesystem::temp_directory_path() / "reins-ipc-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  {
    serving::ServerOptions options = loopback_options();
    options.endpoint = "ipc://" + (folder / "socket").string();
    RunningServer running(options);
    RawClient client(running.server->endpoint());
    EXPECT_EQ(client.ask<InferAnswer>(infer_request(1, kImage)).predicted, 5);
    FakeDriver driver;
    EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kBusy, HasSubstr("socket")));
    EXPECT_EQ(client.ask<InferAnswer>(infer_request(2, kImage)).predicted, 5);
    std::ofstream(folder / "precious") << "data";
    options.endpoint = "ipc://" + (folder / "precious").string();
    EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kUsage, HasSubstr("no socket")));
    EXPECT_TRUE(std::filesystem::is_regular_file(folder / "precious"));
    options.endpoint = "ipc://" + (folder / "no" / "such" / "folder").string();
    EXPECT_THAT(serving::Server::open(options, driver),
                IsError(ErrorKind::kNotFound, HasSubstr("a folder that is there")));
  }
  std::filesystem::remove_all(folder);
}

TEST(ServerOpen, RefusesBadOptions) {
  FakeDriver driver;
  serving::ServerOptions options = loopback_options();
  options.queue_limit = 0;
  EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kUsage, HasSubstr("queue limit")));
  options = loopback_options();
  options.telemetry_hz = 0;
  EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kUsage, HasSubstr("telemetry rate")));
  options = loopback_options();
  options.endpoint = "tcp://203.0.113.7:0";
  options.curve = serving::CurveAccess{*protocol::make_curve_keys(), {protocol::make_curve_keys()->public_key}};
  EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kNotFound, HasSubstr("no such address")));
}

TEST(ServerOpen, AnAddressOthersReachNeedsKeys) {
  FakeDriver driver;
  for (const char* endpoint : {"tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://eth0:0"}) {
    serving::ServerOptions options = loopback_options();
    options.endpoint = endpoint;
    EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kUsage, HasSubstr("needs CURVE keys")))
        << endpoint;
    options = loopback_options();
    options.telemetry_endpoint = endpoint;
    EXPECT_THAT(serving::Server::open(options, driver), IsError(ErrorKind::kUsage, HasSubstr("needs CURVE keys")))
        << endpoint;
  }
}

class ServerCurve : public ::testing::Test {
 protected:
  static serving::ServerOptions options(const protocol::CurveKeyPair& server, const protocol::CurveKeyPair& client) {
    serving::ServerOptions options = loopback_options();
    options.curve = serving::CurveAccess{server, {client.public_key}};
    return options;
  }
  static std::function<void(zmq::socket_t&)> with(const protocol::CurveKeyPair& own, const std::string& server_key) {
    return [=](zmq::socket_t& socket) {
      socket.set(zmq::sockopt::curve_serverkey, server_key);
      socket.set(zmq::sockopt::curve_publickey, own.public_key);
      socket.set(zmq::sockopt::curve_secretkey, own.secret_key);
    };
  }
  const protocol::CurveKeyPair server_ = *protocol::make_curve_keys();
  const protocol::CurveKeyPair client_ = *protocol::make_curve_keys();
  const protocol::CurveKeyPair stranger_ = *protocol::make_curve_keys();
};

TEST_F(ServerCurve, AListedClientIsServed) {
  RunningServer running(options(server_, client_));
  RawClient client(running.server->endpoint(), zmq::socket_type::dealer, with(client_, server_.public_key));
  EXPECT_EQ(client.ask<InferAnswer>(infer_request(1, kImage)).predicted, 5);
}

TEST_F(ServerCurve, AStrangerGetsNothing) {
  RunningServer running(options(server_, client_));
  const std::vector<std::function<void(zmq::socket_t&)>> strangers = {
      {}, with(stranger_, server_.public_key), with(client_, stranger_.public_key)};
  for (const auto& prepare : strangers) {
    RawClient client(running.server->endpoint(), zmq::socket_type::dealer, prepare);
    client.send(infer_request(1, kImage));
    EXPECT_TRUE(client.receive(std::chrono::milliseconds(300)).empty());
  }
  RawClient client(running.server->endpoint(), zmq::socket_type::dealer, with(client_, server_.public_key));
  const auto metrics = client.ask<MetricsAnswer>(request_of(1, protocol::MetricsQuery{}));
  EXPECT_EQ(metrics.offered, 0U) << "no stranger's request came through";
  EXPECT_EQ(metrics.malformed, 0U);
}

}  // namespace
}  // namespace reins::testing
