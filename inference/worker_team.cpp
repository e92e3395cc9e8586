#include "inference/worker_team.hpp"

#include <cerrno>
#include <system_error>

namespace reins::inference {
namespace {

// About 20 us of pauses: longer than the other workers' share differs on an idle machine, short where a core was taken
// away.
constexpr int kSpins = 1000;

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <typename Done>
void spin_then_wait(const std::atomic<std::uint32_t>& word, Done done) noexcept {
  for (int i = 0; i < kSpins; ++i) {
    if (done(word.load(std::memory_order_acquire))) return;
    relax();
  }
  for (std::uint32_t seen = word.load(std::memory_order_acquire); !done(seen);
       seen = word.load(std::memory_order_acquire)) {
    word.wait(seen, std::memory_order_acquire);
  }
}

cpu_set_t single(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  return set;
}

}  // namespace

void SpinBarrier::arrive_and_wait() noexcept {
  if (parties_ <= 1) return;
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == parties_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  spin_then_wait(generation_, [generation](std::uint32_t now) { return now != generation; });
}

struct WorkerTeam::Worker {
  int number = 0;
  std::atomic<std::uint32_t> ticket{0};  // counts the runs that it is to take part in
  std::atomic<bool> stop{false};
  std::atomic<int> workers{1};
  std::thread thread;
};

int allowed_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  return std::max(CPU_COUNT(&set), 1);
}

WorkerTeam::WorkerTeam() {
  CPU_ZERO(&allowed_);
  ::sched_getaffinity(0, sizeof allowed_, &allowed_);
  threads_.reserve(kMaxWorkers);
}

WorkerTeam::~WorkerTeam() {
  for (auto& worker : threads_) {
    worker->stop.store(true, std::memory_order_release);
    worker->ticket.fetch_add(1, std::memory_order_release);
    worker->ticket.notify_one();
  }
  for (auto& worker : threads_) worker->thread.join();
}

Status WorkerTeam::check(const Placement& placement) const {
  for (const int cpu : placement.cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(static_cast<std::size_t>(cpu), &allowed_)) {
      return fail(ErrorKind::kUnsupported, "this process may not run on cpu " + std::to_string(cpu), "placement",
                  "name cpus that are online and in the process's affinity");
    }
  }
  return {};
}

Status WorkerTeam::move(const Placement& placement) {
  REINS_TRY(check(placement));
  const std::lock_guard<std::mutex> lock(placing_);
  if (placement.unit != Unit::kCpu || !pinned_ || static_cast<int>(placement.cpus.size()) != wanted_) {
    return fail(ErrorKind::kUnsupported, "what runs can be moved to as many other cores alone", "placement");
  }
  const auto pin = [this](int worker, int cpu) {
    if (changed_ || (worker == 0 && !caller_.has_value())) return 0;  // the next run goes there
    const pthread_t thread =
        worker == 0 ? *caller_ : threads_[static_cast<std::size_t>(worker - 1)]->thread.native_handle();
    const cpu_set_t set = single(cpu);
    return ::pthread_setaffinity_np(thread, sizeof set, &set);
  };
  for (int i = 0; i < wanted_; ++i) {
    const int problem = pin(i, placement.cpus[static_cast<std::size_t>(i)]);
    if (problem == 0) continue;
    for (int back = 0; back < i; ++back) static_cast<void>(pin(back, cpus_[static_cast<std::size_t>(back)]));
    return fail(from_errno(problem, "cannot move a worker", "engine", "name cpus that are online"));
  }
  for (std::size_t i = 0; i < placement.cpus.size(); ++i) cpus_[i] = placement.cpus[i];
  return {};
}

Status WorkerTeam::place(const Placement& placement) {
  if (placement.unit != Unit::kCpu) {
    return fail(ErrorKind::kUnsupported, "this engine runs on CPUs alone", "placement",
                "take an engine that runs on that unit");
  }
  const bool pinned = !placement.cpus.empty();
  const auto count = pinned ? static_cast<int>(placement.cpus.size()) : placement.threads;
  if (count < 1 || count > kMaxWorkers) {
    return fail(ErrorKind::kUsage, "an engine runs on 1 to 64 threads", "placement",
                "give a number of threads in that range");
  }
  REINS_TRY(check(placement));
  const std::lock_guard<std::mutex> lock(placing_);
  wanted_ = count;
  pinned_ = pinned;
  for (std::size_t i = 0; i < placement.cpus.size(); ++i) cpus_[i] = placement.cpus[i];
  changed_ = true;
  return {};
}

Status WorkerTeam::apply() {
  const std::lock_guard<std::mutex> lock(placing_);
  while (static_cast<int>(threads_.size()) < wanted_ - 1) {
    auto worker = std::make_unique<Worker>();
    worker->number = static_cast<int>(threads_.size()) + 1;
    try {
      worker->thread = std::thread(loop, this, worker.get());
    } catch (const std::system_error& problem) {
      return fail(from_errno(problem.code().value(), "cannot start a worker thread", "engine", "use fewer threads"));
    }
    threads_.push_back(std::move(worker));
  }
  for (int i = 1; i < wanted_; ++i) {
    auto& worker = *threads_[static_cast<std::size_t>(i - 1)];
    const cpu_set_t set = pinned_ ? single(cpus_[static_cast<std::size_t>(i)]) : allowed_;
    int problem = ::pthread_setaffinity_np(worker.thread.native_handle(), sizeof set, &set);
    // A cpu that went offline meanwhile: slower elsewhere is better than not at all.
    if (problem == EINVAL)
      problem = ::pthread_setaffinity_np(worker.thread.native_handle(), sizeof allowed_, &allowed_);
    if (problem != 0) {
      return fail(from_errno(problem, "cannot pin a worker", "engine", "name cpus that are online"));
    }
    worker.workers.store(wanted_, std::memory_order_relaxed);
  }
  barrier_.set_parties(static_cast<std::uint32_t>(wanted_));
  changed_ = false;
  return {};
}

Status WorkerTeam::run(void (*function)(void*, int, int), void* context) {
  if (changed_) REINS_TRY(apply());
  cpu_set_t before;
  if (pinned_) REINS_TRY(pin_caller(before));
  function_ = function;
  context_ = context;
  running_.store(static_cast<std::uint32_t>(wanted_ - 1), std::memory_order_relaxed);
  for (int i = 1; i < wanted_; ++i) {
    auto& worker = *threads_[static_cast<std::size_t>(i - 1)];
    worker.ticket.fetch_add(1, std::memory_order_release);
    worker.ticket.notify_one();
  }
  function(context, 0, wanted_);
  spin_then_wait(running_, [](std::uint32_t left) { return left == 0; });
  if (pinned_) {
    const std::lock_guard<std::mutex> lock(placing_);
    caller_.reset();
    const cpu_set_t mine = single(cpus_[0]);
    if (CPU_EQUAL(&before, &mine) == 0) ::sched_setaffinity(0, sizeof before, &before);
  }
  return {};
}

Status WorkerTeam::pin_caller(cpu_set_t& before) {
  const std::lock_guard<std::mutex> lock(placing_);
  const cpu_set_t mine = single(cpus_[0]);
  ::sched_getaffinity(0, sizeof before, &before);
  if (CPU_EQUAL(&before, &mine) == 0 && ::sched_setaffinity(0, sizeof mine, &mine) != 0 && errno != EINVAL)
    return fail(from_errno(errno, "cannot pin the calling thread", "engine", "name cpus that are online"));
  caller_ = ::pthread_self();
  return {};
}

void WorkerTeam::loop(WorkerTeam* team, Worker* worker) {
  std::uint32_t seen = 0;
  for (;;) {
    spin_then_wait(worker->ticket, [seen](std::uint32_t now) { return now != seen; });
    seen = worker->ticket.load(std::memory_order_acquire);
    if (worker->stop.load(std::memory_order_acquire)) return;
    team->function_(team->context_, worker->number, worker->workers.load(std::memory_order_relaxed));
    if (team->running_.fetch_sub(1, std::memory_order_acq_rel) == 1) team->running_.notify_one();
  }
}

}  // namespace reins::inference
