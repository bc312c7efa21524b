#include "engine/adapter/gguf_adapter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/rotary_rows.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/checkpoint/gguf/gguf_file.h"

namespace tome {
namespace {

// By AdaptedMatrix.
constexpr std::string_view kNames[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
constexpr std::string_view kPrefix = "blk.", kA = ".weight.lora_a", kB = ".weight.lora_b";

struct HalfName {
  AdaptedModule module;
  bool is_a = false;
};

// "blk.3.attn_q.weight.lora_a"
std::optional<HalfName> ParseName(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  HalfName half{.is_a = name.ends_with(kA)};
  if (!half.is_a && !name.ends_with(kB)) return std::nullopt;
  name.remove_suffix(kA.size());
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), half.module.layer);
  if (error != std::errc() || half.module.layer < 0 || end == name.data() + name.size() || *end != '.') {
    return std::nullopt;
  }
  name.remove_prefix(static_cast<std::size_t>(end - name.data()) + 1);
  const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) return std::nullopt;
  half.module.matrix = static_cast<AdaptedMatrix>(found - std::begin(kNames));
  return half;
}

absl::Status ExpectText(const GgufFile& file, std::string_view key, std::string_view expected) {
  TOME_ASSIGN_OR_RETURN(const std::string_view found, file.String(key));
  if (found == expected) return absl::OkStatus();
  return InvalidArgument("{}: metadata '{}': expected '{}', found {}", file.source(), key, expected, Quote(found));
}

absl::StatusOr<double> ReadAlpha(const GgufFile& file) {
  TOME_RETURN_IF_ERROR(ExpectText(file, "general.type", "adapter"));
  TOME_RETURN_IF_ERROR(ExpectText(file, "general.architecture", "llama"));
  TOME_RETURN_IF_ERROR(ExpectText(file, "adapter.type", "lora"));
  constexpr std::string_view kInvocation = "adapter.alora.invocation_tokens";
  if (file.Has(kInvocation)) {
    return InvalidArgument("{}: metadata '{}': expected none, for Tome does not support activated adapters",
                           file.source(), kInvocation);
  }
  TOME_ASSIGN_OR_RETURN(const double alpha, file.Number("adapter.lora.alpha"));
  if (std::isfinite(alpha)) return alpha;
  return InvalidArgument("{}: metadata 'adapter.lora.alpha': expected a finite number, found {}", file.source(), alpha);
}

// Rows [rows, columns], each `order` says which one.
std::vector<float> ReadRows(const CheckpointTensor& tensor, const std::vector<std::int64_t>& order) {
  const std::int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  const std::size_t row_bytes = tensor.data.size() / static_cast<std::size_t>(rows);
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t source = order.empty() ? row : order[static_cast<std::size_t>(row)];
    DequantizeRow(
        tensor.type, tensor.data.subspan(static_cast<std::size_t>(source) * row_bytes, row_bytes),
        absl::MakeSpan(values).subspan(static_cast<std::size_t>(row * columns), static_cast<std::size_t>(columns)));
  }
  return values;
}

std::vector<std::int64_t> RowOrder(AdaptedMatrix matrix, const LlamaConfig& config) {
  if (matrix == AdaptedMatrix::kQuery) return HalvesOrder(config.num_heads, config.head_dim);
  if (matrix == AdaptedMatrix::kKey) return HalvesOrder(config.num_kv_heads, config.head_dim);
  return {};
}

absl::Status AddHalf(const std::string& name, const CheckpointTensor& tensor, const LlamaConfig& config,
                     const std::string& source, AdapterContents* contents) {
  const std::string place = fmt::format("{}: tensor {}", source, Quote(name));
  const auto half = ParseName(name);
  if (!half || half->module.layer >= config.num_layers) {
    return InvalidArgument(
        "{}: expected 'blk.N.X.weight.lora_a' or '.lora_b' with N below {} and X attn_q, attn_k, attn_v, attn_output, "
        "ffn_gate, ffn_up or ffn_down, found another name",
        place, config.num_layers);
  }
  const MatrixShape matrix = ShapeOf(half->module.matrix, config);
  LowRankPair& pair = contents->Pair(half->module.layer, half->module.matrix);
  const bool fits =
      tensor.shape.size() == 2 && (half->is_a ? tensor.shape[1] == matrix.columns : tensor.shape[0] == matrix.rows);
  const std::int64_t rank = fits ? tensor.shape[half->is_a ? 0 : 1] : 0;
  if (!fits || (pair.rank != 0 && pair.rank != rank)) {
    const std::string expected_rank = pair.rank == 0 ? "rank" : fmt::format("{}", pair.rank);
    return InvalidArgument("{}: expected shape [{}, {}], found {}", place,
                           half->is_a ? expected_rank : fmt::format("{}", matrix.rows),
                           half->is_a ? fmt::format("{}", matrix.columns) : expected_rank, ShapeText(tensor.shape));
  }
  pair.rank = rank;
  if (half->is_a) {
    pair.a = ReadRows(tensor, {});
  } else {
    pair.b = ReadRows(tensor, RowOrder(half->module.matrix, config));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Adapter>> ParseGgufAdapter(std::string_view bytes, const LlamaConfig& config,
                                                                const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Parse(bytes, source));
  TOME_ASSIGN_OR_RETURN(const double alpha, ReadAlpha(file));
  AdapterContents contents;
  contents.layers.resize(static_cast<std::size_t>(config.num_layers));
  for (const auto& [name, tensor] : file.tensors()) {
    TOME_RETURN_IF_ERROR(AddHalf(name, tensor, config, source, &contents));
  }
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      LowRankPair& pair = contents.Pair(layer, matrix);
      pair.scale = alpha == 0 || pair.rank == 0 ? 1 : alpha / static_cast<double>(pair.rank);
      if (pair.a.empty() == pair.b.empty()) continue;
      return InvalidArgument("{}: tensor 'blk.{}.{}{}' is missing", source, layer,
                             kNames[static_cast<std::size_t>(matrix)], pair.a.empty() ? kA : kB);
    }
  }
  return Adapter::Make(config, std::move(contents), source);
}

}  // namespace tome
