// tests/serving/fake_driver.hpp: a driver whose answers a test can foretell: class = first byte of the input.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "control/driver.hpp"

namespace reins::testing {

/// Answers from a thread of its own, unless `hold` is set: then requests wait until it is cleared. Test and server may
/// call it from two threads.
class FakeDriver final : public control::Driver {
 public:
  FakeDriver() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE)), wake_(::eventfd(0, EFD_CLOEXEC)) {
    worker_ = std::thread([this] { work(); });
  }
  ~FakeDriver() override {
    static_cast<void>(stop());
    ::close(event_);
    ::close(wake_);
  }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  Status submit(const control::InferRequest& request, const inference::TensorView& input) override {
    const std::lock_guard lock(mutex_);
    if (stopped_) return fail(ErrorKind::kGone, "stopped", "driver");
    if (waiting_.size() >= capacity_) return fail(ErrorKind::kBusy, "the queue is full", "driver");
    control::InferReply reply;
    reply.token = request.token;
    if (input.dtype == inference::DType::kUint8) {
      reply.predicted = *static_cast<const std::uint8_t*>(input.data);
    } else {
      // A view that is not aligned would be undefined behaviour here; the sanitizers watch.
      reply.predicted = static_cast<int>(*static_cast<const float*>(input.data));
    }
    if (request.probabilities) reply.probabilities = {0.25F, 0.75F};
    reply.level = LevelId(1);
    reply.mapping = "big";
    reply.freq_khz = 1'800'000;
    reply.queue_s = 0.001;
    reply.latency_s = 0.004;
    reply.missed = request.deadline_s.has_value() && *request.deadline_s < reply.latency_s;
    reply.energy_j = 0.5;
    reply.energy_source = energy_source_;
    reply.decision_ns = 250;
    reply.emulated = emulated_;
    if (std::memcmp(input.data, kCurse.data(), kCurse.size()) == 0)
      reply.error = Error(ErrorKind::kIo, "the accelerator hung", "engine");
    waiting_.push_back(std::move(reply));
    ++metrics_.offered;
    wake();
    return {};
  }
  Status set_goals(AppId app, const policies::Goals& goals) override {
    const std::lock_guard lock(mutex_);
    if (goals.latency_s && *goals.latency_s < 0.001)
      return fail(ErrorKind::kUsage, "no level is that fast", "latency goal");
    goals_[app] = goals;
    ++goal_changes_;
    return {};
  }
  policies::Goals goals(AppId app) const override {
    const std::lock_guard lock(mutex_);
    const auto found = goals_.find(app);
    return found == goals_.end() ? policies::Goals{} : found->second;
  }
  bool next(control::InferReply& out) override {
    const std::lock_guard lock(mutex_);
    if (done_.empty()) return false;
    out = std::move(done_.front());
    done_.pop_front();
    std::uint64_t count = 0;
    static_cast<void>(!::read(event_, &count, sizeof count));
    return true;
  }
  int event_fd() const noexcept override { return event_; }
  control::DriverMetrics metrics() const override {
    const std::lock_guard lock(mutex_);
    control::DriverMetrics metrics = metrics_;
    metrics.board = "fake";
    metrics.mapping = "big";
    metrics.level = 2;
    metrics.switches_per_s = 1.25;
    metrics.emulated = emulated_;
    metrics.energy_source = energy_source_;
    metrics.energy_j = 0.5 * static_cast<double>(metrics_.served);
    return metrics;
  }
  std::optional<Error> failure() const override {
    const std::lock_guard lock(mutex_);
    return failure_;
  }
  Status stop() override {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      wake();
    }
    if (worker_.joinable()) worker_.join();
    return {};
  }

  // What a test sets and sees.
  static constexpr std::string_view kCurse = "\r\r\r\r\r\r\r\r\r\r\r\r";  ///< an input that begins like this fails
  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    wake();
  }
  void set_capacity(std::size_t capacity) {
    const std::lock_guard lock(mutex_);
    capacity_ = capacity;
  }
  void set_energy_source(std::string source) {
    const std::lock_guard lock(mutex_);
    energy_source_ = std::move(source);
  }
  void set_failure(const Error& error) {
    const std::lock_guard lock(mutex_);
    failure_ = error;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(event_, &one, sizeof one));
  }
  void set_warning(std::string warning) {
    const std::lock_guard lock(mutex_);
    metrics_.warning = std::move(warning);
  }
  void set_emulated(bool emulated) {
    const std::lock_guard lock(mutex_);
    emulated_ = emulated;
  }
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  int goal_changes() const {
    const std::lock_guard lock(mutex_);
    return goal_changes_;
  }

 private:
  void wake() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
  }
  void work() {
    while (true) {
      std::uint64_t count = 0;
      static_cast<void>(!::read(wake_, &count, sizeof count));
      const std::lock_guard lock(mutex_);
      if (stopped_) return;
      while (!held_ && !waiting_.empty()) {
        done_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
        ++metrics_.served;
        const std::uint64_t one = 1;
        static_cast<void>(!::write(event_, &one, sizeof one));
      }
    }
  }

  mutable std::mutex mutex_;
  std::map<AppId, policies::Goals> goals_;
  std::deque<control::InferReply> waiting_, done_;
  control::DriverMetrics metrics_;
  std::string energy_source_ = "modelled";
  std::optional<Error> failure_;
  std::size_t capacity_ = 1000;
  int goal_changes_ = 0;
  bool held_ = false, stopped_ = false, emulated_ = false;
  int event_, wake_;
  std::thread worker_;
};

}  // namespace reins::testing
