// evaluation/report_svg.hpp: axes, lines, steps, dots and bars as inline SVG; colours are the page's CSS classes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reins::evaluation {

/// A range of values on an axis, with its ticks.
struct Axis {
  struct Tick {
    double value = 0;
    std::string label;  ///< empty: a line without a label
  };
  double low = 0, high = 1;
  bool log = false;
  std::vector<Tick> ticks;

  /// Place of a value, 0..1 within the range; outside it beyond.
  double place(double value) const noexcept;

  /// Ticks at 1, 2 or 5 x 10^n, about `wanted` of them; the range is widened to ticks unless `exact`.
  static Axis linear(double low, double high, int wanted, bool exact = false);
  /// 1-2-5 ticks, thinned where there are many; the range is widened a little. `low` and `high` are positive.
  static Axis logarithmic(double low, double high);
  /// One lane per name; lane i is at value i, the first at the bottom.
  static Axis lanes(const std::vector<std::string>& names);
};

struct Point {
  double x = 0, y = 0;
};

/// A rectangle of a drawing with two axes. What is drawn is clipped to it.
class Plot {
 public:
  /// Left, top, width and height in pixels of the drawing. `id` must be unique in the page.
  Plot(std::string id, double left, double top, double width, double height, Axis x, Axis y);

  double x(double value) const noexcept { return left_ + width_ * x_.place(value); }
  double y(double value) const noexcept { return top_ + height_ * (1 - y_.place(value)); }

  /// Grid and labels. `x_labels` false where a plot below shares the axis. Titles may be empty.
  void frame(std::string_view title, std::string_view x_title, std::string_view y_title, bool x_labels = true);
  void line(const std::vector<Point>& points, std::string_view css_class, std::string_view style = {});
  /// A value holds until the next point.
  void steps(const std::vector<Point>& points, std::string_view css_class);
  /// A horizontal stroke from `from` to `to`, at `value`.
  void stroke(double from, double to, double value, std::string_view css_class);
  /// `shape`: 'o' circle, 'x' cross, 'd' diamond. `tooltip` shows on hovering.
  void mark(Point at, char shape, double size, std::string_view css_class, std::string_view tooltip,
            std::string_view style = {});
  /// Text at a value, moved by pixels; `anchor` as in SVG.
  void text(Point at, double dx, double dy, std::string_view css_class, std::string_view text,
            std::string_view anchor = "start");
  /// From the axis' low end to `value`, `centre` and `width` in pixels of the drawing.
  void bar(double centre, double width, double value, std::string_view css_class, std::string_view tooltip);

  /// The elements drawn so far.
  std::string svg() const;

 private:
  std::string id_;
  double left_, top_, width_, height_;
  Axis x_, y_;
  std::string frame_, inside_, labels_;
};

/// An <svg> element of that size around `body`, scaling with the page's width.
std::string svg_element(double width, double height, std::string_view label, std::string_view body);
/// Coordinates with one decimal.
std::string px(double value);
/// Accuracy colour ramp: `share` in 0..1 -> "rgb(r,g,b)", readable on light and dark.
std::string ramp_colour(double share);

}  // namespace reins::evaluation
