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
      in_force_khz_(board.clusters.size()),
      was_set_(board.clusters.size(), false),
      lost_(board.clusters.size()),
      present_opp_(board.clusters.size()) {
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
    sensors::Sensor* sensor = sensors_.find(rail.name, sensors::Quantity::kEnergyJ);
    if (sensor == nullptr) sensor = sensors_.find(rail.name, sensors::Quantity::kPowerW);
    if (sensor == nullptr) continue;
    sensors::EnergyIntegrator::Config config;
    config.quantum_w = rail.sensor_quantum_w;
    config.noise = rail.sensor_noise;
    config.gap_least_s = std::max(config.gap_least_s, 5 * options.sample_s);
    meters_.push_back({Watched(*sensor), sensors::EnergyIntegrator(sensor->signal(), config)});
  }
  if (meters_.size() < accounted) meters_.clear();
  has_energy_ = !meters_.empty();
  if (has_energy_) energy_j_ = energy_ci_j_ = 0;
  temperature_ = watched("board", sensors::Quantity::kTemperatureC);
  for (std::size_t c = 0; c < board.clusters.size() && c < policies::kMaxClusters; ++c) {
    others_util_.push_back(watched(board.clusters[c].name, sensors::Quantity::kOthersUtilisation));
    freq_.push_back(watched(board.clusters[c].name, sensors::Quantity::kFreqKhz));
  }
  for (Meter& meter : meters_) all_watched_.push_back(&meter.watched);
  if (temperature_) all_watched_.push_back(&*temperature_);
  for (auto* list : {&others_util_, &freq_}) {
    for (auto& one : *list) {
      if (one) all_watched_.push_back(&*one);
    }
  }
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
  if (sampler_.joinable()) {
    sampler_.join();
    // The last round: what was drawn since the one before it, up to now.
    sample_once();
    const double now_s = clock_.now_s();
    for (Meter& meter : meters_) meter.integral.close(now_s);
    tell(now_s);
  }
  if (runner_.joinable()) runner_.join();
  placed_ = MappingId();
  return actuators_.restore();
}

Status LivePlant::set(ClusterId cluster, const actuators::Setting& wanted) noexcept {
  const auto applied = actuators_.apply({cluster, wanted});
  std::optional<std::int64_t>& in_force = in_force_khz_[cluster.index()];
  if (!applied.has_value()) {
    const auto foreign = actuators_.foreign(cluster);
    const ErrorKind kind = applied.error().kind();
    const bool taken = kind == ErrorKind::kBusy && foreign.has_value() && foreign->taken;
    // What was never set, or cannot be meant, is wrong from the start. What was has left us (the kernel refuses a
    // policy all of whose processors are offline): what runs goes on without it, and each action tries again.
    const bool left_us = was_set_[cluster.index()] && (kind == ErrorKind::kBusy || kind == ErrorKind::kGone ||
                                                       kind == ErrorKind::kIo || kind == ErrorKind::kGarbled);
    if (!taken && !left_us) return fail(applied.error());
    if (!taken) lost_[cluster.index()] = applied.error();
    ++adjusted_;
    in_force.reset();
    looked_s_ = -1e9;  // the next telemetry says so
    return {};
  }
  was_set_[cluster.index()] = true;
  if (std::exchange(lost_[cluster.index()], std::nullopt).has_value()) looked_s_ = -1e9;
  if (*applied != wanted) ++adjusted_;
  const auto* freq = std::get_if<actuators::FreqKhz>(&*applied);
  const std::optional<std::int64_t> before = std::exchange(in_force, std::nullopt);
  if (freq != nullptr) in_force = freq->khz;
  if (in_force != before) ++load_changes_;
  return {};
}

Status LivePlant::set_point(ClusterId cluster, OppId opp) noexcept {
  if (!tuned_[cluster.index()]) return {};
  return set(cluster, actuators::FreqKhz{board_.clusters[cluster.index()].opps[opp.index()].freq_khz});
}

Status LivePlant::tune(ClusterId used, OppId opp) noexcept {
  used_ = used;
  for (std::size_t c = 0; c < board_.clusters.size(); ++c)
    REINS_TRY(set_point(ClusterId(c), ClusterId(c) == used ? opp : OppId(0)));
  return {};
}

Status LivePlant::apply(const policies::Action& action) {
  const boards::Mapping& mapping = board_.mappings[action.mapping.index()];
  if (action.mapping != placed_) {
    if (running_) return move(action);
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
      const bool gpu = board_.clusters[c].kind == boards::UnitKind::kGpu;
      REINS_TRY(set(ClusterId(c),
                    gpu ? actuators::governed_by(action.gpu_governor) : actuators::governed_by(*action.governor)));
    }
    used_ = mapping.cluster;
    return {};
  }
  return tune(mapping.cluster, action.opp);
}

Status LivePlant::move(const policies::Action& action) {
  const boards::Mapping& mapping = board_.mappings[action.mapping.index()];
  const boards::Mapping* const before = placed_.valid() ? &board_.mappings[placed_.index()] : nullptr;
  if (!engine_.moves() || before == nullptr || before->cores != mapping.cores ||
      (limits_cpus_ && before->cpu_quota != mapping.cpu_quota) || action.governor.has_value()) {
    return fail(ErrorKind::kBusy, "the mapping cannot change while an inference runs", mapping.name);
  }
  // The cores that it comes to are fast before it comes.
  REINS_TRY(set_point(mapping.cluster, action.opp));
  REINS_TRY(engine_.move(placements_[action.mapping.index()]));
  placed_ = action.mapping;
  used_ = mapping.cluster;
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    if (ClusterId(c) != used_) REINS_TRY(set_point(ClusterId(c), OppId(0)));
  }
  return {};
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
  ++load_changes_;
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

bool LivePlant::poll_telemetry(double now_s, Telemetry& out) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!latest_.has_value()) return false;
    out = *latest_;
    latest_.reset();
  }
  if (now_s - looked_s_ >= options_.look_s) look_for_others(now_s);
  out.held = held_;
  for (std::size_t c = 0; c < lost_.size() && c < policies::kMaxClusters; ++c)
    if (lost_[c].has_value()) out.lost |= std::uint32_t{1} << c;
  for (std::size_t c = 0; c < board_.clusters.size() && c < policies::kMaxClusters; ++c) {
    if (!tuned_[c]) continue;
    if (((held_ >> c) & 1U) != 0) {
      out.cap[c] = out.present_opp[c];
    } else if (const auto cap = actuators_.cap(ClusterId(c))) {
      out.cap[c] = cap->value;
    }
  }
  return true;
}

void LivePlant::look_for_others(double now_s) {
  looked_s_ = now_s;
  held_ = 0;
  for (std::size_t c = 0; c < board_.clusters.size() && c < policies::kMaxClusters; ++c) {
    const auto foreign = actuators_.look(ClusterId(c));
    if (!foreign.has_value() || !foreign->taken) continue;
    held_ |= std::uint32_t{1} << c;
    in_force_khz_[c].reset();
  }
}

PlantReport LivePlant::report() {
  PlantReport report;
  report.adjusted_settings = adjusted_;
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    const auto foreign = actuators_.foreign(ClusterId(c));
    if (lost_[c].has_value()) {
      report.warning += (report.warning.empty() ? "" : "; ") + board_.clusters[c].name +
                        " cannot be set now, and is used again once it can (" + lost_[c]->line() + ")";
    }
    if (!foreign.has_value()) continue;
    report.foreign_changes += foreign->changes;
    if (!foreign->taken) continue;
    report.warning += (report.warning.empty() ? "" : "; ") + board_.clusters[c].name +
                      ": another program set the governor or the minimum (governor now " +
                      std::string(foreign->governor.text()) + "); it is left alone until they are given back";
  }
  if (used_.valid()) report.freq_khz = in_force_khz_[used_.index()];
  const std::lock_guard<std::mutex> lock(mutex_);
  if (used_.valid() && ((held_ >> used_.index()) & 1U) != 0 && present_opp_[used_.index()]) {
    const auto opp = static_cast<std::size_t>(*present_opp_[used_.index()]);
    report.freq_khz = board_.clusters[used_.index()].opps[opp].freq_khz;
  }
  report.energy_j = energy_j_;
  report.energy_ci_j = energy_ci_j_;
  report.sensor_failures = sensor_failures_;
  if (!amiss_.empty()) report.warning += (report.warning.empty() ? "" : "; ") + amiss_;
  return report;
}

Status LivePlant::sampler_status() {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this] { return told_sampler_; });
  return sampler_status_;
}

void LivePlant::sample() {
  Status ready = options_.on_sampler ? options_.on_sampler() : Status{};
  std::unique_lock<std::mutex> lock(mutex_);
  sampler_status_ = std::move(ready);
  told_sampler_ = true;
  wake_.notify_all();
  while (!stopping_) {
    lock.unlock();
    sample_once();
    lock.lock();
    wake_.wait_for(lock, std::chrono::duration<double>(options_.sample_s), [this] { return stopping_; });
  }
}

std::optional<LivePlant::Watched> LivePlant::watched(std::string_view name, sensors::Quantity quantity) const {
  sensors::Sensor* const sensor = sensors_.find(name, quantity);
  return sensor == nullptr ? std::nullopt : std::optional<Watched>(*sensor);
}

std::optional<double> LivePlant::look(std::optional<Watched>& watched, double now_s) {
  if (!watched) return std::nullopt;
  const auto reading = watched->sensor->read();
  const sensors::Health health = watched->watch.see(reading, now_s, load_changes_);
  if (!reading.has_value() || health != sensors::Health::kFine) return std::nullopt;
  return reading->value;
}

void LivePlant::measure(double now_s, Telemetry& out) {
  bool spoken = true;
  for (Meter& meter : meters_) {
    const auto reading = meter.watched.sensor->read();
    const sensors::Health before = meter.watched.watch.health();
    const sensors::Health health = meter.watched.watch.see(reading, now_s, load_changes_);
    if (health == sensors::Health::kFine && reading.has_value()) {
      meter.integral.add(*reading);
    } else {
      if (health == sensors::Health::kStuck && before != health) meter.integral.distrust();
      // A counter that was reset says nothing of what was drawn before.
      meter.integral.miss(!reading.has_value() && reading.error().kind() == ErrorKind::kGarbled);
      broken_window_ = out.power_lost = true;
    }
    spoken = spoken && meter.integral.until_s() > meter.window_s;
  }
  if (!spoken || out.power_lost) return;
  double power_w = 0;
  double window_s = 0;
  for (Meter& meter : meters_) {
    const double span_s = meter.integral.until_s() - std::exchange(meter.window_s, meter.integral.until_s());
    power_w += (meter.integral.energy_j() - std::exchange(meter.window_j, meter.integral.energy_j())) / span_s;
    window_s += span_s / static_cast<double>(meters_.size());
  }
  // A window with a hole in it says nothing, nor does the one before the first reading.
  if (std::exchange(broken_window_, false)) return;
  out.power_w = power_w;
  out.window_s = window_s;
}

void LivePlant::tell(double now_s) {
  double energy_j = 0;
  double ci_j = 0;
  bool measuring = has_energy_;
  for (const Meter& meter : meters_) {
    energy_j += meter.integral.energy_j();
    ci_j += meter.integral.ci_j(now_s);  // added up: what they are off by may be of one cause
    measuring = measuring && meter.watched.watch.health() == sensors::Health::kFine;
  }
  std::uint64_t failures = 0;
  bool changed = false;
  for (Watched* one : all_watched_) {
    failures += one->watch.failures();
    changed = changed || one->told != one->watch.health();
    one->told = one->watch.health();
  }
  std::string amiss;
  for (const Watched* one : all_watched_) {
    if (!changed || one->told == sensors::Health::kFine) continue;
    const sensors::Signal& signal = one->sensor->signal();
    amiss += (amiss.empty() ? "" : "; ") + signal.name + " " + std::string(sensors::name_of(signal.quantity)) + " is " +
             std::string(sensors::name_of(one->told));
    if (one->told == sensors::Health::kFailing) amiss += " (" + one->watch.error().line() + ")";
  }
  if (has_energy_ && !measuring && !amiss.empty()) amiss += "; energy is not measured meanwhile";
  const std::lock_guard<std::mutex> lock(mutex_);
  energy_j_ = measuring ? std::optional(energy_j) : std::nullopt;
  energy_ci_j_ = measuring ? std::optional(ci_j) : std::nullopt;
  sensor_failures_ = failures;
  if (changed) amiss_ = std::move(amiss);
}

void LivePlant::sample_once() {
  Telemetry telemetry;
  telemetry.at_s = clock_.now_s();
  telemetry.temperature_c = look(temperature_, telemetry.at_s);
  if (has_energy_) measure(telemetry.at_s, telemetry);
  for (std::size_t c = 0; c < freq_.size(); ++c) {
    if (const auto others = look(others_util_[c], telemetry.at_s)) {
      telemetry.others_util[c] = std::clamp(*others, 0.0, 1.0);
    }
    if (const auto freq_khz = look(freq_[c], telemetry.at_s)) {
      const auto& opps = board_.clusters[c].opps;
      std::int32_t nearest = 0;
      for (std::size_t o = 0; o < opps.size(); ++o) {
        if (static_cast<double>(opps[o].freq_khz) <= *freq_khz + 1) nearest = static_cast<std::int32_t>(o);
      }
      telemetry.present_opp[c] = nearest;
    }
  }
  tell(telemetry.at_s);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (std::size_t c = 0; c < freq_.size(); ++c) present_opp_[c] = telemetry.present_opp[c];
  if (latest_.has_value() && latest_->power_w.has_value() && !telemetry.power_lost) {
    // Nobody has taken the last round: its window is not lost.
    const double window_s = latest_->window_s + telemetry.window_s;
    telemetry.power_w =
        (*latest_->power_w * latest_->window_s + telemetry.power_w.value_or(0) * telemetry.window_s) / window_s;
    telemetry.window_s = window_s;
  }
  latest_ = telemetry;
}

}  // namespace reins::control
