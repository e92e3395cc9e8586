// control/control_loop.hpp: the Driver of the real world: one thread that owns Runtime, policy and plant.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "control/driver.hpp"
#include "control/plant.hpp"
#include "control/recent_rate.hpp"
#include "control/runtime.hpp"
#include "policies/policy.hpp"

namespace reins::control {

/// What a loop runs on; the caller keeps all of it alive.
struct LoopSetup {
  const boards::Board* board = nullptr;
  const policies::ActionSpace* space = nullptr;
  const policies::Profile* profile = nullptr;
  const inference::NetworkFacts* network = nullptr;
  policies::Policy* policy = nullptr;
  Plant* plant = nullptr;
  std::function<Status()> on_thread{};  ///< called on the loop's thread before it begins; may be empty
};

/// submit() copies the input and stamps the arrival; the loop's thread does the rest: decide, apply, infer, account,
/// reply. No lock is held while it decides or infers.
class ControlLoop final : public Driver {
 public:
  ControlLoop(const LoopSetup& setup, const RuntimeConfig& config, const policies::Goals& goals);
  ~ControlLoop() override;

  /// Starts the thread. Errors: io (no event descriptor), and those of `on_thread`.
  Status start();

  Status submit(const InferRequest& request, const inference::TensorView& input) override;
  Status set_goals(AppId app, const policies::Goals& goals) override;
  policies::Goals goals(AppId app) const override;
  bool next(InferReply& out) override;
  int event_fd() const noexcept override { return event_fd_; }
  DriverMetrics metrics() const override;
  std::optional<Error> failure() const override;
  Status stop() override;

 private:
  struct Job {
    InferRequest request;
    double arrival_s = 0;
    std::vector<std::byte> input;
    inference::DType dtype = inference::DType::kFloat32;
    std::array<std::int64_t, 4> shape{};
  };
  void run();
  void take_inbox();
  void carry_out(Effects& effects);
  void reply(const Outcome& outcome);
  /// The job behind a request of the Runtime's.
  std::deque<Job>::iterator job_of(const Request& request);
  void push(InferReply reply);
  void wake_reader();
  void count();  ///< what replies are counted by: never behind the replies themselves. With the mutex held
  void publish();
  void keep(const Status& status);

  LoopSetup setup_;
  RuntimeConfig config_;
  Runtime runtime_;
  std::thread thread_;
  int event_fd_ = -1;

  mutable std::mutex mutex_;  // guards what follows
  std::deque<Job> inbox_;
  std::deque<InferReply> replies_;
  policies::Goals goals_;
  bool goals_changed_ = false;
  bool stopping_ = false;
  std::size_t in_system_ = 0;            // submitted and not yet replied to
  std::uint64_t refused_ = 0;            // beyond the queue
  std::uint64_t left_ = 0, unseen_ = 0;  // not answered at the end, and of those never offered to the Runtime
  DriverMetrics metrics_;
  std::optional<Error> first_error_;

  // The loop's thread alone.
  std::deque<Job> jobs_;  // what the Runtime holds, waiting or running, as they came
  std::optional<PlantCompletion> completion_;
  std::vector<double> recent_latencies_s_;  // a ring of the last thousands
  std::size_t recent_next_ = 0;
  RecentRate switch_rate_;
  double accuracy_sum_ = 0;
  double measured_ahead_j_ = 0;  // of the account of profiled power, when energy was last measured
  double began_s_ = 0;
};

}  // namespace reins::control
