#include "evaluation/json.hpp"

#include <nlohmann/json.hpp>

namespace reins::evaluation {
namespace {

using Json = nlohmann::ordered_json;

/// A number, or {"mean", "stddev", "n"} over several policies; null where there is nothing.
Json json_of(const Figure& figure) {
  if (figure.n == 0) return nullptr;
  if (figure.n == 1) return figure.mean;
  return {{"mean", figure.mean}, {"stddev", figure.spread}, {"n", figure.n}};
}

/// Where no energy is claimed there is none, not zero.
void drop_energy(Json& json) {
  for (auto& [key, value] : json.items()) {
    if (key.find("energy") != std::string::npos) value = nullptr;
  }
}

Json json_of(const Row& row, bool energy) {
  Json json = {{"name", row.name}, {"kind", name_of(row.kind)}, {"detail", row.detail}};
  for (std::size_t m = 0; m < kMetrics; ++m) {
    const auto value = value_of(row, static_cast<Metric>(m));
    json[std::string(name_of(static_cast<Metric>(m)))] = value ? Json(*value) : Json(nullptr);
  }
  json["offered"] = row.offered;
  json["served"] = row.served;
  json["energy_per_offered_by_trace_j"] = row.energy_by_trace_j;
  if (!energy) drop_energy(json);
  json["miss_rate_by_trace"] = row.miss_by_trace;
  return json;
}

Json json_of(const SummaryRow& row, bool energy) {
  Json json = {{"name", row.name}, {"kind", name_of(row.kind)}, {"detail", row.detail}, {"cells", row.cells}};
  for (std::size_t m = 0; m < kMetrics; ++m)
    json[std::string(name_of(static_cast<Metric>(m)))] = json_of(row.metrics[m]);
  json["energy_to_kernel"] = json_of(row.to_kernel);
  json["energy_to_best_static"] = json_of(row.to_best_static);
  json["energy_to_oracle"] = json_of(row.to_oracle);
  if (!energy) drop_energy(json);
  return json;
}

Json json_of(const Headline& headline) {
  Json rows = Json::array();
  for (const HeadlineRow& row : headline.rows) {
    rows.push_back({{"name", row.name},
                    {"kind", name_of(row.kind)},
                    {"energy_to_kernel", json_of(row.to_kernel)},
                    {"energy_to_best_static", json_of(row.to_best_static)},
                    {"energy_to_oracle", json_of(row.to_oracle)},
                    {"miss_points_over_kernel", json_of(row.miss_over_kernel)},
                    {"miss_points_over_best_static", json_of(row.miss_over_best_static)},
                    {"miss_points_over_oracle", json_of(row.miss_over_oracle)}});
  }
  return {{"floors", headline.floors}, {"loads", headline.loads}, {"cells", headline.cells}, {"rows", rows}};
}

}  // namespace

std::string evaluation_json(const Evaluation& evaluation) {
  const bool energy = !evaluation.accounting_rails.empty();
  Json json;
  json["schema"] = 1;
  json["version"] = evaluation.version;
  json["board"] = {{"name", evaluation.board},
                   {"title", evaluation.board_title},
                   {"emulated", evaluation.emulated},
                   {"replayed", !evaluation.replayed.empty()},
                   {"provisional", evaluation.board_provisional},
                   {"notes", evaluation.board_notes},
                   {"accounting_rails", evaluation.accounting_rails}};
  json["network"] = {{"name", evaluation.network},
                     {"dataset", evaluation.dataset},
                     {"full_latency_s", evaluation.full_latency_s},
                     {"answers", evaluation.answers}};
  if (!evaluation.left_out.empty()) json["left_out"] = evaluation.left_out;
  json["traces"] = {{"drawn", evaluation.traces}, {"seed", evaluation.seed}};
  json["heat"] = {{"ambient_c", evaluation.ambient_c},
                  {"start_c", evaluation.start_c},
                  {"shield_ambient_c", evaluation.shield_ambient_c}};
  json["best_static_miss"] = evaluation.best_static_miss;
  json["pareto_margin"] = evaluation.pareto_margin;
  json["kernel_row"] = kernel_row(evaluation.cells);
  json["learned"] = evaluation.learned;
  json["unshielded"] = evaluation.unshielded;
  json["growing"] = evaluation.growing;
  json["summary"] = Json::array();
  for (const SummaryRow& row : summary_of(evaluation, true)) json["summary"].push_back(json_of(row, energy));
  json["headlines"] = Json::array();
  for (const Headline& headline : headlines_of(evaluation)) json["headlines"].push_back(json_of(headline));
  json["cells"] = Json::array();
  for (const CellResult& result : evaluation.cells) {
    Json rows = Json::array();
    for (const Row& row : result.rows) rows.push_back(json_of(row, energy));
    json["cells"].push_back({{"load", result.cell.load},
                             {"arrivals", result.cell.arrivals},
                             {"targets", result.cell.targets},
                             {"floors", result.cell.floors},
                             {"traces", result.trace_count},
                             {"seeds", result.cell.seeds},
                             {"rows", rows}});
  }
  // Text from outside (a policy file's name) that is no UTF-8 is replaced, never thrown over.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace reins::evaluation
