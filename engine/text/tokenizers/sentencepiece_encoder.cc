// No Abseil header may come in here: see sentencepiece_encoder.h.
#include "engine/text/tokenizers/sentencepiece_encoder.h"

#include <sentencepiece_processor.h>

#include <cstddef>

namespace tome {

struct SentencePieceEncoder::Library {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieceEncoder::SentencePieceEncoder() : library_(std::make_unique<Library>()) {}
SentencePieceEncoder::~SentencePieceEncoder() = default;

std::string SentencePieceEncoder::Load(const std::string& serialized_model) {
  const sentencepiece::util::Status status = library_->processor.LoadFromSerializedProto(serialized_model);
  return status.ok() ? "" : status.ToString();
}

bool SentencePieceEncoder::Encode(std::string_view text, std::vector<TextToken>* out) const {
  const std::size_t first = out->size();
  const sentencepiece::ImmutableSentencePieceText pieces = library_->processor.EncodeAsImmutableProto(text);
  std::size_t num_bytes = 0;
  for (std::size_t i = 0; i < pieces.pieces_size(); ++i) {
    const auto piece = pieces.pieces(static_cast<int>(i));
    out->push_back({static_cast<TokenId>(piece.id()), piece.end() - piece.begin()});
    num_bytes += out->back().num_bytes;
  }
  // The call reports no error, but its pieces tile the text when there was none.
  if (num_bytes == text.size()) return true;
  out->resize(first);
  return false;
}

}  // namespace tome
