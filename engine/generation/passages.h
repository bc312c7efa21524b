// Which of the regions that were found an answer is generated over, and their text.
#ifndef TOME_ENGINE_GENERATION_PASSAGES_H_
#define TOME_ENGINE_GENERATION_PASSAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/generation/question.h"
#include "engine/memory/archive.h"
#include "engine/memory/stored_tokens.h"

namespace tome {

// The best region with its neighbours and the next best ones, in the order of the archive but for the best passage,
// which comes last: as many as fit `budget_tokens`, and no more once the probabilities of those chosen add up to 95% or
// the next one's is less than a 20th of the best one's. When everything that was read fits, all of it is one passage
// for each document. Passages are in whole sentences, see InSentences, unless the budget has no room but for the best
// region as it is.
std::vector<Passage> ChoosePassages(const Archive& archive, const Tokenizer& tokenizer,
                                    const std::vector<FoundRegion>& found, int budget_tokens);

// The same regions, but first the passages of those whose keys and values `state` still holds, in the order of its
// archive and marked as stored, and then the others.
std::vector<Passage> ChooseStoredPassages(const MemoryState& state, const Tokenizer& tokenizer,
                                          const std::vector<FoundRegion>& found, int budget_tokens);
// The tokens of the sink and of the stored passages: ascending, disjoint ranges.
std::vector<TokenRange> AttendedTokens(const MemoryState& state, const std::vector<Passage>& passages);

// The text of the passages that are not stored, as a prompt has it: without white space around each, with an ellipsis
// line between two.
std::string JoinPassages(const Archive& archive, const Tokenizer& tokenizer, const std::vector<Passage>& passages);
// The text of a passage: whole characters.
std::string PassageText(const Archive& archive, const Tokenizer& tokenizer, const Passage& passage);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_PASSAGES_H_
