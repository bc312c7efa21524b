#include "server/memory_defaults.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "engine/base/status.h"

namespace tome::server {
namespace {

// "--window-tokens=9000, --sink-tokens=64".
std::string GivenMemoryFlags(const ServerConfig& config) {
  std::string flags;
  for (const char* name : kMemoryFlags) {
    if (FollowsModel(config, name)) continue;
    flags += fmt::format("{}--{}={}", flags.empty() ? "" : ", ", name, MemoryFlagText(config, name));
  }
  return flags.empty() ? "the memory of a session" : flags;
}

std::string DescribeFit(const MemoryOptions& usual, const MemoryOptions& fitted, const ChosenMemoryOptions& chosen,
                        std::int64_t context_length) {
  std::string changes;
  const auto note = [&](std::string_view name, bool is_chosen, const std::string& is, const std::string& was) {
    if (is_chosen || is == was) return;
    changes += fmt::format("{} --{} is {} instead of {}", changes.empty() ? ":" : ",", name, is, was);
  };
  const auto regions = [](const MemoryOptions& options) {
    return options.regions.selected == 0 ? "off" : fmt::format("selected={}", options.regions.selected);
  };
  using std::to_string;
  note("sink-tokens", chosen.sink_tokens, to_string(fitted.sink_tokens), to_string(usual.sink_tokens));
  note("window-tokens", chosen.window_tokens, to_string(fitted.window_tokens), to_string(usual.window_tokens));
  note("segment-tokens", chosen.segment_tokens, to_string(fitted.segment_tokens), to_string(usual.segment_tokens));
  note("region-tokens", chosen.region_tokens, to_string(fitted.region_tokens), to_string(usual.region_tokens));
  note("region-memory", chosen.regions, regions(fitted), regions(usual));
  if (changes.empty()) return "";
  return fmt::format("the model's context of {} tokens has no room for all that sessions attend to by default{}",
                     context_length, changes);
}

}  // namespace

absl::Status FitMemory(const LlamaConfig& model, Precision computed, ServerConfig* config) {
  MemoryOptions usual = ServerConfig().ToSessionManagerOptions().default_memory_options;
  usual.regions = DefaultMemoryOptions(model, computed).regions;
  const MemoryOptions options = config->ToSessionManagerOptions().default_memory_options;
  const ChosenMemoryOptions chosen = {.sink_tokens = !FollowsModel(*config, "sink-tokens"),
                                      .window_tokens = !FollowsModel(*config, "window-tokens"),
                                      .segment_tokens = !FollowsModel(*config, "segment-tokens"),
                                      .region_tokens = !FollowsModel(*config, "region-tokens"),
                                      .regions = !FollowsModel(*config, "region-memory")};
  const absl::StatusOr<MemoryOptions> fitted = FitMemoryOptions(options, chosen, model, computed);
  if (!fitted.ok()) return Annotate(fitted.status(), GivenMemoryFlags(*config));
  config->fitted = DescribeFit(usual, *fitted, chosen, model.context_length);
  config->sink_tokens = fitted->sink_tokens;
  config->window_tokens = fitted->window_tokens;
  config->segment_tokens = fitted->segment_tokens;
  config->region_tokens = fitted->region_tokens;
  if (!chosen.regions) config->region_memory = FormatRegionMemoryOptions(fitted->regions);
  config->given.insert(std::begin(kMemoryFlags), std::end(kMemoryFlags));
  return absl::OkStatus();
}

}  // namespace tome::server
