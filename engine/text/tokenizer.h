// Text to tokens and back.
//
// User text is always plain text: a look-alike of a special token ("<|im_end|>") in it is cut into ordinary pieces and
// never becomes the special token. Special tokens are put in by id (see chat_template.h).
#ifndef TOME_ENGINE_TEXT_TOKENIZER_H_
#define TOME_ENGINE_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Where a stream is in its text, beside the text itself; see TokenStream::Save.
struct TokenStreamState {
  bool started = false;       // something was taken; of a tokenizer with a dummy prefix
  bool dummy_prefix = false;  // the space before the text is not yet part of a token
  // Bytes before the waiting text that belong to the next token; absent when no token is held back.
  std::optional<std::uint64_t> held_bytes;
  // What of the text before decides about the next token, as the tokenizer writes it: below 64, and bytes at the
  // beginning of the waiting text in which no added token begins, at first and after normalization.
  std::uint8_t context = 0;
  std::uint16_t passed = 0, passed_normalized = 0;

  friend bool operator==(const TokenStreamState&, const TokenStreamState&) = default;
};

// Tokenizes a text that arrives in pieces. However the bytes are cut, all that Append and Finish put out is what
// Tokenizer::Encode gives for the whole text. Tokens come out when no later byte can change them, at the latest when
// the text that waits has grown by an eighth.
// Not thread-safe. Keeps its tokenizer alive.
class TokenStream {
 public:
  virtual ~TokenStream() = default;

  // Takes the next bytes, also in the middle of a character, and adds to `out` the tokens that are now certain.
  virtual void Append(std::string_view bytes, std::vector<TextToken>* out) = 0;

  // Ends the text: adds the tokens of all that was held back. Then only Clone and the destructor may be called.
  virtual void Finish(std::vector<TextToken>* out) = 0;

  // Bytes taken for which no token was put out yet. At most 2 * kMaxWordBytes plus one call's bytes, and those that the
  // vocabulary lacks.
  virtual std::size_t pending_bytes() const = 0;

  // An independent copy: lets a question read what is pending without ending the text.
  virtual std::unique_ptr<TokenStream> Clone() const = 0;

  // What Tokenizer::ResumeStream needs to go on from here, with the last pending_bytes() bytes of the text. Only of a
  // text that was well-formed UTF-8 so far, and ends with a whole character.
  virtual TokenStreamState Save() const = 0;
};

// A run without any place to cut that is longer than this is cut here, counted from the run's first byte, which bounds
// the memory of a stream. It is the only place where the tokens differ from the reference tokenizers.
inline constexpr std::size_t kMaxWordBytes = std::size_t{1} << 20;

// Immutable and thread-safe.
class Tokenizer : public std::enable_shared_from_this<Tokenizer> {
 public:
  // Checks `data` (duplicate pieces, merges of unknown pieces, bad patterns, ids outside the vocabulary, ...).
  // INVALID_ARGUMENT names the source and the field.
  static absl::StatusOr<std::shared_ptr<const Tokenizer>> Create(TokenizerData data);

  virtual ~Tokenizer() = default;

  // Tokens of a text, without BOS. Any bytes are taken; invalid UTF-8 is encoded as the reference tokenizer does for
  // its lossy decoding (byte-level BPE: U+FFFD for each maximal ill-formed part; SentencePiece: U+FFFD for each byte),
  // its bytes still counted in num_bytes. A byte-level vocabulary may lack bytes (SmolLM2's has no piece for U+0004 and
  // 20 more); they give no token and count to a neighbouring one, but to none when no token follows at a text's end.
  virtual std::vector<TextToken> Encode(std::string_view text) const = 0;

  // Tokens of a text that stands between two special tokens that are put in by id, or at the beginning or the end of
  // the model's input where one is absent: without the white space that those take, and with the space before it that
  // the reference tokenizer puts there.
  virtual std::vector<TokenId> EncodeBetween(std::optional<TokenId> before, std::string_view text,
                                             std::optional<TokenId> after) const = 0;

  // A stream that starts at the beginning of a text.
  virtual std::unique_ptr<TokenStream> NewStream() const = 0;

  // A stream that puts out what the saved one would have put out from there on. `pending`: the bytes that were pending
  // there. DATA_LOSS when no stream of this tokenizer can be there.
  virtual absl::StatusOr<std::unique_ptr<TokenStream>> ResumeStream(const TokenStreamState& state,
                                                                    std::string_view pending) const = 0;

  // The bytes that a token stands for: part of a character where a token is one byte of it; "" for special tokens.
  // A SentencePiece token that begins a word begins with a space. `id` outside the vocabulary gives "".
  virtual std::string_view TokenBytes(TokenId id) const = 0;

  // The piece as the vocabulary writes it, special tokens too ("<|im_end|>", "\u2581the"). "" outside the vocabulary.
  virtual std::string_view PieceText(TokenId id) const = 0;

  // The special (control) token with exactly this text.
  virtual std::optional<TokenId> FindSpecial(std::string_view text) const = 0;
  // The same, or the user-defined one, which text can make as well.
  virtual std::optional<TokenId> FindAdded(std::string_view text) const = 0;
  virtual bool IsSpecial(TokenId id) const = 0;

  virtual int vocab_size() const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  // All tokens that end what the model says, eos() included.
  virtual const std::vector<TokenId>& ends() const = 0;
  virtual bool add_bos() const = 0;  // whether model input starts with bos()
  // Whether Encode puts a space before the text, which a text's first token then begins with.
  virtual bool adds_dummy_prefix() const = 0;
  virtual const std::string& chat_template_source() const = 0;

  // SHA-256 of everything that Encode depends on, lower-case hex.
  virtual const std::string& digest() const = 0;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZER_H_
