#include "workload/replay.hpp"

#include <algorithm>
#include <map>

#include "core/clock.hpp"
#include "core/rng.hpp"

namespace reins::workload {
namespace {

constexpr double kTick_s = 0.1;
constexpr double kSoonest_s = 1e-6;  // a deadline on the wire is above zero, even one that has passed already
constexpr double kMaxTarget_s = 3600;
constexpr int kMaxApp = 63;

protocol::Request request_of(const char* id, int app, decltype(protocol::Request::body) body) {
  protocol::Request request;
  request.id = Value(id);
  request.app = app;
  request.body = std::move(body);
  return request;
}

/// The goals in force for one application as the trace tells them: a row that names none leaves them as they were.
struct Goals {
  std::optional<double> latency_s, energy_j, power_w, accuracy;

  /// What a row changes.
  protocol::Goal follow(const data::TraceRow& row) {
    protocol::Goal goal;
    const auto one = [](const std::optional<double>& wanted, std::optional<double>& now, protocol::GoalChange& change) {
      if (!wanted || now == wanted) return;
      now = wanted;
      change = {true, wanted};
    };
    one(row.latency_target_s, latency_s, goal.latency_s);
    one(row.energy_budget_j, energy_j, goal.energy_j);
    one(row.power_w, power_w, goal.power_w);
    one(row.accuracy_floor, accuracy, goal.accuracy);
    return goal;
  }
};

bool changes(const protocol::Goal& goal) {
  return goal.latency_s.given || goal.energy_j.given || goal.power_w.given || goal.accuracy.given;
}

protocol::Goal restoring(const protocol::GoalsInForce& found) {
  protocol::Goal goal;
  goal.latency_s = {true, found.latency_s};
  goal.energy_j = {true, found.energy_j};
  goal.power_w = {true, found.power_w};
  goal.accuracy = {true, found.accuracy};
  return goal;
}

std::string shape_text(const std::array<std::int64_t, 4>& shape) {
  std::string text = std::to_string(shape[0]);
  for (std::size_t i = 1; i < shape.size(); ++i) text += "x" + std::to_string(shape[i]);
  return text;
}

Status check(const data::Trace& trace, const data::ImageSet& images) {
  if (trace.rows.empty()) return fail(ErrorKind::kUsage, "a trace without requests", trace.name);
  if (images.size() == 0) return fail(ErrorKind::kUsage, "a data set without images", images.name);
  for (const data::TraceRow& row : trace.rows) {
    if (row.app > kMaxApp) return fail(ErrorKind::kUsage, "an application above 63", trace.name);
    if (row.latency_target_s.value_or(0) > kMaxTarget_s)
      return fail(ErrorKind::kUsage, "a latency target above an hour", trace.name);
  }
  return {};
}

class Replay {
 public:
  Replay(const data::Trace& trace, const data::ImageSet& images, const ReplayOptions& options, Link& link,
         const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop)
      : trace_(trace),
        images_(images),
        options_(options),
        link_(link),
        progress_(progress),
        stop_(stop),
        rng_(options.seed) {}

  Status greet();
  Status run();
  Status part();
  ReplayResult take() { return std::move(result_); }

 private:
  Status wait(double until_s, const std::function<bool()>& enough);
  void on_reply(const protocol::Reply& reply, double at_s);
  Status send(const data::TraceRow& row);
  void tell(double at_s);

  const data::Trace& trace_;
  const data::ImageSet& images_;
  const ReplayOptions& options_;
  Link& link_;
  const std::function<void(const Progress&)>& progress_;
  const std::function<bool()>& stop_;
  Rng rng_;
  ReplayResult result_;
  std::map<int, Goals> goals_;
  std::map<int, protocol::GoalsInForce> found_;
  double start_s_ = 0, told_s_ = 0;
  std::size_t settled_ = 0;
  bool asked_after_ = false;
};

/// Who is there, what it serves, and how its counters stand; the goals of every application that the trace touches.
Status Replay::greet() {
  REINS_ASSIGN(const protocol::Reply hello,
               link_.ask(request_of("hello", 0, protocol::StatusQuery{}), options_.connect_timeout_s, stop_));
  const auto* status = std::get_if<protocol::StatusAnswer>(&hello.body);
  if (status == nullptr) return fail(ErrorKind::kGarbled, "not an answer to status", options_.server.endpoint);
  result_.server = *status;
  const std::array<std::int64_t, 4> shape = {1, images_.channels, images_.height, images_.width};
  if (status->input_shape != shape) {
    return fail(
        ErrorKind::kUsage,
        "the server's network takes " + shape_text(status->input_shape) + " and the images are " + shape_text(shape),
        options_.server.endpoint, "choose another data set");
  }
  for (const data::TraceRow& row : trace_.rows) {
    if (found_.contains(row.app)) continue;
    REINS_ASSIGN(const protocol::Reply reply,
                 link_.ask(request_of("hello", row.app, protocol::StatusQuery{}), options_.connect_timeout_s, stop_));
    if (const auto* answer = std::get_if<protocol::StatusAnswer>(&reply.body)) found_[row.app] = answer->goals;
  }
  REINS_ASSIGN(const protocol::Reply counters,
               link_.ask(request_of("before", 0, protocol::MetricsQuery{}), options_.connect_timeout_s, stop_));
  const auto* metrics = std::get_if<protocol::MetricsAnswer>(&counters.body);
  if (metrics == nullptr) return fail(ErrorKind::kGarbled, "not an answer to metrics", options_.server.endpoint);
  result_.before = *metrics;
  return {};
}

void Replay::on_reply(const protocol::Reply& reply, double at_s) {
  const auto* fault = std::get_if<protocol::Fault>(&reply.body);
  if (fault != nullptr && result_.first_fault.empty()) result_.first_fault = fault->message;
  if (const auto* metrics = std::get_if<protocol::MetricsAnswer>(&reply.body)) {
    if (reply.id == Value("after")) result_.after = *metrics;
    return;
  }
  const std::int64_t* id = reply.id.integer();
  if (id == nullptr || *id < 0 || static_cast<std::size_t>(*id) >= result_.records.size()) return;
  RequestRecord& record = result_.records[static_cast<std::size_t>(*id)];
  if (record.fate != Fate::kUnanswered) return;
  if (const auto* answer = std::get_if<protocol::InferAnswer>(&reply.body)) {
    record.fate = Fate::kServed;
    record.answer = *answer;
  } else if (fault != nullptr) {
    const bool turned_away = fault->code == protocol::Code::kOverloaded || fault->code == protocol::Code::kStopping;
    record.fate = turned_away ? Fate::kRejected : Fate::kFailed;
  } else {
    return;
  }
  record.latency_s = at_s - start_s_ - record.due_s;
  ++settled_;
}

void Replay::tell(double at_s) {
  if (!progress_ || at_s - told_s_ < kTick_s) return;
  told_s_ = at_s;
  progress_({.elapsed_s = std::min(at_s - start_s_, trace_.end_s),
             .total_s = trace_.end_s,
             .sent = result_.records.size(),
             .answered = settled_});
}

/// Takes replies until `until_s`, until there is enough, or until the user has (once: what is left to do then is done).
Status Replay::wait(double until_s, const std::function<bool()>& enough) {
  while (!(enough && enough())) {
    const double at_s = monotonic_s();
    tell(at_s);
    if (!result_.interrupted && stop_ && stop_()) {
      result_.interrupted = true;
      return {};
    }
    REINS_ASSIGN(const std::optional<protocol::Reply> reply, link_.receive(std::min(until_s, at_s + kTick_s)));
    if (reply) {
      on_reply(*reply, monotonic_s());
    } else if (monotonic_s() >= until_s) {
      return {};
    }
  }
  return {};
}

Status Replay::send(const data::TraceRow& row) {
  Goals& goals = goals_[row.app];
  const protocol::Goal goal = goals.follow(row);
  if (changes(goal)) {
    ++result_.goal_changes;
    static_cast<void>(link_.send(request_of("goal", row.app, goal)));
  }
  const std::size_t image = rng_.below(images_.size());
  const auto pixels = images_.image(image);
  RequestRecord record;
  record.due_s = row.time_s;
  record.target_s = goals.latency_s ? goals.latency_s : found_[row.app].latency_s;
  record.label = images_.labels[image];
  record.sent_late_s = std::max(0.0, monotonic_s() - start_s_ - row.time_s);

  protocol::Infer infer;
  infer.tensor = {protocol::DType::kUint8,
                  {1, images_.channels, images_.height, images_.width},
                  {reinterpret_cast<const char*>(pixels.data()), pixels.size()}};
  // The target runs from when the request was due; what the generator lost is gone.
  if (goals.latency_s) infer.deadline_s = std::max(*goals.latency_s - record.sent_late_s, kSoonest_s);
  protocol::Request request;
  request.id = Value(static_cast<std::int64_t>(result_.records.size()));
  request.app = row.app;
  request.body = infer;
  if (const Status sent = link_.send(request); !sent) {
    if (sent.error().kind() != ErrorKind::kBusy) return sent;
    record.fate = Fate::kRejected;
    ++settled_;
    if (result_.first_fault.empty()) result_.first_fault = sent.error().line();
  }
  result_.records.push_back(std::move(record));
  return {};
}

Status Replay::run() {
  result_.trace = trace_.name;
  result_.dataset = images_.name;
  result_.duration_s = trace_.end_s;
  result_.records.reserve(trace_.rows.size());
  start_s_ = monotonic_s();
  for (const data::TraceRow& row : trace_.rows) {
    REINS_TRY(wait(start_s_ + row.time_s, {}));
    if (result_.interrupted) break;
    REINS_TRY(send(row));
  }
  // Energy is counted to the trace's fixed end, the same for every policy; answers may still be on their way then.
  if (!result_.interrupted) REINS_TRY(wait(start_s_ + trace_.end_s, {}));
  if (result_.interrupted) result_.duration_s = monotonic_s() - start_s_;
  return {};
}

/// The last answers and the counters, waited for within bounds; the goals as they were.
Status Replay::part() {
  static_cast<void>(link_.send(request_of("after", 0, protocol::MetricsQuery{})));
  const double patience_s = result_.interrupted ? std::min(1.0, options_.answer_timeout_s) : options_.answer_timeout_s;
  REINS_TRY(wait(monotonic_s() + patience_s,
                 [this] { return result_.after.has_value() && settled_ == result_.records.size(); }));
  if (!result_.after) return {};  // nobody is there to take the goals back
  for (const auto& [app, goals] : goals_) {
    const protocol::Goal undo = restoring(found_[app]);
    static_cast<void>(link_.ask(request_of("restore", app, undo), options_.connect_timeout_s));
  }
  return {};
}

}  // namespace

Result<ReplayResult> replay(const data::Trace& trace, const data::ImageSet& images, const ReplayOptions& options,
                            const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop) {
  REINS_TRY(check(trace, images));
  REINS_ASSIGN(const std::unique_ptr<Link> link, Link::open(options.server));
  Replay replay(trace, images, options, *link, progress, stop);
  REINS_TRY(replay.greet());
  REINS_TRY(replay.run());
  REINS_TRY(replay.part());
  return replay.take();
}

}  // namespace reins::workload
