// The sentences of a region. A region is cut at a number of tokens, and says several things; a question asks for one of
// them, and is told from a sentence alone what the sentences around it hide: over a million tokens 14 of 17 questions
// in other words were likeliest after the right one of 41 regions' sentences, and one after the right region's whole
// text.
#ifndef TOME_ENGINE_GENERATION_SENTENCES_H_
#define TOME_ENGINE_GENERATION_SENTENCES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/memory/archive.h"
#include "engine/text/tokenizer.h"

namespace tome {

// Shorter ones are read with the next one, longer ones are cut: at an end of a line if there is one, else anywhere.
inline constexpr std::size_t kMinSentenceTokens = 6, kMaxSentenceTokens = 48;

// The sentences of a text, in order; together they are the whole text. A sentence ends with a full stop, a question or
// exclamation mark, a colon or a semicolon, of any script, and what closes quotes and brackets after it, or with an
// empty line.
std::vector<std::vector<TokenId>> SplitSentences(const Tokenizer& tokenizer, absl::Span<const TokenId> tokens);

// A region's text in whole sentences: it begins and ends at the end of a sentence, else of a line, else of a word, that
// is nearest to where the region does, at most half a region away. These texts tile each document as its regions do.
RegionRun InSentences(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region);

struct RegionSentence {
  std::vector<TokenId> tokens;
  TokenSpan span;  // its bytes
};

// The sentences of that text. Never none.
std::vector<RegionSentence> RegionSentences(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_SENTENCES_H_
