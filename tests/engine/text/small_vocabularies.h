// Vocabularies made by hand, for tests that need no model.
#ifndef TOME_TESTS_ENGINE_TEXT_SMALL_VOCABULARIES_H_
#define TOME_TESTS_ENGINE_TEXT_SMALL_VOCABULARIES_H_

#include <string>
#include <utility>
#include <vector>

#include "engine/text/tokenizer_data.h"

namespace tome::testing {

// Two special tokens (0 "<|start|>", 1 "<|end|>"), the 256 bytes (byte b is token 2 + b), then what `merges` make.
TokenizerData SmallByteLevelData(const std::vector<std::pair<std::string, std::string>>& merges = {});

// 0 "<unk>", 1 "<s>", 2 "</s>", 256 byte pieces (byte b is token 3 + b), then `pieces`, the best first.
TokenizerData SmallSentencePieceData(const std::vector<std::string>& pieces);

// BPE of characters: 0 "<unk>", 1 "<s>", 2 "</s>", 256 byte pieces (byte b is token 3 + b), U+2581, the letters a to z,
// what `merges` make, and "<|im_start|>" and "<|im_end|>", which are special or not.
TokenizerData SmallCharacterData(const SpaceRules& spaces, bool special_marks,
                                 const std::vector<std::pair<std::string, std::string>>& merges = {});

}  // namespace tome::testing

#endif  // TOME_TESTS_ENGINE_TEXT_SMALL_VOCABULARIES_H_
