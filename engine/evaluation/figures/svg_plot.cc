#include "engine/evaluation/figures/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>

#include "fmt/format.h"

namespace tome {
namespace {

constexpr double kPanelHeight = 420;
// Of the plot in its panel.
constexpr double kLeft = 78, kTop = 40, kBottom = 58;
constexpr double kLineWidth = 400, kHeatWidth = 540, kPlotHeight = kPanelHeight - kTop - kBottom;
// Right of a heat map; of the lines in a legend with the space around them; of one letter, generously.
constexpr double kHeatMargin = 24, kLegendMargin = 60, kLetterWidth = 7;
constexpr const char* kColours[] = {"#1b6ca8", "#c8553d", "#588157", "#7b2d8b",
                                    "#b08900", "#444444", "#2a9d8f", "#d6457b"};
constexpr int kTicks = 6;

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      escaped += ' ';
    } else {
      escaped += c;
    }
  }
  return escaped;
}

enum class Anchor { kStart, kMiddle, kEnd };

std::string Text(double x, double y, std::string_view text, Anchor anchor = Anchor::kStart,
                 std::string_view more = "") {
  const char* name = anchor == Anchor::kStart ? "start" : anchor == Anchor::kMiddle ? "middle" : "end";
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, name, more,
                     Escape(text));
}

// 131072 as "128k" on a logarithmic scale, where ticks are powers of two; 5000 as "5k" on a linear one.
std::string TickLabel(double value, Scale scale, bool bytes = false) {
  const char* const units = bytes ? " KMGT" : " kMGT";
  const double thousand = bytes || scale == Scale::kLogarithmic ? 1024 : 1000;
  int unit = 0;
  while (unit < 4 && std::abs(value) >= thousand) {
    value /= thousand;
    ++unit;
  }
  std::string label = fmt::format("{:.4g}", value);
  if (unit > 0) label += fmt::format("{}{}", bytes ? " " : "", units[unit]);
  if (bytes) label += unit > 0 ? "iB" : " B";
  return label;
}

// One dimension of a chart: values to pixels.
class Axis {
 public:
  Axis(Scale scale, double first_pixel, double last_pixel) : scale_(scale), first_(first_pixel), last_(last_pixel) {}

  bool Holds(double value) const { return std::isfinite(value) && (scale_ == Scale::kLinear || value > 0); }
  void Include(double value) {
    lowest_ = std::min(lowest_, value);
    highest_ = std::max(highest_, value);
  }
  // Makes room above and below, and something of nothing.
  void Widen(double share) {
    if (lowest_ > highest_) lowest_ = highest_ = 1;
    if (scale_ == Scale::kLogarithmic) {
      if (lowest_ == highest_) highest_ = lowest_ * 2;
      return;
    }
    if (lowest_ == highest_) {
      lowest_ -= 0.5;
      highest_ += 0.5;
    }
    const double margin = (highest_ - lowest_) * share;
    lowest_ -= margin;
    highest_ += margin;
  }
  double At(double value) const {
    const double share = scale_ == Scale::kLinear ? (value - lowest_) / (highest_ - lowest_)
                                                  : std::log(value / lowest_) / std::log(highest_ / lowest_);
    return first_ + (last_ - first_) * share;
  }
  std::vector<double> Ticks() const { return RoundTicks(lowest_, highest_, kTicks, scale_); }

 private:
  Scale scale_;
  double first_, last_;
  double lowest_ = std::numeric_limits<double>::infinity(), highest_ = -std::numeric_limits<double>::infinity();
};

std::string DrawTitles(std::string_view title, std::string_view x_label, std::string_view y_label, double plot_width) {
  const double middle = kTop + kPlotHeight / 2;
  return Text(kLeft, kTop - 16, title, Anchor::kStart, " font-weight=\"bold\"") +
         Text(kLeft + plot_width / 2, kPanelHeight - 14, x_label, Anchor::kMiddle) +
         Text(16, middle, y_label, Anchor::kMiddle, fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", middle));
}

std::string Draw(const LineChart& chart) {
  const double width = kLineWidth;
  Axis x(chart.x_scale, kLeft, kLeft + width), y(chart.y_scale, kTop + kPlotHeight, kTop);
  const auto drawn = [&](const std::pair<double, double>& point) {
    return x.Holds(point.first) && y.Holds(point.second);
  };
  for (const ChartLine& line : chart.lines) {
    for (const auto& point : line.points) {
      if (!drawn(point)) continue;
      x.Include(point.first);
      y.Include(point.second);
    }
  }
  x.Widen(0);
  y.Widen(0.04);
  std::string svg = DrawTitles(chart.title, chart.x_label, chart.y_label, width);
  for (const double tick : y.Ticks()) {
    svg += fmt::format("<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"#ddd\"/>\n", kLeft, y.At(tick), width);
    svg += Text(kLeft - 6, y.At(tick) + 4, TickLabel(tick, chart.y_scale, chart.bytes), Anchor::kEnd);
  }
  for (const double tick : x.Ticks()) {
    svg += fmt::format("<path d=\"M{:.1f} {:.1f}v4\" stroke=\"#444\"/>\n", x.At(tick), kTop + kPlotHeight);
    svg += Text(x.At(tick), kTop + kPlotHeight + 18, TickLabel(tick, chart.x_scale), Anchor::kMiddle);
  }
  svg += fmt::format("<path d=\"M{:.1f} {:.1f}v{:.1f}h{:.1f}\" stroke=\"#444\" fill=\"none\"/>\n", kLeft, kTop,
                     kPlotHeight, width);
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const ChartLine& line = chart.lines[i];
    const char* colour = kColours[i % std::size(kColours)];
    const char* dashes = line.dashed ? " stroke-dasharray=\"6 4\"" : "";
    std::string points;
    for (const auto& point : line.points) {
      if (drawn(point)) points += fmt::format("{:.1f},{:.1f} ", x.At(point.first), y.At(point.second));
    }
    svg += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}/>\n", points, colour,
                       dashes);
    const double at = kTop + 10 + 20.0 * static_cast<double>(i), legend = kLeft + width + 12;
    svg +=
        fmt::format("<path d=\"M{:.1f} {:.1f}h18\" stroke=\"{}\" stroke-width=\"2\"{}/>\n", legend, at, colour, dashes);
    svg += Text(legend + 24, at + 4, line.name);
  }
  return svg;
}

double WidthOf(const LineChart& chart) {
  std::size_t longest = 0;
  for (const ChartLine& line : chart.lines) longest = std::max(longest, line.name.size());
  return kLeft + kLineWidth + kLegendMargin + kLetterWidth * static_cast<double>(longest);
}

double WidthOf(const HeatMap&) { return kLeft + kHeatWidth + kHeatMargin; }

// White for 0, dark blue for 1.
std::string CellColour(double value) {
  const double share = std::clamp(value, 0.0, 1.0);
  const auto mix = [&](int light, int dark) { return static_cast<int>(std::lround(light + (dark - light) * share)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0xff, 0x1b), mix(0xff, 0x5e), mix(0xff, 0x8c));
}

std::string Draw(const HeatMap& map) {
  const double width = kHeatWidth;
  std::string svg = DrawTitles(map.title, map.x_label, map.y_label, width);
  const double cell_width = width / static_cast<double>(std::max<std::size_t>(1, map.columns.size()));
  const double cell_height = kPlotHeight / static_cast<double>(std::max<std::size_t>(1, map.rows.size()));
  for (std::size_t column = 0; column < map.columns.size(); ++column) {
    svg += Text(kLeft + cell_width * (static_cast<double>(column) + 0.5), kTop + kPlotHeight + 18, map.columns[column],
                Anchor::kMiddle);
  }
  for (std::size_t row = 0; row < map.rows.size(); ++row) {
    const double top = kTop + cell_height * static_cast<double>(row), middle = top + cell_height / 2 + 4;
    svg += Text(kLeft - 6, middle, map.rows[row], Anchor::kEnd);
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      const std::optional<double>& value = map.values[row][column];
      const double left = kLeft + cell_width * static_cast<double>(column);
      svg += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" stroke=\"#bbb\"/>\n", left,
          top, cell_width, cell_height, value ? CellColour(*value) : "#eeeeee");
      if (!value) continue;
      svg += Text(left + cell_width / 2, middle, fmt::format("{:.2f}", *value), Anchor::kMiddle,
                  *value > 0.6 ? " fill=\"white\"" : "");
    }
  }
  return svg;
}

}  // namespace

std::vector<double> RoundTicks(double lowest, double highest, int count, Scale scale) {
  std::vector<double> ticks;
  if (!(highest > lowest) || count < 1) return ticks;
  if (scale == Scale::kLogarithmic) {
    const double first = std::ceil(std::log2(lowest) - 1e-9), last = std::floor(std::log2(highest) + 1e-9);
    const double step = std::max(1.0, std::ceil((last - first + 1) / count));
    for (double power = first; power <= last; power += step) ticks.push_back(std::exp2(power));
    return ticks;
  }
  const double rough = (highest - lowest) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough * (1 - 1e-9)) step = factor * power;
  }
  for (double tick = std::ceil(lowest / step - 1e-9); tick * step <= highest + step * 1e-9; ++tick) {
    ticks.push_back(tick * step + 0.0);  // no -0
  }
  return ticks;
}

std::string DrawCharts(absl::Span<const Chart> charts) {
  double width = 0;
  std::string panels;
  for (const Chart& chart : charts) {
    panels += fmt::format("<g transform=\"translate({} 0)\">\n", width);
    panels += std::visit([](const auto& own) { return Draw(own); }, chart);
    panels += "</g>\n";
    width += std::visit([](const auto& own) { return WidthOf(own); }, chart);
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n{2}</svg>\n",
      width, kPanelHeight, panels);
}

}  // namespace tome
