// inference/worker_team.hpp: threads that run one function together, pinned where asked, parked between runs.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/result.hpp"
#include "inference/api/engine.hpp"

namespace reins::inference {

/// A barrier that spins for some microseconds, then sleeps. For `parties` threads, again and again.
class SpinBarrier {
 public:
  void set_parties(std::uint32_t parties) noexcept { parties_ = parties; }
  void arrive_and_wait() noexcept;

 private:
  std::uint32_t parties_ = 1;
  std::atomic<std::uint32_t> arrived_{0};
  std::atomic<std::uint32_t> generation_{0};
};

/// Cores that this process may run on. More threads than that only wait for each other.
int allowed_cpus() noexcept;

/// The calling thread is worker 0 and is pinned only while a run lasts; its affinity is put back. The others wait
/// parked (a short spin, then a futex). Threads are made when first needed and kept; moving them costs a system call
/// each and allocates nothing. One caller at a time.
class WorkerTeam {
 public:
  static constexpr int kMaxWorkers = 64;

  WorkerTeam();
  ~WorkerTeam();
  WorkerTeam(const WorkerTeam&) = delete;
  WorkerTeam& operator=(const WorkerTeam&) = delete;

  /// Takes effect at the next run. Errors: usage (no threads, too many); unsupported (another unit than a CPU, a cpu
  /// that is not there or not allowed).
  Status place(const Placement& placement);
  /// Takes effect at once, also from another thread while run() runs: the workers go on on these cores. Errors:
  /// unsupported (not pinned, another number of them, a cpu that is not there or not allowed); what pinning answers.
  Status move(const Placement& placement);
  int workers() const noexcept { return wanted_; }
  /// Calls function(context, worker, workers) on every worker and returns when all are done.
  /// Errors: what pinning or making a thread answers.
  Status run(void (*function)(void* context, int worker, int workers), void* context);
  /// For `function`: waits until every worker of this run is here.
  void barrier() noexcept { barrier_.arrive_and_wait(); }

 private:
  struct Worker;
  /// The cpus may be used. Errors: unsupported.
  Status check(const Placement& placement) const;
  Status apply();
  /// Worker 0 to its cpu; `before` is what it may use elsewhere.
  Status pin_caller(cpu_set_t& before);
  static void loop(WorkerTeam* team, Worker* worker);

  cpu_set_t allowed_{};  // what the process may use, when the team was made
  int wanted_ = 1;
  bool pinned_ = false;
  std::array<int, kMaxWorkers> cpus_{};
  bool changed_ = false;
  std::mutex placing_;                            // what says where the workers are, against move()
  std::optional<pthread_t> caller_;               // while a pinned run lasts
  std::vector<std::unique_ptr<Worker>> threads_;  // workers 1, 2, ...

  void (*function_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
  std::atomic<std::uint32_t> running_{0};
  SpinBarrier barrier_;
};

}  // namespace reins::inference
