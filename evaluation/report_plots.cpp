#include "evaluation/report_plots.hpp"

#include <algorithm>
#include <cmath>

#include "core/csv.hpp"
#include "evaluation/report_svg.hpp"
#include "evaluation/table.hpp"

namespace reins::evaluation {
namespace {

constexpr double kWidth = 1120;

/// One policy of the time line, panel by panel.
std::string timeline_panels(const ReportTimeline& timeline, std::size_t index, const env::World& world, double end_s,
                            double max_latency_ms, double max_power_w, double min_c, double max_c) {
  constexpr double kLeft = 70;
  constexpr double kPlotWidth = kWidth - kLeft - 14;
  const std::vector<env::TimelinePoint>& points = timeline.result.timeline;
  const double from_s = points.empty() ? 0 : points.front().time_s;
  const Axis time = Axis::linear(0, end_s, 12, true);

  std::vector<std::string> levels, mappings;
  for (std::size_t l = 0; l < world.levels->size(); ++l) levels.push_back(std::to_string(l + 1));
  for (const policies::MappingSlot& slot : world.space->mappings) mappings.push_back(slot.name);
  double max_mhz = 0;
  for (const boards::Cluster& cluster : world.board->clusters) {
    max_mhz = std::max(max_mhz, static_cast<double>(cluster.max_khz()) / kMilli);
  }

  std::string body;
  double top = 24;
  std::size_t panel = 0;
  auto make = [&](double height, const Axis& y) {
    Plot plot("t" + std::to_string(index) + "p" + std::to_string(panel++), kLeft, top, kPlotWidth, height, time, y);
    top += height + 34;
    return plot;
  };

  std::vector<Point> level, mapping, freq, served_freq, target, celsius, power;
  struct Reply {
    double at_s, latency_ms, target_ms;
    int level;
    bool missed;
  };
  std::vector<Reply> replies;
  double window_from_s = from_s;
  double window_from_j = points.empty() ? 0 : points.front().energy_j;
  for (const env::TimelinePoint& point : points) {
    const double at = point.time_s - from_s;
    if (point.mapping >= 0) {
      mapping.push_back({at, static_cast<double>(point.mapping)});
      freq.push_back({at, point.freq_khz / kMilli});
    }
    celsius.push_back({at, point.temperature_c});
    if (point.time_s - window_from_s >= 1.0) {
      power.push_back({window_from_s - from_s, (point.energy_j - window_from_j) / (point.time_s - window_from_s)});
      window_from_s = point.time_s;
      window_from_j = point.energy_j;
    }
    if (!point.reply) continue;
    level.push_back({at, static_cast<double>(point.level - 1)});
    served_freq.push_back({at, point.freq_khz / kMilli});
    if (point.target_s > 0) target.push_back({at, point.target_s * kMilli});
    replies.push_back({at, point.latency_s * kMilli, point.target_s * kMilli, point.level, point.missed});
  }
  if (!power.empty()) power.push_back({window_from_s - from_s, power.back().y});

  {
    Plot plot = make(16 + 17 * static_cast<double>(levels.size()), Axis::lanes(levels));
    plot.frame("level (" + std::to_string(levels.size()) + " = full network)", "", "", false);
    plot.steps(level, "s1 wide");
    body += plot.svg();
  }
  {
    Plot plot = make(16 + 17 * static_cast<double>(mappings.size()), Axis::lanes(mappings));
    plot.frame("mapping", "", "", false);
    plot.steps(mapping, "s2 wide");
    body += plot.svg();
  }
  {
    Plot plot = make(84, Axis::linear(0, max_mhz, 4));
    plot.frame(
        "frequency of the mapping's cluster, MHz: line at sensor updates (parked between requests), dots at replies",
        "", "", false);
    plot.steps(freq, "s5 thin");
    for (const Point& at : served_freq)
      plot.mark(at, 'o', 1.8, "m5", fixed(at.y, 0) + " MHz at " + fixed(at.x, 2) + " s");
    body += plot.svg();
  }
  {
    Plot plot = make(150, Axis::linear(0, max_latency_ms, 5));
    plot.frame("latency, ms: dots are replies, crosses misses, the line is the target in force", "", "", false);
    plot.steps(target, "s4 thin");
    for (const Reply& reply : replies) {
      const std::string tooltip =
          fixed(reply.latency_ms, 0) + " ms" +
          (reply.target_ms > 0 ? ", target " + fixed(reply.target_ms, 0) + " ms" : std::string()) + ", level " +
          std::to_string(reply.level) + ", at " + fixed(reply.at_s, 2) + " s";
      const double drawn = std::min(reply.latency_ms, max_latency_ms);  // what is off the scale stays on its edge
      if (reply.missed)
        plot.mark({reply.at_s, drawn}, 'x', 3.5, "miss", "missed: " + tooltip);
      else
        plot.mark({reply.at_s, drawn}, 'o', 2.2, "m3", tooltip);
    }
    body += plot.svg();
  }
  {
    Plot plot = make(74, Axis::linear(0, max_power_w, 4));
    plot.frame("power on the accounting rails, W, mean over each second", "", "", false);
    plot.steps(power, "s6");
    body += plot.svg();
  }
  {
    Plot plot = make(60, Axis::linear(min_c, max_c, 3));
    plot.frame("temperature, °C", "time, s", "");
    plot.line(celsius, "s4");
    body += plot.svg();
  }
  return svg_element(kWidth, top + 12, "time line of " + timeline.name, body);
}

}  // namespace

std::string timeline_figure(const std::vector<ReportTimeline>& timelines, const env::World& world) {
  if (timelines.empty()) return "<p class=\"mute\">No trace was drawn.</p>\n";
  double end_s = 1, max_latency_ms = 1, max_power_w = 0.5, min_c = 1e9, max_c = -1e9;
  std::vector<double> latencies;
  for (const ReportTimeline& timeline : timelines) {
    const auto& points = timeline.result.timeline;
    if (points.empty()) continue;
    end_s = std::max(end_s, points.back().time_s - points.front().time_s);
    double from_s = points.front().time_s, from_j = points.front().energy_j;
    for (const env::TimelinePoint& point : points) {
      if (point.target_s > 0) max_latency_ms = std::max(max_latency_ms, 1.25 * point.target_s * kMilli);
      min_c = std::min(min_c, point.temperature_c);
      max_c = std::max(max_c, point.temperature_c);
      if (point.time_s - from_s >= 1.0) {
        max_power_w = std::max(max_power_w, (point.energy_j - from_j) / (point.time_s - from_s));
        from_s = point.time_s;
        from_j = point.energy_j;
      }
      if (point.target_s <= 0) latencies.push_back(point.latency_s * kMilli);
    }
  }
  // Without targets the latencies themselves set the scale.
  if (max_latency_ms <= 1 && !latencies.empty()) max_latency_ms = *std::max_element(latencies.begin(), latencies.end());
  if (min_c > max_c) min_c = 0, max_c = 1;

  std::string inputs, labels, sheets;
  for (std::size_t i = 0; i < timelines.size(); ++i) {
    const env::EpisodeResult& result = timelines[i].result;
    const std::string id = "pick" + std::to_string(i);
    inputs += "<input type=\"radio\" name=\"pick\" id=\"" + id + "\"" + (i == 0 ? " checked" : "") + ">";
    labels += "<label for=\"" + id + "\">" + escaped(timelines[i].name) + "</label>";
    sheets += "<div class=\"sheet\" id=\"sheet" + std::to_string(i) + "\"><p class=\"facts\">" +
              escaped(timelines[i].name) + ": <b>" + fixed(result.energy_per_offered_j() * kMilli, 1) +
              " mJ</b> per request, <b>" + fixed(100 * result.miss_rate(), 2) + " %</b> missed (" +
              std::to_string(result.missed) + " of " + std::to_string(result.offered) + "), mean accuracy <b>" +
              fixed(100 * result.mean_accuracy(), 1) + " %</b>, " + std::to_string(result.counters.switches) +
              " switches</p>\n" +
              timeline_panels(timelines[i], i, world, end_s, max_latency_ms, max_power_w, min_c, max_c) + "</div>\n";
  }
  std::string rules = "<style>";
  for (std::size_t i = 0; i < timelines.size(); ++i) {
    const std::string n = std::to_string(i);
    rules += "#pick" + n + ":checked~#sheet" + n + "{display:block}#pick" + n + ":checked~.tabs label[for=pick" + n +
             "]{background:var(--fg);color:var(--bg)}#pick" + n + ":focus-visible~.tabs label[for=pick" + n +
             "]{outline:2px solid var(--c1)}";
  }
  rules += "</style>\n";
  return rules + "<figure class=\"pickers\">" + inputs + "<div class=\"tabs\">" + labels + "</div>\n" + sheets +
         "</figure>\n";
}

std::string savings_figure(const Evaluation& evaluation) {
  const std::string kernel = kernel_row(evaluation.cells);
  std::vector<double> loads;
  std::vector<std::string> floors;
  for (const CellResult& cell : evaluation.cells) {
    if (std::find(loads.begin(), loads.end(), cell.cell.load) == loads.end()) loads.push_back(cell.cell.load);
    if (std::find(floors.begin(), floors.end(), cell.cell.floors) == floors.end()) floors.push_back(cell.cell.floors);
  }
  std::sort(loads.begin(), loads.end());
  if (loads.empty()) return "";
  struct Series {
    std::string name;
    std::vector<std::string> rows;
    std::string css_class;
  };
  std::vector<Series> series;
  if (!evaluation.learned.empty()) series.push_back({group_name(evaluation.learned), evaluation.learned, "b1"});
  series.push_back({std::string(kShieldedPareto), {std::string(kShieldedPareto)}, "b4"});
  series.push_back({"pareto", {"pareto"}, "b2"});
  series.push_back({"floor rule", {"floor rule"}, "b3"});
  std::erase_if(series, [&](const Series& one) {
    return std::none_of(evaluation.cells.begin(), evaluation.cells.end(),
                        [&](const CellResult& cell) { return cell.row(one.rows.front()) != nullptr; });
  });

  constexpr double kPlotHeight = 190, kLeft = 40, kGap = 42;
  constexpr double kPlotWidth = (kWidth - kLeft - 2 * kGap - 10) / 3;
  const std::vector<std::pair<std::string, std::string>> bases = {{kernel, "schedutil"},
                                                                  {"best static", "best static"}};

  auto saving = [&](const std::vector<std::string>& names, const std::string& base, const std::string& floor,
                    double load) {
    std::vector<double> values;
    for (const std::string& name : names) {
      const Saving s = saving_over(evaluation.cells, name, base,
                                   [&](const Cell& cell) { return cell.load == load && cell.floors == floor; });
      if (s.cells > 0) values.push_back(100 * (1 - s.energy_ratio));
    }
    return figure_of(values);
  };
  // Per cent of the requests: mean over the cells, and its spread over the rows' training seeds.
  auto misses = [&](const std::vector<std::string>& names, const std::string& floor, double load) {
    std::vector<double> values;
    for (const std::string& name : names) {
      std::vector<double> cells;
      for (const CellResult& cell : evaluation.cells) {
        const Row* row = cell.cell.load == load && cell.cell.floors == floor ? cell.row(name) : nullptr;
        if (row != nullptr) cells.push_back(100 * row->miss_rate);
      }
      if (!cells.empty()) values.push_back(figure_of(cells).mean);
    }
    return figure_of(values);
  };
  double low = 0, high = 10, most_missed = 5;
  for (const std::string& floor : floors) {
    for (const double load : loads) {
      for (const Series& one : series) most_missed = std::max(most_missed, misses(one.rows, floor, load).mean);
      for (const char* row : {"oracle", "best static"})
        most_missed = std::max(most_missed, misses({row}, floor, load).mean);
    }
    for (const auto& [base, label] : bases) {
      for (const double load : loads) {
        for (const Series& one : series) {
          const Figure figure = saving(one.rows, base, floor, load);
          if (figure.n == 0) continue;
          low = std::min(low, figure.mean);
          high = std::max(high, figure.mean + figure.spread);
        }
        high = std::max(high, saving({"oracle"}, base, floor, load).mean);
      }
    }
  }
  low = std::max(low, -40.0);  // a row far below zero is cut, its tooltip says how far
  std::string body;
  double top = 46;
  const double slot = kPlotWidth / static_cast<double>(loads.size());
  const double width = 0.8 * slot / static_cast<double>(series.size());
  /// One panel: a bar per row shown and load, the oracle's dashes, and best static's dots where `base` says so.
  auto panel = [&](double left, const std::string& title, const Axis& y, const auto& value_of_row, bool base) {
    Axis x;
    x.low = -0.5;
    x.high = static_cast<double>(loads.size()) - 0.5;
    for (std::size_t i = 0; i < loads.size(); ++i)
      x.ticks.push_back({static_cast<double>(i), "load " + format_number(loads[i])});
    Plot plot("s" + px(left) + "-" + px(top), left, top, kPlotWidth, kPlotHeight, x, y);
    plot.frame(title, "", "");
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const double middle = plot.x(static_cast<double>(i));
      for (std::size_t s = 0; s < series.size(); ++s) {
        const Figure figure = value_of_row(series[s].rows, loads[i]);
        if (figure.n == 0) continue;
        const double centre = middle + (static_cast<double>(s) - (static_cast<double>(series.size()) - 1) / 2) * width;
        plot.bar(centre, width - 2, std::max(figure.mean, y.low), series[s].css_class,
                 series[s].name + ": " + fixed(figure.mean, 1) + (figure.n > 1 ? " ± " + fixed(figure.spread, 1) : "") +
                     " %");
        if (s == 0) {
          // Inside the bar's end, where the lines do not cross it; a short bar has it above, but for the misses, whose
          // lines lie there.
          const bool inside = plot.y(std::max(y.low, 0.0)) - plot.y(figure.mean) > 18;
          if (inside || !base) {
            plot.text({static_cast<double>(i), std::max(figure.mean, y.low)}, centre - middle, inside ? 14 : -5,
                      inside ? "tick inbar" : "tick strong", fixed(figure.mean, 0), "middle");
          }
        }
      }
      const double half = 0.43;
      const auto stroke = [&](const char* row, const char* css_class, bool figure_too) {
        const Figure figure = value_of_row({row}, loads[i]);
        if (figure.n == 0) return;
        plot.stroke(static_cast<double>(i) - half, static_cast<double>(i) + half, figure.mean, css_class);
        if (figure_too)
          plot.text({static_cast<double>(i) + half, figure.mean}, 0, -4, "tick", fixed(figure.mean, 0), "end");
      };
      stroke("oracle", "ceiling", true);
      if (base) stroke("best static", "base", false);
    }
    body += plot.svg();
  };
  const Axis saved = Axis::linear(low, high, 7);
  const Axis missed = Axis::linear(0, most_missed, 5);
  for (const std::string& floor : floors) {
    double left = kLeft;
    for (const auto& [base, label] : bases) {
      panel(
          left, "floors " + floor + ": energy saved against " + label + ", %", saved,
          [&, &base = base](const std::vector<std::string>& rows, double load) {
            return saving(rows, base, floor, load);
          },
          false);
      left += kPlotWidth + kGap;
    }
    panel(
        left, "floors " + floor + ": requests missed, %", missed,
        [&](const std::vector<std::string>& rows, double load) { return misses(rows, floor, load); }, true);
    top += kPlotHeight + 56;
  }
  double at = kLeft;
  for (const Series& one : series) {
    body += "<rect class=\"" + one.css_class + "\" x=\"" + px(at) +
            "\" y=\"4\" width=\"12\" height=\"12\"/><text class=\"name\" x=\"" + px(at + 17) + "\" y=\"14\">" +
            escaped(one.name) + "</text>";
    at += 40 + 7.0 * static_cast<double>(one.name.size());
  }
  body += "<line class=\"ceiling\" x1=\"" + px(at) + "\" x2=\"" + px(at + 20) +
          "\" y1=\"10\" y2=\"10\"/><text class=\"name\" x=\"" + px(at + 26) + "\" y=\"14\">oracle: the ceiling</text>";
  at += 176;
  body += "<line class=\"base\" x1=\"" + px(at) + "\" x2=\"" + px(at + 20) +
          "\" y1=\"10\" y2=\"10\"/><text class=\"name\" x=\"" + px(at + 26) + "\" y=\"14\">best static</text>";
  return "<figure>" + svg_element(kWidth, top - 24, "energy saved per load", body) +
         "<figcaption>Left and middle: mean of the per-cell energy ratios at each load, over arrivals and targets; "
         "schedutil runs the full network. Right: what the same rows miss, mean over the same cells; read both "
         "together.</figcaption></figure>\n";
}

}  // namespace reins::evaluation
