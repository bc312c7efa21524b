#include "engine/text/splitting/character_pairs.h"

#include "engine/base/utf8.h"

namespace tome {
namespace {

constexpr char32_t kSpaceSymbol = 0x2581;
constexpr char32_t kReplacement = 0xFFFD;

// Of a well-formed character.
char32_t Decode(std::string_view character) {
  constexpr unsigned char kLeadBits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t code_point = static_cast<unsigned char>(character[0]) & kLeadBits[character.size()];
  for (const char byte : character.substr(1)) code_point = code_point << 6 | (byte & 0x3F);
  return code_point == ' ' ? kSpaceSymbol : code_point;
}

}  // namespace

SentencePieceCharacter ReadSentencePieceCharacter(std::string_view text, bool more_follows) {
  Utf8Decoder decoder;
  for (std::size_t size = 1; size <= text.size(); ++size) {
    switch (decoder.Take(static_cast<unsigned char>(text[size - 1]))) {
      case Utf8Decoder::Result::kComplete:
        return {Decode(text.substr(0, size)), size};
      case Utf8Decoder::Result::kIllFormed:
        return {kReplacement, 1};
      case Utf8Decoder::Result::kIncomplete:
        break;
    }
  }
  return more_follows ? SentencePieceCharacter{} : SentencePieceCharacter{kReplacement, 1};
}

void CharacterPairs::AddPiece(std::string_view piece) {
  char32_t previous = 0;
  for (std::size_t position = 0; position < piece.size();) {
    const auto [code_point, num_bytes] = ReadSentencePieceCharacter(piece.substr(position), false);
    if (position > 0) {
      if (previous < kAscii && code_point < kAscii) {
        ascii_.set(previous * kAscii + code_point);
      } else {
        others_.insert(static_cast<std::uint64_t>(previous) << 32 | code_point);
      }
    }
    previous = code_point;
    position += num_bytes;
  }
}

}  // namespace tome
