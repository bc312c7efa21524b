// How SentencePiece, and what follows it, writes its pieces.
#ifndef TOME_ENGINE_TEXT_SPLITTING_PIECE_TEXT_H_
#define TOME_ENGINE_TEXT_SPLITTING_PIECE_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

namespace tome {

inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";  // U+2581 stands for a space

// The byte that a piece like "<0x0A>" stands for.
std::optional<char> FallbackByte(std::string_view piece);

// A piece with its space symbols as spaces.
std::string ReplaceSpaceSymbols(std::string_view piece);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_PIECE_TEXT_H_
