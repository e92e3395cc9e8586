#include "workload/link.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <zmq.hpp>

#include "core/clock.hpp"

namespace reins::workload {
namespace {

constexpr int kSendQueue = 4096;

}  // namespace

class Link::Impl {
 public:
  explicit Impl(std::string endpoint) : endpoint_(std::move(endpoint)), socket_(context_, zmq::socket_type::dealer) {}
  ~Impl() {
    if (timer_ >= 0) ::close(timer_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status connect(const ServerAddress& address);
  Status send(const protocol::Request& request);
  Result<std::optional<protocol::Reply>> receive(double until_s);
  const std::string& endpoint() const noexcept { return endpoint_; }

 private:
  Result<std::optional<protocol::Reply>> take();
  Status arm(double until_s);

  std::string endpoint_;
  zmq::context_t context_;
  zmq::socket_t socket_;
  int timer_ = -1;  // poll's own timeout counts in whole milliseconds; requests are due between them
};

Status Link::Impl::connect(const ServerAddress& address) {
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (timer_ < 0) return fail(from_errno(errno, "cannot make a timer", "timerfd"));
  try {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::sndhwm, kSendQueue);
    socket_.set(zmq::sockopt::rcvhwm, 0);
    if (address.endpoint.find('[') != std::string::npos) socket_.set(zmq::sockopt::ipv6, true);
    if (address.own_keys) {
      if (zmq_has("curve") == 0) return fail(ErrorKind::kUnsupported, "this libzmq has no CURVE", "libzmq");
      socket_.set(zmq::sockopt::curve_serverkey, address.server_key);
      socket_.set(zmq::sockopt::curve_publickey, address.own_keys->public_key);
      socket_.set(zmq::sockopt::curve_secretkey, address.own_keys->secret_key);
    }
    socket_.connect(address.endpoint);
  } catch (const zmq::error_t&) {
    return fail(ErrorKind::kUsage, "not an address that can be connected to", address.endpoint,
                "write tcp://127.0.0.1:5555");
  }
  return {};
}

Status Link::Impl::send(const protocol::Request& request) {
  try {
    const std::string map = protocol::encode_request(request);
    const auto* infer = std::get_if<protocol::Infer>(&request.body);
    const auto flags =
        zmq::send_flags::dontwait | (infer != nullptr ? zmq::send_flags::sndmore : zmq::send_flags::none);
    if (!socket_.send(zmq::buffer(map), flags)) return fail(ErrorKind::kBusy, "all buffers are full", endpoint_);
    if (infer != nullptr && !socket_.send(zmq::buffer(infer->tensor.bytes), zmq::send_flags::dontwait)) {
      return fail(ErrorKind::kBusy, "all buffers are full", endpoint_);
    }
  } catch (const zmq::error_t& error) {
    return fail(from_errno(error.num(), "cannot send", endpoint_));
  }
  return {};
}

Result<std::optional<protocol::Reply>> Link::Impl::take() {
  zmq::message_t part;
  if (!socket_.recv(part, zmq::recv_flags::dontwait)) return std::optional<protocol::Reply>();
  std::size_t parts = 1;
  while (part.more()) {
    // The parts of a message come together.
    if (!socket_.recv(part, zmq::recv_flags::dontwait)) break;
    ++parts;
  }
  if (parts != 1) return fail(ErrorKind::kGarbled, "a reply of several frames", endpoint_, "is this a reins server?");
  REINS_ASSIGN(protocol::Reply reply, protocol::decode_reply({static_cast<const char*>(part.data()), part.size()}));
  return std::optional(std::move(reply));
}

Status Link::Impl::arm(double until_s) {
  itimerspec when{};
  const double whole_s = std::floor(until_s);
  when.it_value.tv_sec = static_cast<time_t>(whole_s);
  when.it_value.tv_nsec = static_cast<long>((until_s - whole_s) * 1e9);
  // A time of zero would disarm it.
  if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0) when.it_value.tv_nsec = 1;
  if (::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) {
    return fail(from_errno(errno, "cannot set a timer", "timerfd"));
  }
  return {};
}

Result<std::optional<protocol::Reply>> Link::Impl::receive(double until_s) {
  try {
    REINS_ASSIGN(std::optional<protocol::Reply> waiting, take());
    if (waiting || monotonic_s() >= until_s) return waiting;
    REINS_TRY(arm(until_s));
    zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, timer_, ZMQ_POLLIN, 0}};
    try {
      const double wait_s = std::clamp(until_s - monotonic_s(), 0.0, 3600.0);
      zmq::poll(items, 2, std::chrono::milliseconds(static_cast<std::int64_t>(wait_s * 1e3) + 1));
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
      return std::optional<protocol::Reply>();
    }
    return take();
  } catch (const zmq::error_t& error) {
    return fail(from_errno(error.num(), "cannot receive", endpoint_));
  }
}

Link::Link(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Link::~Link() = default;

Result<std::unique_ptr<Link>> Link::open(const ServerAddress& address) {
  try {
    auto impl = std::make_unique<Impl>(address.endpoint);
    REINS_TRY(impl->connect(address));
    return std::unique_ptr<Link>(new Link(std::move(impl)));
  } catch (const zmq::error_t& error) {
    return fail(from_errno(error.num(), "cannot make a socket", "libzmq"));
  }
}

Status Link::send(const protocol::Request& request) { return impl_->send(request); }
Result<std::optional<protocol::Reply>> Link::receive(double until_s) { return impl_->receive(until_s); }

Result<protocol::Reply> Link::ask(const protocol::Request& request, double timeout_s,
                                  const std::function<bool()>& cancelled) {
  REINS_TRY(send(request));
  const double until_s = monotonic_s() + timeout_s;
  while (monotonic_s() < until_s && !(cancelled && cancelled())) {
    REINS_ASSIGN(std::optional<protocol::Reply> reply, receive(until_s));
    if (!reply || reply->id != request.id) continue;
    if (const auto* fault = std::get_if<protocol::Fault>(&reply->body)) {
      return fail(ErrorKind::kUsage, fault->message, impl_->endpoint());
    }
    return std::move(*reply);
  }
  return fail(ErrorKind::kTimeout, "no server answers", impl_->endpoint(),
              "start one with reins serve, or check the address");
}

}  // namespace reins::workload
