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

struct Ticks {
  std::uint64_t busy = 0;
  std::uint64_t total = 0;
};

/// Sums what the threads of a process used on some cpus, in ticks. A thread's time since the last look counts where it
/// ran last; threads that the engine pins stay there.
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
    known_ = other.known_;
    size_ = other.size_;
    return *this;
  }
  ~OwnTicks() {
    if (folder_ >= 0) ::close(folder_);
  }

  /// Ticks used on `cpus` since the last call. A thread that is new counts from its start.
  Result<std::uint64_t> since_last(const std::array<bool, kMaxCpu>& cpus) noexcept {
    std::uint64_t sum = 0;
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
        count(entries.data() + at + 19, cpus, sum);
        at += length;
      }
    }
    size_ = static_cast<std::size_t>(std::remove_if(known_.begin(), known_.begin() + static_cast<std::ptrdiff_t>(size_),
                                                    [](const Thread& t) { return !t.seen; }) -
                                     known_.begin());
    return sum;
  }

 private:
  struct Thread {
    std::uint64_t tid = 0;
    std::uint64_t ticks = 0;
    bool seen = false;
  };

  void count(const char* name, const std::array<bool, kMaxCpu>& cpus, std::uint64_t& sum) noexcept {
    std::uint64_t tid = 0;
    const std::size_t length = std::strlen(name);
    if (std::from_chars(name, name + length, tid).ec != std::errc() || length > 20) return;
    std::array<char, 32> relative{};
    std::memcpy(relative.data(), name, length);
    std::memcpy(relative.data() + length, "/stat", 5);
    const int fd = ::openat(folder_, relative.data(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;  // it ended in between
    std::array<char, 1024> buffer;
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    ::close(fd);
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
    Thread* thread = find_or_add(tid);
    if (thread == nullptr) return;
    if (ticks > thread->ticks && cpu < kMaxCpu && cpus[static_cast<std::size_t>(cpu)]) sum += ticks - thread->ticks;
    thread->ticks = ticks;
    thread->seen = true;
  }

  Thread* find_or_add(std::uint64_t tid) noexcept {
    for (std::size_t i = 0; i < size_; ++i) {
      if (known_[i].tid == tid) return &known_[i];
    }
    if (size_ == known_.size()) return nullptr;
    known_[size_] = {tid, 0, false};
    return &known_[size_++];
  }

  int folder_ = -1;
  std::string path_;
  std::array<Thread, 256> known_{};
  std::size_t size_ = 0;
};

class Utilisation final : public Sensor {
 public:
  Utilisation(Signal signal, KernelFile stat, std::span<const int> cpus, bool others, OwnTicks own, const Clock& clock)
      : signal_(std::move(signal)), stat_(std::move(stat)), others_(others), own_(std::move(own)), clock_(clock) {
    for (const int cpu : cpus) {
      if (cpu >= 0 && static_cast<std::size_t>(cpu) < kMaxCpu) wanted_[static_cast<std::size_t>(cpu)] = true;
    }
    buffer_.resize(std::size_t{1} << 18);
  }

  /// Takes the sample against which the first reading is made.
  Status start() noexcept {
    const auto now = sample();
    if (!now) return fail(now.error());
    if (others_) {
      const auto own = own_.since_last(wanted_);
      if (!own) return fail(own.error());
    }
    base_ = *now;
    base_s_ = clock_.now_s();
    return {};
  }

  const Signal& signal() const noexcept override { return signal_; }

  Result<Reading> read() noexcept override {
    const double now_s = clock_.now_s();
    if (now_s - base_s_ >= kWindowS) {
      const auto now = sample();
      if (!now) return fail(now.error());
      const std::uint64_t total = now->total > base_.total ? now->total - base_.total : 0;
      std::uint64_t busy = now->busy > base_.busy ? now->busy - base_.busy : 0;
      if (total > 0) {
        if (others_) {
          const auto own = own_.since_last(wanted_);
          if (!own) return fail(own.error());
          busy = busy > *own ? busy - *own : 0;
        }
        share_ = std::min(1.0, static_cast<double>(busy) / static_cast<double>(total));
        base_ = *now;
        base_s_ = now_s;
        ++updates_;
      }
    }
    if (updates_ == 0)
      return fail(ErrorKind::kBusy, "no kernel tick has passed since the sensor was opened", stat_.path());
    return Reading{share_, now_s, now_s - base_s_, updates_};
  }

 private:
  Result<Ticks> sample() noexcept {
    const auto text = stat_.read_text(buffer_);
    if (!text) return fail(text.error());
    Ticks sum;
    bool any = false;
    for (std::string_view rest = *text; rest.starts_with("cpu");) {
      const std::size_t newline = rest.find('\n');
      std::string_view line = rest.substr(3, newline == std::string_view::npos ? rest.npos : newline - 3);
      rest = newline == std::string_view::npos ? std::string_view{} : rest.substr(newline + 1);
      if (line.starts_with(' ')) continue;  // the sum over all
      std::uint64_t cpu = 0;
      if (!next_number(line, cpu)) return fail(garbled());
      if (cpu >= kMaxCpu || !wanted_[static_cast<std::size_t>(cpu)]) continue;
      // user nice system idle iowait irq softirq steal; guest time is in user already.
      std::array<std::uint64_t, 8> ticks{};
      for (std::size_t i = 0; i < ticks.size(); ++i) {
        if (!next_number(line, ticks[i]) && i < 4) return fail(garbled());
      }
      const std::uint64_t idle = ticks[3] + ticks[4];
      std::uint64_t all = 0;
      for (const std::uint64_t t : ticks) all += t;
      sum.busy += all - idle;
      sum.total += all;
      any = true;
    }
    if (!text->starts_with("cpu")) return fail(garbled());
    if (!any) return fail(ErrorKind::kGone, "none of the cluster's cpus is online", stat_.path());
    return sum;
  }

  Error garbled() const noexcept { return Error(ErrorKind::kGarbled, "a cpu line does not parse", stat_.path()); }

  Signal signal_;
  KernelFile stat_;
  bool others_;
  OwnTicks own_;
  const Clock& clock_;
  std::array<bool, kMaxCpu> wanted_{};
  std::vector<char> buffer_;
  Ticks base_;
  double base_s_ = 0;
  double share_ = 0;
  std::uint64_t updates_ = 0;
};

}  // namespace

Opened open_utilisation(std::string_view name, std::span<const int> cpus, bool others, const Place& place) {
  REINS_ASSIGN(KernelFile stat, KernelFile::open(place.root / "proc/stat"));
  OwnTicks own;
  if (others) {
    REINS_ASSIGN(own, OwnTicks::open(place));
  }
  Signal signal{std::string(name), others ? Quantity::kOthersUtilisation : Quantity::kUtilisation, Behaviour::kGauge,
                kWindowS, "/proc/stat"};
  auto sensor =
      std::make_unique<Utilisation>(std::move(signal), std::move(stat), cpus, others, std::move(own), *place.clock);
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
