// The wall around the SentencePiece library: its header is included in this header's .cc and nowhere else, for it
// declares an `absl` namespace of its own.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_ENCODER_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_ENCODER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"

namespace tome {

// Immutable once loaded, then thread-safe.
class SentencePieceEncoder {
 public:
  SentencePieceEncoder();
  ~SentencePieceEncoder();

  // Takes a serialized ModelProto. "" or what the library found wrong with it.
  std::string Load(const std::string& serialized_model);

  // Adds the tokens of `text` to `out`. False, and nothing added, when the library fails, which it does for no text
  // with a model that loaded.
  bool Encode(std::string_view text, std::vector<TextToken>* out) const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_ENCODER_H_
