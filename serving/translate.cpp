#include "serving/translate.hpp"

namespace reins::serving {
namespace {

void apply(std::optional<double>& goal, const protocol::GoalChange& change) noexcept {
  if (change.given) goal = change.value;
}

std::string source_of(const std::string& source) { return protocol::known_energy_source(source) ? source : "none"; }

}  // namespace

inference::TensorView view_of(const protocol::Tensor& tensor) noexcept {
  inference::TensorView view;
  view.data = tensor.bytes.data();
  view.dtype = tensor.dtype == protocol::DType::kFloat32 ? inference::DType::kFloat32 : inference::DType::kUint8;
  view.shape = tensor.shape;
  return view;
}

protocol::InferAnswer answer_of(const control::InferReply& reply) {
  protocol::InferAnswer answer;
  answer.predicted = reply.predicted;
  answer.probabilities.assign(reply.probabilities.begin(), reply.probabilities.end());
  answer.level = reply.level.value + 1;
  answer.started_level = reply.started_level.value + 1;
  answer.mapping = reply.mapping;
  answer.freq_khz = reply.freq_khz;
  answer.queue_s = reply.queue_s;
  answer.latency_s = reply.latency_s;
  answer.energy_source = source_of(reply.energy_source);
  if (answer.energy_source != "none") {
    answer.energy_j = reply.energy_j;
    answer.energy_ci_j = reply.energy_ci_j;
  }
  answer.decision_ns = reply.decision_ns;
  answer.missed = reply.missed;
  answer.emulated = reply.emulated;
  return answer;
}

protocol::GoalsInForce goals_of(const policies::Goals& goals) noexcept {
  return {.latency_s = goals.latency_s,
          .energy_j = goals.energy_j,
          .power_w = goals.power_w,
          .accuracy = goals.accuracy_floor,
          .warning = {},
          .emulated = false};
}

policies::Goals changed(policies::Goals goals, const protocol::Goal& change) noexcept {
  apply(goals.latency_s, change.latency_s);
  apply(goals.energy_j, change.energy_j);
  apply(goals.power_w, change.power_w);
  apply(goals.accuracy_floor, change.accuracy);
  return goals;
}

protocol::MetricsAnswer answer_of(const control::DriverMetrics& metrics) {
  protocol::MetricsAnswer answer;
  answer.offered = metrics.offered;
  answer.served = metrics.served;
  answer.missed = metrics.missed;
  answer.rejected = metrics.rejected;
  answer.decisions = metrics.decisions;
  answer.switches = metrics.switches;
  answer.switches_per_s = metrics.switches_per_s;
  answer.shield_interventions = metrics.shield_interventions;
  answer.grown = metrics.grown;
  answer.energy_source = source_of(metrics.energy_source);
  if (answer.energy_source != "none") {
    answer.energy_j = metrics.energy_j;
    answer.energy_ci_j = metrics.energy_ci_j;
  }
  answer.sensor_failures = metrics.sensor_failures;
  answer.foreign_changes = metrics.foreign_changes;
  answer.adjusted_settings = metrics.adjusted_settings;
  answer.warning = metrics.warning;
  if (metrics.served > 0) {
    answer.p50_s = metrics.p50_s;
    answer.p95_s = metrics.p95_s;
    answer.p99_s = metrics.p99_s;
    answer.mean_accuracy = metrics.mean_accuracy;
  }
  answer.uptime_s = metrics.uptime_s;
  answer.temperature_c = metrics.temperature_c;
  answer.power_w = metrics.power_w;
  answer.board = metrics.board;
  answer.mapping = metrics.mapping;
  answer.freq_khz = metrics.freq_khz;
  answer.level = metrics.level;
  answer.emulated = metrics.emulated;
  return answer;
}

}  // namespace reins::serving
