#include "engine/evaluation/state_cost.h"

#include <chrono>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/figures/svg_plot.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/evaluation/report.h"
#include "fmt/format.h"

namespace tome {
namespace {

std::size_t DenseBytes(const StateCost& cost, const CostPoint& point) {
  return cost.dense_bytes_per_token * static_cast<std::size_t>(point.tokens);
}

std::string MebibytesCell(std::size_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20)); }

}  // namespace

absl::StatusOr<StateCost> MeasureStateCost(std::shared_ptr<const Model> model, const MemoryOptions& options,
                                           const std::string& text, std::int64_t until) {
  using std::chrono::steady_clock;
  const LlamaConfig& config = model->info().config;
  StateCost cost{.max_state_bytes = Memory::MaxStateBytes(config, options, model->info().precision),
                 .dense_bytes_per_token =
                     static_cast<std::size_t>(config.num_layers * config.num_kv_heads) * config.head_dim * 2 * 2};
  std::int64_t next = options.segment_tokens, seen = 0;
  steady_clock::time_point begin = steady_clock::now();
  const auto look = [&](const Memory& memory) {
    const double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
    cost.points.push_back({.tokens = memory.tokens_read(),
                           .state_bytes = memory.state_bytes(),
                           .archive_bytes = memory.archive_bytes(),
                           .tokens_per_second = static_cast<double>(memory.tokens_read() - seen) / seconds});
    seen = memory.tokens_read();
    begin = steady_clock::now();
  };
  TOME_ASSIGN_OR_RETURN(const Memory memory,
                        ReadDocuments(model, options, {text}, [&](const Memory& now, std::int64_t) {
                          if (now.tokens_read() < next) return absl::OkStatus();
                          look(now);
                          while (next <= now.tokens_read()) next *= 2;
                          return absl::OkStatus();
                        }));
  if (memory.tokens_read() == 0) return InvalidArgument("the text has no tokens");
  if (memory.tokens_read() > seen) look(memory);
  const double archive_rate = static_cast<double>(memory.archive_bytes()) / static_cast<double>(memory.tokens_read());
  for (; next <= until; next *= 2) {
    cost.points.push_back({.tokens = next,
                           .state_bytes = cost.max_state_bytes,
                           .archive_bytes = static_cast<std::size_t>(archive_rate * static_cast<double>(next)),
                           .projected = true});
  }
  return cost;
}

std::string FormatStateCost(const StateCost& cost) {
  ReportTable table(
      {"tokens", "state MiB", "archive MiB", "archive bytes/token", "dense bf16 MiB", "dense / all", "tokens/s", ""});
  for (const CostPoint& point : cost.points) {
    const std::size_t dense = DenseBytes(cost, point), all = point.state_bytes + point.archive_bytes;
    table.AddRow({std::to_string(point.tokens), MebibytesCell(point.state_bytes), MebibytesCell(point.archive_bytes),
                  fmt::format("{:.1f}", static_cast<double>(point.archive_bytes) / static_cast<double>(point.tokens)),
                  MebibytesCell(dense), fmt::format("{:.1f}", static_cast<double>(dense) / static_cast<double>(all)),
                  point.projected ? "" : fmt::format("{:.0f}", point.tokens_per_second),
                  point.projected ? "projected" : ""});
  }
  return fmt::format("The state has at most {} MiB.\n\n{}", MebibytesCell(cost.max_state_bytes), table.Format());
}

nlohmann::json ToJson(const StateCost& cost) {
  nlohmann::json points = nlohmann::json::array();
  for (const CostPoint& point : cost.points) {
    points.push_back({{"tokens", point.tokens},
                      {"state_bytes", point.state_bytes},
                      {"archive_bytes", point.archive_bytes},
                      {"dense_bytes", DenseBytes(cost, point)},
                      {"projected", point.projected}});
    if (!point.projected) points.back()["tokens_per_second"] = point.tokens_per_second;
  }
  return {{"points", points},
          {"max_state_bytes", cost.max_state_bytes},
          {"dense_bytes_per_token", cost.dense_bytes_per_token}};
}

std::string DrawStateCost(const StateCost& cost) {
  LineChart chart{.title = "Memory of a session by tokens read",
                  .x_label = "tokens read (beyond what was read: projected)",
                  .y_label = "bytes",
                  .x_scale = Scale::kLogarithmic,
                  .y_scale = Scale::kLogarithmic,
                  .bytes = true};
  ChartLine state{.name = "state"}, archive{.name = "archive"}, both{.name = "state + archive"},
      dense{.name = "dense keys and values", .dashed = true};
  for (const CostPoint& point : cost.points) {
    const auto tokens = static_cast<double>(point.tokens);
    state.points.emplace_back(tokens, point.state_bytes);
    archive.points.emplace_back(tokens, point.archive_bytes);
    both.points.emplace_back(tokens, point.state_bytes + point.archive_bytes);
    dense.points.emplace_back(tokens, DenseBytes(cost, point));
  }
  chart.lines = {std::move(state), std::move(archive), std::move(both), std::move(dense)};
  return DrawCharts({Chart(std::move(chart))});
}

}  // namespace tome
