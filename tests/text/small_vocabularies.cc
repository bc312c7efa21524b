#include "tests/text/small_vocabularies.h"

#include "engine/text/byte_alphabet.h"
#include "fmt/format.h"

namespace tome::testing {

TokenizerData SmallByteLevelData(const std::vector<std::pair<std::string, std::string>>& merges) {
  TokenizerData data;
  data.kind = TokenizerKind::kByteLevelBpe;
  data.source = "small.json";
  data.pieces = {{"<|start|>", 0, PieceType::kControl}, {"<|end|>", 0, PieceType::kControl}};
  for (int byte = 0; byte < 256; ++byte)
    data.pieces.push_back({ByteAlphabetCharacter(static_cast<unsigned char>(byte))});
  for (const auto& [left, right] : merges) data.pieces.push_back({left + right});
  data.merges = merges;
  data.bos = 0;
  data.eos = 1;
  return data;
}

TokenizerData SmallSentencePieceData(const std::vector<std::string>& pieces) {
  TokenizerData data;
  data.kind = TokenizerKind::kSentencePieceBpe;
  data.source = "small.model";
  data.pieces = {{"<unk>", 0, PieceType::kUnknown}, {"<s>", 0, PieceType::kControl}, {"</s>", 0, PieceType::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    data.pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, PieceType::kByte});
  }
  float score = 0;
  for (const std::string& piece : pieces) data.pieces.push_back({piece, score--});
  data.bos = 1;
  data.eos = 2;
  data.unknown = 0;
  return data;
}

}  // namespace tome::testing
