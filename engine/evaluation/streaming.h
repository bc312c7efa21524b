// The loss of a model over one long stream: every token is predicted once, from what the memory then attends to.
#ifndef TOME_ENGINE_EVALUATION_STREAMING_H_
#define TOME_ENGINE_EVALUATION_STREAMING_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

// A memory to compare, as "window", "regions" or settings of the region memory:
// "selected=8,pool=64,retention=surprise".
struct NamedMemory {
  std::string name;
  MemoryOptions options;
};
// INVALID_ARGUMENT says which settings there are.
absl::StatusOr<NamedMemory> ParseNamedMemory(std::string_view text, const MemoryOptions& base);

struct SegmentLoss {
  std::int64_t first_token = 0;
  std::int64_t predicted = 0;  // tokens with a loss: all but the last of the stream
  double nats = 0;             // summed
};

struct StreamResult {
  std::string memory;
  std::vector<SegmentLoss> segments;
  double seconds = 0;  // of reading, without the output layer that only the loss needs
  std::size_t state_bytes = 0;

  // Mean nats per token of segments that begin at or after `from` and before `end`.
  double Loss(std::int64_t from, std::int64_t end) const;
};

// Reads `tokens` into a memory of these options. `progress`: told the tokens read so far.
absl::StatusOr<StreamResult> MeasureStream(std::shared_ptr<const Model> model, const NamedMemory& memory,
                                           const std::vector<TokenId>& tokens,
                                           const std::function<void(std::int64_t)>& progress = nullptr);

// The mean difference in nats per token to `base` over segments from `from` on, and its standard error over segments.
struct PairedDifference {
  double mean = 0, standard_error = 0;
};
PairedDifference CompareLosses(const StreamResult& result, const StreamResult& base, std::int64_t from);

// Lines of perplexity by position in a picture: x logarithmic in tokens.
std::string PlotPerplexity(const std::vector<StreamResult>& results);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_STREAMING_H_
