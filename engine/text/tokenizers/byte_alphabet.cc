#include "engine/text/tokenizers/byte_alphabet.h"

#include <array>
#include <cstddef>

namespace tome {
namespace {

constexpr int kFirstRemapped = 0x100;

struct ByteAlphabet {
  std::array<std::string, 256> characters;
  std::array<int, 0x200> bytes;  // of a code point below U+0200; -1 for none

  ByteAlphabet() {
    bytes.fill(-1);
    int next = kFirstRemapped;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
      const int code_point = printable ? byte : next++;
      bytes[code_point] = byte;
      if (code_point < 0x80) {
        characters[byte] = static_cast<char>(code_point);
      } else {
        characters[byte] = {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3F))};
      }
    }
  }
};

const ByteAlphabet& Alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

}  // namespace

const std::string& ByteAlphabetCharacter(unsigned char byte) { return Alphabet().characters[byte]; }

std::optional<std::string> DecodeByteAlphabet(std::string_view piece) {
  std::string bytes;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    int code_point = static_cast<unsigned char>(piece[i]);
    if (code_point >= 0x80) {
      const bool two_bytes = (code_point & 0xE0) == 0xC0 && i + 1 < piece.size() && (piece[i + 1] & 0xC0) == 0x80;
      if (!two_bytes) return std::nullopt;
      code_point = (code_point & 0x1F) << 6 | (piece[++i] & 0x3F);
    }
    const int byte = code_point < 0x200 ? Alphabet().bytes[code_point] : -1;
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

}  // namespace tome
