// Tokens to text, one by one, never half a character.
#ifndef TOME_ENGINE_TEXT_DETOKENIZER_H_
#define TOME_ENGINE_TEXT_DETOKENIZER_H_

#include <memory>
#include <string>
#include <utility>

#include "engine/base/types.h"
#include "engine/base/utf8.h"
#include "engine/text/tokenizer.h"

namespace tome {

// Turns generated tokens into UTF-8 text. Bytes that do not yet make a whole character are held back; bytes that can
// no longer become one come out as U+FFFD, so every returned string is valid UTF-8. Not thread-safe.
class Detokenizer {
 public:
  // `at_text_start`: the first token begins a text, so the space of a SentencePiece dummy prefix is dropped.
  explicit Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool at_text_start = false)
      : tokenizer_(std::move(tokenizer)), drop_space_(at_text_start && tokenizer_->adds_dummy_prefix()) {}

  // The text that is certain after this token; often empty in the middle of a character.
  std::string Append(TokenId id);

  // What is still held back, as U+FFFD for each maximal ill-formed part. A text that is cut off within a character is
  // complete without it.
  std::string Finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool drop_space_;
  Utf8Replacer replacer_;  // holds an incomplete character back: at most 3 bytes
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_DETOKENIZER_H_
