#include <algorithm>
#include <iterator>

#include "engine/evaluation/attention_recall.h"
#include "engine/evaluation/figures/svg_plot.h"
#include "engine/evaluation/report.h"
#include "fmt/format.h"

namespace tome {
namespace {

// The number of regions that tables by layer are for: the region memory's default where it was measured.
std::size_t ShownCount(const AttentionRecall& recall) {
  const auto found = std::find(recall.selected.begin(), recall.selected.end(), RegionMemoryOptions{}.selected);
  return found == recall.selected.end() ? 0 : static_cast<std::size_t>(found - recall.selected.begin());
}

std::string Percent(double share) { return fmt::format("{:.1f}", 100 * share); }

std::vector<std::string> WaysHeader(std::vector<std::string> header) {
  header.insert(header.end(), std::begin(kSelectionWays), std::end(kSelectionWays));
  return header;
}

nlohmann::json ToJson(const LayerRecall& layer) {
  nlohmann::json ways = nlohmann::json::object();
  for (std::size_t i = 0; i < layer.ways.size(); ++i) {
    ways[kSelectionWays[i]] = {{"kept", layer.ways[i].kept}, {"regions", layer.ways[i].regions}};
  }
  return {{"beyond", layer.beyond}, {"ways", ways}};
}

}  // namespace

std::string FormatAttentionRecall(const AttentionRecall& recall) {
  std::string text = fmt::format(
      "{} tokens, {} query regions with {} to {} regions to choose from; {} % of all attention falls on these.\nPer "
      "cent "
      "of that which each way of choosing k regions keeps (memory: up to so many for each of the query regions that "
      "share them):\n\n",
      recall.tokens, recall.query_regions, recall.fewest_regions, recall.most_regions, Percent(recall.all.beyond));
  ReportTable all(WaysHeader({"k", "regions of memory"}));
  const std::size_t memory =
      static_cast<std::size_t>(std::find(std::begin(kSelectionWays), std::end(kSelectionWays), std::string("memory")) -
                               std::begin(kSelectionWays));
  for (std::size_t i = 0; i < recall.selected.size(); ++i) {
    std::vector<std::string> cells = {std::to_string(recall.selected[i]),
                                      fmt::format("{:.1f}", recall.all.ways[memory].regions[i])};
    for (const WayRecall& way : recall.all.ways) cells.push_back(Percent(way.kept[i]));
    all.AddRow(std::move(cells));
  }
  const std::size_t shown = ShownCount(recall);
  text += all.Format() + fmt::format("\nBy layer, k = {}:\n\n", recall.selected[shown]);
  ReportTable layers(WaysHeader({"layer", "beyond"}));
  for (std::size_t layer = 0; layer < recall.layers.size(); ++layer) {
    std::vector<std::string> cells = {std::to_string(layer), Percent(recall.layers[layer].beyond)};
    for (const WayRecall& way : recall.layers[layer].ways) cells.push_back(Percent(way.kept[shown]));
    layers.AddRow(std::move(cells));
  }
  return text + layers.Format();
}

nlohmann::json ToJson(const AttentionRecall& recall) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerRecall& layer : recall.layers) layers.push_back(ToJson(layer));
  return {{"tokens", recall.tokens},
          {"query_regions", recall.query_regions},
          {"fewest_regions", recall.fewest_regions},
          {"most_regions", recall.most_regions},
          {"selected", recall.selected},
          {"all", ToJson(recall.all)},
          {"layers", layers}};
}

std::string DrawAttentionRecall(const AttentionRecall& recall) {
  const std::size_t shown = ShownCount(recall);
  LineChart by_layer{
      .title = fmt::format("Attention beyond sink and window that {} regions keep", recall.selected[shown]),
      .x_label = "layer",
      .y_label = "per cent kept"};
  LineChart by_count{.title = "The same over all layers, by the number of regions",
                     .x_label = "regions chosen",
                     .y_label = "per cent kept",
                     .x_scale = Scale::kLogarithmic};
  for (std::size_t way = 0; way < recall.all.ways.size(); ++way) {
    ChartLine layers{.name = kSelectionWays[way]}, counts{.name = kSelectionWays[way]};
    for (std::size_t layer = 0; layer < recall.layers.size(); ++layer) {
      layers.points.emplace_back(layer, 100 * recall.layers[layer].ways[way].kept[shown]);
    }
    for (std::size_t i = 0; i < recall.selected.size(); ++i) {
      counts.points.emplace_back(recall.all.ways[way].regions[i], 100 * recall.all.ways[way].kept[i]);
    }
    by_layer.lines.push_back(std::move(layers));
    by_count.lines.push_back(std::move(counts));
  }
  const std::vector<Chart> charts = {std::move(by_layer), std::move(by_count)};
  return DrawCharts(charts);
}

}  // namespace tome
