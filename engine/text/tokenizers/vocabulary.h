// What all tokenizers know of their pieces: texts, bytes, types, special tokens.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_VOCABULARY_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_VOCABULARY_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// The checked vocabulary and the ids that a checkpoint names. Immutable and thread-safe.
class Vocabulary {
 public:
  // Takes the pieces, ids, add_bos and chat template of `data`.
  // INVALID_ARGUMENT for an empty vocabulary, empty or duplicate pieces, unknown types and ids out of range.
  static absl::StatusOr<Vocabulary> Create(const TokenizerData& data);

  int size() const { return static_cast<int>(pieces_.size()); }
  bool Contains(TokenId id) const { return id >= 0 && id < size(); }
  const TokenizerPiece& piece(TokenId id) const { return pieces_[id]; }
  const std::vector<TokenizerPiece>& pieces() const { return pieces_; }

  // The piece with this text, whatever its type.
  std::optional<TokenId> Find(std::string_view text) const;
  // The same, unless it was added to the model's own pieces and merges cannot make it.
  std::optional<TokenId> FindInModel(std::string_view text) const;
  bool IsInModel(TokenId id) const { return Contains(id) && !added_only_.contains(id); }
  bool IsSpecial(TokenId id) const;

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  const std::vector<TokenId>& ends() const { return ends_; }
  bool add_bos() const { return add_bos_; }
  // How the piece is found in a text; null for pieces that were not added.
  const AddedToken* FindAdded(TokenId id) const;
  const std::string& chat_template() const { return chat_template_; }

 private:
  std::vector<TokenizerPiece> pieces_;
  absl::flat_hash_map<std::string, TokenId> ids_;
  absl::flat_hash_set<TokenId> added_only_;
  absl::flat_hash_map<TokenId, AddedToken> added_;
  std::optional<TokenId> bos_, eos_;
  std::vector<TokenId> ends_;
  bool add_bos_ = false;
  std::string chat_template_;
};

// The part of a Tokenizer that its vocabulary answers.
class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<TextToken> Encode(std::string_view text) const final;
  std::vector<TokenId> EncodeBetween(std::optional<TokenId> before, std::string_view text,
                                     std::optional<TokenId> after) const final;
  std::string_view TokenBytes(TokenId id) const final;
  std::string_view PieceText(TokenId id) const final;
  std::optional<TokenId> FindSpecial(std::string_view text) const final;
  std::optional<TokenId> FindAdded(std::string_view text) const final;
  bool IsSpecial(TokenId id) const final { return vocabulary_.IsSpecial(id); }
  int vocab_size() const final { return vocabulary_.size(); }
  std::optional<TokenId> bos() const final { return vocabulary_.bos(); }
  std::optional<TokenId> eos() const final { return vocabulary_.eos(); }
  const std::vector<TokenId>& ends() const final { return vocabulary_.ends(); }
  bool add_bos() const final { return vocabulary_.add_bos(); }
  bool adds_dummy_prefix() const final { return adds_dummy_prefix_; }
  const std::string& chat_template_source() const final { return vocabulary_.chat_template(); }
  const std::string& digest() const final { return digest_; }

 protected:
  // `token_bytes`: what each token stands for, by id. `digest`: see Tokenizer::digest.
  VocabularyTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes, bool adds_dummy_prefix,
                      std::string digest);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // A stream of a text that follows an added token.
  virtual std::unique_ptr<TokenStream> StreamAfterToken() const { return NewStream(); }
  // Where the last added token ends that stands in the text as it is; 0 when there is none.
  virtual std::size_t EndOfAdded(std::string_view /*text*/) const { return 0; }

 private:
  Vocabulary vocabulary_;
  std::vector<std::string> token_bytes_;
  bool adds_dummy_prefix_;
  std::string digest_;
};

// SHA-256 of all in `data` that Encode depends on, in a canonical form, lower-case hex.
std::string TokenizerDigest(const TokenizerData& data);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_VOCABULARY_H_
