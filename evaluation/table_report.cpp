#include "evaluation/table_report.hpp"

#include <algorithm>

#include "core/csv.hpp"

namespace reins::evaluation {
namespace {

constexpr double kPercent = 100;

/// "97.1", or "97.1 ±0.8" over several policies; "-" where there is nothing.
std::string shown(const Figure& figure, double factor, int decimals) {
  if (figure.n == 0) return "-";
  std::string text = fixed(figure.mean * factor, decimals);
  if (figure.n > 1) text += " ±" + fixed(figure.spread * factor, decimals);
  return text;
}

/// How much less energy than the base, in per cent.
std::string saved(const Figure& ratio, int decimals = 1) {
  return shown({1 - ratio.mean, ratio.spread, ratio.n}, kPercent, decimals);
}

std::string signed_points(const Figure& figure) {
  if (figure.n == 0) return "-";
  const std::string text = shown(figure, 1, 2);
  return figure.mean > 0.005 ? "+" + text : text;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : std::string(between)) + part;
  return text;
}

}  // namespace

std::string preamble_text(const Evaluation& evaluation) {
  std::string text;
  text += "board     " + (evaluation.board_title.empty() ? evaluation.board : evaluation.board_title);
  if (evaluation.emulated)
    text += ": EMULATED (times, power and heat come from the board file's physics, in virtual time)";
  if (!evaluation.replayed.empty())
    text += ": REPLAYED (times and power are drawn from " + evaluation.replayed + ", in virtual time; no heat)";
  text += "\n";
  if (evaluation.board_provisional) text += "          provisional; " + evaluation.board_notes + "\n";
  text += "energy    " +
          (evaluation.accounting_rails.empty()
               ? "no accounting rail: no energy is claimed"
               : "per offered request, idle included (what was never answered charged as an answer), rails " +
                     joined(evaluation.accounting_rails, " + ")) +
          "\n";
  text +=
      "network   " + evaluation.network + ", full network at best " + fixed(evaluation.full_latency_s * kMilli, 1) +
      " ms; answers: " + (evaluation.answers.empty() ? "none recorded, validated accuracy only" : evaluation.answers) +
      "\n";
  text += "traces    " + evaluation.traces + "\n";
  text += "heat      " + heat_in_words(evaluation) + "\n";
  if (!evaluation.left_out.empty()) text += "left out  " + evaluation.left_out + "\n";
  return text;
}

Table summary_table(const Evaluation& evaluation, bool all_rows) {
  const std::vector<SummaryRow> rows = summary_of(evaluation, all_rows);
  Table table({{"policy", Align::kLeft},
               {"energy/req\nmJ"},
               {"miss\n%"},
               {"energy to\nschedutil"},
               {"energy to\nbest static"},
               {"energy to\noracle"},
               {"p50\nms"},
               {"p95\nms"},
               {"p99\nms"},
               {"accuracy\n%"},
               {"right\n%"},
               {"floor\nkept %"},
               {"reward"},
               {"switches\n/req"},
               {"shield\n/req"},
               {"note", Align::kLeft}});
  const int decimals = evaluation.full_latency_s >= 0.01 ? 0 : evaluation.full_latency_s >= 0.001 ? 1 : 2;
  const SummaryRow* last = nullptr;
  for (const SummaryRow& row : rows) {
    auto group = [](RowKind kind) { return kind == RowKind::kManager ? RowKind::kBestStatic : kind; };
    if (last != nullptr && group(last->kind) != group(row.kind)) table.rule();
    last = &row;
    std::string note = row.kind == RowKind::kOracle ? "ceiling, myopic" : row.detail;
    if (row.cells < evaluation.cells.size()) {
      note += (note.empty() ? "" : ", ") + std::string("in ") + std::to_string(row.cells) + " of " +
              std::to_string(evaluation.cells.size()) + " cells";
    }
    table.add({row.name, evaluation.accounting_rails.empty() ? "-" : shown(row.at(Metric::kEnergy), kMilli, 1),
               shown(row.at(Metric::kMissRate), kPercent, 2), shown(row.to_kernel, 1, 3),
               shown(row.to_best_static, 1, 3), shown(row.to_oracle, 1, 3),
               shown(row.at(Metric::kP50), kMilli, decimals), shown(row.at(Metric::kP95), kMilli, decimals),
               shown(row.at(Metric::kP99), kMilli, decimals), shown(row.at(Metric::kAccuracy), kPercent, 2),
               evaluation.answers.empty() ? "-" : shown(row.at(Metric::kMeasuredAccuracy), kPercent, 2),
               shown(row.at(Metric::kFloorKept), kPercent, 1), shown(row.at(Metric::kReward), 1, 3),
               shown(row.at(Metric::kSwitches), 1, 2), shown(row.at(Metric::kInterventions), 1, 2), note});
  }
  return table;
}

std::string headline_title(const Headline& headline) {
  std::string loads;
  for (const double load : headline.loads) loads += (loads.empty() ? "" : ", ") + format_number(load);
  return "Savings, floors " + headline.floors + (headline.floors == "top" ? " (equal accuracy)" : "") +
         ": mean of the per-cell ratios over " + std::to_string(headline.cells) + " cells, loads " + loads;
}

Table headline_table(const Headline& headline) {
  Table table({{"policy", Align::kLeft},
               {"less energy than\nschedutil %"},
               {"less energy than\nbest static %"},
               {"more energy than\noracle %"},
               {"miss points over\nschedutil"},
               {"miss points over\nbest static"},
               {"miss points over\noracle"}});
  for (const HeadlineRow& row : headline.rows) {
    const Figure above{row.to_oracle.mean - 1, row.to_oracle.spread, row.to_oracle.n};
    table.add({row.name, saved(row.to_kernel), saved(row.to_best_static), shown(above, kPercent, 1),
               signed_points(row.miss_over_kernel), signed_points(row.miss_over_best_static),
               signed_points(row.miss_over_oracle)});
  }
  return table;
}

Table cells_table(const Evaluation& evaluation) {
  const bool learned = !evaluation.learned.empty();
  std::vector<Column> columns = {{"load"},
                                 {"arrivals", Align::kLeft},
                                 {"targets", Align::kLeft},
                                 {"floors", Align::kLeft},
                                 {"schedutil\nmJ"},
                                 {"\nmiss %"},
                                 {"best static\nmJ"},
                                 {"\nmiss %"},
                                 {"floor rule\nmJ"},
                                 {"\nmiss %"},
                                 {"pareto\nmJ"},
                                 {"\nmiss %"}};
  if (learned) columns.insert(columns.end(), {{"learned\nmJ"}, {"\nmiss %"}});
  columns.insert(columns.end(),
                 {{"oracle\nmJ"}, {"\nmiss %"}, {"ceiling below\nschedutil %"}, {"ceiling below\nbest static %"}});
  if (learned)
    columns.insert(columns.end(),
                   {{"learned below\nschedutil %"}, {"learned below\nbest static %"}, {"over\noracle %"}});
  Table table(std::move(columns));

  const std::string kernel = kernel_row(evaluation.cells);
  const Cell* last = nullptr;
  for (const CellResult& result : evaluation.cells) {
    if (last != nullptr && last->load != result.cell.load) table.rule();
    last = &result.cell;
    std::vector<std::string> cells = {format_number(result.cell.load), result.cell.arrivals, result.cell.targets,
                                      result.cell.floors};
    auto add_row = [&](const std::vector<std::string>& names) {
      cells.push_back(
          evaluation.accounting_rails.empty() ? "-" : shown(metric_in(result, names, Metric::kEnergy), kMilli, 1));
      cells.push_back(shown(metric_in(result, names, Metric::kMissRate), kPercent, 2));
    };
    for (const std::string& name :
         {kernel, std::string("best static"), std::string("floor rule"), std::string("pareto")}) {
      add_row({name});
    }
    if (learned) add_row(evaluation.learned);
    add_row({"oracle"});
    for (const std::string& base : {kernel, std::string("best static")})
      cells.push_back(saved(ratio_in(result, {"oracle"}, base)));
    if (learned) {
      for (const std::string& base : {kernel, std::string("best static")}) {
        cells.push_back(saved(ratio_in(result, evaluation.learned, base)));
      }
      Figure above = ratio_in(result, evaluation.learned, "oracle");
      above.mean -= 1;
      cells.push_back(shown(above, kPercent, 1));
    }
    table.add(std::move(cells));
  }
  return table;
}

std::vector<Term> terms_of(const Evaluation& evaluation) {
  const bool governors = evaluation.replayed.empty();
  std::vector<Term> terms = {
      {"load", "requests per second, as a share of what the full network can serve at its fastest"},
      {"floors",
       "the least accuracy that is asked for: changing within a trace; or top, the full network's, so that all "
       "policies answer as well"}};
  if (governors) {
    terms.push_back({"a/b full",
                     "the kernel's governor a on placement b (kernel-like: cores as the kernel would choose "
                     "them), always the full network; floor level: the lowest level that keeps the floor, "
                     "which at the top floor is the same"});
  }
  terms.push_back({"best static", "the cheapest of all fixed settings" +
                                      std::string(governors ? " and governors" : "") +
                                      " in hindsight, per trace, that misses at most " +
                                      fixed(evaluation.best_static_miss * kPercent, 0) +
                                      " % (where none does, the one that misses least)"});
  terms.push_back({"floor rule", "the same for one setting whose level follows the floor"});
  terms.push_back({"pareto", "the cheapest point of the profile that is in time with a margin of " +
                                 fixed(evaluation.pareto_margin * kPercent, 0) + " %"});
  terms.push_back(
      {"shield", "the rules around a policy that keep deadlines, heat and caps; a column counts what they change"});
  terms.push_back(
      {"oracle",
       "the ceiling: knows the true physics and the queue, but no request before it comes (myopic), so that in a few "
       "cells a policy needs a little less energy"});
  terms.push_back({"energy to x", "energy over that of x, mean of the per-cell ratios: below 1 is less"});
  terms.push_back(
      {"right, floor kept", "share of answers that are correct; share at or above the floor then in force"});
  terms.push_back({"reward", "what policies are trained for; more is better"});
  return terms;
}

std::string evaluation_text(const Evaluation& evaluation, bool all_rows) {
  std::string text = preamble_text(evaluation);
  text += "\nMean over " + std::to_string(evaluation.cells.size()) + " cells, unweighted";
  if (evaluation.learned.size() > 1) text += "; ± is the standard deviation over the policies' training seeds";
  text += "\n" + summary_table(evaluation, all_rows).text();
  for (const Headline& headline : headlines_of(evaluation)) {
    text += "\n" + headline_title(headline) + "\n" + headline_table(headline).text();
    if (const std::string line = what_learning_adds(headline); !line.empty()) text += line + "\n";
  }
  text += "\nEvery cell\n" + cells_table(evaluation).text();
  text += "\nWhat the words mean\n";
  for (const Term& term : terms_of(evaluation)) {
    text += "  " + term.word + std::string(std::max<std::size_t>(20, term.word.size() + 2) - term.word.size(), ' ') +
            term.meaning + "\n";
  }
  return text;
}

}  // namespace reins::evaluation
