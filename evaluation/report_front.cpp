#include <algorithm>
#include <cmath>

#include "evaluation/report_plots.hpp"
#include "evaluation/report_svg.hpp"
#include "evaluation/table.hpp"

namespace reins::evaluation {
namespace {

constexpr double kFrontWidth = 1120, kHeight = 540;
constexpr double kLeft = 74, kTop = 30, kRight = 20, kBottom = 46;
/// Rows whose p95 is beyond so many times schedutil's have a queue that never empties: they stand on the right border.
constexpr double kFarAway = 5;

/// Main rows carry their names; of several training seeds, the group does.
bool is_named(const Evaluation& evaluation, const SummaryRow& row) {
  auto holds = [&](const std::vector<std::string>& names) {
    return names.size() > 1 && std::find(names.begin(), names.end(), row.name) != names.end();
  };
  if (holds(evaluation.learned) || holds(evaluation.unshielded) || holds(evaluation.growing)) return false;
  return is_main(row.kind, row.name);
}

std::string short_name(const SummaryRow& row) {
  return row.kind == RowKind::kStatic ? row.name.substr(0, row.name.find('/')) : row.name;
}

/// Puts names beside marks, each in the first place that is still free.
class Labels {
 public:
  explicit Labels(Plot& plot) : plot_(plot) {}
  void keep_clear(Point at) {
    const double cx = plot_.x(at.x), cy = plot_.y(at.y);
    taken_.push_back({cx - 6, cy - 6, cx + 6, cy + 6});
  }
  void add(Point at, const std::string& name, bool strong) {
    struct Place {
      double dx, dy;
      const char* anchor;
    };
    constexpr Place kPlaces[] = {{11, 4, "start"},  {-11, 4, "end"},  {11, -9, "start"},  {11, 17, "start"},
                                 {-11, -9, "end"},  {-11, 17, "end"}, {0, -13, "middle"}, {0, 22, "middle"},
                                 {11, 30, "start"}, {-11, 30, "end"}, {11, -22, "start"}, {-11, -22, "end"},
                                 {11, 43, "start"}, {-11, 43, "end"}, {11, -35, "start"}, {-11, -35, "end"}};
    const double width = (strong ? 7.2 : 6.6) * static_cast<double>(name.size());
    for (const Place& place : kPlaces) {
      const double back = place.anchor[0] == 'e' ? width : place.anchor[0] == 'm' ? width / 2 : 0;
      const double begin = plot_.x(at.x) + place.dx - back, base = plot_.y(at.y) + place.dy;
      const Box box{begin, base - 10, begin + width, base + 3};
      const bool free = box.left > kLeft + 2 && box.right < kFrontWidth - 2 && box.top > kTop - 8 &&
                        box.bottom < kHeight - kBottom &&
                        std::none_of(taken_.begin(), taken_.end(), [&](const Box& other) { return box.hits(other); });
      if (!free) continue;
      plot_.text(at, place.dx, place.dy, strong ? "name strong" : "name", name, place.anchor);
      taken_.push_back(box);
      return;
    }
  }

 private:
  struct Box {
    double left, top, right, bottom;
    bool hits(const Box& o) const { return left < o.right && o.left < right && top < o.bottom && o.top < bottom; }
  };
  Plot& plot_;
  std::vector<Box> taken_;
};

/// The profile's points by level.
std::vector<std::vector<const policies::ProfilePoint*>> profile_points(const env::World& world) {
  std::vector<std::vector<const policies::ProfilePoint*>> levels(world.profile->levels());
  for (std::size_t l = 0; l < levels.size(); ++l) {
    for (std::size_t m = 0; m < world.profile->mappings(); ++m) {
      for (std::size_t o = 0; o < world.space->opps(MappingId(m)); ++o) {
        const policies::ProfilePoint* point = world.profile->at(LevelId(l), MappingId(m), OppId(o));
        if (point != nullptr && point->energy_j.has_value() && *point->energy_j > 0) levels[l].push_back(point);
      }
    }
  }
  return levels;
}

/// Those that no other one beats in both latency and energy, fastest first.
std::vector<Point> front_of(std::vector<const policies::ProfilePoint*> points) {
  std::sort(points.begin(), points.end(), [](const auto* a, const auto* b) { return a->latency_s < b->latency_s; });
  std::vector<Point> front;
  for (const policies::ProfilePoint* point : points) {
    if (!front.empty() && *point->energy_j * kMilli >= front.back().y) continue;
    front.push_back({point->latency_s * kMilli, *point->energy_j * kMilli});
  }
  return front;
}

std::string accuracy_key(double low, double high) {
  std::string key = "<text class=\"tick\" x=\"" + px(kFrontWidth - 250) +
                    "\" y=\"15\" text-anchor=\"end\">mean accuracy " + fixed(100 * low, 1) + " %</text>";
  for (int i = 0; i < 40; ++i) {
    key += "<rect x=\"" + px(kFrontWidth - 242 + 4 * i) +
           "\" y=\"6\" width=\"4.6\" height=\"10\" style=\"fill:" + ramp_colour(i / 39.0) + "\"/>";
  }
  return key + "<text class=\"tick\" x=\"" + px(kFrontWidth - 74) + "\" y=\"15\">" + fixed(100 * high, 1) + " %</text>";
}

}  // namespace

std::string front_figure(const Evaluation& evaluation, const env::World& world) {
  const std::vector<SummaryRow> rows = summary_of(evaluation, true);
  const auto profile = profile_points(world);
  auto at_of = [](const SummaryRow& row) {
    return Point{row.at(Metric::kP95).mean * kMilli, row.at(Metric::kEnergy).mean * kMilli};
  };
  double far_ms = 1e300;
  for (const SummaryRow& row : rows) {
    if (row.name == kernel_row(evaluation.cells)) far_ms = kFarAway * at_of(row).x;
  }
  double low_ms = 1e300, high_ms = 0, low_mj = 1e300, high_mj = 0, low_accuracy = 1, high_accuracy = 0;
  auto widen = [&](Point at) {
    if (at.x <= 0 || at.y <= 0) return;
    if (at.x <= far_ms) {
      low_ms = std::min(low_ms, at.x);
      high_ms = std::max(high_ms, at.x);
    }
    low_mj = std::min(low_mj, at.y);
    high_mj = std::max(high_mj, at.y);
  };
  for (const SummaryRow& row : rows) widen(at_of(row));
  for (std::size_t l = 0; l < profile.size(); ++l) {
    low_accuracy = std::min(low_accuracy, world.profile->accuracy(LevelId(l)));
    high_accuracy = std::max(high_accuracy, world.profile->accuracy(LevelId(l)));
    for (const policies::ProfilePoint* point : profile[l])
      widen({point->latency_s * kMilli, *point->energy_j * kMilli});
  }
  if (high_ms <= 0 || high_mj <= 0) return "<p class=\"mute\">Neither energy nor latency to draw.</p>\n";
  auto colour = [&](double accuracy) {
    return ramp_colour(high_accuracy > low_accuracy ? (accuracy - low_accuracy) / (high_accuracy - low_accuracy) : 1);
  };

  Plot plot("front", kLeft, kTop, kFrontWidth - kLeft - kRight, kHeight - kTop - kBottom,
            Axis::logarithmic(low_ms, high_ms), Axis::logarithmic(low_mj, high_mj));
  plot.frame("", "p95 latency, ms (log)", "energy per request, mJ (log)");
  for (std::size_t l = 0; l < profile.size(); ++l) {
    const std::string of_level = colour(world.profile->accuracy(LevelId(l)));
    plot.line(front_of(profile[l]), "front", "stroke:" + of_level);
    for (const policies::ProfilePoint* point : profile[l]) {
      const policies::MappingSlot& slot = world.space->mappings[point->mapping.index()];
      plot.mark({point->latency_s * kMilli, *point->energy_j * kMilli}, 'o', 2.2, "faint",
                "profile: level " + std::to_string(l + 1) + ", " + slot.name + " at " +
                    std::to_string(slot.freq_khz[point->opp.index()] / 1000) + " MHz, " +
                    fixed(point->latency_s * kMilli, 1) + " ms, " + fixed(*point->energy_j * kMilli, 1) +
                    " mJ, accuracy " + fixed(100 * point->accuracy, 1) + " %",
                "fill:" + of_level);
    }
  }
  Labels labels(plot);
  auto drawn_at = [&](const SummaryRow& row) { return Point{std::min(at_of(row).x, high_ms * 1.13), at_of(row).y}; };
  for (const SummaryRow& row : rows) {
    if (is_named(evaluation, row)) labels.keep_clear(drawn_at(row));
  }
  for (const bool named : {false, true}) {  // named marks lie on top
    for (const SummaryRow& row : rows) {
      if (is_named(evaluation, row) != named) continue;
      const bool far = at_of(row).x > far_ms;
      const char shape = row.kind == RowKind::kLearned || row.kind == RowKind::kOracle ? 'd' : 'o';
      const double accuracy = row.at(Metric::kAccuracy).mean;
      plot.mark(drawn_at(row), shape, named ? (shape == 'd' ? 7.5 : 6.0) : (shape == 'd' ? 5.0 : 3.5),
                named ? "named" : "plain",
                row.name + ": p95 " + fixed(at_of(row).x, 0) + " ms" + (far ? " (off the scale)" : "") + ", " +
                    fixed(at_of(row).y, 1) + " mJ, accuracy " + fixed(100 * accuracy, 1) + " %, missed " +
                    fixed(100 * row.at(Metric::kMissRate).mean, 2) + " %",
                "fill:" + colour(accuracy));
      if (!named) continue;
      labels.add(drawn_at(row), short_name(row) + (far ? " (p95 " + fixed(at_of(row).x / kMilli, 0) + " s)" : ""),
                 row.kind == RowKind::kLearned);
    }
  }
  return "<figure>" +
         svg_element(kFrontWidth, kHeight, "latency, energy and accuracy of all policies",
                     plot.svg() + accuracy_key(low_accuracy, high_accuracy)) +
         "<figcaption>Diamonds: learned policies and the oracle; circles: everything else. Names: the main rows, "
         "governors on their "
         "kernel-like placement with the full network. Means over the cells; on the right border: queues that never "
         "empty. Small "
         "dots and lines: the profile's points and each level's front (one inference alone, mean latency, no idle "
         "energy between "
         "requests).</figcaption></figure>\n";
}

}  // namespace reins::evaluation
