// How a BPE of characters cuts a stretch of text into parts that can be merged one by one.
#ifndef TOME_ENGINE_TEXT_SPLITTING_CHARACTER_CUTTER_H_
#define TOME_ENGINE_TEXT_SPLITTING_CHARACTER_CUTTER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/text/splitting/character_pairs.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Immutable and thread-safe.
struct CharacterRules {
  SpaceRules spaces;
  std::shared_ptr<const CharacterPairs> pairs;  // that merges can make
};

// Where a stretch of text begins, in all that is around it.
struct StretchPlace {
  bool at_text = false;   // the text begins there
  bool at_added = false;  // the text or the end of an added token that is not normalized
};

// A part of a stretch.
struct StretchPart {
  std::size_t length = 0;
  bool prefix = false;  // U+2581 stands before it that is not in the text
  bool whole = false;   // it is all that is merged at once
};

// Whether U+2581 is put before a stretch that begins like `text`, which is not empty.
bool PutsPrefix(const SpaceRules& spaces, StretchPlace place, std::string_view text);

// The part at `start` of `text`, which has more behind it; nullopt when only what follows the text can tell, never with
// `is_end`. `stretch`: the stretch begins at `start`, and `prefix` is put before it. Parts end where no merge can reach
// over, at the latest after kMaxWordBytes.
std::optional<StretchPart> NextPart(const CharacterRules& rules, std::string_view text, std::size_t start, bool is_end,
                                    bool at_begin, bool prefix);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_CHARACTER_CUTTER_H_
