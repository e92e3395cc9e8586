#include "control/control_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <future>

#include "core/assert.hpp"
#include "core/clock.hpp"
#include "core/stats.hpp"

namespace reins::control {
namespace {

constexpr std::size_t kRecent = 4096;
constexpr double kPublish_s = 0.05;     // metrics are at most this old
constexpr double kLongestNap_s = 0.05;  // so that a stop or a changed goal never waits longer

std::size_t bytes_of(const inference::TensorView& view) noexcept {
  std::size_t count = view.dtype == inference::DType::kFloat32 ? sizeof(float) : 1;
  for (const std::int64_t n : view.shape) count *= static_cast<std::size_t>(std::max<std::int64_t>(n, 0));
  return count;
}

}  // namespace

ControlLoop::ControlLoop(const LoopSetup& setup, const RuntimeConfig& config, const policies::Goals& goals)
    : setup_(setup),
      config_(as_the_plant_can(config, *setup.plant)),
      runtime_(*setup.board, *setup.space, *setup.profile, config_),
      goals_(goals) {
  runtime_.set_goals(goals);
  metrics_.board = setup.board->name;
  metrics_.emulated = setup.plant->emulated();
}

ControlLoop::~ControlLoop() {
  static_cast<void>(stop());
  if (event_fd_ >= 0) ::close(event_fd_);
}

Status ControlLoop::start() {
  event_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd_ < 0) return fail(from_errno(errno, "cannot make an event descriptor", "control loop"));
  began_s_ = setup_.plant->now_s();
  switch_rate_.sample(began_s_, 0);  // so that a switch before the first round counts
  std::promise<Status> ready;
  std::future<Status> status = ready.get_future();
  thread_ = std::thread([this, ready = std::move(ready)]() mutable {
    Status begun = setup_.on_thread ? setup_.on_thread() : Status{};
    const bool runs = begun.has_value();
    ready.set_value(std::move(begun));
    if (runs) run();
  });
  return status.get();
}

Status ControlLoop::submit(const InferRequest& request, const inference::TensorView& input) {
  if (input.shape != setup_.network->input_shape) {
    return fail(ErrorKind::kUsage, "the input's shape is not the network's", setup_.network->name);
  }
  Job job;
  job.request = request;
  job.dtype = input.dtype;
  job.shape = input.shape;
  job.input.resize(bytes_of(input));
  std::memcpy(job.input.data(), input.data, job.input.size());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (first_error_.has_value()) return fail(*first_error_);
    if (stopping_) return fail(ErrorKind::kGone, "the server is stopping");
    // One more than the queue: the one that is being served.
    if (in_system_ > config_.queue_limit) {
      ++refused_;
      ++metrics_.offered;
      ++metrics_.missed;
      ++metrics_.rejected;
      return fail(ErrorKind::kBusy, "overloaded: the queue is full");
    }
    ++in_system_;
    job.arrival_s = setup_.plant->now_s();
    inbox_.push_back(std::move(job));
  }
  setup_.plant->bell().ring();
  return {};
}

Status ControlLoop::set_goals(AppId, const policies::Goals& goals) {
  const std::lock_guard<std::mutex> lock(mutex_);
  goals_ = goals;
  goals_changed_ = true;
  return {};
}

policies::Goals ControlLoop::goals(AppId) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return goals_;
}

bool ControlLoop::next(InferReply& out) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (replies_.empty()) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
    return false;
  }
  out = std::move(replies_.front());
  replies_.pop_front();
  return true;
}

DriverMetrics ControlLoop::metrics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return metrics_;
}

std::optional<Error> ControlLoop::failure() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return first_error_;
}

Status ControlLoop::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  setup_.plant->bell().ring();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (first_error_.has_value()) return fail(*first_error_);
  return {};
}

void ControlLoop::keep(const Status& status) {
  if (status.has_value()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!first_error_.has_value()) first_error_ = status.error();
  }
  wake_reader();
}

void ControlLoop::wake_reader() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
}

void ControlLoop::push(InferReply reply) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (in_system_ > 0) --in_system_;
    replies_.push_back(std::move(reply));
    count();
  }
  wake_reader();
}

void ControlLoop::count() {
  const Counters& counters = runtime_.counters();
  metrics_.offered = counters.offered + refused_ + unseen_;
  metrics_.served = counters.served;
  metrics_.missed = counters.missed + refused_ + left_;
  metrics_.rejected = counters.rejected + refused_;
}

void ControlLoop::publish() {
  const Counters& counters = runtime_.counters();
  const policies::Action& applied = runtime_.applied();
  std::vector<double> sorted = recent_latencies_s_;
  std::sort(sorted.begin(), sorted.end());
  const double now_s = setup_.plant->now_s();
  runtime_.settle(now_s);
  PlantReport plant = setup_.plant->report();
  switch_rate_.sample(now_s, counters.switches);
  const std::lock_guard<std::mutex> lock(mutex_);
  count();
  metrics_.switches = counters.switches;
  metrics_.switches_per_s = switch_rate_.per_s();
  metrics_.shield_interventions = counters.shield_interventions;
  metrics_.grown = counters.grown;
  metrics_.decisions = counters.decisions;
  metrics_.sensor_failures = plant.sensor_failures;
  metrics_.foreign_changes = plant.foreign_changes;
  metrics_.adjusted_settings = plant.adjusted_settings;
  metrics_.warning = std::move(plant.warning);
  metrics_.energy_ci_j = plant.energy_ci_j;
  if (plant.energy_j.has_value()) {
    metrics_.energy_j = plant.energy_j;
    measured_ahead_j_ = *plant.energy_j - runtime_.energy().total_j();
    // An emulated board's energy is its physics' own, measured by nobody.
    const EnergySource source = setup_.plant->emulated() ? EnergySource::kModelled : EnergySource::kMeasured;
    metrics_.energy_source = std::string(name_of(source));
  } else if (runtime_.energy().known() && setup_.profile->has_energy()) {
    // From where the measurement ended: energy since the start does not fall because a sensor left.
    metrics_.energy_j = measured_ahead_j_ + runtime_.energy().total_j();
    metrics_.energy_source = std::string(name_of(runtime_.energy().source()));
  } else {
    metrics_.energy_j.reset();
    metrics_.energy_source = "none";
  }
  metrics_.p50_s = quantile(sorted, 0.50);
  metrics_.p95_s = quantile(sorted, 0.95);
  metrics_.p99_s = quantile(sorted, 0.99);
  metrics_.uptime_s = now_s - began_s_;
  metrics_.mean_accuracy = counters.served > 0 ? accuracy_sum_ / static_cast<double>(counters.served) : 0;
  if (applied.mapping.valid()) {
    metrics_.mapping = setup_.space->mappings[applied.mapping.index()].name;
    metrics_.level = runtime_.level().value + 1;
    if (applied.opp.valid())
      metrics_.freq_khz =
          plant.freq_khz.value_or(setup_.space->mappings[applied.mapping.index()].freq_khz[applied.opp.index()]);
  }
}

std::deque<ControlLoop::Job>::iterator ControlLoop::job_of(const Request& request) {
  const auto found =
      std::find_if(jobs_.begin(), jobs_.end(), [&request](const Job& job) { return job.request.token == request.id; });
  REINS_ASSERT(found != jobs_.end());
  return found;
}

void ControlLoop::reply(const Outcome& outcome) {
  const auto found = job_of(outcome.request);
  const Job job = std::move(*found);
  jobs_.erase(found);
  InferReply reply;
  reply.token = job.request.token;
  reply.emulated = setup_.plant->emulated();
  reply.missed = outcome.missed;
  reply.latency_s = outcome.latency_s;
  reply.queue_s = outcome.queue_s;
  reply.level = outcome.level;
  reply.started_level = outcome.started_level;
  reply.decision_ns = outcome.decision_ns;
  reply.mapping = setup_.space->mappings[outcome.applied.mapping.index()].name;
  if (outcome.applied.opp.valid()) {
    // As the board runs it: still the one that the inference ended at.
    reply.freq_khz = setup_.plant->report().freq_khz.value_or(
        setup_.space->mappings[outcome.applied.mapping.index()].freq_khz[outcome.applied.opp.index()]);
  }
  reply.energy_j = outcome.energy_j;
  reply.energy_ci_j = outcome.energy_ci_j;
  reply.energy_source = std::string(name_of(outcome.energy_source));
  if (completion_.has_value()) {
    reply.predicted = completion_->predicted;
    if (job.request.probabilities) reply.probabilities = completion_->probabilities;
    completion_.reset();
  }
  accuracy_sum_ += setup_.network->levels[outcome.level.index()].accuracy;
  if (recent_latencies_s_.size() < kRecent) {
    recent_latencies_s_.push_back(outcome.latency_s);
  } else {
    recent_latencies_s_[recent_next_++ % kRecent] = outcome.latency_s;
  }
  push(std::move(reply));
}

void ControlLoop::carry_out(Effects& effects) {
  // Handling one effect can bring more: work through copies until none is left.
  while (effects.size() > 0) {
    const Effects now = effects;
    effects.clear();
    for (const Effect& effect : now) {
      switch (effect.kind) {
        case EffectKind::kReply:
          if (!effect.outcome.rejected) {
            reply(effect.outcome);
          } else {
            InferReply refused;
            refused.token = effect.outcome.request.id;
            refused.error = Error(ErrorKind::kBusy, "overloaded: the queue is full");
            refused.missed = true;
            refused.emulated = setup_.plant->emulated();
            jobs_.erase(job_of(effect.outcome.request));
            push(std::move(refused));
          }
          break;
        case EffectKind::kDecide: {
          const std::int64_t before_ns = monotonic_ns();
          const policies::Action wanted = setup_.policy->decide(runtime_.observation());
          runtime_.decide(setup_.plant->now_s(), wanted, std::max<std::int64_t>(1, monotonic_ns() - before_ns),
                          effects);
          break;
        }
        case EffectKind::kApply:
          keep(setup_.plant->apply(effect.action));
          break;
        case EffectKind::kPark:
          keep(setup_.plant->park(effect.action));
          break;
        case EffectKind::kStart: {
          const Job& job = *job_of(effect.outcome.request);
          keep(setup_.plant->start(effect.action.level, {job.input.data(), job.dtype, job.shape}));
          break;
        }
        case EffectKind::kGrow:
          keep(setup_.plant->grow(effect.action.level));
          break;
      }
    }
  }
}

void ControlLoop::take_inbox() {
  Effects effects;
  for (;;) {
    Job job;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (goals_changed_) {
        runtime_.set_goals(goals_);
        goals_changed_ = false;
      }
      if (inbox_.empty()) return;
      job = std::move(inbox_.front());
      inbox_.pop_front();
    }
    Request request;
    request.id = job.request.token;
    request.app = job.request.app;
    request.arrival_s = job.arrival_s;
    if (job.request.deadline_s.has_value()) request.deadline_s = job.arrival_s + *job.request.deadline_s;
    jobs_.push_back(std::move(job));
    runtime_.arrive(setup_.plant->now_s(), request, effects);
    carry_out(effects);
  }
}

void ControlLoop::run() {
  Effects effects;
  double last_publish_s = -1;
  for (;;) {
    const double now_s = setup_.plant->now_s();
    Telemetry telemetry;
    while (setup_.plant->poll_telemetry(now_s, telemetry)) {
      runtime_.sensed(now_s, telemetry);
      const std::lock_guard<std::mutex> lock(mutex_);
      metrics_.temperature_c = telemetry.temperature_c;
      if (telemetry.power_w.has_value() || telemetry.power_lost) metrics_.power_w = telemetry.power_w;
    }
    take_inbox();  // after the sensors, so that what comes now is decided by the newest reading
    auto ended = setup_.plant->poll_completion(now_s);
    if (!ended.has_value()) {
      keep(fail(ended.error()));
    } else if (ended->has_value()) {
      const LevelId level = (*ended)->level;
      completion_ = std::move(*ended);
      runtime_.complete(setup_.plant->now_s(), level, effects);
      carry_out(effects);
    }
    runtime_.advance(setup_.plant->now_s(), effects);
    carry_out(effects);
    // Sorting thousands of latencies is not for every request.
    if (now_s - last_publish_s > kPublish_s) {
      publish();
      last_publish_s = now_s;
    }

    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_ || first_error_.has_value()) break;
      if (!inbox_.empty()) continue;
    }
    const double until_s = std::min(runtime_.next_event_s(), setup_.plant->next_event_s());
    const double nap_s = std::clamp(until_s - setup_.plant->now_s(), 0.0, kLongestNap_s);
    if (nap_s > 0) setup_.plant->bell().wait(nap_s);
  }
  // Before the jobs go: an inference under way reads its job's input to its end.
  keep(setup_.plant->restore());
  // Whoever still waits is told.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    unseen_ = inbox_.size();
    for (Job& job : inbox_) jobs_.push_back(std::move(job));
    inbox_.clear();
    left_ = jobs_.size();
  }
  for (const Job& job : jobs_) {
    InferReply reply;
    reply.token = job.request.token;
    reply.missed = true;
    reply.emulated = setup_.plant->emulated();
    reply.error = first_error_.has_value() ? *first_error_ : Error(ErrorKind::kGone, "the server is stopping");
    push(std::move(reply));
  }
  jobs_.clear();
  publish();
}

}  // namespace reins::control
