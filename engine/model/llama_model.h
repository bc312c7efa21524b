// The one kind of Model: a LLaMA in this process's memory.
#ifndef TOME_ENGINE_MODEL_LLAMA_MODEL_H_
#define TOME_ENGINE_MODEL_LLAMA_MODEL_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/adapter/adapter.h"
#include "engine/model/model.h"
#include "engine/model/token_meanings.h"
#include "engine/model/weights.h"

namespace tome {

class LlamaModel final : public Model {
 public:
  LlamaModel(ModelInfo info, std::shared_ptr<const Tokenizer> tokenizer, LlamaWeights weights, ModelProfile profile,
             std::shared_ptr<SpillFolder> spill_folder)
      : info_(std::move(info)),
        tokenizer_(std::move(tokenizer)),
        weights_(std::move(weights)),
        meanings_(weights_),
        profile_(std::move(profile)),
        spill_folder_(std::move(spill_folder)),
        views_(std::make_shared<Views>()),
        adapted_(std::make_shared<Adapted>()) {}

  const ModelInfo& info() const override { return info_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const override { return tokenizer_; }
  const ModelProfile& profile() const override { return profile_; }
  const std::shared_ptr<SpillFolder>& spill_folder() const override { return spill_folder_; }
  const LlamaWeights& weights() const { return weights_; }
  const TokenMeanings& meanings() const { return meanings_; }

  // `model` with another position encoding, see WithPositionEncoding; itself for "". It shares the weights, and is made
  // once as long as somebody holds it. INVALID_ARGUMENT of WithPositionEncoding.
  static absl::StatusOr<std::shared_ptr<const Model>> WithEncoding(std::shared_ptr<const Model> model,
                                                                   const std::string& encoding);

  // The weights with an adapter, which is made once as long as somebody holds the adapter; null for null. Thread-safe.
  // INVALID_ARGUMENT for the adapter of another model; RESOURCE_EXHAUSTED.
  absl::StatusOr<std::shared_ptr<const LlamaWeights>> AdaptedWeights(
      const std::shared_ptr<const Adapter>& adapter) const;

  // Every Model is a LlamaModel: only this class can construct one.
  static const LlamaModel& From(const Model& model) { return static_cast<const LlamaModel&>(model); }

 private:
  // What was made by WithEncoding of this model or of another view of it.
  struct Views {
    std::mutex mutex;
    std::map<std::string, std::weak_ptr<const Model>> by_encoding;
  };

  // What was made by AdaptedWeights of this model.
  struct Adapted {
    std::mutex mutex;
    std::map<std::weak_ptr<const Adapter>, std::shared_ptr<const LlamaWeights>, std::owner_less<>> by_adapter;
  };

  ModelInfo info_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  LlamaWeights weights_;
  TokenMeanings meanings_;
  ModelProfile profile_;
  std::shared_ptr<SpillFolder> spill_folder_;
  std::shared_ptr<Views> views_;
  std::shared_ptr<Adapted> adapted_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_LLAMA_MODEL_H_
