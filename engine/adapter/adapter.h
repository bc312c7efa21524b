// What fine-tuning adds to a model: low-rank pairs (LoRA, arXiv 2106.09685) and whole tensors that were trained.
//
// Shapes: `rows` and `columns` of the matrix that a pair belongs to, r the pair's rank.
#ifndef TOME_ENGINE_ADAPTER_ADAPTER_H_
#define TOME_ENGINE_ADAPTER_ADAPTER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/llama_config.h"

namespace tome {

// The matrices of a layer that a pair can belong to.
enum class AdaptedMatrix { kQuery, kKey, kValue, kOutput, kGate, kUp, kDown };
inline constexpr std::array<AdaptedMatrix, 7> kAdaptedMatrices = {
    AdaptedMatrix::kQuery, AdaptedMatrix::kKey, AdaptedMatrix::kValue, AdaptedMatrix::kOutput,
    AdaptedMatrix::kGate,  AdaptedMatrix::kUp,  AdaptedMatrix::kDown};

std::string_view AdaptedMatrixName(AdaptedMatrix matrix);  // "q_proj"
std::optional<AdaptedMatrix> ParseAdaptedMatrix(std::string_view name);

// "model.layers.3.self_attn.q_proj", and back; nullopt for the name of something else.
std::string ModuleName(std::int64_t layer, AdaptedMatrix matrix);
struct AdaptedModule {
  std::int64_t layer = 0;
  AdaptedMatrix matrix = AdaptedMatrix::kQuery;
};
std::optional<AdaptedModule> ParseModuleName(std::string_view name);

struct MatrixShape {
  std::int64_t rows = 0, columns = 0;
};
MatrixShape ShapeOf(AdaptedMatrix matrix, const LlamaConfig& config);

// The matrix W becomes W + scale B A. Rows of q_proj and k_proj are in halves order, whatever the files' order was.
struct LowRankPair {
  std::int64_t rank = 0;  // 0: there is none
  double scale = 1;
  std::vector<float> a;  // [r, columns]
  std::vector<float> b;  // [rows, r]
};

struct AdapterContents {
  // For each layer of the model the pair of each of kAdaptedMatrices.
  std::vector<std::array<LowRankPair, kAdaptedMatrices.size()>> layers;
  // Whole tensors in place of the model's, by Hugging Face's names: embedding, output and norms.
  std::map<std::string, std::vector<float>, std::less<>> trained;
  // A trained embedding is the output layer as well, where the model's own is. Else the output stays what it was.
  bool tied_output = false;

  LowRankPair& Pair(std::int64_t layer, AdaptedMatrix matrix) {
    return layers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(matrix)];
  }
  const LowRankPair& Pair(std::int64_t layer, AdaptedMatrix matrix) const {
    return layers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(matrix)];
  }
};

// Of embeddings, output and norms the shape; nullopt for other tensors. An output of its own can be trained also where
// the model's is the embedding.
std::optional<std::vector<std::int64_t>> TrainableTensorShape(std::string_view name, const LlamaConfig& config);

// Immutable and thread-safe.
class Adapter {
 public:
  // INVALID_ARGUMENT, beginning with `source`: without any pair or tensor, or where a size is not that of a model with
  // this config, or a number is not finite. `warnings`: what was unusual about the files.
  static absl::StatusOr<std::shared_ptr<const Adapter>> Make(const LlamaConfig& config, AdapterContents contents,
                                                             const std::string& source,
                                                             std::vector<std::string> warnings = {});

  const AdapterContents& contents() const { return contents_; }
  // SHA-256 over weights and configuration, lower-case hex. The same adapter has one digest in every file format.
  const std::string& digest() const { return digest_; }
  std::int64_t num_parameters() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Adapter(AdapterContents contents, std::vector<std::string> warnings);

  AdapterContents contents_;
  std::vector<std::string> warnings_;
  std::string digest_;
};

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_ADAPTER_H_
