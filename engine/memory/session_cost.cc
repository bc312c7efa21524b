// What a memory costs, from its options alone.
#include "engine/memory/session_cost.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/base/status.h"
#include "engine/memory/archive.h"
#include "engine/memory/memory.h"
#include "engine/memory/retention.h"
#include "engine/model/position_encoding.h"

namespace tome {
namespace {

// Of an archive block: its header, where the stems of each region end, and one stem. See ArchiveBlock.
constexpr double kBlockHeaderBytes = 28;
constexpr double kStemEndBytes = 4;
constexpr double kStemBytes = 4;
// English prose, as vocabularies of about 50,000 tokens write it.
constexpr double kStemsPerToken = 0.75;
constexpr double kTextBytesPerToken = 4.1;

std::size_t BytesOf(Precision precision) { return precision == Precision::kBf16 ? 2 : 4; }
// Numbers in one token's keys, or in its values.
std::size_t WidthOf(const LlamaConfig& config) { return config.num_layers * config.num_kv_heads * config.head_dim; }

// Tokens of sink and window, at most.
std::int64_t ExactTokens(const MemoryOptions& options) {
  const std::int64_t tokens = std::int64_t{options.sink_tokens} + options.window_tokens;
  return options.regions.selected > 0 ? tokens + options.region_tokens - 1 : tokens;  // until they fill a region
}

std::size_t ExactBytes(std::int64_t tokens, const LlamaConfig& config, Precision precision) {
  return static_cast<std::size_t>(tokens) * 2 * WidthOf(config) * BytesOf(precision);
}

std::size_t ExactBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision) {
  return ExactBytes(ExactTokens(options), config, precision);
}

std::int64_t MaxRegions(const MemoryOptions& options) {
  return std::int64_t{options.regions.ring_regions} + options.regions.pool_regions;
}

// With so many regions in it.
std::size_t RegionMemoryBytes(std::int64_t num_regions, const LlamaConfig& config, const MemoryOptions& options,
                              Precision precision) {
  const RegionMemoryOptions& regions = options.regions;
  if (regions.selected == 0) return 0;
  const std::size_t width = WidthOf(config);
  const std::size_t stored_bytes = regions.precision == RegionPrecision::kInt8   ? 1
                                   : regions.precision == RegionPrecision::kBf16 ? 2
                                                                                 : BytesOf(precision);
  std::size_t region = options.region_tokens * (2 * width * stored_bytes + sizeof(float)) + width * sizeof(float);
  if (regions.precision == RegionPrecision::kInt8) region += 2 * width * sizeof(float);
  const std::size_t counts = NeedsCounts(regions.retention) ? TokenCounts::Bytes(config.vocab_size) : 0;
  return static_cast<std::size_t>(num_regions) * region + regions.merge * width * sizeof(float) + counts;
}

std::size_t RegionMemoryBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision) {
  return RegionMemoryBytes(MaxRegions(options), config, options, precision);
}

// Cosines and sines of a position encoding of its own, fp32 for each pair of a head.
std::size_t PositionTableBytes(const LlamaConfig& config, const MemoryOptions& options) {
  if (options.position_encoding.empty()) return 0;
  const absl::StatusOr<LlamaConfig> encoded = WithPositionEncoding(options.position_encoding, config);
  return encoded.ok() ? encoded->context_length * encoded->head_dim * sizeof(float) : 0;
}

// With `count` of the regions that the options ask for, ring and pool in their proportion.
MemoryOptions WithRegions(const MemoryOptions& options, std::int64_t count) {
  MemoryOptions fewer = options;
  const std::int64_t pool = options.regions.pool_regions, all = options.regions.ring_regions + pool;
  fewer.regions.pool_regions = static_cast<int>(count * pool / all);
  fewer.regions.ring_regions = static_cast<int>(count) - fewer.regions.pool_regions;
  return fewer;
}

double ArchiveBytesPerToken(const ArchiveLayout& layout, const MemoryOptions& options) {
  const double segment = options.segment_tokens;
  const double regions = (options.segment_tokens + layout.region_tokens - 1) / layout.region_tokens;
  return layout.id_bytes() + 1 + layout.code_bytes + kStemsPerToken * kStemBytes +
         (kBlockHeaderBytes + regions * kStemEndBytes) / segment;
}

}  // namespace

std::size_t Memory::MaxStateBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision) {
  return ExactBytes(config, options, precision) + RegionMemoryBytes(config, options, precision) +
         PositionTableBytes(config, options);
}

std::size_t Memory::MaxStateBytesAfter(std::int64_t tokens, const LlamaConfig& config, const MemoryOptions& options,
                                       Precision precision) {
  const std::int64_t exact = std::min(tokens, ExactTokens(options));
  const std::int64_t kept = std::int64_t{options.sink_tokens} + options.window_tokens;
  const std::int64_t left = std::max<std::int64_t>(0, tokens - kept) / options.region_tokens;
  return ExactBytes(exact, config, precision) +
         RegionMemoryBytes(std::min(left, MaxRegions(options)), config, options, precision) +
         PositionTableBytes(config, options);
}

absl::StatusOr<MemoryOptions> FitStateBytes(const MemoryOptions& options, const LlamaConfig& config,
                                            Precision precision, std::size_t max_state_bytes) {
  const auto needed = [&](const MemoryOptions& some) { return Memory::MaxStateBytes(config, some, precision); };
  if (needed(options) <= max_state_bytes) return options;
  const RegionMemoryOptions& regions = options.regions;
  const std::size_t exact = ExactBytes(config, options, precision) + PositionTableBytes(config, options);
  if (regions.selected == 0) {
    return InvalidArgument(
        "a state of at most {} bytes cannot hold a sink of {} and a window of {} tokens, which take {}: allow as much, "
        "or take a shorter window",
        max_state_bytes, options.sink_tokens, options.window_tokens, exact);
  }
  const std::int64_t all = MaxRegions(options);
  const std::int64_t least = std::min<std::int64_t>(regions.selected, all);
  if (const std::size_t bytes = needed(WithRegions(options, least)); bytes > max_state_bytes) {
    return InvalidArgument(
        "a state of at most {} bytes cannot hold a sink of {} and a window of {} tokens, which take {}, and the {} "
        "regions that are chosen at once, with which it takes {}: allow as much, or take a shorter window, fewer "
        "regions (selected) or no region memory (off)",
        max_state_bytes, options.sink_tokens, options.window_tokens, exact, least, bytes);
  }
  std::int64_t fits = least, too_many = all;
  while (too_many - fits > 1) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (needed(WithRegions(options, middle)) <= max_state_bytes ? fits : too_many) = middle;
  }
  return WithRegions(options, fits);
}

MemoryOptions DefaultMemoryOptions(const LlamaConfig& config, Precision precision) {
  const MemoryOptions usual;
  if (precision == Precision::kBf16) return usual;
  MemoryOptions smaller = usual;
  smaller.regions.precision = RegionPrecision::kInt8;
  return FitStateBytes(smaller, config, precision, Memory::MaxStateBytes(config, usual, Precision::kBf16))
      .value_or(smaller);
}

SessionCost ComputeSessionCost(const Model& model, const MemoryOptions& options) {
  const ModelInfo& info = model.info();
  return {.exact_bytes = ExactBytes(info.config, options, info.precision),
          .region_memory_bytes = RegionMemoryBytes(info.config, options, info.precision),
          .max_state_bytes = Memory::MaxStateBytes(info.config, options, info.precision),
          .attended_tokens = MaxAttendedTokens(options),
          .archive_bytes_per_token = ArchiveBytesPerToken(ArchiveLayoutOf(model, options), options),
          .text_bytes_per_token = kTextBytesPerToken,
          .dense_bytes_per_token = 2 * WidthOf(info.config) * BytesOf(Precision::kBf16)};
}

}  // namespace tome
