// The tokenizers whose tokens are checked in under tests/golden/tokenizers, by the names used there.
#ifndef TOME_TESTS_ENGINE_TEXT_REFERENCE_TOKENIZERS_H_
#define TOME_TESTS_ENGINE_TEXT_REFERENCE_TOKENIZERS_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_data.h"
#include "nlohmann/json.hpp"

namespace tome::testing {

// The folder that holds texts and models for trying and measuring, beside the project. Not everybody has it.
std::string SharedDataFolder();
bool HasSharedData();

// What the demo model says of its tokenizer.
TokenizerData SmolLm2Data();

// nullopt for those that need the shared data when it is absent. Throws for names that do not exist.
std::optional<TokenizerData> ReferenceData(const std::string& name);
// Made once for the whole test program. Null when ReferenceData has nothing.
std::shared_ptr<const Tokenizer> ReferenceTokenizer(const std::string& name);

nlohmann::json ReadGolden(const std::string& file);  // "hard.json"
std::string ReadFile(const std::string& path);
std::string FromHex(std::string_view hex);

// As the golden files write token ids: a list, or {count, sha256} with the digest of their little-endian int32 values.
std::string DigestOfIds(const std::vector<TextToken>& tokens);
std::vector<TokenId> Ids(const std::vector<TextToken>& tokens);
std::size_t TotalBytes(const std::vector<TextToken>& tokens);

// All that a stream puts out for `text`, given in pieces of the sizes that `next_size` returns.
template <typename NextSize>
std::vector<TextToken> EncodeInPieces(const Tokenizer& tokenizer, std::string_view text, NextSize next_size) {
  std::vector<TextToken> tokens;
  const std::unique_ptr<TokenStream> stream = tokenizer.NewStream();
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, next_size());
    stream->Append(piece, &tokens);
    text.remove_prefix(piece.size());
  }
  stream->Finish(&tokens);
  return tokens;
}

}  // namespace tome::testing

#endif  // TOME_TESTS_ENGINE_TEXT_REFERENCE_TOKENIZERS_H_
