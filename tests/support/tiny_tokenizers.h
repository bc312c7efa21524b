// Tokenizer files for tiny Hugging Face folders, of the kinds that people have.
#ifndef TOME_TESTS_SUPPORT_TINY_TOKENIZERS_H_
#define TOME_TESTS_SUPPORT_TINY_TOKENIZERS_H_

#include <filesystem>
#include <map>
#include <string>

#include "nlohmann/json.hpp"

namespace tome::testing {

enum class TinyTokenizerKind {
  kByteLevel,            // TinyTokenizerJson's
  kPrepend,              // Llama 2's tokenizer.json: the normalizers Prepend and Replace
  kMetaspaceFirst,       // a newer one: a space before the text, not after added tokens
  kMetaspaceSplit,       // words are merged one by one
  kSentencePiece,        // tokenizer.model alone
  kSentencePieceChatMl,  // tokenizer.model, and ChatML's tokens in added_tokens.json
  kBoth,                 // tokenizer.model, and tokenizer.json with ChatML's tokens
};
inline constexpr TinyTokenizerKind kTinyTokenizerKinds[] = {TinyTokenizerKind::kByteLevel,
                                                            TinyTokenizerKind::kPrepend,
                                                            TinyTokenizerKind::kMetaspaceFirst,
                                                            TinyTokenizerKind::kMetaspaceSplit,
                                                            TinyTokenizerKind::kSentencePiece,
                                                            TinyTokenizerKind::kSentencePieceChatMl,
                                                            TinyTokenizerKind::kBoth};

// ChatML's tokens have the last two of TinyVocabSize() ids in all of them that have them; <|im_end|> is the last.
bool HasChatMl(TinyTokenizerKind kind);

// A BPE of characters with byte fallback, as Llama 2's: <unk>, <s>, </s>, the bytes, U+2581, the letters, joined ones,
// <|im_start|> and <|im_end|>.
nlohmann::json TinyCharacterTokenizerJson(TinyTokenizerKind kind);

// What the files contain, by name.
std::map<std::string, std::string> TinyTokenizerFiles(TinyTokenizerKind kind);

// Replaces the tokenizer's files in a folder of WriteTinyModel.
void WriteTinyTokenizer(const std::filesystem::path& folder, TinyTokenizerKind kind);

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_TINY_TOKENIZERS_H_
