// The loss of a model over one long stream: every token is predicted once, from what the memory then attends to.
#ifndef TOME_ENGINE_EVALUATION_STREAMING_H_
#define TOME_ENGINE_EVALUATION_STREAMING_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

// A memory to compare: "window" (sink and window alone) or "window=4096"; "regions", the region memory as it is by
// default, or settings of it: "selected=8,pool=64,retention=surprise".
struct NamedMemory {
  std::string name;
  MemoryOptions options;
  std::optional<Memory> before = std::nullopt;  // what it has read already, with these options; nothing: it is empty
};
// INVALID_ARGUMENT says which settings there are.
absl::StatusOr<NamedMemory> ParseNamedMemory(std::string_view text, const MemoryOptions& base);
// One that has read what the state in a file has, "after 1048576".
absl::StatusOr<NamedMemory> LoadNamedMemory(std::shared_ptr<const Model> model, const std::string& path);

struct SegmentLoss {
  std::int64_t first_token = 0;
  std::int64_t predicted = 0;  // tokens with a loss: all but the last of the stream
  double nats = 0;             // summed
  double seconds = 0;          // of reading, without the output layer that only the loss needs
};

struct StreamResult {
  std::string memory;
  std::vector<SegmentLoss> segments;
  std::size_t state_bytes = 0;

  // Mean nats per token of segments that begin at or after `from` and before `end`.
  double Loss(std::int64_t from, std::int64_t end) const;
  // Of whole segments that begin at or after `from`.
  double TokensPerSecond(std::int64_t from) const;
};

// Reads `tokens` into such a memory. `progress`: told how many of them were read so far.
absl::StatusOr<StreamResult> MeasureStream(std::shared_ptr<const Model> model, const NamedMemory& memory,
                                           const std::vector<TokenId>& tokens,
                                           const std::function<void(std::int64_t)>& progress = nullptr);

// The mean difference in nats per token to `base` over segments that begin at or after `from` and before `end`, and its
// standard error over segments.
struct PairedDifference {
  double mean = 0, standard_error = 0;
};
PairedDifference CompareLosses(const StreamResult& result, const StreamResult& base, std::int64_t from,
                               std::int64_t end = std::numeric_limits<std::int64_t>::max());

// Whether a memory becomes worse, compared with `base`, the longer it reads: its difference over the first and over the
// last `tokens` tokens, and the change from the first to the last.
struct Drift {
  PairedDifference first, last, change;
};
Drift MeasureDrift(const StreamResult& result, const StreamResult& base, std::int64_t tokens);

// Pictures of perplexity by position, and of the difference in nats per token to the first result: each point is of a
// run of segments, as many as half of what was read before it.
std::string PlotPerplexity(const std::vector<StreamResult>& results);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_STREAMING_H_
