#include "engine/evaluation/figures/svg_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace tome {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

LineChart TwoLines() {
  return {.title = "a title",
          .x_label = "tokens",
          .y_label = "loss",
          .lines = {{.name = "one", .points = {{0, 1}, {1, 3}, {2, 2}}}, {.name = "two", .points = {{0, 2}, {2, 5}}}}};
}

std::string DrawOne(Chart chart) { return DrawCharts({std::move(chart)}); }

TEST(Ticks, AreRoundNumbersWithinTheRange) {
  EXPECT_THAT(RoundTicks(0, 10, 5, Scale::kLinear), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(RoundTicks(0.11, 0.39, 3, Scale::kLinear), ElementsAre(DoubleEq(0.2), DoubleEq(0.3)));
  EXPECT_THAT(RoundTicks(-1, 1, 2, Scale::kLinear), ElementsAre(-1, 0, 1));
  EXPECT_THAT(RoundTicks(512, 5000, 6, Scale::kLogarithmic), ElementsAre(512, 1024, 2048, 4096));
  EXPECT_LE(RoundTicks(1, 1e12, 6, Scale::kLogarithmic).size(), 7u);
  EXPECT_TRUE(RoundTicks(1, 1, 5, Scale::kLinear).empty());
  EXPECT_FALSE(std::signbit(RoundTicks(0, 29, 6, Scale::kLinear).front())) << "0, not -0";
}

TEST(LineChart, HasALineAndALegendForEach) {
  const std::string svg = DrawOne(TwoLines());
  EXPECT_EQ(Count(svg, "<polyline"), 2);
  for (const char* text : {">one<", ">two<", ">a title<", ">tokens<", ">loss<"}) EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_EQ(Count(svg, "stroke-dasharray"), 0);
  EXPECT_EQ(Count(svg, "<svg"), 1);
  EXPECT_EQ(Count(svg, "</svg>"), 1);
}

TEST(LineChart, MakesRoomForLongNames) {
  LineChart chart = TwoLines();
  chart.lines[0].name = std::string(60, 'x');
  const auto width = [](const std::string& svg) { return std::stod(svg.substr(svg.find("width=\"") + 7)); };
  EXPECT_GE(width(DrawOne(chart)), width(DrawOne(TwoLines())) + 57 * 7);
  EXPECT_DOUBLE_EQ(width(DrawCharts({Chart(chart), Chart(TwoLines())})),
                   width(DrawOne(chart)) + width(DrawOne(TwoLines())));
}

TEST(LineChart, HigherValuesAreHigherUp) {
  LineChart chart{.lines = {{.name = "up", .points = {{0, 1}, {1, 2}}}}};
  const std::string svg = DrawOne(chart);
  const std::size_t at = svg.find("points=\"") + 8;
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  ASSERT_EQ(sscanf(svg.c_str() + at, "%lf,%lf %lf,%lf", &x1, &y1, &x2, &y2), 4);
  EXPECT_LT(x1, x2);
  EXPECT_GT(y1, y2);
}

TEST(LineChart, LeavesOutWhatCannotBeDrawn) {
  LineChart chart = TwoLines();
  chart.y_scale = chart.x_scale = Scale::kLogarithmic;
  chart.lines.push_back(
      {.name = "odd", .points = {{1, std::numeric_limits<double>::quiet_NaN()}, {1, 0}, {-1, 1}, {1, 1e308 * 10}}});
  chart.lines.push_back({.name = "none", .dashed = true});
  const std::string svg = DrawOne(chart);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_EQ(Count(svg, "points=\"\""), 2);
  EXPECT_THAT(DrawOne(LineChart{}), HasSubstr("</svg>"));
}

TEST(LineChart, LabelsBytesAndPowersOfTwo) {
  LineChart chart{.x_scale = Scale::kLogarithmic,
                  .y_scale = Scale::kLogarithmic,
                  .lines = {{.name = "bytes", .points = {{1024, 1 << 20}, {131072, 1 << 22}}}},
                  .bytes = true};
  const std::string svg = DrawOne(chart);
  EXPECT_THAT(svg, HasSubstr(">1 MiB<"));
  EXPECT_THAT(svg, HasSubstr(">4k<"));
}

TEST(HeatMap, HasACellForEachValue) {
  HeatMap map{.title = "depth & length",
              .columns = {"1k", "2k"},
              .rows = {"<half>", "end"},
              .values = {{0.0, 1.0}, {std::nullopt, 0.25}}};
  const std::string svg = DrawCharts({Chart(map), Chart(TwoLines())});
  EXPECT_EQ(Count(svg, "stroke=\"#bbb\""), 4);
  EXPECT_THAT(svg, HasSubstr(">0.25<"));
  EXPECT_THAT(svg, HasSubstr("fill=\"#eeeeee\""));
  EXPECT_THAT(svg, HasSubstr("depth &amp; length"));
  EXPECT_THAT(svg, HasSubstr("&lt;half&gt;"));
  EXPECT_EQ(Count(svg, "<g "), 2);
  EXPECT_EQ(Count(svg, "</g>"), 2);
}

}  // namespace
}  // namespace tome
