// Added tokens as Hugging Face's files list them: "added_tokens" of tokenizer.json, "added_tokens_decoder" of
// tokenizer_config.json, added_tokens.json.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_LISTED_TOKENS_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_LISTED_TOKENS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

struct ListedToken {
  std::int64_t id = 0;
  std::string text;
  bool special = false;
  AddedToken flags;  // lstrip, rstrip, single_word, normalized
};

// One of them, without its id. INVALID_ARGUMENT for a field of another type.
absl::StatusOr<ListedToken> ReadListedToken(const JsonFields& fields);

// The piece that stands at an id for which a vocabulary has none. Text never makes it.
TokenizerPiece Hole(std::size_t id);

// Adds the tokens to the pieces of `data`, of a model with so many embeddings, and to its `added`: a token that is a
// piece already marks that piece, and what was said of it first stays. Those without an embedding are left out, with a
// warning. `place`: the file and field that lists them. INVALID_ARGUMENT when two tokens have one id.
absl::Status AddListedTokens(const std::vector<ListedToken>& tokens, const std::string& place, std::int64_t vocab_size,
                             TokenizerData* data);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_LISTED_TOKENS_H_
