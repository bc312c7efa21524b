#include "engine/text/splitting/character_cutter.h"

#include "engine/text/tokenizer.h"

namespace tome {
namespace {

constexpr char32_t kSpaceSymbol = 0x2581;

char32_t CharacterAt(std::string_view text, std::size_t at) {
  return ReadSentencePieceCharacter(text.substr(at), /*more_follows=*/false).code_point;
}

}  // namespace

bool PutsPrefix(const SpaceRules& spaces, StretchPlace place, std::string_view text) {
  if (spaces.normalizer_prepends && place.at_added) return true;
  if (spaces.prefix == SpaceRules::Prefix::kNever) return false;
  if (spaces.prefix == SpaceRules::Prefix::kFirst && !place.at_text) return false;
  return CharacterAt(text, 0) != kSpaceSymbol;
}

std::optional<StretchPart> NextPart(const CharacterRules& rules, std::string_view text, std::size_t start, bool is_end,
                                    bool at_begin, bool prefix) {
  const bool begins_word = at_begin || (rules.spaces.split && CharacterAt(text, start) == kSpaceSymbol);
  // With split, a prefix is a word of its own before a space.
  if (prefix && rules.spaces.split && CharacterAt(text, start) == kSpaceSymbol) return StretchPart{0, true, true};
  char32_t previous = 0;
  std::size_t at = start;
  while (at < text.size()) {
    const auto [code_point, num_bytes] = ReadSentencePieceCharacter(text.substr(at), /*more_follows=*/false);
    if (at > start) {
      const bool splits = rules.spaces.split && code_point == kSpaceSymbol;
      if (splits || !rules.pairs->Contains(previous, code_point)) {
        return StretchPart{at - start, prefix, begins_word && splits};
      }
      if (at + num_bytes - start > kMaxWordBytes) return StretchPart{at - start, prefix, false};
    }
    previous = code_point;
    at += num_bytes;
  }
  if (!is_end) return std::nullopt;
  return StretchPart{at - start, prefix, begins_word};
}

}  // namespace tome
