// What a session's memory keeps, and how it is attended to.
#ifndef TOME_ENGINE_MEMORY_MEMORY_OPTIONS_H_
#define TOME_ENGINE_MEMORY_MEMORY_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/llama_config.h"
#include "engine/model/model.h"

namespace tome {

// In what precision the region memory keeps keys and values.
enum class RegionPrecision {
  kComputed,  // as the model computed them
  kBf16,
  kInt8,  // a scale for each channel of a region
};
// By what the region memory chooses what it keeps of older regions; see memory/retention.h.
enum class RetentionScore { kSelections, kValueNorm, kSurprise, kNovelty, kExpected, kRandom };
// What leaves when it is full.
enum class RegionCompression {
  kWhole,  // the region with the lowest score
  kMerge,  // the lower half of the tokens of two neighbours
};

// The region memory: regions that left the window, of which each segment attends to the best. See
// memory/region_memory.h; docs/results/memory.md tells what each option does to quality and cost.
struct RegionMemoryOptions {
  int selected = 16;              // regions that a query region chooses in each layer; 0: no region memory
  int query_region_tokens = 256;  // tokens whose queries are pooled to choose
  int merge = 2;                  // neighbouring query regions that share what they chose
  int route_every = 1;            // of so many layers the first chooses for all
  int ring_regions = 64;          // the newest regions, which are all kept
  int pool_regions = 0;           // older ones, kept by their score
  RetentionScore retention = RetentionScore::kSelections;
  RegionCompression compression = RegionCompression::kWhole;
  RegionPrecision precision = RegionPrecision::kBf16;

  friend bool operator==(const RegionMemoryOptions&, const RegionMemoryOptions&) = default;
};

// `base` with settings like "selected=16,pool=64,retention=surprise"; "off" for none. Keys: selected, query-region,
// merge, route-every, ring, pool, retention (selections, value-norm, surprise, novelty, expected, random), compression
// (whole, merge), precision (computed, bf16, int8). INVALID_ARGUMENT says what is allowed.
absl::StatusOr<RegionMemoryOptions> ParseRegionMemoryOptions(std::string_view settings,
                                                             const RegionMemoryOptions& base = {});
// All settings in the order above; "off". Parses to the same options.
std::string FormatRegionMemoryOptions(const RegionMemoryOptions& options);

struct MemoryOptions {
  int sink_tokens = 64;      // first tokens of a session, always attended exactly
  int window_tokens = 2048;  // latest tokens, always attended exactly; with region memory up to region_tokens - 1 more
  int segment_tokens = 512;  // tokens read in one pass
  int region_tokens = 64;    // tokens of a region, the unit in which text is found again
  RegionMemoryOptions regions;
  // How heads attend to window and segment while text is read, see attention/pattern.h: "dense", "scca-fixed(w=512)",
  // "sliding(1024):3,dense:6". Chunks need a width, for nobody knows how long the text will be. All heads see sink and
  // chosen regions, and a question sees all that is kept.
  std::string attention = "dense";
  // In place of the checkpoint's own, which "" is, see model/position_encoding.h: "yarn(4)". Then more tokens can be
  // attended at once than the model was trained on.
  std::string position_encoding;
};

// The most tokens that a token attends to while a segment is read.
std::int64_t MaxAttendedTokens(const MemoryOptions& options);

// Checks options for a model: positive, all that is attended at once within the trained range. INVALID_ARGUMENT says
// what is allowed.
absl::Status ValidateMemoryOptions(const MemoryOptions& options, const LlamaConfig& config);

// What suits a model that computes in `precision`: MemoryOptions{} in bf16. In fp32 sink and window take twice as much,
// so the region memory is in int8, with no more regions than leave the state no larger than it is in bf16.
// Models with short contexts have no room for it all: see FitMemoryOptions.
MemoryOptions DefaultMemoryOptions(const LlamaConfig& config, Precision precision);

// Which memory options somebody chose. The others may be changed.
struct ChosenMemoryOptions {
  bool sink_tokens = false, window_tokens = false, segment_tokens = false, region_tokens = false, regions = false;
};

// `options` with those that nobody chose fitted to the model: the region memory as DefaultMemoryOptions has it; where
// all of it is more than the model can attend to at once, fewer regions; where that is not enough, a window of half the
// context, segments of an eighth, sink and regions of a 32nd at most. INVALID_ARGUMENT of ValidateMemoryOptions when
// the chosen ones do not fit.
absl::StatusOr<MemoryOptions> FitMemoryOptions(const MemoryOptions& options, const ChosenMemoryOptions& chosen,
                                               const LlamaConfig& config, Precision precision);

// `options` with the region memory cut to a budget of bytes: ring and pool shrink in their proportion until
// Memory::MaxStateBytes is at most `max_state_bytes`; nothing grows. `options` are valid for the model.
// INVALID_ARGUMENT has the figures when that would leave fewer regions than a query region chooses, or when sink and
// window alone are larger.
absl::StatusOr<MemoryOptions> FitStateBytes(const MemoryOptions& options, const LlamaConfig& config,
                                            Precision precision, std::size_t max_state_bytes);

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_MEMORY_OPTIONS_H_
