#include "evaluation/report_svg.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/csv.hpp"
#include "evaluation/table.hpp"

namespace reins::evaluation {
namespace {

/// A tick's value without the last bits' noise.
std::string tick_label(double value, double step) {
  const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
  return fixed(value, decimals);
}

std::string attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + std::string(value) + "\"";
}

}  // namespace

std::string px(double value) { return fixed(value, 1); }

double Axis::place(double value) const noexcept {
  if (!log) return high > low ? (value - low) / (high - low) : 0.5;
  if (value <= 0) return -1;
  return std::log(value / low) / std::log(high / low);
}

Axis Axis::linear(double low, double high, int wanted, bool exact) {
  Axis axis;
  if (!(high > low)) high = low + 1;
  const double raw = (high - low) / std::max(1, wanted);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * 0.999) {
      step = factor * power;
      break;
    }
  }
  axis.low = exact ? low : std::floor(low / step + 1e-9) * step;
  axis.high = exact ? high : std::ceil(high / step - 1e-9) * step;
  for (double k = std::ceil(axis.low / step - 1e-9); k * step <= axis.high + step * 1e-6; ++k) {
    axis.ticks.push_back({k * step, tick_label(k * step, step)});
  }
  return axis;
}

Axis Axis::logarithmic(double low, double high) {
  Axis axis;
  axis.log = true;
  high = std::max(high, low * 1.5);
  axis.low = low / 1.15;
  axis.high = high * 1.15;
  const double decades = std::log10(axis.high / axis.low);
  for (double power = std::floor(std::log10(axis.low)); power <= std::log10(axis.high); ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, power);
      if (value < axis.low || value > axis.high) continue;
      const bool labelled = factor == 1.0 || decades < 3;
      axis.ticks.push_back({value, labelled ? format_number(std::stod(fixed(value, 6))) : std::string()});
    }
  }
  return axis;
}

Axis Axis::lanes(const std::vector<std::string>& names) {
  Axis axis;
  axis.low = -0.6;
  axis.high = std::max(0.6, static_cast<double>(names.size()) - 0.4);
  for (std::size_t i = 0; i < names.size(); ++i) axis.ticks.push_back({static_cast<double>(i), names[i]});
  return axis;
}

Plot::Plot(std::string id, double left, double top, double width, double height, Axis x, Axis y)
    : id_(std::move(id)), left_(left), top_(top), width_(width), height_(height), x_(std::move(x)), y_(std::move(y)) {}

void Plot::frame(std::string_view title, std::string_view x_title, std::string_view y_title, bool x_labels) {
  const double right = left_ + width_;
  const double bottom = top_ + height_;
  for (const Axis::Tick& tick : y_.ticks) {
    const std::string at = px(y(tick.value));
    frame_ += "<line class=\"grid\"" + attribute("x1", px(left_)) + attribute("x2", px(right)) + attribute("y1", at) +
              attribute("y2", at) + "/>";
    if (tick.label.empty()) continue;
    frame_ += "<text class=\"tick\" text-anchor=\"end\"" + attribute("x", px(left_ - 6)) +
              attribute("y", px(y(tick.value) + 3.5)) + ">" + escaped(tick.label) + "</text>";
  }
  for (const Axis::Tick& tick : x_.ticks) {
    const std::string at = px(x(tick.value));
    frame_ += "<line class=\"grid\"" + attribute("x1", at) + attribute("x2", at) + attribute("y1", px(top_)) +
              attribute("y2", px(bottom)) + "/>";
    if (!x_labels || tick.label.empty()) continue;
    frame_ += "<text class=\"tick\" text-anchor=\"middle\"" + attribute("x", at) + attribute("y", px(bottom + 14)) +
              ">" + escaped(tick.label) + "</text>";
  }
  frame_ += "<line class=\"axis\"" + attribute("x1", px(left_)) + attribute("x2", px(right)) +
            attribute("y1", px(bottom)) + attribute("y2", px(bottom)) + "/>";
  if (!title.empty()) {
    frame_ += "<text class=\"title\"" + attribute("x", px(left_)) + attribute("y", px(top_ - 7)) + ">" +
              escaped(title) + "</text>";
  }
  if (!x_title.empty()) {
    frame_ += "<text class=\"tick\" text-anchor=\"middle\"" + attribute("x", px(left_ + width_ / 2)) +
              attribute("y", px(bottom + 32)) + ">" + escaped(x_title) + "</text>";
  }
  if (!y_title.empty()) {
    const double at = left_ - 46;
    frame_ += "<text class=\"tick\" text-anchor=\"middle\"" + attribute("x", px(at)) +
              attribute("y", px(top_ + height_ / 2)) +
              attribute("transform", "rotate(-90 " + px(at) + " " + px(top_ + height_ / 2) + ")") + ">" +
              escaped(y_title) + "</text>";
  }
}

void Plot::line(const std::vector<Point>& points, std::string_view css_class, std::string_view style) {
  std::string path;
  for (const Point& point : points) path += (path.empty() ? "M" : "L") + px(x(point.x)) + " " + px(y(point.y));
  if (path.empty()) return;
  inside_ += "<path" + attribute("class", css_class) + (style.empty() ? std::string() : attribute("style", style)) +
             attribute("d", path) + "/>";
}

void Plot::steps(const std::vector<Point>& points, std::string_view css_class) {
  std::string path;
  std::string last_y;
  for (const Point& point : points) {
    const std::string to_y = px(y(point.y));
    if (!path.empty() && to_y == last_y) continue;  // a long constant stretch is one stroke
    if (path.empty())
      path = "M" + px(x(point.x)) + " " + to_y;
    else
      path += "H" + px(x(point.x)) + "V" + to_y;
    last_y = to_y;
  }
  if (path.empty()) return;
  path += "H" + px(x(points.back().x));
  inside_ += "<path" + attribute("class", css_class) + attribute("d", path) + "/>";
}

void Plot::stroke(double from, double to, double value, std::string_view css_class) {
  const std::string at = px(y(value));
  inside_ += "<line" + attribute("class", css_class) + attribute("x1", px(x(from))) + attribute("x2", px(x(to))) +
             attribute("y1", at) + attribute("y2", at) + "/>";
}

void Plot::mark(Point at, char shape, double size, std::string_view css_class, std::string_view tooltip,
                std::string_view style) {
  const double cx = x(at.x);
  const double cy = y(at.y);
  const std::string end =
      (style.empty() ? std::string() : attribute("style", style)) +
      (tooltip.empty() ? std::string("/>")
                       : "><title>" + escaped(tooltip) + "</title></" + (shape == 'o' ? "circle" : "path") + ">");
  if (shape == 'o') {
    inside_ += "<circle" + attribute("class", css_class) + attribute("cx", px(cx)) + attribute("cy", px(cy)) +
               attribute("r", px(size)) + end;
  } else if (shape == 'd') {
    inside_ += "<path" + attribute("class", css_class) +
               attribute("d", "M" + px(cx) + " " + px(cy - size) + "L" + px(cx + size) + " " + px(cy) + "L" + px(cx) +
                                  " " + px(cy + size) + "L" + px(cx - size) + " " + px(cy) + "Z") +
               end;
  } else {
    inside_ +=
        "<path" + attribute("class", css_class) +
        attribute("d", "M" + px(cx - size) + " " + px(cy - size) + "L" + px(cx + size) + " " + px(cy + size) + "M" +
                           px(cx - size) + " " + px(cy + size) + "L" + px(cx + size) + " " + px(cy - size)) +
        end;
  }
}

void Plot::text(Point at, double dx, double dy, std::string_view css_class, std::string_view text,
                std::string_view anchor) {
  labels_ += "<text" + attribute("class", css_class) + attribute("text-anchor", anchor) +
             attribute("x", px(x(at.x) + dx)) + attribute("y", px(y(at.y) + dy)) + ">" + escaped(text) + "</text>";
}

void Plot::bar(double centre, double width, double value, std::string_view css_class, std::string_view tooltip) {
  const double zero = y(std::max(y_.low, 0.0));
  const double end = y(value);
  inside_ += "<rect" + attribute("class", css_class) + attribute("x", px(centre - width / 2)) +
             attribute("y", px(std::min(zero, end))) + attribute("width", px(width)) +
             attribute("height", px(std::max(0.5, std::abs(zero - end)))) + "><title>" + escaped(tooltip) +
             "</title></rect>";
}

std::string Plot::svg() const {
  const double room = 5;  // marks on the border stay whole
  return "<clipPath" + attribute("id", id_) + "><rect" + attribute("x", px(left_ - room)) +
         attribute("y", px(top_ - room)) + attribute("width", px(width_ + 2 * room)) +
         attribute("height", px(height_ + 2 * room)) + "/></clipPath>" + frame_ + "<g" +
         attribute("clip-path", "url(#" + id_ + ")") + ">" + inside_ + "</g>" + labels_ + "\n";
}

std::string svg_element(double width, double height, std::string_view label, std::string_view body) {
  return "<svg" + attribute("viewBox", "0 0 " + px(width) + " " + px(height)) + attribute("role", "img") +
         attribute("aria-label", escaped(label)) + ">\n" + std::string(body) + "</svg>\n";
}

std::string ramp_colour(double share) {
  // Dark violet to yellow-green in equal steps of lightness (viridis, thinned, its ends moved inwards so that both page
  // colours keep contrast).
  constexpr std::array<std::array<double, 3>, 5> kStops = {
      {{112, 58, 150}, {66, 100, 170}, {33, 145, 140}, {80, 178, 95}, {214, 186, 30}}};
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(kStops.size() - 1);
  const std::size_t i = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
  const double f = at - static_cast<double>(i);
  std::string text = "rgb(";
  for (std::size_t c = 0; c < 3; ++c) {
    text += fixed(kStops[i][c] * (1 - f) + kStops[i + 1][c] * f, 0) + (c < 2 ? "," : ")");
  }
  return text;
}

}  // namespace reins::evaluation
