#include "engine/checkpoint/llama2c_checkpoint.h"

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/contents/config_check.h"
#include "engine/checkpoint/contents/sentencepiece_pieces.h"
#include "engine/files/byte_reader.h"

namespace tome {
namespace {

constexpr std::int32_t kNewFormatMagic = 0x616b3432;  // "ak42" of versions 1 and 2

absl::StatusOr<LlamaConfig> ReadHeader(ByteReader* reader) {
  LlamaConfig config;
  const std::pair<std::string_view, std::int64_t*> fields[] = {
      {"dim", &config.hidden_size},        {"hidden_dim", &config.ffn_size},     {"n_layers", &config.num_layers},
      {"n_heads", &config.num_heads},      {"n_kv_heads", &config.num_kv_heads}, {"vocab_size", &config.vocab_size},
      {"seq_len", &config.context_length},
  };
  for (const auto& [name, field] : fields) {
    TOME_ASSIGN_OR_RETURN(const auto value, reader->Read<std::int32_t>(name));
    if (field == &config.hidden_size && value == kNewFormatMagic) {
      return InvalidArgument(
          "{}: dim: expected the legacy format (export.py --version 0), found the magic of a newer one",
          reader->source());
    }
    *field = value;
  }
  // The sign says whether the output layer is the embedding.
  config.tied_output = config.vocab_size > 0;
  config.vocab_size = std::abs(config.vocab_size);
  config.rope_interleaved = true;
  config.rms_norm_epsilon = 1e-5;
  config.rope_theta = 10000.0;
  if (config.num_heads < 1 || config.hidden_size % config.num_heads != 0) {
    return InvalidArgument("{}: n_heads: expected a divisor of dim {}, found {}", reader->source(), config.hidden_size,
                           config.num_heads);
  }
  config.head_dim = config.hidden_size / config.num_heads;
  TOME_RETURN_IF_ERROR(CheckConfig(config, reader->source()));
  return config;
}

// A tensor of the file, of which the first dimension may be the layers.
struct Stack {
  std::string_view name;  // within a layer when `per_layer`
  bool per_layer;
  std::vector<std::int64_t> shape;
};

std::vector<Stack> Layout(const LlamaConfig& config) {
  const std::int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  const std::int64_t kv_rows = config.num_kv_heads * config.head_dim;
  std::vector<Stack> layout = {
      {"model.embed_tokens.weight", false, {config.vocab_size, hidden}},
      {"input_layernorm.weight", true, {hidden}},
      {"self_attn.q_proj.weight", true, {hidden, hidden}},
      {"self_attn.k_proj.weight", true, {kv_rows, hidden}},
      {"self_attn.v_proj.weight", true, {kv_rows, hidden}},
      {"self_attn.o_proj.weight", true, {hidden, hidden}},
      {"post_attention_layernorm.weight", true, {hidden}},
      {"mlp.gate_proj.weight", true, {ffn, hidden}},
      {"mlp.down_proj.weight", true, {hidden, ffn}},
      {"mlp.up_proj.weight", true, {ffn, hidden}},
      {"model.norm.weight", false, {hidden}},
      {"", false, {config.context_length, config.head_dim}},  // two rotary tables of head_dim / 2 columns
  };
  if (!config.tied_output) layout.push_back({"lm_head.weight", false, {config.vocab_size, hidden}});
  return layout;
}

std::string PieceText(std::string_view text) {
  std::string piece;
  for (const char c : text) c == ' ' ? piece.append(kSentencePieceSpace) : piece.append(1, c);
  return piece;
}

PieceType TypeOf(std::size_t id, std::string_view text) {
  if (id == 0) return PieceType::kUnknown;
  if (id <= 2) return PieceType::kControl;
  return IsBytePiece(text) ? PieceType::kByte : PieceType::kNormal;
}

}  // namespace

absl::StatusOr<CheckpointContents> ReadLlama2c(std::string_view bytes, const std::string& source) {
  ByteReader reader(bytes, source);
  CheckpointContents contents;
  TOME_ASSIGN_OR_RETURN(contents.config, ReadHeader(&reader));
  for (const Stack& stack : Layout(contents.config)) {
    const std::int64_t layers = stack.per_layer ? contents.config.num_layers : 1;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const std::string name =
          stack.per_layer ? fmt::format("model.layers.{}.{}", layer, stack.name) : std::string(stack.name);
      const std::string field = name.empty() ? "rotary tables" : fmt::format("tensor {}", Quote(name));
      TOME_ASSIGN_OR_RETURN(const auto size,
                            TensorBytes(TensorType::kF32, stack.shape, fmt::format("{}: {}", source, field)));
      TOME_ASSIGN_OR_RETURN(const auto data, reader.ReadBytes(size, field));
      if (name.empty()) continue;
      contents.tensors[name] = {
          TensorType::kF32, stack.shape, {reinterpret_cast<const std::byte*>(data.data()), data.size()}};
    }
  }
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  return contents;
}

absl::StatusOr<TokenizerData> ReadLlama2cTokenizer(std::string_view bytes, const std::string& source,
                                                   std::int64_t vocab_size) {
  constexpr std::int64_t kMinPieceBytes = 8;
  ByteReader reader(bytes, source);
  TOME_ASSIGN_OR_RETURN(const auto longest, reader.Read<std::int32_t>("longest piece"));
  if (longest < 1) return InvalidArgument("{}: longest piece: expected a positive number, found {}", source, longest);
  if (vocab_size < 3 || vocab_size > static_cast<std::int64_t>(reader.remaining()) / kMinPieceBytes) {
    return InvalidArgument("{}: expected the {} pieces of the model's vocabulary (at least 3), found {} bytes", source,
                           vocab_size, bytes.size());
  }
  TokenizerData data;
  data.kind = TokenizerKind::kSentencePieceBpe;
  data.source = source;
  for (std::int64_t id = 0; id < vocab_size; ++id) {
    const std::string field = fmt::format("piece {}", id);
    TOME_ASSIGN_OR_RETURN(const auto score, reader.Read<float>(field));
    TOME_ASSIGN_OR_RETURN(const auto size, reader.Read<std::int32_t>(field));
    if (!std::isfinite(score))
      return InvalidArgument("{}: {}: expected a finite score, found {}", source, field, score);
    if (size < 1 || size > longest) {
      return InvalidArgument("{}: {}: expected a length from 1 to {}, found {}", source, field, longest, size);
    }
    TOME_ASSIGN_OR_RETURN(const auto text, reader.ReadBytes(static_cast<std::uint64_t>(size), field));
    if (!IsValidUtf8(text)) return InvalidArgument("{}: {}: expected UTF-8, found {}", source, field, Quote(text));
    data.pieces.push_back({PieceText(text), score, TypeOf(static_cast<std::size_t>(id), text)});
  }
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  data.pieces[0].text = "<unk>";
  data.pieces[1].text = "<s>";
  data.pieces[2].text = "</s>";
  data.unknown = 0;
  data.bos = 1;
  data.eos = 2;
  data.add_bos = true;
  return data;
}

}  // namespace tome
