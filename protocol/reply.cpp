#include "protocol/reply.hpp"

#include <cmath>

namespace reins::protocol {
namespace {

constexpr std::string_view kWhere = "server's reply";
constexpr double kHuge = 1e300;
constexpr std::int64_t kMaxInt = INT64_MAX;

/// A number that msgpack carries; one that is not finite would be garbled at the other end, so it goes as nil.
Value number(double x) { return std::isfinite(x) ? Value(x) : Value(); }
Value number(const std::optional<double>& x) { return x ? number(*x) : Value(); }

void put_goals(Value::Map& map, const GoalsInForce& goals) {
  map["latency_s"] = number(goals.latency_s);
  map["energy_j"] = number(goals.energy_j);
  map["power_w"] = number(goals.power_w);
  map["accuracy"] = number(goals.accuracy);
  if (!goals.warning.empty()) map["warning"] = goals.warning;
}

struct Encoder {
  Value::Map& map;

  void operator()(const Fault& fault) const {
    map["ok"] = false;
    map["error"] = Value::Map{{"code", name_of(fault.code)}, {"message", fault.message}};
    map["emulated"] = fault.emulated;
  }
  void operator()(const InferAnswer& a) const {
    map["op"] = "infer";
    map["class"] = a.predicted;
    if (!a.probabilities.empty()) {
      Value::Array list;
      for (const double p : a.probabilities) list.push_back(number(p));
      map["probabilities"] = std::move(list);
    }
    map["level"] = a.level;
    map["started_level"] = a.started_level;
    map["mapping"] = a.mapping;
    map["freq_khz"] = a.freq_khz;
    map["queue_s"] = number(a.queue_s);
    map["latency_s"] = number(a.latency_s);
    map["energy_j"] = number(a.energy_j);
    map["energy_ci_j"] = number(a.energy_ci_j);
    map["energy_source"] = a.energy_source;
    map["decision_ns"] = a.decision_ns;
    map["missed"] = a.missed;
    map["emulated"] = a.emulated;
  }
  void operator()(const GoalsInForce& goals) const {
    map["op"] = "goal";
    put_goals(map, goals);
    map["emulated"] = goals.emulated;
  }
  void operator()(const StatusAnswer& a) const {
    map["op"] = "status";
    map["board"] = a.board;
    map["network"] = a.network;
    map["dataset"] = a.dataset;
    map["policy"] = a.policy;
    Value::Array shape, accuracies;
    for (const std::int64_t extent : a.input_shape) shape.emplace_back(extent);
    for (const double accuracy : a.accuracies) accuracies.push_back(number(accuracy));
    map["input_shape"] = std::move(shape);
    map["accuracies"] = std::move(accuracies);
    map["classes"] = a.classes;
    map["waiting"] = a.waiting;
    map["queue_limit"] = a.queue_limit;
    map["uptime_s"] = number(a.uptime_s);
    Value::Map goals;
    put_goals(goals, a.goals);
    map["goals"] = std::move(goals);
    if (!a.warning.empty()) map["warning"] = a.warning;
    map["emulated"] = a.emulated;
  }
  void operator()(const MetricsAnswer& a) const {
    map["op"] = "metrics";
    map["offered"] = a.offered;
    map["served"] = a.served;
    map["missed"] = a.missed;
    map["rejected"] = a.rejected;
    map["decisions"] = a.decisions;
    map["switches"] = a.switches;
    map["switches_per_s"] = number(a.switches_per_s);
    map["shield_interventions"] = a.shield_interventions;
    map["grown"] = a.grown;
    map["malformed"] = a.malformed;
    map["sensor_failures"] = a.sensor_failures;
    map["foreign_changes"] = a.foreign_changes;
    map["adjusted_settings"] = a.adjusted_settings;
    if (!a.warning.empty()) map["warning"] = a.warning;
    map["energy_j"] = number(a.energy_j);
    map["energy_ci_j"] = number(a.energy_ci_j);
    map["energy_source"] = a.energy_source;
    map["p50_s"] = number(a.p50_s);
    map["p95_s"] = number(a.p95_s);
    map["p99_s"] = number(a.p99_s);
    map["uptime_s"] = number(a.uptime_s);
    map["mean_accuracy"] = number(a.mean_accuracy);
    map["temperature_c"] = number(a.temperature_c);
    map["power_w"] = number(a.power_w);
    map["board"] = a.board;
    map["mapping"] = a.mapping;
    map["freq_khz"] = a.freq_khz;
    map["level"] = a.level;
    map["emulated"] = a.emulated;
  }
};

/// Reads keys one after another and keeps the first error, so that a struct of twenty fields needs twenty short lines.
class Reader {
 public:
  explicit Reader(const Value& map) : map_(map) {}

  template <typename T>
  void integer(std::string_view key, T& out, std::int64_t low, std::int64_t high) {
    keep(map_.integer_at(key, kWhere, low, high), [&out](std::int64_t x) { out = static_cast<T>(x); });
  }
  void real(std::string_view key, double& out, double low = -kHuge) {
    keep(map_.number_at(key, kWhere, low, kHuge), [&out](double x) { out = x; });
  }
  void maybe(std::string_view key, std::optional<double>& out, double low = -kHuge) {
    const Value* value = map_.find(key);
    if (value == nullptr || value->is_nil()) {
      out.reset();
      return;
    }
    keep(map_.number_at(key, kWhere, low, kHuge), [&out](double x) { out = x; });
  }
  void boolean(std::string_view key, bool& out) {
    keep(map_.boolean_at(key, kWhere), [&out](bool x) { out = x; });
  }
  void text(std::string_view key, std::string& out) {
    keep(map_.text_at(key, kWhere), [&out](std::string x) { out = std::move(x); });
  }
  void source(std::string_view key, std::string& out) {
    text(key, out);
    if (!error_ && !known_energy_source(out)) error_ = Error(ErrorKind::kGarbled, "an unknown energy source", kWhere);
  }
  void numbers(std::string_view key, std::vector<double>& out) {
    keep(map_.array_at(key, kWhere), [this, &out](const Value::Array* list) {
      for (const Value& value : *list) {
        double x = 0;
        if (!value.number(x) && !error_) error_ = Error(ErrorKind::kGarbled, "an array with what is no number", kWhere);
        out.push_back(x);
      }
    });
  }
  void goals(GoalsInForce& out) {
    maybe("latency_s", out.latency_s);
    maybe("energy_j", out.energy_j);
    maybe("power_w", out.power_w);
    maybe("accuracy", out.accuracy);
    if (map_.find("warning") != nullptr) text("warning", out.warning);
    if (map_.find("emulated") != nullptr) boolean("emulated", out.emulated);
  }
  void fail_with(const Error& error) {
    if (!error_) error_ = error;
  }
  const std::optional<Error>& error() const noexcept { return error_; }

 private:
  template <typename T, typename Take>
  void keep(Result<T> result, Take take) {
    if (error_) return;
    if (result) {
      take(std::move(*result));
    } else {
      error_ = result.error();
    }
  }
  const Value& map_;
  std::optional<Error> error_;
};

void read(Reader& in, const Value& map, InferAnswer& a) {
  in.integer("class", a.predicted, -1, INT32_MAX);
  if (map.find("probabilities") != nullptr) in.numbers("probabilities", a.probabilities);
  in.integer("level", a.level, 0, 1000);
  // Servers of before do not say it.
  if (map.find("started_level") != nullptr) in.integer("started_level", a.started_level, 0, 1000);
  in.text("mapping", a.mapping);
  in.integer("freq_khz", a.freq_khz, 0, kMaxInt);
  in.real("queue_s", a.queue_s, 0);
  in.real("latency_s", a.latency_s, 0);
  in.maybe("energy_j", a.energy_j);
  in.maybe("energy_ci_j", a.energy_ci_j);
  in.source("energy_source", a.energy_source);
  in.integer("decision_ns", a.decision_ns, 0, kMaxInt);
  in.boolean("missed", a.missed);
  in.boolean("emulated", a.emulated);
}

void read(Reader& in, const Value& map, StatusAnswer& a) {
  in.text("board", a.board);
  in.text("network", a.network);
  in.text("dataset", a.dataset);
  in.text("policy", a.policy);
  std::vector<double> shape;
  in.numbers("input_shape", shape);
  if (shape.size() == a.input_shape.size()) {
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] < 0 || shape[i] > 1e9)
        in.fail_with(Error(ErrorKind::kGarbled, "'input_shape' is out of range", kWhere));
      else
        a.input_shape[i] = static_cast<std::int64_t>(shape[i]);
    }
  } else {
    in.fail_with(Error(ErrorKind::kGarbled, "'input_shape' has not four entries", kWhere));
  }
  in.numbers("accuracies", a.accuracies);
  in.integer("classes", a.classes, 0, INT32_MAX);
  in.integer("waiting", a.waiting, 0, kMaxInt);
  in.integer("queue_limit", a.queue_limit, 0, kMaxInt);
  in.real("uptime_s", a.uptime_s, 0);
  in.boolean("emulated", a.emulated);
  if (map.find("warning") != nullptr) in.text("warning", a.warning);
  if (const auto goals = map.map_at("goals", kWhere)) {
    Reader nested(**goals);
    nested.goals(a.goals);
    if (nested.error()) in.fail_with(*nested.error());
  } else {
    in.fail_with(goals.error());
  }
}

void read(Reader& in, const Value& map, MetricsAnswer& a) {
  // Servers of before do not say these.
  for (const auto& [key, counter] : {std::pair{"grown", &a.grown},
                                     {"sensor_failures", &a.sensor_failures},
                                     {"foreign_changes", &a.foreign_changes},
                                     {"adjusted_settings", &a.adjusted_settings}}) {
    if (map.find(key) != nullptr) in.integer(key, *counter, 0, kMaxInt);
  }
  if (map.find("warning") != nullptr) in.text("warning", a.warning);
  if (map.find("switches_per_s") != nullptr) in.real("switches_per_s", a.switches_per_s, 0);
  for (const auto& [key, counter] : {std::pair{"offered", &a.offered},
                                     {"served", &a.served},
                                     {"missed", &a.missed},
                                     {"rejected", &a.rejected},
                                     {"decisions", &a.decisions},
                                     {"switches", &a.switches},
                                     {"shield_interventions", &a.shield_interventions},
                                     {"malformed", &a.malformed}}) {
    in.integer(key, *counter, 0, kMaxInt);
  }
  in.maybe("energy_j", a.energy_j);
  in.maybe("energy_ci_j", a.energy_ci_j);
  in.source("energy_source", a.energy_source);
  in.maybe("p50_s", a.p50_s, 0);
  in.maybe("p95_s", a.p95_s, 0);
  in.maybe("p99_s", a.p99_s, 0);
  in.real("uptime_s", a.uptime_s, 0);
  in.maybe("mean_accuracy", a.mean_accuracy, 0);
  in.maybe("temperature_c", a.temperature_c);
  in.maybe("power_w", a.power_w);
  in.text("board", a.board);
  in.text("mapping", a.mapping);
  in.integer("freq_khz", a.freq_khz, 0, kMaxInt);
  in.integer("level", a.level, 0, 1000);
  in.boolean("emulated", a.emulated);
}

}  // namespace

bool known_energy_source(std::string_view source) noexcept {
  return source == "measured" || source == "attributed" || source == "modelled" || source == "none";
}

std::string encode_reply(const Reply& reply) {
  Value::Map map{{"v", kVersion}, {"id", reply.id}, {"ok", true}};
  std::visit(Encoder{map}, reply.body);
  return pack(Value(std::move(map)));
}

Result<Reply> decode_reply(std::string_view bytes) {
  const PackLimits bounds{.max_bytes = std::size_t{1} << 20, .max_elements = 1 << 16, .max_depth = 4};
  REINS_ASSIGN(const Value map, unpack(bytes, kWhere, bounds));
  if (map.map() == nullptr) return fail(ErrorKind::kGarbled, "not a msgpack map", kWhere);
  REINS_ASSIGN(const std::int64_t version, map.integer_at("v", kWhere, INT64_MIN, kMaxInt));
  if (version != kVersion)
    return fail(ErrorKind::kMismatch, "another version of the protocol", kWhere,
                "use client and server of one release");
  Reply reply;
  if (const Value* id = map.find("id")) reply.id = *id;
  REINS_ASSIGN(const bool ok, map.boolean_at("ok", kWhere));
  if (!ok) {
    REINS_ASSIGN(const Value* error, map.map_at("error", kWhere));
    REINS_ASSIGN(const std::string name, error->text_at("code", kWhere));
    Fault fault;
    REINS_ASSIGN(fault.message, error->text_at("message", kWhere));
    fault.code = code_named(name).value_or(Code::kInternal);
    if (map.find("emulated") != nullptr) {
      REINS_ASSIGN(fault.emulated, map.boolean_at("emulated", kWhere));
    }
    reply.body = std::move(fault);
    return reply;
  }
  REINS_ASSIGN(const std::string op, map.text_at("op", kWhere));
  Reader in(map);
  if (op == "infer") {
    read(in, map, reply.body.emplace<InferAnswer>());
  } else if (op == "goal") {
    in.goals(reply.body.emplace<GoalsInForce>());
  } else if (op == "status") {
    read(in, map, reply.body.emplace<StatusAnswer>());
  } else if (op == "metrics") {
    read(in, map, reply.body.emplace<MetricsAnswer>());
  } else {
    return fail(ErrorKind::kGarbled, "a reply to an unknown op", kWhere);
  }
  if (in.error()) return fail(*in.error());
  return reply;
}

}  // namespace reins::protocol
