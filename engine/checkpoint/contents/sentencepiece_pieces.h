// How SentencePiece writes its pieces.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_SENTENCEPIECE_PIECES_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_SENTENCEPIECE_PIECES_H_

#include <string_view>

namespace tome {

inline constexpr std::string_view kSentencePieceSpace = "\xE2\x96\x81";  // U+2581 stands for a space

// Whether a piece stands for one byte: "<0x0A>".
inline bool IsBytePiece(std::string_view text) {
  const auto is_hex_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.substr(0, 3) == "<0x" && is_hex_digit(text[3]) && is_hex_digit(text[4]) &&
         text[5] == '>';
}

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_SENTENCEPIECE_PIECES_H_
