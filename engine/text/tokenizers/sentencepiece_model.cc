#include "engine/text/tokenizers/sentencepiece_model.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "engine/base/status.h"

namespace tome {
namespace {

// Field numbers of sentencepiece_model.proto.
namespace model_field {
constexpr int kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3;
}
namespace piece_field {
constexpr int kText = 1, kScore = 2, kType = 3;
}
namespace trainer_field {
constexpr int kModelType = 3, kWhitespaceAsSuffix = 24, kByteFallback = 35, kBosPiece = 46, kEosPiece = 47;
}
namespace normalizer_field {
constexpr int kCharsMap = 2, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4, kEscapeWhitespaces = 5;
}
constexpr std::uint64_t kModelTypeUnigram = 1, kModelTypeBpe = 2;

// Protobuf's wire types.
constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

// One field of a message: a number for varints and fixed sizes, bytes for the rest.
struct WireField {
  int number = 0;
  int type = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};

// Reads the fields of a message one after another.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  bool at_end() const { return rest_.empty(); }

  // False when the message is damaged.
  bool Next(WireField* field) {
    std::uint64_t tag = 0;
    if (!Varint(&tag) || tag >> 3 == 0 || tag >> 3 > std::numeric_limits<int>::max()) return false;
    *field = {static_cast<int>(tag >> 3), static_cast<int>(tag & 7), 0, {}};
    switch (field->type) {
      case kVarint:
        return Varint(&field->value);
      case kFixed32:
        return Fixed(4, &field->value);
      case kFixed64:
        return Fixed(8, &field->value);
      case kBytes:
        return Varint(&field->value) && Take(field->value, &field->bytes);
      default:
        return false;
    }
  }

 private:
  bool Varint(std::uint64_t* value) {
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      *value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool Take(std::uint64_t size, std::string_view* bytes) {
    if (size > rest_.size()) return false;
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool Fixed(std::size_t size, std::uint64_t* value) {
    std::string_view bytes;
    if (!Take(size, &bytes)) return false;
    std::memcpy(value, bytes.data(), size);
    return true;
  }

  std::string_view rest_;
};

class WireWriter {
 public:
  void Varint(int number, std::uint64_t value) {
    Raw(static_cast<std::uint64_t>(number) << 3 | kVarint);
    Raw(value);
  }
  void Float(int number, float value) {
    Raw(static_cast<std::uint64_t>(number) << 3 | kFixed32);
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    bytes_.append(bytes, sizeof(bytes));
  }
  void Bytes(int number, std::string_view value) {
    Raw(static_cast<std::uint64_t>(number) << 3 | kBytes);
    Raw(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Raw(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

struct TrainerSpec {
  std::uint64_t model_type = kModelTypeUnigram;
  bool whitespace_as_suffix = false;
  bool byte_fallback = false;
  std::string bos_piece = "<s>", eos_piece = "</s>";
};

struct NormalizerSpec {
  bool has_chars_map = false;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
};

bool ReadPiece(std::string_view message, TokenizerPiece* piece) {
  WireReader reader(message);
  for (WireField field; !reader.at_end();) {
    if (!reader.Next(&field)) return false;
    if (field.number == piece_field::kText && field.type == kBytes) piece->text = field.bytes;
    if (field.number == piece_field::kScore && field.type == kFixed32) {
      piece->score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
    }
    if (field.number == piece_field::kType && field.type == kVarint) {
      piece->type = static_cast<PieceType>(std::min<std::uint64_t>(field.value, 255));
    }
  }
  return true;
}

bool ReadTrainerSpec(std::string_view message, TrainerSpec* spec) {
  WireReader reader(message);
  for (WireField field; !reader.at_end();) {
    if (!reader.Next(&field)) return false;
    if (field.number == trainer_field::kModelType) spec->model_type = field.value;
    if (field.number == trainer_field::kWhitespaceAsSuffix) spec->whitespace_as_suffix = field.value != 0;
    if (field.number == trainer_field::kByteFallback) spec->byte_fallback = field.value != 0;
    if (field.number == trainer_field::kBosPiece) spec->bos_piece = field.bytes;
    if (field.number == trainer_field::kEosPiece) spec->eos_piece = field.bytes;
  }
  return true;
}

bool ReadNormalizerSpec(std::string_view message, NormalizerSpec* spec) {
  WireReader reader(message);
  for (WireField field; !reader.at_end();) {
    if (!reader.Next(&field)) return false;
    if (field.number == normalizer_field::kCharsMap) spec->has_chars_map = !field.bytes.empty();
    if (field.number == normalizer_field::kAddDummyPrefix) spec->add_dummy_prefix = field.value != 0;
    if (field.number == normalizer_field::kRemoveExtraWhitespaces) spec->remove_extra_whitespaces = field.value != 0;
    if (field.number == normalizer_field::kEscapeWhitespaces) spec->escape_whitespaces = field.value != 0;
  }
  return true;
}

absl::Status CheckSpecs(const std::string& source, const TrainerSpec& trainer, const NormalizerSpec& normalizer,
                        const std::vector<TokenizerPiece>& pieces) {
  if (trainer.model_type != kModelTypeBpe) {
    return InvalidArgument("{}: SentencePiece trainer_spec.model_type: expected 2 (BPE), found {}", source,
                           trainer.model_type);
  }
  if (trainer.whitespace_as_suffix) {
    return InvalidArgument("{}: SentencePiece trainer_spec.treat_whitespace_as_suffix: expected false", source);
  }
  if (normalizer.has_chars_map) {
    return InvalidArgument("{}: SentencePiece normalizer_spec: expected 'identity', found a character map", source);
  }
  if (normalizer.remove_extra_whitespaces) {
    return InvalidArgument("{}: SentencePiece normalizer_spec.remove_extra_whitespaces: expected false", source);
  }
  if (!normalizer.escape_whitespaces) {
    return InvalidArgument("{}: SentencePiece normalizer_spec.escape_whitespaces: expected true", source);
  }
  const bool has_bytes = std::any_of(pieces.begin(), pieces.end(),
                                     [](const TokenizerPiece& piece) { return piece.type == PieceType::kByte; });
  if (has_bytes != trainer.byte_fallback) {
    return InvalidArgument("{}: SentencePiece trainer_spec.byte_fallback is {}, but byte pieces are {}", source,
                           trainer.byte_fallback, has_bytes ? "there" : "absent");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExpandSentencePieceModel(TokenizerData* data) {
  const std::string model = std::move(data->sentencepiece_model);
  TrainerSpec trainer;
  NormalizerSpec normalizer;
  std::vector<TokenizerPiece> pieces;
  WireReader reader(model);
  for (WireField field; !reader.at_end();) {
    bool is_good = reader.Next(&field);
    if (is_good && field.type == kBytes) {
      if (field.number == model_field::kPieces) is_good = ReadPiece(field.bytes, &pieces.emplace_back());
      if (field.number == model_field::kTrainerSpec) is_good = ReadTrainerSpec(field.bytes, &trainer);
      if (field.number == model_field::kNormalizerSpec) is_good = ReadNormalizerSpec(field.bytes, &normalizer);
    }
    if (!is_good) return InvalidArgument("{}: SentencePiece model: it is damaged or not a model", data->source);
  }
  if (pieces.empty()) return InvalidArgument("{}: SentencePiece model: it has no pieces", data->source);
  TOME_RETURN_IF_ERROR(CheckSpecs(data->source, trainer, normalizer, pieces));
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const auto note = [&](const TokenizerPiece& piece, PieceType type, std::string_view text,
                          std::optional<TokenId>* named) {
      if (piece.type == type && (text.empty() || piece.text == text) && !named->has_value()) {
        *named = static_cast<TokenId>(id);
      }
    };
    note(pieces[id], PieceType::kControl, trainer.bos_piece, &data->bos);
    note(pieces[id], PieceType::kControl, trainer.eos_piece, &data->eos);
    note(pieces[id], PieceType::kUnknown, "", &data->unknown);
  }
  data->kind = TokenizerKind::kSentencePieceBpe;
  data->sentencepiece_model.clear();
  data->pieces = std::move(pieces);
  data->add_dummy_prefix = normalizer.add_dummy_prefix;
  return absl::OkStatus();
}

std::string SerializeSentencePieceModel(const std::vector<TokenizerPiece>& pieces) {
  WireWriter model;
  bool has_bytes = false;
  for (const TokenizerPiece& piece : pieces) {
    WireWriter message;
    message.Bytes(piece_field::kText, piece.text);
    message.Float(piece_field::kScore, piece.score);
    message.Varint(piece_field::kType, static_cast<std::uint64_t>(piece.type));
    model.Bytes(model_field::kPieces, message.bytes());
    has_bytes = has_bytes || piece.type == PieceType::kByte;
  }
  WireWriter trainer;
  trainer.Varint(trainer_field::kModelType, kModelTypeBpe);
  trainer.Varint(trainer_field::kByteFallback, has_bytes);
  model.Bytes(model_field::kTrainerSpec, trainer.bytes());
  WireWriter normalizer;
  normalizer.Varint(normalizer_field::kAddDummyPrefix, 0);
  normalizer.Varint(normalizer_field::kRemoveExtraWhitespaces, 0);
  normalizer.Varint(normalizer_field::kEscapeWhitespaces, 1);
  model.Bytes(model_field::kNormalizerSpec, normalizer.bytes());
  return model.bytes();
}

}  // namespace tome
