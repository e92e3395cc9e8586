// Affinity of threads (sched_setaffinity(2)), and the number of threads that an engine is told to use.
#include <sched.h>

#include <cerrno>
#include <string>
#include <vector>

#include "actuators/linux/drivers.hpp"

namespace reins::actuators {
namespace {

cpu_set_t to_kernel(const CpuSet& set) noexcept {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (std::size_t cpu = 0; cpu < set.cpus.size() && cpu < CPU_SETSIZE; ++cpu) {
    if (set.cpus[cpu]) CPU_SET(cpu, &mask);
  }
  return mask;
}

CpuSet from_kernel(const cpu_set_t& mask) noexcept {
  CpuSet set;
  for (std::size_t cpu = 0; cpu < set.cpus.size() && cpu < CPU_SETSIZE; ++cpu)
    set.cpus[cpu] = CPU_ISSET(cpu, &mask) != 0;
  return set;
}

Error affinity_error(int cause, std::string_view what) noexcept {
  if (cause == ESRCH) return Error(ErrorKind::kGone, "the thread has ended", "sched_setaffinity", {}, cause);
  if (cause == EINVAL) {
    return Error(ErrorKind::kUsage, what, "sched_setaffinity",
                 "none of these cpus is online and allowed to this process", cause);
  }
  return from_errno(cause, what, "sched_setaffinity");
}

class Affinity final : public Actuator {
 public:
  explicit Affinity(std::string_view name) : name_(name) {}
  ~Affinity() override { static_cast<void>(restore()); }

  Status adopt(std::span<const int> tids) {
    for (const int tid : tids) {
      cpu_set_t mask;
      if (::sched_getaffinity(tid, sizeof(mask), &mask) != 0)
        return fail(affinity_error(errno, "cannot read the affinity"));
      threads_.push_back({tid, mask});
    }
    if (threads_.empty()) return fail(ErrorKind::kUsage, "no threads were named", "affinity");
    return {};
  }

  std::string_view name() const noexcept override { return name_; }
  std::string_view source() const noexcept override { return "sched_setaffinity"; }

  Result<Setting> apply(const Setting& setting) noexcept override {
    const auto* wanted = std::get_if<CpuSet>(&setting);
    if (wanted == nullptr) return fail(ErrorKind::kUnsupported, "takes a set of cpus", "sched_setaffinity");
    const cpu_set_t mask = to_kernel(*wanted);
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      if (::sched_setaffinity(threads_[i].tid, sizeof(mask), &mask) == 0) continue;
      const Error error = affinity_error(errno, "cannot set the affinity");
      // All or none: threads of one engine do not stay apart.
      for (std::size_t k = 0; k < i; ++k) set_quietly(threads_[k].tid, applied_ ? last_ : threads_[k].found);
      return fail(error);
    }
    applied_ = true;
    last_ = mask;
    return present();  // the kernel drops cpus that are offline or not allowed
  }

  Result<Setting> present() noexcept override {
    cpu_set_t mask;
    if (::sched_getaffinity(threads_.front().tid, sizeof(mask), &mask) != 0) {
      return fail(affinity_error(errno, "cannot read the affinity"));
    }
    return Setting(from_kernel(mask));
  }

  Status restore() noexcept override {
    if (!applied_) return {};
    Status status;
    for (const Thread& thread : threads_) {
      const bool done = ::sched_setaffinity(thread.tid, sizeof(thread.found), &thread.found) == 0;
      // A thread that has ended needs nothing put back.
      if (!done && errno != ESRCH && status) status = fail(affinity_error(errno, "cannot put the affinity back"));
    }
    if (status) applied_ = false;
    return status;
  }

 private:
  struct Thread {
    int tid;
    cpu_set_t found;
  };
  static void set_quietly(int tid, const cpu_set_t& mask) noexcept {
    static_cast<void>(::sched_setaffinity(tid, sizeof(mask), &mask));
  }

  std::string name_;
  std::vector<Thread> threads_;
  cpu_set_t last_{};
  bool applied_ = false;
};

class Threads final : public Actuator {
 public:
  Threads(std::string_view name, int initial, int most) : name_(name), most_(most), found_(initial), now_(initial) {}
  std::string_view name() const noexcept override { return name_; }
  std::string_view source() const noexcept override { return "engine"; }

  Result<Setting> apply(const Setting& setting) noexcept override {
    const auto* wanted = std::get_if<ThreadCount>(&setting);
    if (wanted == nullptr) return fail(ErrorKind::kUnsupported, "takes a number of threads", "thread count");
    if (wanted->threads < 1 || wanted->threads > most_) {
      return fail(ErrorKind::kUsage, "as many threads as this cannot be used", "thread count",
                  "take 1 up to the number of cores");
    }
    now_ = wanted->threads;
    return present();
  }
  Result<Setting> present() noexcept override { return Setting(ThreadCount{now_}); }
  Status restore() noexcept override {
    now_ = found_;
    return {};
  }

 private:
  std::string name_;
  int most_;
  int found_;
  int now_;
};

}  // namespace

Result<std::unique_ptr<Actuator>> make_affinity(std::string_view name, std::span<const int> tids) {
  auto actuator = std::make_unique<Affinity>(name);
  REINS_TRY(actuator->adopt(tids));
  return actuator;
}

Result<std::unique_ptr<Actuator>> make_thread_count(std::string_view name, int initial, int most) {
  if (initial < 1 || most < initial) return fail(ErrorKind::kUsage, "1 <= initial <= most is wanted", "thread count");
  return std::make_unique<Threads>(name, initial, most);
}

}  // namespace reins::actuators
