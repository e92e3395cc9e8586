#include "control/live_plant.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace reins::control {

LivePlant::LivePlant(const boards::Board& board, inference::Engine& engine, actuators::ActuatorSet actuators,
                     sensors::Found sensors, const Clock& clock, const Options& options)
    : board_(board),
      engine_(engine),
      actuators_(std::move(actuators)),
      sensors_(std::move(sensors)),
      clock_(clock),
      options_(options),
      last_sample_s_(clock.now_s()) {
  for (const boards::Mapping& mapping : board.mappings) {
    placements_.push_back(placement_of(board, mapping));
    limits_cpus_ = limits_cpus_ || mapping.cpu_quota < 1;
  }
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    // A cluster that nothing runs on and whose frequency cannot be set stays as the machine runs it.
    tuned_.push_back(board.clusters[c].opps.size() > 1 &&
                     (actuators::has_mapping(board, ClusterId(c)) || actuators_.frequency(ClusterId(c)) != nullptr));
  }
  // Energy is claimed only where every accounting rail can be read: a sum with a rail missing is not the accounting's.
  std::size_t accounted = 0;
  for (const boards::Rail& rail : board.rails) {
    if (!rail.accounting) continue;
    ++accounted;
    if (sensors::Sensor* counter = sensors_.find(rail.name, sensors::Quantity::kEnergyJ)) {
      meters_.push_back({.sensor = counter, .counter = true});
    } else if (sensors::Sensor* gauge = sensors_.find(rail.name, sensors::Quantity::kPowerW)) {
      meters_.push_back({.sensor = gauge});
    }
  }
  if (meters_.size() < accounted) meters_.clear();
  has_energy_ = !meters_.empty();
  if (has_energy_) energy_j_ = 0;
  sampler_ = std::thread([this] { sample(); });
  runner_ = std::thread([this] { run(); });
}

LivePlant::~LivePlant() { static_cast<void>(restore()); }

Status LivePlant::restore() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  {
    const std::lock_guard<std::mutex> lock(run_mutex_);
    closing_ = true;
  }
  begin_.notify_one();
  if (sampler_.joinable()) sampler_.join();
  if (runner_.joinable()) runner_.join();
  placed_ = MappingId();
  return actuators_.restore();
}

Status LivePlant::tune(ClusterId used, OppId opp) noexcept {
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    if (!tuned_[c]) continue;
    const auto& opps = board_.clusters[c].opps;
    const OppId wanted = ClusterId(c) == used ? opp : OppId(0);
    const auto applied = actuators_.apply({ClusterId(c), actuators::FreqKhz{opps[wanted.index()].freq_khz}});
    if (!applied.has_value()) return fail(applied.error());
  }
  return {};
}

Status LivePlant::apply(const policies::Action& action) {
  const boards::Mapping& mapping = board_.mappings[action.mapping.index()];
  if (action.mapping != placed_) {
    if (running_) return fail(ErrorKind::kBusy, "the mapping cannot change while an inference runs", mapping.name);
    REINS_TRY(engine_.place(placements_[action.mapping.index()]));
    if (limits_cpus_) {
      // The quota is a share of the mapping's cores; 0 is no limit.
      const auto limited = actuators_.limit_cpus(mapping.cpu_quota < 1 ? mapping.cpu_quota * mapping.cores : 0);
      if (!limited.has_value()) return fail(limited.error());
    }
    placed_ = action.mapping;
  }
  if (action.governor.has_value()) {
    for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
      if (!tuned_[c]) continue;
      const auto applied = actuators_.apply({ClusterId(c), actuators::governed_by(*action.governor)});
      if (!applied.has_value()) return fail(applied.error());
    }
    return {};
  }
  return tune(mapping.cluster, action.opp);
}

Status LivePlant::park(const policies::Action& action) {
  return tune(board_.mappings[action.mapping.index()].cluster, action.park);
}

Status LivePlant::start(LevelId level, const inference::TensorView& input) { return enqueue({level, input}); }

Status LivePlant::grow(LevelId level) { return enqueue({level, std::nullopt}); }

Status LivePlant::enqueue(const Run& run) {
  if (running_) return fail(ErrorKind::kBusy, "an inference runs already", "live plant");
  {
    const std::lock_guard<std::mutex> lock(run_mutex_);
    if (closing_) return fail(ErrorKind::kGone, "this board has been put back", board_.name);
    wanted_ = run;
  }
  running_ = true;
  begin_.notify_one();
  return {};
}

void LivePlant::run() {
  std::unique_lock<std::mutex> lock(run_mutex_);
  for (;;) {
    begin_.wait(lock, [this] { return closing_ || wanted_.has_value(); });
    if (closing_) return;
    const Run run = *std::exchange(wanted_, std::nullopt);
    lock.unlock();
    auto ended = infer(run);
    lock.lock();
    ended_ = std::move(ended);
    lock.unlock();
    bell().ring();
    lock.lock();
  }
}

Result<PlantCompletion> LivePlant::infer(const Run& run) {
  if (run.input.has_value()) {
    REINS_TRY(engine_.begin(*run.input, run.level));
    REINS_ASSIGN(answer_, take_answer());
    return answer_;
  }
  if (engine_.grow().has_value()) {
    if (auto grown = take_answer(); grown.has_value()) answer_ = std::move(*grown);
  }
  return answer_;
}

Result<PlantCompletion> LivePlant::take_answer() {
  REINS_ASSIGN(const inference::Answer answer, engine_.finish());
  PlantCompletion completion;
  completion.level = answer.level;
  completion.predicted = answer.predicted;
  completion.probabilities.assign(answer.probabilities.begin(), answer.probabilities.end());
  return completion;
}

Result<std::optional<PlantCompletion>> LivePlant::poll_completion(double) {
  std::optional<Result<PlantCompletion>> ended;
  {
    const std::lock_guard<std::mutex> lock(run_mutex_);
    ended = std::exchange(ended_, std::nullopt);
  }
  if (!ended.has_value()) return std::optional<PlantCompletion>();
  running_ = false;
  if (!ended->has_value()) return fail(ended->error());
  return std::optional(std::move(**ended));
}

double LivePlant::next_event_s() {
  const std::lock_guard<std::mutex> lock(run_mutex_);
  return ended_.has_value() ? now_s() : now_s() + options_.sample_s;
}

bool LivePlant::poll_telemetry(double, Telemetry& out) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!latest_.has_value()) return false;
    out = *latest_;
    latest_.reset();
  }
  for (std::size_t c = 0; c < board_.clusters.size() && c < policies::kMaxClusters; ++c) {
    if (!tuned_[c]) continue;
    if (const auto cap = actuators_.cap(ClusterId(c))) out.cap[c] = cap->value;
  }
  return true;
}

std::optional<double> LivePlant::energy_j() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return energy_j_;
}

void LivePlant::sample() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    sample_once();
    lock.lock();
    wake_.wait_for(lock, std::chrono::duration<double>(options_.sample_s), [this] { return stopping_; });
  }
}

void LivePlant::measure(double now_s, Telemetry& out) {
  const double dt_s = now_s - last_sample_s_;
  last_sample_s_ = now_s;
  window_s_ += dt_s;
  double drawn_j = 0;
  bool whole = true;
  for (Meter& meter : meters_) {
    const auto reading = meter.sensor->read();
    if (!reading.has_value()) {
      meter.behind = true;
      whole = false;
      continue;
    }
    if (std::exchange(meter.behind, false)) whole = false;
    // Without a period a device speaks at every read.
    meter.fresh = meter.fresh || meter.sensor->signal().period_s <= 0 || reading->updates != meter.updates;
    meter.updates = reading->updates;
    double joules = reading->value * dt_s;
    if (meter.counter) {
      const double before_j = std::exchange(meter.last_j, reading->value);
      if (before_j < 0) whole = false;
      joules = before_j < 0 ? 0 : reading->value - before_j;
    }
    drawn_j += joules;
  }
  window_j_ += drawn_j;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    *energy_j_ += drawn_j;
  }
  const bool spoken = std::all_of(meters_.begin(), meters_.end(), [](const Meter& meter) { return meter.fresh; });
  if (whole && !spoken) return;
  if (whole && window_s_ > 0) {
    out.power_w = window_j_ / window_s_;
    out.window_s = window_s_;
  }
  // A window with a hole in it says nothing: it begins anew.
  window_j_ = window_s_ = 0;
  for (Meter& meter : meters_) meter.fresh = false;
}

void LivePlant::sample_once() {
  Telemetry telemetry;
  telemetry.at_s = clock_.now_s();
  if (sensors::Sensor* sensor = sensors_.find("board", sensors::Quantity::kTemperatureC)) {
    if (const auto reading = sensor->read()) telemetry.temperature_c = reading->value;
  }
  if (has_energy_) measure(telemetry.at_s, telemetry);
  for (std::size_t c = 0; c < board_.clusters.size() && c < policies::kMaxClusters; ++c) {
    const boards::Cluster& cluster = board_.clusters[c];
    if (sensors::Sensor* others = sensors_.find(cluster.name, sensors::Quantity::kOthersUtilisation)) {
      if (const auto reading = others->read()) telemetry.others_util[c] = std::clamp(reading->value, 0.0, 1.0);
    }
    if (sensors::Sensor* freq = sensors_.find(cluster.name, sensors::Quantity::kFreqKhz)) {
      if (const auto reading = freq->read()) {
        std::int32_t nearest = 0;
        for (std::size_t o = 0; o < cluster.opps.size(); ++o) {
          if (static_cast<double>(cluster.opps[o].freq_khz) <= reading->value + 1)
            nearest = static_cast<std::int32_t>(o);
        }
        telemetry.present_opp[c] = nearest;
      }
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (latest_.has_value() && latest_->power_w.has_value()) {
    // Nobody has taken the last round: its window is not lost.
    const double window_s = latest_->window_s + telemetry.window_s;
    telemetry.power_w =
        (*latest_->power_w * latest_->window_s + telemetry.power_w.value_or(0) * telemetry.window_s) / window_s;
    telemetry.window_s = window_s;
  }
  latest_ = telemetry;
}

}  // namespace reins::control
