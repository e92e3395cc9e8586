#include "serving/server.hpp"

#include <spdlog/logger.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <zmq.hpp>

#include "core/clock.hpp"
#include "protocol/reply.hpp"
#include "protocol/request.hpp"
#include "serving/endpoint.hpp"
#include "serving/translate.hpp"
#include "serving/zap.hpp"

namespace reins::serving {
namespace {

constexpr int kBatch = 64;            // messages read before the driver's replies get their turn
constexpr std::size_t kMaxParts = 8;  // identity, REQ's request id and delimiter, map, tensor; a ZAP request has seven
constexpr int kLingerMs = 200;        // for the last replies to leave
constexpr int kReceiveQueue = 256;    // per client; beyond it TCP makes the client wait
constexpr double kIdleWait_s = 1.0;
constexpr double kMaxTelemetryHz = 1000;

std::string_view view(const zmq::message_t& message) {
  return {static_cast<const char*>(message.data()), message.size()};
}

std::string shape_text(const std::array<std::int64_t, 4>& shape) {
  std::string text = std::to_string(shape[0]);
  for (std::size_t i = 1; i < shape.size(); ++i) text += "x" + std::to_string(shape[i]);
  return text;
}

Error bind_error(int number, const std::string& endpoint) {
  switch (number) {
    case EADDRINUSE:
      return from_errno(number, "cannot listen", endpoint,
                        "another program has this address; stop it or choose another one (--endpoint, --telemetry)");
    case ENODEV:
    case EADDRNOTAVAIL:
      return Error(ErrorKind::kNotFound, "this machine has no such address", endpoint, "write tcp://127.0.0.1:5555",
                   number);
    case EINVAL:
    case EPROTONOSUPPORT:
      return Error(ErrorKind::kUsage, "not an address that can be served", endpoint, "write tcp://127.0.0.1:5555",
                   number);
    default:
      return from_errno(number, "cannot listen", endpoint,
                        endpoint.starts_with("ipc://")
                            ? "choose a path in a folder that is there and that this user may write"
                            : "write tcp://127.0.0.1:5555");
  }
}

/// libzmq removes whatever lies at an ipc path before it binds: another server's socket, or a file.
Status check_ipc_path(const std::string& endpoint) {
  if (!endpoint.starts_with("ipc://")) return {};
  const std::string path = endpoint.substr(6);
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0) return {};
  if (!S_ISSOCK(facts.st_mode)) return fail(ErrorKind::kUsage, "a file is already there and is no socket", endpoint);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(from_errno(errno, "cannot make a socket", endpoint));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool alive = connected == 0 || errno == EAGAIN;
  ::close(fd);
  if (alive) return fail(bind_error(EADDRINUSE, endpoint));
  return {};
}

Status check(const ServerOptions& options) {
  const auto bad = [](std::string_view what, std::string_view where) { return fail(ErrorKind::kUsage, what, where); };
  if (options.queue_limit < 1 || options.queue_limit > 65536) return bad("not from 1 to 65536", "queue limit");
  if (!(options.telemetry_hz >= 0.1 && options.telemetry_hz <= kMaxTelemetryHz)) {
    return bad("not from 0.1 to 1000 Hz", "telemetry rate");
  }
  if (!(options.drain_s >= 0 && options.drain_s <= 60)) return bad("not from 0 to 60 s", "drain time");
  if (options.apps < 1 || options.apps > 64) return bad("not from 1 to 64", "number of applications");
  if (options.max_tensor_bytes < 1 || options.max_tensor_bytes > (std::size_t{1} << 30)) {
    return bad("not from 1 byte to 1 GiB", "tensor limit");
  }
  if (options.curve) {
    if (!protocol::is_curve_key(options.curve->server.secret_key)) return bad("not a CURVE key", "server key");
    for (const std::string& key : options.curve->allowed_clients) {
      if (!protocol::is_curve_key(key)) return bad("not a CURVE key", "list of allowed clients");
    }
  }
  return {};
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, control::Driver& driver)
      : options_(std::move(options)),
        driver_(driver),
        limits_{.max_tensor_bytes = options_.max_tensor_bytes},
        router_(context_, zmq::socket_type::router),
        pub_(context_, zmq::socket_type::pub),
        zap_(context_, zmq::socket_type::rep) {}

  Status bind();
  Status run(int stop_fd);

  std::string endpoint, telemetry_endpoint;

  control::DriverMetrics totals() const;

 private:
  /// Where a reply goes: identity, and REQ's frames up to its delimiter.
  using Envelope = std::vector<std::string>;
  struct Pending {
    Envelope envelope;
    Value id;
  };

  Status bind(zmq::socket_t& socket, const std::string& wanted, std::string& bound);
  bool receive(zmq::socket_t& socket, std::vector<zmq::message_t>& parts, std::size_t& count);
  void on_message();
  void on_infer(const protocol::Infer& infer, int app, Envelope envelope, const Value& id);
  void on_replies();
  void on_zap();
  void answer(const Envelope& envelope, const Value& id, decltype(protocol::Reply::body) body);
  void refuse(const Envelope& envelope, const Value& id, protocol::Fault fault);
  void publish();
  /// Says in the log what has come to be amiss, and when it is over.
  void note_warning();
  void finish();
  protocol::MetricsAnswer metrics() const;
  protocol::StatusAnswer status(AppId app) const;
  protocol::GoalsInForce goals(AppId app) const;
  /// Behind the one in service.
  std::size_t waiting() const noexcept { return pending_.empty() ? 0 : pending_.size() - 1; }

  ServerOptions options_;
  control::Driver& driver_;
  protocol::Limits limits_;
  zmq::context_t context_;
  zmq::socket_t router_, pub_, zap_;
  std::optional<CurveGate> gate_;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::vector<zmq::message_t> parts_;
  std::vector<float> aligned_;  // a frame's bytes may begin anywhere
  std::uint64_t next_token_ = 1;
  std::uint64_t overloaded_ = 0;  // refused here: the driver never saw them
  std::uint64_t malformed_ = 0;
  double started_s_ = monotonic_s();
  bool stopping_ = false;
  std::string warned_;           // what is amiss, as it was logged last
  std::optional<Error> failed_;  // the driver's
};

Status Server::Impl::bind(zmq::socket_t& socket, const std::string& wanted, std::string& bound) {
  REINS_ASSIGN(const Endpoint address, parse_endpoint(wanted));
  if (!address.loopback && !options_.curve) {
    return fail(ErrorKind::kUsage, "other machines reach this address, so it needs CURVE keys", wanted,
                "give a server key and a list of client keys, or listen on tcp://127.0.0.1");
  }
  REINS_TRY(check_ipc_path(address.text));
  try {
    socket.set(zmq::sockopt::linger, kLingerMs);
    if (address.text.find('[') != std::string::npos) socket.set(zmq::sockopt::ipv6, true);
    if (options_.curve) {
      socket.set(zmq::sockopt::curve_server, true);
      socket.set(zmq::sockopt::curve_secretkey, options_.curve->server.secret_key);
      socket.set(zmq::sockopt::zap_domain, "reins");
    }
    socket.bind(address.text);
    bound = socket.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    return fail(bind_error(error.num(), wanted));
  }
  return {};
}

Status Server::Impl::bind() {
  try {
    if (options_.curve) {
      if (zmq_has("curve") == 0) {
        return fail(ErrorKind::kUnsupported, "this libzmq has no CURVE", "libzmq", "install one built with libsodium");
      }
      // The gate is in place before the first client can knock.
      gate_.emplace(options_.curve->allowed_clients);
      zap_.set(zmq::sockopt::linger, 0);
      zap_.bind("inproc://zeromq.zap.01");
    }
    router_.set(zmq::sockopt::rcvhwm, kReceiveQueue);
    // Up to here a client is told that its tensor is too large; beyond it, it is cut off.
    router_.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(2 * options_.max_tensor_bytes + (64 << 10)));
  } catch (const zmq::error_t& error) {
    return fail(from_errno(error.num(), "cannot set up the sockets", options_.endpoint));
  }
  REINS_TRY(bind(router_, options_.endpoint, endpoint));
  if (!options_.telemetry_endpoint.empty()) REINS_TRY(bind(pub_, options_.telemetry_endpoint, telemetry_endpoint));
  return {};
}

/// One whole message, if one is there. `count` is its number of parts; those beyond kMaxParts are read and forgotten.
bool Server::Impl::receive(zmq::socket_t& socket, std::vector<zmq::message_t>& parts, std::size_t& count) {
  parts.clear();
  count = 0;
  zmq::message_t part;
  do {
    // The parts of a message come together: after the first, none is waited for.
    if (!socket.recv(part, zmq::recv_flags::dontwait)) return false;
    const bool more = part.more();
    if (++count <= kMaxParts) parts.push_back(std::move(part));
    part = zmq::message_t();
    if (!more) return true;
  } while (true);
}

void Server::Impl::answer(const Envelope& envelope, const Value& id, decltype(protocol::Reply::body) body) {
  const std::string bytes = protocol::encode_reply({id, std::move(body)});
  // A ROUTER drops what goes to a client that has left or does not read; it never waits here.
  for (const std::string& frame : envelope) {
    if (!router_.send(zmq::buffer(frame), zmq::send_flags::sndmore | zmq::send_flags::dontwait)) return;
  }
  static_cast<void>(router_.send(zmq::buffer(bytes), zmq::send_flags::dontwait));
}

void Server::Impl::refuse(const Envelope& envelope, const Value& id, protocol::Fault fault) {
  if (options_.log) options_.log->debug("refused: {}: {}", name_of(fault.code), fault.message);
  fault.emulated = driver_.metrics().emulated;
  answer(envelope, id, std::move(fault));
}

void Server::Impl::on_message() {
  std::size_t count = 0;
  if (!receive(router_, parts_, count)) return;
  // REQ puts an empty delimiter in front, and with ZMQ_REQ_CORRELATE four bytes before that; DEALER sends what it is
  // given.
  std::size_t first = 1;
  if (parts_.size() > 1 && parts_[1].size() == 0) {
    first = 2;
  } else if (parts_.size() > 2 && parts_[1].size() == 4 && parts_[2].size() == 0) {
    first = 3;
  }
  Envelope envelope;
  for (std::size_t i = 0; i < first; ++i) envelope.emplace_back(view(parts_[i]));
  std::vector<std::string_view> frames;
  for (std::size_t i = first; i < parts_.size(); ++i) frames.push_back(view(parts_[i]));

  protocol::Decoded decoded = protocol::decode_request(frames, limits_);
  if (!decoded.request) {
    ++malformed_;
    return refuse(envelope, decoded.id, std::move(decoded.request.error()));
  }
  const protocol::Request& request = *decoded.request;
  if (request.app >= options_.apps) {
    ++malformed_;
    return refuse(
        envelope, request.id,
        {protocol::Code::kInvalid, "app " + std::to_string(request.app) + " is not served here; apps are 0 to " +
                                       std::to_string(options_.apps - 1)});
  }
  const AppId app{request.app};
  if (std::holds_alternative<protocol::StatusQuery>(request.body)) return answer(envelope, request.id, status(app));
  if (std::holds_alternative<protocol::MetricsQuery>(request.body)) return answer(envelope, request.id, metrics());
  if (stopping_) return refuse(envelope, request.id, {protocol::Code::kStopping, "the server is stopping"});
  if (const auto* goal = std::get_if<protocol::Goal>(&request.body)) {
    if (const Status set = driver_.set_goals(app, changed(driver_.goals(app), *goal)); !set) {
      return refuse(envelope, request.id, protocol::fault_of(set.error()));
    }
    protocol::GoalsInForce in_force = goals(app);
    in_force.emulated = driver_.metrics().emulated;
    return answer(envelope, request.id, std::move(in_force));
  }
  on_infer(std::get<protocol::Infer>(request.body), request.app, std::move(envelope), request.id);
}

void Server::Impl::on_infer(const protocol::Infer& infer, int app, Envelope envelope, const Value& id) {
  if (infer.tensor.shape != options_.network.input_shape) {
    ++malformed_;
    return refuse(envelope, id,
                  {protocol::Code::kMismatch, "the network takes " + shape_text(options_.network.input_shape) +
                                                  ", the tensor is " + shape_text(infer.tensor.shape)});
  }
  if (pending_.size() > options_.queue_limit) {  // and the one in service
    ++overloaded_;
    return refuse(
        envelope, id,
        {protocol::Code::kOverloaded, std::to_string(waiting()) + " requests are waiting already; try again later"});
  }
  protocol::Tensor tensor = infer.tensor;
  if (tensor.dtype == protocol::DType::kFloat32 &&
      reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % alignof(float) != 0) {
    aligned_.resize(tensor.bytes.size() / sizeof(float));
    std::memcpy(aligned_.data(), tensor.bytes.data(), tensor.bytes.size());
    tensor.bytes = {reinterpret_cast<const char*>(aligned_.data()), tensor.bytes.size()};
  }
  control::InferRequest request;
  request.token = next_token_++;
  request.app = AppId{app};
  request.deadline_s = infer.deadline_s;
  request.probabilities = infer.probabilities;
  if (const Status taken = driver_.submit(request, view_of(tensor)); !taken) {
    const ErrorKind kind = taken.error().kind();
    const bool this_request_alone =
        kind == ErrorKind::kBusy || kind == ErrorKind::kUsage || kind == ErrorKind::kMismatch;
    // A driver that has failed serves nobody any more: better gone and restarted than up and useless.
    if (!this_request_alone) failed_ = taken.error();
    return refuse(envelope, id, protocol::fault_of(taken.error()));
  }
  pending_.emplace(request.token, Pending{std::move(envelope), id});
}

void Server::Impl::on_replies() {
  control::InferReply reply;
  while (driver_.next(reply)) {
    const auto found = pending_.find(reply.token);
    if (found == pending_.end()) continue;
    const Pending& asked = found->second;
    if (reply.error) {
      refuse(asked.envelope, asked.id, protocol::fault_of(*reply.error));
    } else {
      answer(asked.envelope, asked.id, answer_of(reply));
    }
    pending_.erase(found);
  }
}

void Server::Impl::on_zap() {
  std::vector<zmq::message_t> parts;
  std::size_t count = 0;
  while (receive(zap_, parts, count)) {
    std::vector<std::string_view> frames;
    for (const zmq::message_t& part : parts) frames.push_back(view(part));
    const ZapVerdict verdict = gate_->judge(frames);
    if (!verdict.allowed && options_.log) options_.log->warn("a client whose key is not on the list was turned away");
    for (std::size_t i = 0; i < verdict.reply.size(); ++i) {
      const bool last = i + 1 == verdict.reply.size();
      zap_.send(zmq::buffer(verdict.reply[i]), last ? zmq::send_flags::none : zmq::send_flags::sndmore);
    }
  }
}

control::DriverMetrics Server::Impl::totals() const {
  control::DriverMetrics facts = driver_.metrics();
  // A request that is turned away was offered, and is a miss.
  facts.offered += overloaded_;
  facts.rejected += overloaded_;
  facts.missed += overloaded_;
  return facts;
}

protocol::MetricsAnswer Server::Impl::metrics() const {
  protocol::MetricsAnswer answer = answer_of(totals());
  answer.malformed = malformed_;
  return answer;
}

protocol::GoalsInForce Server::Impl::goals(AppId app) const {
  const policies::Goals set = driver_.goals(app);
  protocol::GoalsInForce answer = goals_of(set);
  if (options_.unreachable) answer.warning = options_.unreachable(set);
  return answer;
}

protocol::StatusAnswer Server::Impl::status(AppId app) const {
  const control::DriverMetrics facts = driver_.metrics();
  protocol::StatusAnswer answer;
  answer.board = facts.board;
  answer.network = options_.network.name;
  answer.dataset = options_.network.dataset;
  answer.policy = options_.policy;
  answer.input_shape = options_.network.input_shape;
  answer.classes = options_.network.classes;
  for (const inference::LevelFacts& level : options_.network.levels) answer.accuracies.push_back(level.accuracy);
  answer.waiting = waiting();
  answer.queue_limit = options_.queue_limit;
  answer.uptime_s = monotonic_s() - started_s_;
  answer.goals = goals(app);
  answer.warning = facts.warning;
  answer.emulated = facts.emulated;
  return answer;
}

void Server::Impl::publish() {
  const std::string bytes = protocol::encode_reply({Value(), metrics()});
  static_cast<void>(pub_.send(zmq::str_buffer("telemetry"), zmq::send_flags::sndmore | zmq::send_flags::dontwait));
  static_cast<void>(pub_.send(zmq::buffer(bytes), zmq::send_flags::dontwait));
}

void Server::Impl::note_warning() {
  if (!options_.log) return;
  std::string warning = driver_.metrics().warning;
  if (warning == warned_) return;
  if (warning.empty()) {
    options_.log->info("no longer amiss: {}", warned_);
  } else {
    options_.log->warn(warning);
  }
  warned_ = std::move(warning);
}

/// Whoever still waits is told so.
void Server::Impl::finish() {
  on_replies();
  for (const auto& [token, asked] : pending_) {
    refuse(asked.envelope, asked.id, {protocol::Code::kStopping, "the server stopped before it came to this request"});
  }
  pending_.clear();
}

Status Server::Impl::run(int stop_fd) {
  const bool publishes = !telemetry_endpoint.empty();
  const double period_s = 1 / options_.telemetry_hz;
  double next_publish_s = monotonic_s() + period_s;
  double next_note_s = monotonic_s() + kIdleWait_s;
  double drained_s = 0;
  try {
    if (options_.log) {
      options_.log->info("listening on {}{}", endpoint, options_.curve ? ", CURVE clients only" : "");
      if (publishes) options_.log->info("telemetry on {}", telemetry_endpoint);
    }
    while (true) {
      std::vector<zmq::pollitem_t> items = {{router_.handle(), 0, ZMQ_POLLIN, 0},
                                            {nullptr, driver_.event_fd(), ZMQ_POLLIN, 0}};
      if (gate_) items.push_back({zap_.handle(), 0, ZMQ_POLLIN, 0});
      if (!stopping_) items.push_back({nullptr, stop_fd, ZMQ_POLLIN, 0});
      double until_s = monotonic_s() + kIdleWait_s;
      if (publishes) until_s = std::min(until_s, next_publish_s);
      until_s = std::min(until_s, next_note_s);
      if (stopping_) until_s = std::min(until_s, drained_s);
      const double wait_s = std::max(0.0, until_s - monotonic_s());
      try {
        zmq::poll(items, std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(wait_s * 1e3))));
      } catch (const zmq::error_t& error) {
        if (error.num() != EINTR) throw;
        continue;
      }
      if (gate_ && items[2].revents != 0) on_zap();
      if (items[1].revents != 0) on_replies();
      for (int i = 0; i < kBatch && (router_.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0; ++i) on_message();
      if (publishes && monotonic_s() >= next_publish_s) {
        publish();
        next_publish_s = std::max(next_publish_s + period_s, monotonic_s());
      }
      if (monotonic_s() >= next_note_s) {
        note_warning();
        next_note_s = monotonic_s() + kIdleWait_s;
      }
      if (!stopping_ && items.back().revents != 0) {
        stopping_ = true;
        drained_s = monotonic_s() + options_.drain_s;
        if (options_.log) options_.log->info("stopping; {} under way", pending_.size());
      }
      if (!failed_) failed_ = driver_.failure();
      if (failed_) break;
      if (stopping_ && (pending_.empty() || monotonic_s() >= drained_s)) break;
    }
    stopping_ = true;
    note_warning();  // what went amiss since the last look
    finish();
    for (int i = 0; i < kBatch && (router_.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0; ++i) on_message();
  } catch (const zmq::error_t& error) {
    return fail(from_errno(error.num(), "serving failed", endpoint));
  } catch (const std::exception& error) {
    return fail(ErrorKind::kInternal, error.what(), endpoint);
  }
  if (failed_) return fail(*failed_);
  return {};
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(ServerOptions options, control::Driver& driver) {
  REINS_TRY(check(options));
  try {
    auto impl = std::make_unique<Impl>(std::move(options), driver);
    REINS_TRY(impl->bind());
    return std::unique_ptr<Server>(new Server(std::move(impl)));
  } catch (const zmq::error_t& error) {
    return fail(from_errno(error.num(), "cannot set up the sockets", "libzmq"));
  } catch (const std::exception& error) {
    return fail(ErrorKind::kInternal, error.what(), "server");
  }
}

const std::string& Server::endpoint() const noexcept { return impl_->endpoint; }
const std::string& Server::telemetry_endpoint() const noexcept { return impl_->telemetry_endpoint; }
Status Server::run(int stop_fd) { return impl_->run(stop_fd); }
control::DriverMetrics Server::metrics() const { return impl_->totals(); }

}  // namespace reins::serving
