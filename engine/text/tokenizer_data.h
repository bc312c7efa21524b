// What a checkpoint says of its tokenizer, whatever file format it came in. Input of Tokenizer::Create.
#ifndef TOME_ENGINE_TEXT_TOKENIZER_DATA_H_
#define TOME_ENGINE_TEXT_TOKENIZER_DATA_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/types.h"

namespace tome {

enum class TokenizerKind {
  kNone,                // the checkpoint carries no tokenizer
  kSentencePieceModel,  // `sentencepiece_model` holds a serialized ModelProto (a tokenizer.model file)
  kSentencePieceBpe,    // pieces with scores, byte fallback: GGUF "llama", llama2.c's tokenizer.bin
  kByteLevelBpe,        // pieces in GPT-2's byte alphabet and ranked merges: GGUF "gpt2", tokenizer.json
  kCharacterBpe,        // ranked merges of characters, byte fallback: tokenizer.json of Llama 2 and Mistral
};

// As in SentencePiece's ModelProto and GGUF's tokenizer.ggml.token_type, whose numbers agree.
enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct TokenizerPiece {
  std::string text;  // kByteLevelBpe: in the byte alphabet; the others: with U+2581 for a space
  float score = 0;   // kSentencePieceBpe: higher merges first
  PieceType type = PieceType::kNormal;
};

// How a piece that was added to a vocabulary is found in a text, as Hugging Face's AddedToken says. Special ones are in
// no text, but keep others from being found within them.
struct AddedToken {
  TokenId id = 0;
  bool lstrip = false, rstrip = false;  // takes the white space before it, after it
  bool single_word = false;             // only where no word goes on before or after it
  bool normalized = false;              // looked for as it is normalized, in the normalized text
  bool in_model = false;                // merges, too, may make it

  friend bool operator==(const AddedToken&, const AddedToken&) = default;
};

// How a kCharacterBpe writes spaces, as U+2581, and where it puts one that is not in the text. A stretch is text that
// stands between added tokens.
struct SpaceRules {
  bool normalizer_replaces = false;  // "Replace": before added tokens that are normalized are looked for
  bool normalizer_prepends = false;  // "Prepend": before each stretch
  // "Metaspace": replaces what is left, then puts one before a stretch that does not begin with one.
  enum class Prefix { kNever, kFirst, kAlways };
  Prefix prefix = Prefix::kNever;  // kFirst: only where the text begins
  bool split = false;              // each begins a word, and words are merged one by one

  friend bool operator==(const SpaceRules&, const SpaceRules&) = default;
};

// How a byte-level BPE cuts a text into words before merging.
enum class PreTokenizer {
  kGpt2,     // GPT-2's pattern
  kSmolLm,   // digits one by one, then GPT-2's pattern
  kLlama3,   // Llama 3's pattern (groups of up to three digits, case-insensitive contractions)
  kPattern,  // `split_pattern` holds the regular expression (Split, behaviour "isolated")
};

struct TokenizerData {
  TokenizerKind kind = TokenizerKind::kNone;
  std::string source;                 // the file it was read from, for messages
  std::vector<std::string> warnings;  // what was unusual in it, and how it was taken

  std::string sentencepiece_model;
  std::vector<TokenizerPiece> pieces;                       // index = TokenId
  std::vector<AddedToken> added;                            // of the pieces: special and user-defined ones
  std::vector<std::pair<std::string, std::string>> merges;  // kByteLevelBpe, kCharacterBpe: best first
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  std::string split_pattern;
  bool individual_digits = false;  // kPattern: cut digits one by one before the pattern
  bool ignore_merges = false;      // a word that is a piece is taken whole (Llama 3)
  bool add_dummy_prefix = true;    // SentencePiece: a space is put before the text
  SpaceRules spaces;               // kCharacterBpe

  // Ids that checkpoints name. Absent where the checkpoint has none.
  std::optional<TokenId> bos, eos, unknown;
  std::vector<TokenId> ends;    // all that end a text or a turn, eos or not
  std::optional<bool> add_bos;  // whether the model expects BOS at the start of its input
  std::string chat_template;    // the Jinja source, used only to recognise a known template
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZER_DATA_H_
