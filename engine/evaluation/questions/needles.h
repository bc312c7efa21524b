// Needles: short texts that stand once in a long document, each with a question that only it answers.
//
// Wordings are those of RULER (Apache-2.0) and InfiniteBench (MIT); pass keys are for something, so that many fit one
// document. Sentences repeat their words in the question; paraphrased ones share no content word with it.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_NEEDLES_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_NEEDLES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/evaluation/questions/paraphrased_facts.h"

namespace tome {

enum class NeedleKind { kPassKey, kNumber, kWord, kUuid, kKeyValue, kSentence, kParaphrased };
inline constexpr NeedleKind kVerbatimKinds[] = {NeedleKind::kPassKey, NeedleKind::kNumber,   NeedleKind::kWord,
                                                NeedleKind::kUuid,    NeedleKind::kKeyValue, NeedleKind::kSentence};
std::string_view NeedleKindName(NeedleKind kind);  // "pass-key", ...

struct Needle {
  NeedleKind kind = NeedleKind::kPassKey;
  std::string text;
  std::string question;
  std::string opening;  // the first words of the answer, which the published prompts give; may be empty
  std::string answer;   // stands in `text`
};

// `count` needles, of all verbatim kinds in turn; the same seed gives the same ones. No two have the same key.
std::vector<Needle> MakeVerbatimNeedles(int count, std::uint64_t seed);
// As above, of one kind that is verbatim.
std::vector<Needle> MakeNeedlesOf(NeedleKind kind, int count, std::uint64_t seed);
// The first `count` facts of a set, at most kFactsInSet.
std::vector<Needle> MakeParaphrasedNeedles(int count, FactSet set);

// Bytes begin <= i < end of a text.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct PlacedNeedle {
  Needle needle;
  TextRange bytes;                 // of the needle
  std::vector<TextRange> answers;  // where it says the answer
};

struct Haystack {
  std::string text;
  std::vector<PlacedNeedle> needles;  // in the order of the text
};

// Puts the needles, in an order and at places drawn by `seed`, between the sentences of `text`: one in each of as many
// equal parts as there are needles.
Haystack HideNeedles(std::string_view text, std::vector<Needle> needles, std::uint64_t seed);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_NEEDLES_H_
