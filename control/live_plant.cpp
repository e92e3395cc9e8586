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
      last_counter_j_(board.rails.size(), -1),
      last_updates_(board.rails.size(), 0),
      last_energy_s_(clock.now_s()) {
  // Energy is claimed only where every accounting rail can be read: a sum with a rail missing is not the accounting's.
  std::size_t accounted = 0;
  std::size_t readable = 0;
  for (const boards::Rail& rail : board.rails) {
    if (!rail.accounting) continue;
    ++accounted;
    if (sensors_.find(rail.name, sensors::Quantity::kEnergyJ) != nullptr ||
        sensors_.find(rail.name, sensors::Quantity::kPowerW) != nullptr) {
      ++readable;
    }
  }
  has_energy_ = accounted > 0 && readable == accounted;
  if (has_energy_) energy_j_ = 0;
  sampler_ = std::thread([this] { sample(); });
}

LivePlant::~LivePlant() { static_cast<void>(restore()); }

Status LivePlant::restore() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (sampler_.joinable()) sampler_.join();
  return actuators_.restore();
}

Status LivePlant::tune(ClusterId used, OppId opp) noexcept {
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    const auto& opps = board_.clusters[c].opps;
    if (opps.size() < 2) continue;  // nothing to set
    const OppId wanted = ClusterId(c) == used ? opp : OppId(0);
    const auto applied = actuators_.apply({ClusterId(c), actuators::FreqKhz{opps[wanted.index()].freq_khz}});
    if (!applied.has_value()) return fail(applied.error());
  }
  return {};
}

Status LivePlant::apply(const policies::Action& action) {
  const boards::Mapping& mapping = board_.mappings[action.mapping.index()];
  const boards::Cluster& cluster = board_.clusters[mapping.cluster.index()];
  if (action.mapping != placed_) {
    inference::Placement placement;
    placement.threads = std::max(1, mapping.cores);
    const std::size_t count = std::min<std::size_t>(cluster.cpus.size(), static_cast<std::size_t>(placement.threads));
    placement.cpus.assign(cluster.cpus.begin(), cluster.cpus.begin() + static_cast<std::ptrdiff_t>(count));
    REINS_TRY(engine_.place(placement));
    placed_ = action.mapping;
  }
  if (action.governor.has_value()) {
    for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
      if (board_.clusters[c].opps.size() < 2) continue;
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

Status LivePlant::start(LevelId level, const inference::TensorView& input) {
  REINS_TRY(engine_.begin(input, level));
  REINS_ASSIGN(const inference::Answer answer, engine_.finish());
  PlantCompletion completion;
  completion.level = answer.level;
  completion.predicted = answer.predicted;
  completion.probabilities.assign(answer.probabilities.begin(), answer.probabilities.end());
  ended_ = std::move(completion);
  return {};
}

std::optional<PlantCompletion> LivePlant::poll_completion(double) { return std::exchange(ended_, std::nullopt); }

double LivePlant::next_event_s() { return ended_.has_value() ? now_s() : now_s() + options_.sample_s; }

bool LivePlant::poll_telemetry(double, Telemetry& out) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!latest_.has_value()) return false;
  out = *latest_;
  latest_.reset();
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

void LivePlant::sample_once() {
  Telemetry telemetry;
  telemetry.at_s = clock_.now_s();
  const double dt_s = telemetry.at_s - last_energy_s_;
  if (sensors::Sensor* sensor = sensors_.find("board", sensors::Quantity::kTemperatureC)) {
    if (const auto reading = sensor->read()) telemetry.temperature_c = reading->value;
  }
  double power_w = 0;
  bool whole = has_energy_;
  for (std::size_t r = 0; r < board_.rails.size(); ++r) {
    const boards::Rail& rail = board_.rails[r];
    if (!rail.accounting) continue;
    if (sensors::Sensor* counter = sensors_.find(rail.name, sensors::Quantity::kEnergyJ)) {
      const auto reading = counter->read();
      if (reading.has_value() && last_counter_j_[r] >= 0 && dt_s > 0) {
        power_w += (reading->value - last_counter_j_[r]) / dt_s;
      } else {
        whole = false;
      }
      if (reading.has_value()) last_counter_j_[r] = reading->value;
    } else if (sensors::Sensor* gauge = sensors_.find(rail.name, sensors::Quantity::kPowerW)) {
      const auto reading = gauge->read();
      if (reading.has_value())
        power_w += reading->value;
      else
        whole = false;
    } else {
      whole = false;
    }
  }
  last_energy_s_ = telemetry.at_s;
  if (whole) {
    telemetry.power_w = power_w;
    telemetry.window_s = dt_s;
  }
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
  if (whole && energy_j_.has_value()) *energy_j_ += power_w * dt_s;
  latest_ = telemetry;
}

}  // namespace reins::control
