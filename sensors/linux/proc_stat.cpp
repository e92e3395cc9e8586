// Utilisation from /proc/stat (Documentation/filesystems/proc.rst, section 1.8), and the share of it that others cause:
// busy time of the cpus less what the threads of one process used there (/proc/<pid>/task/<tid>/stat: utime, stime, and
// the cpu last run on).
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <mutex>
#include <utility>

#include "sensors/linux/attribute.hpp"

namespace reins::sensors {
namespace {

/// Kernel ticks are 10 ms: over less than this a share is mostly rounding.
constexpr double kWindowS = 0.1;
constexpr std::size_t kMaxCpu = 1024;

/// Takes the next unsigned number of `text`; false where there is none.
bool next_number(std::string_view& text, std::uint64_t& value) noexcept {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return true;
}

/// Ticks of each cpu since the source was opened.
using PerCpu = std::array<std::uint64_t, kMaxCpu>;

/// Adds up what the threads of a process used on each cpu. A thread's time since the last look counts where it ran
/// last; threads that the engine pins stay there. Files are kept open and read anew, and of a thread that has not run
/// since the last look (schedstat, which is a third as dear) nothing more is read.
class OwnTicks {
 public:
  static Result<OwnTicks> open(const Place& place) {
    const std::string who = place.pid > 0 ? std::to_string(place.pid) : std::string("self");
    OwnTicks own;
    own.path_ = (place.root / "proc" / who / "task").native();
    own.folder_ = ::open(own.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own.folder_ < 0) return fail(from_errno(errno, "cannot list the threads", own.path_));
    return own;
  }
  OwnTicks() = default;
  OwnTicks(OwnTicks&& other) noexcept { *this = std::move(other); }
  OwnTicks& operator=(OwnTicks&& other) noexcept {
    std::swap(folder_, other.folder_);
    std::swap(path_, other.path_);
    std::swap(known_, other.known_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~OwnTicks() {
    for (std::size_t i = 0; i < size_; ++i) close(known_[i]);
    if (folder_ >= 0) ::close(folder_);
  }
  bool is_open() const noexcept { return folder_ >= 0; }

  /// Adds what was used since the last call. Threads that have come are looked for once a second; such a one counts
  /// from its start.
  Status add_to(PerCpu& used, double now_s) noexcept {
    if (listed_s_ < 0 || now_s - listed_s_ >= kListEveryS) {
      REINS_TRY(list());
      listed_s_ = now_s;
    }
    for (std::size_t i = 0; i < size_; ++i) count(known_[i], used);
    return {};
  }

 private:
  static constexpr double kListEveryS = 1;
  static constexpr std::size_t kKeptOpen = 100;  // of the usual 1024 descriptors, two a thread

  struct Thread {
    std::uint64_t tid = 0;
    std::uint64_t ticks = 0;
    std::uint64_t ran_ns = 0;  ///< as schedstat said last
    int stat = -1, schedstat = -1;
    bool seen = false;
  };

  static void close(Thread& thread) noexcept {
    for (int* fd : {&thread.stat, &thread.schedstat}) {
      if (*fd >= 0) ::close(std::exchange(*fd, -1));
    }
  }

  Status list() noexcept {
    for (std::size_t i = 0; i < size_; ++i) known_[i].seen = false;
    if (::lseek(folder_, 0, SEEK_SET) < 0) return fail(from_errno(errno, "cannot list the threads", path_));
    // readdir() allocates; the system call behind it does not.
    alignas(8) std::array<char, 4096> entries;
    for (;;) {
      const long n = ::syscall(SYS_getdents64, folder_, entries.data(), entries.size());
      if (n < 0) return fail(from_errno(errno, "cannot list the threads", path_));
      if (n == 0) break;
      for (long at = 0; at < n;) {
        // struct linux_dirent64: d_ino 8, d_off 8, d_reclen 2, d_type 1, d_name.
        std::uint16_t length = 0;
        std::memcpy(&length, entries.data() + at + 16, sizeof(length));
        const char* const name = entries.data() + at + 19;
        std::uint64_t tid = 0;
        const auto [stop, code] = std::from_chars(name, name + std::strlen(name), tid);
        if (code == std::errc() && *stop == '\0') note(tid);
        at += length;
      }
    }
    for (std::size_t i = 0; i < size_;) {
      if (known_[i].seen) {
        ++i;
        continue;
      }
      close(known_[i]);
      known_[i] = std::exchange(known_[--size_], Thread{});
    }
    return {};
  }

  void note(std::uint64_t tid) noexcept {
    for (std::size_t i = 0; i < size_; ++i) {
      if (known_[i].tid != tid) continue;
      known_[i].seen = true;
      return;
    }
    if (size_ == known_.size()) return;
    Thread& thread = known_[size_++];
    thread = Thread{};
    thread.tid = tid;
    thread.seen = true;
    if (size_ > kKeptOpen) return;
    thread.stat = open_file(tid, "/stat");
    thread.schedstat = open_file(tid, "/schedstat");
  }

  int open_file(std::uint64_t tid, std::string_view file) const noexcept {
    std::array<char, 40> relative{};
    char* const end = std::to_chars(relative.data(), relative.data() + 20, tid).ptr;
    std::memcpy(end, file.data(), file.size());
    return ::openat(folder_, relative.data(), O_RDONLY | O_CLOEXEC);
  }

  void count(Thread& thread, PerCpu& used) const noexcept {
    std::array<char, 1024> buffer;
    if (thread.schedstat >= 0) {
      const ssize_t n = ::pread(thread.schedstat, buffer.data(), buffer.size(), 0);
      std::uint64_t ran_ns = 0;
      std::string_view text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      if (next_number(text, ran_ns) && ran_ns > 0 && ran_ns == std::exchange(thread.ran_ns, ran_ns)) return;
    }
    const int fd = thread.stat >= 0 ? thread.stat : open_file(thread.tid, "/stat");
    if (fd < 0) return;  // it ended in between
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), 0);
    if (thread.stat < 0) ::close(fd);
    if (n <= 0) return;
    std::string_view text(buffer.data(), static_cast<std::size_t>(n));
    const std::size_t paren = text.rfind(')');  // the name before it may hold anything
    if (paren == std::string_view::npos || text.size() < paren + 4) return;
    text.remove_prefix(paren + 4);  // ") S": field 3 is behind us
    std::uint64_t ticks = 0;
    std::uint64_t cpu = 0;
    for (int field = 4; field <= 39; ++field) {
      while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
      const std::string_view word = text.substr(0, text.find_first_of(" \n"));
      std::uint64_t value = 0;
      if (field == 14 || field == 15 || field == 39) {
        if (std::from_chars(word.data(), word.data() + word.size(), value).ec != std::errc()) return;
        if (field == 39) {
          cpu = value;
        } else {
          ticks += value;
        }
      }
      text.remove_prefix(word.size());
    }
    if (ticks > thread.ticks && cpu < kMaxCpu) used[static_cast<std::size_t>(cpu)] += ticks - thread.ticks;
    thread.ticks = ticks;
  }

  int folder_ = -1;
  std::string path_;
  double listed_s_ = -1;
  std::array<Thread, 256> known_{};
  std::size_t size_ = 0;
};

/// /proc as the sensors of one place read it: all of a round look at one reading. Threads: any; it locks itself.
class ProcTimes {
 public:
  /// The one that is open for this place already, or a new one.
  static Result<std::shared_ptr<ProcTimes>> of(const Place& place) {
    static std::mutex mutex;
    static std::weak_ptr<ProcTimes> newest;
    const std::lock_guard<std::mutex> lock(mutex);
    std::shared_ptr<ProcTimes> times = newest.lock();
    if (times && times->root_ == place.root && times->pid_ == place.pid && times->clock_ == place.clock) return times;
    times = std::make_shared<ProcTimes>(place);
    REINS_ASSIGN(times->stat_, KernelFile::open(place.root / "proc/stat"));
    newest = times;
    return times;
  }
  explicit ProcTimes(const Place& place) : root_(place.root), pid_(place.pid), clock_(place.clock) {
    buffer_.resize(std::size_t{1} << 18);
  }

  Status watch_own(const Place& place) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (own_.is_open()) return {};
    REINS_ASSIGN(own_, OwnTicks::open(place));
    return {};
  }
  const std::string& path() const noexcept { return stat_.path(); }

  struct Sums {
    std::uint64_t busy = 0, total = 0, own = 0;
  };
  /// Of these cpus, as of now or of a few milliseconds ago; `anew`: as of now. Errors: garbled, gone.
  Result<Sums> sums(const std::array<bool, kMaxCpu>& wanted, bool own, double now_s, bool anew) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (anew || read_s_ < 0 || now_s - read_s_ > kSameRoundS || now_s < read_s_) {
      read_s_ = -1;
      REINS_TRY(read());
      read_s_ = now_s;
      own_read_ = false;
    }
    if (own && !own_read_) {
      REINS_TRY(own_.add_to(own_used_, now_s));
      own_read_ = true;
    }
    Sums all;
    bool any = false;
    for (std::size_t cpu = 0; cpu < cpus_; ++cpu) {
      if (!wanted[cpu] || !online_[cpu]) continue;
      any = true;
      all.busy += busy_[cpu];
      all.total += total_[cpu];
    }
    for (std::size_t cpu = 0; cpu < kMaxCpu; ++cpu) {
      if (wanted[cpu]) all.own += own_used_[cpu];
    }
    if (!any) return fail(ErrorKind::kGone, "none of the cluster's cpus is online", stat_.path());
    return all;
  }

 private:
  static constexpr double kSameRoundS = 0.005;

  Status read() noexcept {
    const auto text = stat_.read_text(buffer_);
    if (!text) return fail(text.error());
    if (!text->starts_with("cpu")) return fail(garbled());
    std::fill_n(online_.begin(), cpus_, false);
    for (std::string_view rest = *text; rest.starts_with("cpu");) {
      const std::size_t newline = rest.find('\n');
      std::string_view line = rest.substr(3, newline == std::string_view::npos ? rest.npos : newline - 3);
      rest = newline == std::string_view::npos ? std::string_view{} : rest.substr(newline + 1);
      if (line.starts_with(' ')) continue;  // the sum over all
      std::uint64_t number = 0;
      if (!next_number(line, number)) return fail(garbled());
      if (number >= kMaxCpu) continue;
      const auto cpu = static_cast<std::size_t>(number);
      // user nice system idle iowait irq softirq steal; guest time is in user already.
      std::array<std::uint64_t, 8> ticks{};
      for (std::size_t i = 0; i < ticks.size(); ++i) {
        if (!next_number(line, ticks[i]) && i < 4) return fail(garbled());
      }
      std::uint64_t all = 0;
      for (const std::uint64_t t : ticks) all += t;
      busy_[cpu] = all - ticks[3] - ticks[4];
      total_[cpu] = all;
      online_[cpu] = true;
      cpus_ = std::max(cpus_, cpu + 1);
    }
    return {};
  }
  Error garbled() const noexcept { return Error(ErrorKind::kGarbled, "a cpu line does not parse", stat_.path()); }

  std::filesystem::path root_;
  int pid_;
  const Clock* clock_;
  std::mutex mutex_;  // guards what follows
  KernelFile stat_;
  OwnTicks own_;
  std::vector<char> buffer_;
  double read_s_ = -1;
  bool own_read_ = false;  ///< own_used_ is as of then too
  std::size_t cpus_ = 0;   ///< one more than the highest seen
  PerCpu busy_{}, total_{}, own_used_{};
  std::array<bool, kMaxCpu> online_{};
};

class Utilisation final : public Sensor {
 public:
  Utilisation(Signal signal, std::shared_ptr<ProcTimes> times, std::span<const int> cpus, bool others,
              const Clock& clock)
      : signal_(std::move(signal)), times_(std::move(times)), others_(others), clock_(clock) {
    for (const int cpu : cpus) {
      if (cpu >= 0 && static_cast<std::size_t>(cpu) < kMaxCpu) wanted_[static_cast<std::size_t>(cpu)] = true;
    }
  }

  /// Takes the sample against which the first reading is made.
  Status start() noexcept {
    base_s_ = clock_.now_s();
    const auto now = times_->sums(wanted_, others_, base_s_, true);
    if (!now) return fail(now.error());
    base_ = *now;
    return {};
  }

  const Signal& signal() const noexcept override { return signal_; }

  Result<Reading> read() noexcept override {
    const double now_s = clock_.now_s();
    if (now_s - base_s_ >= kWindowS) {
      const auto now = times_->sums(wanted_, others_, now_s, false);
      if (!now) return fail(now.error());
      const std::uint64_t total = now->total > base_.total ? now->total - base_.total : 0;
      std::uint64_t busy = now->busy > base_.busy ? now->busy - base_.busy : 0;
      if (total > 0) {
        if (others_) {
          const std::uint64_t own = now->own - base_.own;
          busy = busy > own ? busy - own : 0;
        }
        share_ = std::min(1.0, static_cast<double>(busy) / static_cast<double>(total));
        base_ = *now;
        base_s_ = now_s;
        ++updates_;
      }
    }
    if (updates_ == 0)
      return fail(ErrorKind::kBusy, "no kernel tick has passed since the sensor was opened", times_->path());
    return Reading{share_, now_s, now_s - base_s_, updates_};
  }

 private:
  Signal signal_;
  std::shared_ptr<ProcTimes> times_;
  bool others_;
  const Clock& clock_;
  std::array<bool, kMaxCpu> wanted_{};
  ProcTimes::Sums base_;
  double base_s_ = 0;
  double share_ = 0;
  std::uint64_t updates_ = 0;
};

}  // namespace

Opened open_utilisation(std::string_view name, std::span<const int> cpus, bool others, const Place& place) {
  REINS_ASSIGN(auto times, ProcTimes::of(place));
  if (others) REINS_TRY(times->watch_own(place));
  Signal signal{std::string(name), others ? Quantity::kOthersUtilisation : Quantity::kUtilisation, Behaviour::kGauge,
                kWindowS, "/proc/stat"};
  auto sensor = std::make_unique<Utilisation>(std::move(signal), std::move(times), cpus, others, *place.clock);
  REINS_TRY(sensor->start());
  return sensor;
}

std::vector<int> online_cpus(const std::filesystem::path& root) {
  std::vector<int> cpus;
  const std::string text = first_line(root / "sys/devices/system/cpu/online");
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view range = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), range.size() + 1));
    int low = 0;
    int high = 0;
    const char* end = range.data() + range.size();
    const auto [stop, code] = std::from_chars(range.data(), end, low);
    if (code != std::errc()) return {};
    high = low;
    if (stop != end && (*stop != '-' || std::from_chars(stop + 1, end, high).ec != std::errc())) return {};
    for (int cpu = low; cpu <= high && static_cast<std::size_t>(cpu) < kMaxCpu; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace reins::sensors
