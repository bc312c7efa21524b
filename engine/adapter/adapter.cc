#include "engine/adapter/adapter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/types/span.h"
#include "engine/base/digest.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/files/byte_writer.h"

namespace tome {
namespace {

constexpr std::string_view kLayerPrefix = "model.layers.";
constexpr std::string_view kNames[] = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

std::string_view BlockOf(AdaptedMatrix matrix) { return matrix <= AdaptedMatrix::kOutput ? "self_attn." : "mlp."; }

// "3.self_attn.q_proj" -> 3 and "self_attn.q_proj"; nullopt unless the number is written as ModuleName writes it.
std::optional<std::pair<std::int64_t, std::string_view>> SplitLayer(std::string_view text) {
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  if (error != std::errc() || layer < 0 || end == text.data() + text.size() || *end != '.') return std::nullopt;
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (fmt::format("{}", layer) != text.substr(0, digits)) return std::nullopt;
  return std::pair(layer, text.substr(digits + 1));
}

bool AllFinite(absl::Span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

absl::Status CheckPair(const LowRankPair& pair, const MatrixShape& shape, const std::string& place) {
  const auto count = [](const std::vector<float>& values) { return static_cast<std::int64_t>(values.size()); };
  if (pair.rank < 1 || count(pair.a) != pair.rank * shape.columns || count(pair.b) != shape.rows * pair.rank) {
    return InvalidArgument("{}: expected A of [{}, {}] and B of [{}, {}], found {} and {} numbers", place, pair.rank,
                           shape.columns, shape.rows, pair.rank, pair.a.size(), pair.b.size());
  }
  if (!std::isfinite(pair.scale)) return InvalidArgument("{}: expected a finite scale, found {}", place, pair.scale);
  if (AllFinite(pair.a) && AllFinite(pair.b)) return absl::OkStatus();
  return InvalidArgument("{}: expected finite numbers, found others", place);
}

absl::Status CheckTrained(const std::string& name, const std::vector<float>& values, const LlamaConfig& config,
                          const std::string& source) {
  const std::string place = fmt::format("{}: tensor {}", source, Quote(name));
  const auto shape = TrainableTensorShape(name, config);
  if (!shape) return InvalidArgument("{}: expected embedding, output or norms, found another tensor", place);
  std::int64_t count = 1;
  for (const std::int64_t size : *shape) count *= size;
  if (count != static_cast<std::int64_t>(values.size())) {
    return InvalidArgument("{}: expected shape {}, found {} numbers", place, ShapeText(*shape), values.size());
  }
  if (AllFinite(values)) return absl::OkStatus();
  return InvalidArgument("{}: expected finite numbers, found others", place);
}

absl::Status Check(const LlamaConfig& config, const AdapterContents& contents, const std::string& source) {
  if (static_cast<std::int64_t>(contents.layers.size()) != config.num_layers) {
    return InvalidArgument("{}: expected {} layers, found {}", source, config.num_layers, contents.layers.size());
  }
  bool any = !contents.trained.empty();
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = contents.Pair(layer, matrix);
      if (pair.rank == 0) continue;
      any = true;
      TOME_RETURN_IF_ERROR(CheckPair(pair, ShapeOf(matrix, config), source + ": " + ModuleName(layer, matrix)));
    }
  }
  for (const auto& [name, values] : contents.trained) {
    TOME_RETURN_IF_ERROR(CheckTrained(name, values, config, source));
  }
  if (any) return absl::OkStatus();
  return InvalidArgument("{}: expected low-rank pairs or trained tensors, found none", source);
}

void Hash(const std::string& name, double scale, std::int64_t rank, absl::Span<const float> values, Sha256* sha) {
  ByteWriter header;
  header.WriteString(name);
  header.Write<double>(scale);
  header.Write<std::int64_t>(rank);
  header.Write<std::uint64_t>(values.size());
  sha->Update(header.bytes());
  sha->Update(
      absl::Span<const std::byte>(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float)));
}

std::string ComputeDigest(const AdapterContents& contents) {
  Sha256 sha;
  for (std::size_t layer = 0; layer < contents.layers.size(); ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = contents.Pair(static_cast<std::int64_t>(layer), matrix);
      if (pair.rank == 0) continue;
      const std::string name = ModuleName(static_cast<std::int64_t>(layer), matrix);
      Hash(name + ".A", pair.scale, pair.rank, pair.a, &sha);
      Hash(name + ".B", pair.scale, pair.rank, pair.b, &sha);
    }
  }
  for (const auto& [name, values] : contents.trained) Hash(name, 1, contents.tied_output ? 1 : 0, values, &sha);
  return sha.FinishHex();
}

}  // namespace

std::string_view AdaptedMatrixName(AdaptedMatrix matrix) { return kNames[static_cast<std::size_t>(matrix)]; }

std::optional<AdaptedMatrix> ParseAdaptedMatrix(std::string_view name) {
  for (const AdaptedMatrix matrix : kAdaptedMatrices) {
    if (AdaptedMatrixName(matrix) == name) return matrix;
  }
  return std::nullopt;
}

std::string ModuleName(std::int64_t layer, AdaptedMatrix matrix) {
  return fmt::format("{}{}.{}{}", kLayerPrefix, layer, BlockOf(matrix), AdaptedMatrixName(matrix));
}

std::optional<AdaptedModule> ParseModuleName(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  const auto split = SplitLayer(name.substr(kLayerPrefix.size()));
  if (!split) return std::nullopt;
  for (const AdaptedMatrix matrix : kAdaptedMatrices) {
    if (split->second == std::string(BlockOf(matrix)).append(AdaptedMatrixName(matrix))) {
      return AdaptedModule{.layer = split->first, .matrix = matrix};
    }
  }
  return std::nullopt;
}

MatrixShape ShapeOf(AdaptedMatrix matrix, const LlamaConfig& config) {
  const std::int64_t queries = config.num_heads * config.head_dim, keys = config.num_kv_heads * config.head_dim;
  switch (matrix) {
    case AdaptedMatrix::kQuery:
      return {queries, config.hidden_size};
    case AdaptedMatrix::kKey:
    case AdaptedMatrix::kValue:
      return {keys, config.hidden_size};
    case AdaptedMatrix::kOutput:
      return {config.hidden_size, queries};
    case AdaptedMatrix::kGate:
    case AdaptedMatrix::kUp:
      return {config.ffn_size, config.hidden_size};
    case AdaptedMatrix::kDown:
      return {config.hidden_size, config.ffn_size};
  }
  return {};
}

std::optional<std::vector<std::int64_t>> TrainableTensorShape(std::string_view name, const LlamaConfig& config) {
  using Shape = std::vector<std::int64_t>;
  if (name == "model.embed_tokens.weight" || name == "lm_head.weight") {
    return Shape{config.vocab_size, config.hidden_size};
  }
  if (name == "model.norm.weight") return Shape{config.hidden_size};
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  const auto split = SplitLayer(name.substr(kLayerPrefix.size()));
  if (!split || split->first >= config.num_layers) return std::nullopt;
  if (split->second != "input_layernorm.weight" && split->second != "post_attention_layernorm.weight") {
    return std::nullopt;
  }
  return Shape{config.hidden_size};
}

absl::StatusOr<std::shared_ptr<const Adapter>> Adapter::Make(const LlamaConfig& config, AdapterContents contents,
                                                             const std::string& source,
                                                             std::vector<std::string> warnings) {
  TOME_RETURN_IF_ERROR(Check(config, contents, source));
  return std::shared_ptr<const Adapter>(new Adapter(std::move(contents), std::move(warnings)));
}

Adapter::Adapter(AdapterContents contents, std::vector<std::string> warnings)
    : contents_(std::move(contents)), warnings_(std::move(warnings)), digest_(ComputeDigest(contents_)) {}

std::int64_t Adapter::num_parameters() const {
  std::size_t count = 0;
  for (const auto& layer : contents_.layers) {
    for (const LowRankPair& pair : layer) count += pair.a.size() + pair.b.size();
  }
  for (const auto& [name, values] : contents_.trained) count += values.size();
  return static_cast<std::int64_t>(count);
}

}  // namespace tome
