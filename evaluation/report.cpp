#include "evaluation/report.hpp"

#include <algorithm>
#include <cmath>

#include "core/csv.hpp"
#include "evaluation/oracle.hpp"
#include "evaluation/table_report.hpp"
#include "policies/baselines.hpp"

namespace reins::evaluation {
namespace {

constexpr std::string_view kStyle = R"css(
:root{--bg:#fcfcfa;--fg:#1c2024;--mute:#667079;--grid:#e4e6e8;--axis:#9aa3ab;--card:#fff;--c1:#0072b2;--c2:#7a5195;--c3:#00845f;
--c4:#c8500a;--c5:#4b6584;--c6:#a66f00;--bad:#c1121f;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--bg:#15181b;--fg:#e4e7ea;--mute:#98a2ab;--grid:#2a2f34;--axis:#5d6770;--card:#1b1f23;
--c1:#4aa8e0;--c2:#b892d6;--c3:#3fc79c;--c4:#f08a4b;--c5:#9db4d0;--c6:#e0ab45;--bad:#ff6b6b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1400px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;font-weight:650;letter-spacing:-.01em}
h2{font-size:18px;margin:44px 0 8px;font-weight:650}
h3{font-size:14.5px;margin:24px 0 6px;font-weight:600}
p{margin:6px 0}.mute,figcaption{color:var(--mute);font-size:13.5px}
.badge{display:inline-block;border:1px solid var(--c4);color:var(--c4);border-radius:4px;padding:1px 8px;font-size:13px;font-weight:600;
vertical-align:4px;margin-left:10px;letter-spacing:.02em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:14px 0;font-size:14px}dt{color:var(--mute)}dd{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(250px,1fr));gap:12px;margin:18px 0}
.tile{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:12px 16px}
.tile b{display:block;font-size:26px;font-weight:650;letter-spacing:-.02em;line-height:1.25}
.tile span{color:var(--mute);font-size:13px;display:block}
figure{margin:12px 0;background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:16px}
figcaption{margin-top:8px}svg{display:block;width:100%;height:auto;font-family:inherit}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:6px 10px}
table{border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums;width:100%;white-space:nowrap}
th{font-weight:600;color:var(--mute);text-align:right;vertical-align:bottom;line-height:1.25;border-bottom:1px solid var(--axis)}
th,td{padding:3px 5px}td{text-align:right;border-bottom:1px solid var(--grid)}.l{text-align:left}
tr:last-child td{border-bottom:0}tr.ruled td{border-top:1px solid var(--axis)}tbody tr:hover{background:var(--grid)}
.grid{stroke:var(--grid);stroke-width:1}.axis{stroke:var(--axis);stroke-width:1}
.tick{fill:var(--mute);font-size:11px}.title{fill:var(--fg);font-size:12px;font-weight:600}
.name{fill:var(--fg);font-size:12px}.strong{font-weight:700;fill:var(--fg)}.inbar{font-weight:700;fill:var(--card)}
.s1,.s2,.s3,.s4,.s5,.s6{fill:none;stroke-width:1.5;stroke-linejoin:round}.wide{stroke-width:3;stroke-linejoin:miter}.thin{stroke-width:1.2}
.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5);opacity:.65}.s6{stroke:var(--c6)}
.m3{fill:var(--c3);opacity:.8}.m5{fill:var(--c5)}.miss{stroke:var(--bad);stroke-width:1.8;fill:none}
.faint{opacity:.5}.front{fill:none;stroke-width:1.4;opacity:.7}.plain{opacity:.75}.named{stroke:var(--fg);stroke-width:1.3}
.b1{fill:var(--c1)}.b2{fill:var(--c6);opacity:.75}.b3{fill:var(--c5);opacity:.6}.b4{fill:var(--c3);opacity:.8}.base{stroke:var(--bad);stroke-width:1.6;stroke-dasharray:2 3}
.ceiling{stroke:var(--fg);stroke-width:2;stroke-dasharray:5 3}
.pickers>input{position:absolute;opacity:0;pointer-events:none}.sheet{display:none}
.tabs{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:8px}
.tabs label{border:1px solid var(--axis);border-radius:5px;padding:3px 12px;font-size:13.5px;cursor:pointer;user-select:none}
.facts{font-size:14px}details{font-size:14px;margin:16px 0}summary{cursor:pointer;color:var(--mute)}
@media print{.sheet{display:block}.tabs{display:none}}
)css";

std::string scrolled(const Table& table) { return "<div class=\"scroll\">" + table.html() + "</div>\n"; }

std::string fact(std::string_view term, std::string_view text) {
  return "<dt>" + escaped(term) + "</dt><dd>" + escaped(text) + "</dd>\n";
}

std::string tile(const std::string& figure, const std::string& what, const Figure& miss_points) {
  const std::string misses =
      "misses " + std::string(miss_points.mean >= 0 ? "+" : "") + fixed(miss_points.mean, 2) + " points against it";
  return "<div class=\"tile\"><b>" + escaped(figure) + "</b><span>" + escaped(what) + "</span><span>" + misses +
         "</span></div>\n";
}

std::string saved_text(const Figure& ratio) {
  if (ratio.n == 0) return "-";
  return fixed(100 * (1 - ratio.mean), 1) + (ratio.n > 1 ? " ± " + fixed(100 * ratio.spread, 1) : "") + " %";
}

/// The headline's figures of the learned policies (without any: the oracle's), with the ceiling beside them.
std::string tiles_of(const std::vector<Headline>& headlines) {
  std::string tiles;
  for (const Headline& headline : headlines) {
    const HeadlineRow* shown = nullptr;
    const HeadlineRow* oracle = nullptr;
    for (const HeadlineRow& row : headline.rows) {
      if (row.kind == RowKind::kLearned && shown == nullptr) shown = &row;
      if (row.kind == RowKind::kOracle) oracle = &row;
    }
    if (shown == nullptr || oracle == nullptr) continue;
    const std::string end = ", floors " + headline.floors + ", mean over " + std::to_string(headline.cells) +
                            (headline.cells == 1 ? " cell" : " cells") + "; the oracle, the ceiling, saves ";
    if (shown->to_kernel.n > 0)
      tiles += tile(saved_text(shown->to_kernel),
                    "less energy than schedutil, full network" + end + saved_text(oracle->to_kernel),
                    shown->miss_over_kernel);
    if (shown->to_best_static.n > 0)
      tiles += tile(saved_text(shown->to_best_static),
                    "less energy than the best static setting" + end + saved_text(oracle->to_best_static),
                    shown->miss_over_best_static);
  }
  return tiles.empty() ? tiles : "<div class=\"tiles\">" + tiles + "</div>\n";
}

}  // namespace

std::size_t showcase_cell(const std::vector<Cell>& cells) noexcept {
  std::size_t best = 0;
  double best_score = -1e300;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    const Cell& cell = cells[c];
    if (cell.traces.empty()) continue;
    const double score = (cell.floors == "changing" ? 8 : 0) + (cell.targets == "changing" ? 4 : 0) +
                         (cell.arrivals == "bursty"    ? 2
                          : cell.arrivals == "poisson" ? 1
                                                       : 0) -
                         std::abs(cell.load - 0.3);
    if (score > best_score) {
      best_score = score;
      best = c;
    }
  }
  return best;
}

std::vector<ReportTimeline> timelines_for(const env::World& world, const std::vector<Contender>& contenders,
                                          const data::Trace& trace, std::uint64_t seed, const CompareConfig& config) {
  std::vector<Contender> shown;
  if (!contenders.empty()) shown.push_back(contenders.front());
  shown.push_back({"pareto", RowKind::kManager, false, [&](const env::Foresight&) {
                     return std::make_unique<policies::ParetoPolicy>(*world.space, *world.profile,
                                                                     config.pareto_margin);
                   }});
  for (const policies::StaticSetting& setting : policies::governor_settings(*world.board)) {
    if (!setting.name.starts_with("schedutil/") || !policies::is_kernel_placement(setting.name)) continue;
    policies::Action action = setting.action;
    action.level = LevelId(world.space->levels - 1);
    shown.push_back(
        {setting.name + " full", RowKind::kStatic, false, [action, name = setting.name](const env::Foresight&) {
           return std::make_unique<policies::StaticPolicy>(name, action);
         }});
  }
  shown.push_back({"oracle", RowKind::kOracle, false,
                   [](const env::Foresight& foresight) { return std::make_unique<OraclePolicy>(foresight); }});
  std::vector<ReportTimeline> timelines;
  for (const Contender& contender : shown) {
    timelines.push_back({contender.name, timeline_of(world, contender, trace, seed, config)});
  }
  return timelines;
}

std::string report_html(const Evaluation& evaluation, const std::vector<ReportTimeline>& timelines,
                        std::string_view trace_title, const env::World& world) {
  const std::string title = evaluation.board_title.empty() ? evaluation.board : evaluation.board_title;
  std::string rails;
  for (const std::string& rail : evaluation.accounting_rails) rails += (rails.empty() ? "" : " + ") + rail;

  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>Reins: " +
      escaped(title) + "</title>\n<style>" + std::string(kStyle) + "</style></head>\n<body><main>\n";
  html += "<h1>Reins on " + escaped(title) +
          (evaluation.emulated            ? "<span class=\"badge\">emulated</span>"
           : !evaluation.replayed.empty() ? "<span class=\"badge\">replayed</span>"
                                          : "") +
          "</h1>\n";
  html += "<p class=\"mute\">Policies side by side on the same traces and seeds.</p>\n";
  const std::vector<Headline> headlines = headlines_of(evaluation);
  html += tiles_of(headlines);
  if (!headlines.empty()) {
    html += "<p class=\"mute\">Means over loads up to 0.6, unweighted: " + escaped(evaluation.traces) + "</p>\n";
  }
  html += "<dl>";
  if (evaluation.emulated) {
    html += fact("board", "emulated: times, power and heat come from the board file's physics, in virtual time" +
                              std::string(evaluation.board_provisional ? " (provisional)" : ""));
  }
  if (!evaluation.replayed.empty()) {
    html +=
        fact("board", "replayed: times and power are drawn from " + evaluation.replayed + ", in virtual time; no heat");
    html += fact("left out", evaluation.left_out);
  }
  if (!evaluation.board_notes.empty()) html += fact("notes", evaluation.board_notes);
  html +=
      fact("energy",
           rails.empty()
               ? "no accounting rail: no energy is claimed"
               : "per offered request, idle included (what was never answered charged as an answer), rails " + rails);
  html += fact("network",
               evaluation.network + ", full network at best " + fixed(1e3 * evaluation.full_latency_s, 1) + " ms");
  html += fact("answers", evaluation.answers.empty() ? "none recorded: validated accuracy only" : evaluation.answers);
  html += fact("traces", evaluation.traces);
  html += fact("heat", heat_in_words(evaluation));
  if (!evaluation.version.empty()) html += fact("version", evaluation.version);
  html += "</dl>\n";

  html += "<details><summary>What the words mean</summary><dl>";
  for (const Term& term : terms_of(evaluation)) html += fact(term.word, term.meaning);
  html += "</dl></details>\n";

  html += "<h2>All policies</h2>\n<p class=\"mute\">Mean over " + std::to_string(evaluation.cells.size()) +
          " cells, unweighted; the columns \"energy to\" are means of per-cell ratios." +
          (evaluation.learned.size() > 1 ? " ± is the standard deviation over training seeds." : "") + "</p>\n";
  html += scrolled(summary_table(evaluation, false));
  for (const Headline& headline : headlines) {
    html += "<h3>" + escaped(headline_title(headline)) + "</h3>\n" + scrolled(headline_table(headline));
    if (const std::string line = what_learning_adds(headline); !line.empty()) {
      html += "<p class=\"mute\">" + escaped(line) + "</p>\n";
    }
  }
  html += "<h2>Savings and misses per load</h2>\n" + savings_figure(evaluation);
  html += "<h2>One trace, step by step</h2>\n<p class=\"mute\">" + escaped(trace_title) +
          ". Choose a policy; the axes stay, so switching to and fro shows what differs.</p>\n";
  html += timeline_figure(timelines, world);
  html += "<h2>Latency, energy, accuracy</h2>\n" + front_figure(evaluation, world);
  html += "<h2>Every cell</h2>\n" + scrolled(cells_table(evaluation));
  html += "<h2>Every row</h2>\n" + scrolled(summary_table(evaluation, true));
  return html + "</main></body></html>\n";
}

}  // namespace reins::evaluation
