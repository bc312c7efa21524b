// Measuring a model's profile (model_profile.h): which heads find the regions that questions are about, and how their
// keys are stored in few bytes.
//
// A text with hidden needles is read with the un-rotated keys of all layers and heads kept. Every query head of every
// question token attends over all of the text; regions are scored as memory/routing.h does. The heads whose scores
// rank the needles' regions best, over verbatim and paraphrased questions alike, become the retrieval heads. Their keys
// are centred on the text's mean and projected on its principal components.
#ifndef TOME_ENGINE_EVALUATION_CALIBRATION_H_
#define TOME_ENGINE_EVALUATION_CALIBRATION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/evaluation/figures/metrics.h"

namespace tome {

struct CalibrationOptions {
  std::int64_t tokens = 32768;  // of text with needles
  int verbatim_needles = 36;
  int paraphrased_needles = 48;  // at most 2 kFactsInSet
  std::uint64_t seed = 1;
  int code_bytes = 32;  // for each token, over all heads; the archive adds about 7
  MemoryOptions memory;
};

// How well something finds needles.
struct FindingRecall {
  Recall verbatim, paraphrased;
  // The mean of both means: what heads and codes are chosen by.
  double figure() const { return (verbatim.mean() + paraphrased.mean()) / 2; }
};

// Query heads of one key-value head.
struct HeadGroup {
  int layer = 0, kv_head = 0;
  std::vector<int> query_heads;
  FindingRecall recall;  // with exact keys
};

// A way to store keys: heads added one by one, the best first.
struct CodingChoice {
  int num_heads = 0, code_dims = 0, code_bits = 0;
  FindingRecall exact, coded;
};

struct CalibrationResult {
  ModelProfile profile;
  std::int64_t tokens = 0, regions = 0;
  std::vector<HeadGroup> groups;      // the best of each key-value head, best first
  std::vector<HeadGroup> additions;   // the retrieval heads in the order of choice; recall of all up to this one
  std::vector<CodingChoice> codings;  // all that were tried
  std::size_t chosen = 0;             // of codings
};

// INVALID_ARGUMENT when the text is shorter than asked for. `made_by`: goes into the profile.
absl::StatusOr<CalibrationResult> Calibrate(std::shared_ptr<const Model> model, std::string_view text,
                                            const CalibrationOptions& options, const std::string& made_by);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_CALIBRATION_H_
