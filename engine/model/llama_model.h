// The one kind of Model: a LLaMA in this process's memory.
#ifndef TOME_ENGINE_MODEL_LLAMA_MODEL_H_
#define TOME_ENGINE_MODEL_LLAMA_MODEL_H_

#include <memory>
#include <utility>

#include "engine/engine.h"
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
        spill_folder_(std::move(spill_folder)) {}

  const ModelInfo& info() const override { return info_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const override { return tokenizer_; }
  const ModelProfile& profile() const override { return profile_; }
  const std::shared_ptr<SpillFolder>& spill_folder() const override { return spill_folder_; }
  const LlamaWeights& weights() const { return weights_; }
  const TokenMeanings& meanings() const { return meanings_; }

  // Every Model is a LlamaModel: only this class can construct one.
  static const LlamaModel& From(const Model& model) { return static_cast<const LlamaModel&>(model); }

 private:
  ModelInfo info_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  LlamaWeights weights_;
  TokenMeanings meanings_;
  ModelProfile profile_;
  std::shared_ptr<SpillFolder> spill_folder_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_LLAMA_MODEL_H_
