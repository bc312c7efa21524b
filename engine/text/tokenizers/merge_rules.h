// The merges of a vocabulary, checked.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_MERGE_RULES_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_MERGE_RULES_H_

#include "absl/status/status.h"
#include "engine/text/tokenizer_data.h"
#include "engine/text/tokenizers/bpe_merger.h"
#include "engine/text/tokenizers/vocabulary.h"

namespace tome {

// Adds the merges of `data`, the best first. INVALID_ARGUMENT names a merge of or to a piece that the model does not
// have, one to a special token, and one that stands there twice.
absl::Status AddMerges(const TokenizerData& data, const Vocabulary& vocabulary, BpeMerger* merger);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_MERGE_RULES_H_
