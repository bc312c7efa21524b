// What of the usual memory a model with a short context has room for.
#include <algorithm>
#include <cstdint>

#include "engine/base/status.h"
#include "engine/memory/memory_options.h"
#include "engine/model/position_encoding.h"

namespace tome {
namespace {

constexpr int kLeastRegion = 8;

bool Fits(const MemoryOptions& options, const LlamaConfig& config) {
  return MaxAttendedTokens(options) <= config.context_length;
}

// Fewer chosen regions, down to none.
MemoryOptions WithFewerRegions(MemoryOptions options, const LlamaConfig& config) {
  while (options.regions.selected > 0 && !Fits(options, config)) --options.regions.selected;
  return options;
}

// The parts of the context that memory takes in a model whose context has no room for the usual one: of what the chosen
// options leave. What is left then is for chosen regions, and about half the context for a question beside sink and
// window.
MemoryOptions InParts(MemoryOptions options, const ChosenMemoryOptions& chosen, std::int64_t context) {
  std::int64_t left = context;
  if (chosen.sink_tokens) left -= options.sink_tokens;
  if (chosen.segment_tokens) left -= options.segment_tokens;
  if (chosen.window_tokens) left -= options.window_tokens;
  // A part of the context, no more than usual and than a part of what is left, which it takes.
  const auto take = [&](std::int64_t divisor, std::int64_t least, int usual, std::int64_t of_left) {
    const std::int64_t most = std::max(least, std::min<std::int64_t>(usual, left / of_left));
    const std::int64_t taken = std::clamp(context / divisor, least, most);
    left -= taken;
    return static_cast<int>(taken);
  };
  if (!chosen.sink_tokens) options.sink_tokens = take(32, 0, options.sink_tokens, 16);
  if (!chosen.segment_tokens) options.segment_tokens = take(8, 1, options.segment_tokens, 4);
  if (!chosen.window_tokens) options.window_tokens = take(2, 1, options.window_tokens, 1);
  if (!chosen.region_tokens) {
    options.region_tokens = static_cast<int>(
        std::clamp<std::int64_t>(context / 32, kLeastRegion, std::max(kLeastRegion, options.region_tokens)));
  }
  if (!chosen.regions) {
    options.regions.query_region_tokens =
        std::clamp(options.segment_tokens / 2, 1, options.regions.query_region_tokens);
  }
  return options;
}

}  // namespace

absl::StatusOr<MemoryOptions> FitMemoryOptions(const MemoryOptions& options, const ChosenMemoryOptions& chosen,
                                               const LlamaConfig& trained, Precision precision) {
  TOME_ASSIGN_OR_RETURN(const LlamaConfig config, WithPositionEncoding(options.position_encoding, trained));
  MemoryOptions usual = options;
  if (!chosen.regions) usual.regions = DefaultMemoryOptions(trained, precision).regions;
  MemoryOptions fitted = chosen.regions ? usual : WithFewerRegions(usual, config);
  if (!Fits(fitted, config)) {
    fitted = InParts(usual, chosen, config.context_length);
    if (!chosen.regions) fitted = WithFewerRegions(fitted, config);
  }
  TOME_RETURN_IF_ERROR(ValidateMemoryOptions(fitted, trained));
  return fitted;
}

}  // namespace tome
