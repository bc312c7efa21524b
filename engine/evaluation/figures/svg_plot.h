// Small pictures in SVG: line charts and heat maps, side by side.
#ifndef TOME_ENGINE_EVALUATION_FIGURES_SVG_PLOT_H_
#define TOME_ENGINE_EVALUATION_FIGURES_SVG_PLOT_H_

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/types/span.h"

namespace tome {

enum class Scale { kLinear, kLogarithmic };

struct ChartLine {
  std::string name;                               // in the legend
  std::vector<std::pair<double, double>> points;  // (x, y), in the order in which they are joined
  bool dashed = false;
};

struct LineChart {
  std::string title, x_label, y_label;
  Scale x_scale = Scale::kLinear, y_scale = Scale::kLinear;
  std::vector<ChartLine> lines;
  bool bytes = false;  // y values are bytes: ticks in KiB, MiB, GiB
};

// Values from 0 to 1, dark for 1.
struct HeatMap {
  std::string title, x_label, y_label;
  std::vector<std::string> columns, rows;                  // labels
  std::vector<std::vector<std::optional<double>>> values;  // [row][column]; none: not measured
};

using Chart = std::variant<LineChart, HeatMap>;

// A whole SVG document with these charts from left to right. Points that are not finite, or not above 0 on a
// logarithmic scale, are left out; texts may hold any characters.
std::string DrawCharts(absl::Span<const Chart> charts);

// Round numbers in lowest .. highest, about `count` of them: multiples of 1, 2 or 5 times a power of ten. On a
// logarithmic scale powers of two, ten at most.
std::vector<double> RoundTicks(double lowest, double highest, int count, Scale scale);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_FIGURES_SVG_PLOT_H_
