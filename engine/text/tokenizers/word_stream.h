// Tokenizers that cut a text into words and encode each on its own, and their streams.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_WORD_STREAM_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_WORD_STREAM_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/splitting/word_splitter.h"
#include "engine/text/tokenizers/vocabulary.h"

namespace tome {

// Immutable and thread-safe.
class WordTokenizer : public VocabularyTokenizer {
 public:
  std::unique_ptr<TokenStream> NewStream() const final;
  absl::StatusOr<std::unique_ptr<TokenStream>> ResumeStream(const TokenStreamState& state,
                                                            std::string_view pending) const final;

  const WordRules& rules() const { return rules_; }

  // Adds the tokens of a word that is no added token to `out`; num_bytes are those of `text`, which is the word's.
  virtual void EncodeWord(std::string_view text, const Word& word, std::vector<TextToken>* out) const = 0;

 protected:
  WordTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes, bool adds_dummy_prefix, std::string digest,
                WordRules rules)
      : VocabularyTokenizer(std::move(vocabulary), std::move(token_bytes), adds_dummy_prefix, std::move(digest)),
        rules_(std::move(rules)) {}

  std::unique_ptr<TokenStream> StreamAfterToken() const final;
  std::size_t EndOfAdded(std::string_view text) const final;

 private:
  WordRules rules_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_WORD_STREAM_H_
