#include "engine/text/splitting/piece_text.h"

#include <charconv>

namespace tome {

std::optional<char> FallbackByte(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return std::nullopt;
  unsigned value = 0;
  const char* end = piece.data() + 5;
  if (std::from_chars(piece.data() + 3, end, value, 16).ptr != end) return std::nullopt;
  return static_cast<char>(value);
}

std::string ReplaceSpaceSymbols(std::string_view piece) {
  std::string text;
  for (std::size_t position = 0; position < piece.size();) {
    if (piece.substr(position, kSpaceSymbol.size()) == kSpaceSymbol) {
      text += ' ';
      position += kSpaceSymbol.size();
    } else {
      text += piece[position++];
    }
  }
  return text;
}

}  // namespace tome
