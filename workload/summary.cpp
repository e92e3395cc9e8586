#include "workload/summary.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/stats.hpp"

namespace reins::workload {
namespace {

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void
add(std::string& text, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
}

double percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

/// "cifar10-jpeg" and "cifar10" are the same images.
std::string family(const std::string& dataset) { return dataset.substr(0, dataset.find('-')); }

/// Text from the other end of the wire, fit for a terminal.
std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c >= 0 && (c < 0x20 || c == 0x7f); }, '?');
  return text;
}

}  // namespace

Summary summarise(const ReplayResult& result) {
  Summary s;
  std::vector<double> latencies, lateness;
  s.emulated = result.server.emulated;
  for (const RequestRecord& record : result.records) {
    ++s.offered;
    lateness.push_back(record.sent_late_s);
    if (record.target_s) ++s.judged;
    switch (record.fate) {
      case Fate::kUnanswered:
        ++s.unanswered;
        break;
      case Fate::kRejected:
        ++s.rejected;
        break;
      case Fate::kFailed:
        ++s.failed;
        break;
      case Fate::kServed:
        ++s.served;
        latencies.push_back(record.latency_s);
        if (record.target_s && record.latency_s > *record.target_s) ++s.late;
        if (record.answer.predicted == record.label) ++s.correct;
        ++s.levels[record.answer.level];
        ++s.mappings[plain(record.answer.mapping)];
        s.emulated = s.emulated || record.answer.emulated;
        break;
    }
  }
  s.missed = s.late + s.rejected + s.failed + s.unanswered;
  std::sort(latencies.begin(), latencies.end());
  s.p50_s = quantile(latencies, 0.50);
  s.p95_s = quantile(latencies, 0.95);
  s.p99_s = quantile(latencies, 0.99);
  s.max_s = latencies.empty() ? 0 : latencies.back();
  s.bins = log_bins(latencies);
  std::sort(lateness.begin(), lateness.end());
  s.sent_late_p99_s = quantile(lateness, 0.99);
  s.sent_late_max_s = lateness.empty() ? 0 : lateness.back();
  s.duration_s = result.duration_s;
  s.goal_changes = result.goal_changes;
  s.trace = plain(result.trace);
  s.dataset = result.dataset;
  s.labels_apply = family(result.dataset) == family(result.server.dataset);
  s.board = plain(result.server.board);
  s.network = plain(result.server.network);
  s.policy = plain(result.server.policy);
  s.first_fault = plain(result.first_fault);
  s.interrupted = result.interrupted;
  s.server_lost = !result.after.has_value();
  if (result.after) {
    const protocol::MetricsAnswer& after = *result.after;
    s.energy_source = after.energy_source;
    // A counter that ran backwards means another server answered at the end than at the start: nothing can be said.
    if (after.energy_j) {
      const double spent_j = *after.energy_j - result.before.energy_j.value_or(0);
      if (spent_j >= 0) s.energy_j = spent_j;
    }
    if (after.switches >= result.before.switches) s.switches = after.switches - result.before.switches;
    if (after.shield_interventions >= result.before.shield_interventions) {
      s.shield_interventions = after.shield_interventions - result.before.shield_interventions;
    }
  }
  return s;
}

std::string text_of(const Summary& s) {
  std::string text;
  add(text, "board     %s%s\n", s.board.c_str(), s.emulated ? " (emulated: time and energy are a model's)" : "");
  add(text, "network   %s under %s\n", s.network.c_str(), s.policy.c_str());
  add(text, "offered   %zu requests in %.1f s (%s, open loop), %zu goal changes%s\n", s.offered, s.duration_s,
      s.trace.c_str(), s.goal_changes, s.interrupted ? "; interrupted" : "");
  add(text, "latency from when a request was due to its answer%s:\n", s.emulated ? ", emulated" : "");
  text += bars(s.bins);
  if (s.served > 0) {
    add(text, "  p50 %.3f ms  p95 %.3f ms  p99 %.3f ms  max %.3f ms\n", s.p50_s * 1e3, s.p95_s * 1e3, s.p99_s * 1e3,
        s.max_s * 1e3);
  }
  add(text, "missed    %zu of %zu (%.2f %%): %zu late, %zu rejected, %zu failed, %zu unanswered\n", s.missed, s.offered,
      100 * s.miss_rate(), s.late, s.rejected, s.failed, s.unanswered);
  if (s.judged < s.offered) {
    add(text, "          %zu had no latency target, of their own (--targets) or the server's: none of them is late\n",
        s.offered - s.judged);
  }
  if (!s.first_fault.empty()) add(text, "          first fault: %.400s\n", s.first_fault.c_str());
  if (s.labels_apply) {
    add(text, "accuracy  %.2f %% of %zu answers\n", 100 * s.accuracy(), s.served);
  } else {
    add(text, "accuracy  not told: these images (%s) are not what the network was made for\n", s.dataset.c_str());
  }
  text += "levels   ";
  for (const auto& [level, count] : s.levels) add(text, " %d: %zu (%.1f %%)", level, count, percent(count, s.served));
  text += "\nmappings ";
  for (const auto& [mapping, count] : s.mappings) {
    add(text, " %.80s: %zu (%.1f %%)", mapping.c_str(), count, percent(count, s.served));
  }
  text += "\n";
  if (s.energy_j) {
    add(text, "energy    %.4g J %s%s, idle included: %.4g mJ per request offered\n", *s.energy_j,
        s.emulated ? "emulated, " : "", s.energy_source.c_str(),
        s.offered == 0 ? 0 : 1e3 * *s.energy_j / static_cast<double>(s.offered));
  } else {
    add(text, "energy    no energy claim: %s\n",
        s.server_lost ? "the server gave no figures at the end" : "the server has no energy source");
  }
  if (s.switches && s.shield_interventions) {
    add(text, "server    %llu switches (%.3g per second), %llu shield interventions\n",
        static_cast<unsigned long long>(*s.switches), s.switches_per_s().value_or(0),
        static_cast<unsigned long long>(*s.shield_interventions));
  }
  add(text, "generator sent 99 %% of the requests within %.3f ms of their time, all within %.3f ms\n",
      s.sent_late_p99_s * 1e3, s.sent_late_max_s * 1e3);
  return text;
}

std::string json_of(const Summary& s) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  const auto of_served = [&](double x) { return s.served > 0 ? Json(x) : Json(); };
  Json levels = Json::object(), mappings = Json::object(), bins = Json::array();
  for (const auto& [level, count] : s.levels) levels[std::to_string(level)] = count;
  for (const auto& [mapping, count] : s.mappings) mappings[mapping] = count;
  for (const Bin& bin : s.bins) bins.push_back({{"low_s", bin.low_s}, {"high_s", bin.high_s}, {"count", bin.count}});
  const Json json = {
      {"emulated", s.emulated},
      {"board", s.board},
      {"network", s.network},
      {"policy", s.policy},
      {"trace", s.trace},
      {"dataset", s.dataset},
      {"duration_s", s.duration_s},
      {"offered", s.offered},
      {"served", s.served},
      {"missed", s.missed},
      {"with_target", s.judged},
      {"late", s.late},
      {"rejected", s.rejected},
      {"failed", s.failed},
      {"unanswered", s.unanswered},
      {"miss_rate", s.miss_rate()},
      {"latency_s",
       {{"p50", of_served(s.p50_s)},
        {"p95", of_served(s.p95_s)},
        {"p99", of_served(s.p99_s)},
        {"max", of_served(s.max_s)},
        {"histogram", bins}}},
      {"accuracy", s.labels_apply ? Json(s.accuracy()) : Json()},
      {"levels", levels},
      {"mappings", mappings},
      {"energy_j", or_null(s.energy_j)},
      {"energy_per_offered_j",
       s.energy_j && s.offered > 0 ? Json(*s.energy_j / static_cast<double>(s.offered)) : Json()},
      {"energy_source", s.energy_source},
      {"switches", or_null(s.switches)},
      {"switches_per_s", or_null(s.switches_per_s())},
      {"shield_interventions", or_null(s.shield_interventions)},
      {"goal_changes", s.goal_changes},
      {"sent_late_s", {{"p99", s.sent_late_p99_s}, {"max", s.sent_late_max_s}}},
      {"first_fault", s.first_fault},
      {"interrupted", s.interrupted},
      {"server_lost", s.server_lost},
  };
  // Names come over the wire: what is no UTF-8 is replaced, not thrown over.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace reins::workload
