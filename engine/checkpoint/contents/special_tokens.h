// Which tokens of a Hugging Face folder are special, and which of them end a text.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_SPECIAL_TOKENS_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_SPECIAL_TOKENS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Texts that tokenizer_config.json or special_tokens_map.json name as special tokens.
struct NamedTokens {
  std::map<std::string, std::string> by_name;  // "bos_token", "eos_token", ...
  std::vector<std::string> others;             // "additional_special_tokens"

  bool Contains(std::string_view text) const;
};

// Those that `fields` names; what is known stays. INVALID_ARGUMENT for a field of another type.
absl::Status ReadNamedTokens(const JsonFields& fields, NamedTokens* named);

// Sets bos, eos and unknown of `data`, and makes named pieces special that text cannot make otherwise.
// `place`: the file that names them. INVALID_ARGUMENT for a begin or an end that is no piece.
absl::Status TakeNamedTokens(const NamedTokens& named, const std::string& place, TokenizerData* data);

// Makes a piece special that was added, or that text cannot make: one that ends a text must not be made by it.
void MakeSpecial(TokenId id, TokenizerData* data);

// The tokens that end what a model says by what they are called ("<|im_end|>", "<|eot_id|>", ...), where they are
// special or were added. So a chat model stops in every prompt form, also when its files name only its "</s>".
std::vector<TokenId> KnownEnds(const TokenizerData& data);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_SPECIAL_TOKENS_H_
