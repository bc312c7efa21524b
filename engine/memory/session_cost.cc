// What a memory costs, from its options alone.
#include <cstddef>
#include <cstdint>

#include "engine/engine.h"
#include "engine/memory/archive.h"
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

std::size_t ExactBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision) {
  std::size_t tokens = static_cast<std::size_t>(options.sink_tokens) + options.window_tokens;
  if (options.regions.selected > 0) tokens += options.region_tokens - 1;  // until they fill a region
  return tokens * 2 * WidthOf(config) * BytesOf(precision);
}

std::size_t RegionMemoryBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision) {
  const RegionMemoryOptions& regions = options.regions;
  if (regions.selected == 0) return 0;
  const std::size_t width = WidthOf(config);
  const std::size_t stored_bytes = regions.precision == RegionPrecision::kInt8   ? 1
                                   : regions.precision == RegionPrecision::kBf16 ? 2
                                                                                 : BytesOf(precision);
  std::size_t region = options.region_tokens * (2 * width * stored_bytes + sizeof(float)) + width * sizeof(float);
  if (regions.precision == RegionPrecision::kInt8) region += 2 * width * sizeof(float);
  const std::size_t num_regions = static_cast<std::size_t>(regions.ring_regions) + regions.pool_regions;
  const std::size_t counts = NeedsCounts(regions.retention) ? TokenCounts::Bytes(config.vocab_size) : 0;
  return num_regions * region + regions.merge * width * sizeof(float) + counts;
}

// Cosines and sines of a position encoding of its own, fp32 for each pair of a head.
std::size_t PositionTableBytes(const LlamaConfig& config, const MemoryOptions& options) {
  if (options.position_encoding.empty()) return 0;
  const absl::StatusOr<LlamaConfig> encoded = WithPositionEncoding(options.position_encoding, config);
  return encoded.ok() ? encoded->context_length * encoded->head_dim * sizeof(float) : 0;
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
