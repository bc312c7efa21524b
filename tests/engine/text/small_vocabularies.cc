#include "tests/engine/text/small_vocabularies.h"

#include "engine/text/tokenizers/byte_alphabet.h"
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

TokenizerData SmallCharacterData(const SpaceRules& spaces, bool special_marks,
                                 const std::vector<std::pair<std::string, std::string>>& merges) {
  TokenizerData data = SmallSentencePieceData({"\u2581"});
  data.kind = TokenizerKind::kCharacterBpe;
  data.source = "characters.json";
  data.spaces = spaces;
  for (char letter = 'a'; letter <= 'z'; ++letter) data.pieces.push_back({std::string(1, letter)});
  for (const auto& [left, right] : merges) data.pieces.push_back({left + right});
  data.merges = merges;
  for (const char* mark : {"<|im_start|>", "<|im_end|>"}) {
    data.added.push_back({.id = static_cast<TokenId>(data.pieces.size())});
    data.pieces.push_back({mark, 0, special_marks ? PieceType::kControl : PieceType::kUserDefined});
  }
  data.chat_template = "{{'<|im_start|>' + message['role']}}";
  return data;
}

}  // namespace tome::testing
