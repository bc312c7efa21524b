// Synthetic long-context tasks with the published wordings: a needle at a given depth of a text of a given length, a
// question that only the needle answers, and the rule that scores the answer.
//
// Pass keys and key-value pairs as in InfiniteBench (MIT), magic numbers and UUIDs as in RULER (Apache-2.0), whose
// wording for one needle is singular. What a published prompt says before the text is the question's instruction.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_SYNTHETIC_TASKS_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_SYNTHETIC_TASKS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/finding.h"

namespace tome {

enum class TaskKind {
  kPassKey,   // five digits
  kNumber,    // a magic number for a key
  kKeyValue,  // one of the pairs of a JSON object, of UUIDs
  kUuid,      // a magic UUID for a key
  kMultiKey,  // magic numbers for several keys, one is asked for
};
inline constexpr TaskKind kTaskKinds[] = {TaskKind::kPassKey, TaskKind::kNumber, TaskKind::kKeyValue, TaskKind::kUuid,
                                          TaskKind::kMultiKey};
std::string_view TaskName(TaskKind kind);  // "passkey", "number", "key-value", "uuid", "multi-key"

// What the needle is hidden in.
enum class Filler {
  kText,     // natural text
  kNoise,    // the papers' sentences about grass and sky, again and again
  kNeedles,  // other needles of the same kind; with kKeyValue the papers' JSON object
};

struct TaskSettings {
  TaskKind kind = TaskKind::kPassKey;
  Filler filler = Filler::kNoise;
  std::string text;  // Filler::kText: at least as long as the longest document
  int keys = 4;      // kMultiKey: needles in a document, that which is asked for among them
  std::uint64_t seed = 1;
};

struct TaskGrid {
  std::vector<std::int64_t> lengths;  // in tokens, the needles included
  std::vector<double> depths;         // 0: at the beginning, 1: at the end
  int repeats = 1;                    // with other needles
};

struct TaskDocument {
  std::int64_t length = 0;  // as the grid has it; the text is as near below as its sentences or lines allow
  double depth = 0;
  int repeat = 0;
  std::string text;
  AskedQuestion asked;  // of document 0
};

// A document for each length, depth and repeat, in this order. The same settings give the same documents; those of all
// depths begin alike. INVALID_ARGUMENT for settings that make no task, and when the text is too short.
absl::StatusOr<std::vector<TaskDocument>> MakeTaskDocuments(const TaskSettings& settings, const TaskGrid& grid,
                                                            const TokenBytes& token_bytes);

// From 0 to 1, by the published rules: pass keys: the first number of the answer is the reference; key-value pairs: the
// reference is one of the answer's words; the others: the share of references that the answer contains, whatever the
// case.
double ScoreTaskAnswer(TaskKind kind, std::string_view answer, absl::Span<const std::string> references);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_SYNTHETIC_TASKS_H_
