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
};

// As in SentencePiece's ModelProto and GGUF's tokenizer.ggml.token_type, whose numbers agree.
enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct TokenizerPiece {
  std::string text;  // kByteLevelBpe: in the byte alphabet; kSentencePieceBpe: with U+2581 for a space
  float score = 0;   // kSentencePieceBpe: higher merges first
  PieceType type = PieceType::kNormal;
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
  std::string source;  // the file it was read from, for messages

  std::string sentencepiece_model;
  std::vector<TokenizerPiece> pieces;                       // index = TokenId
  std::vector<std::pair<std::string, std::string>> merges;  // kByteLevelBpe: best first
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  std::string split_pattern;
  bool individual_digits = false;  // kPattern: cut digits one by one before the pattern
  bool ignore_merges = false;      // a word that is a piece is taken whole (Llama 3)
  bool add_dummy_prefix = true;    // SentencePiece: a space is put before the text

  // Ids that checkpoints name. Absent where the checkpoint has none.
  std::optional<TokenId> bos, eos, unknown;
  std::optional<bool> add_bos;  // whether the model expects BOS at the start of its input
  std::string chat_template;    // the Jinja source, used only to recognise a known template
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZER_DATA_H_
