#include "engine/training/training_pass.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "engine/training/token_loss.h"

namespace tome {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight", kOutput[] = "lm_head.weight", kNorm[] = "model.norm.weight";

// The sequences' inputs one after another, and for each token that counts the row that predicts it.
struct Rows {
  std::vector<TokenId> inputs, targets;
  std::vector<std::int64_t> lengths, predicting;
};

absl::StatusOr<Rows> RowsOf(absl::Span<const TrainingSequence> batch, std::int64_t vocab_size) {
  Rows rows;
  for (const TrainingSequence& sequence : batch) {
    if (sequence.first_counted < 1 || sequence.first_counted >= sequence.tokens.size()) {
      return InvalidArgument("a sequence of {} tokens: expected the first that counts within it, found {}",
                             sequence.tokens.size(), sequence.first_counted);
    }
    for (const TokenId token : sequence.tokens) {
      if (token < 0 || token >= vocab_size) {
        return InvalidArgument("token {} is outside the vocabulary of {}", token, vocab_size);
      }
    }
    const auto begin = static_cast<std::int64_t>(rows.inputs.size());
    rows.inputs.insert(rows.inputs.end(), sequence.tokens.begin(), sequence.tokens.end() - 1);
    rows.lengths.push_back(static_cast<std::int64_t>(sequence.tokens.size()) - 1);
    for (std::size_t i = sequence.first_counted; i < sequence.tokens.size(); ++i) {
      rows.targets.push_back(sequence.tokens[i]);
      rows.predicting.push_back(begin + static_cast<std::int64_t>(i) - 1);
    }
  }
  if (rows.inputs.empty()) return InvalidArgument("expected a batch of one sequence or more, found none");
  return rows;
}

class Pass {
 public:
  Pass(const TrainingModel& model, Rows rows, SequenceLayout layout, const PassOptions& options)
      : model_(model),
        weights_(*model.weights),
        rows_(std::move(rows)),
        layout_(std::move(layout)),
        options_(options) {}

  double Run() {
    const c10::NoGradGuard no_gradients;
    at::Tensor hidden = Embed();
    for (std::int64_t index = 0; index < model_.config.num_layers; ++index) {
      hidden = Up(index, hidden);
    }
    const at::Tensor predicting = at::tensor(rows_.predicting, at::kLong).to(hidden.device());
    const TokenLoss loss = ComputeTokenLoss(Head(), hidden.index_select(0, predicting), rows_.targets,
                                            options_.with_gradients, options_.scale);
    if (!options_.with_gradients) return loss.nats;
    at::Tensor gradient = at::zeros(hidden.sizes(), hidden.options());
    gradient.index_copy_(0, predicting, loss.gradient);
    for (std::int64_t index = model_.config.num_layers - 1; index >= model_.trainable.first_layer(); --index) {
      gradient = Down(index, gradient);
    }
    AddEmbeddingGradient(gradient);
    return loss.nats;
  }

 private:
  at::Tensor Embed() const {
    const at::Tensor ids = InputIds();
    if (model_.trainable.Has(kEmbedding)) return Trained(kEmbedding).detach().index_select(0, ids);
    if (!weights_.device.is_cpu()) return weights_.embedding.dense().index_select(0, ids).to(at::kFloat);
    at::Tensor hidden = at::empty({ids.size(0), model_.config.hidden_size}, at::kFloat);
    for (std::int64_t i = 0; i < ids.size(0); ++i) {
      weights_.embedding.CopyRow(rows_.inputs[i], hidden.mutable_data_ptr<float>() + i * hidden.size(1));
    }
    return hidden;
  }

  at::Tensor InputIds() const {
    return at::tensor(at::ArrayRef<TokenId>(rows_.inputs.data(), rows_.inputs.size()), at::kInt)
        .to(weights_.device, at::kLong);
  }

  LossHead Head() const {
    const at::Tensor& norm = model_.trainable.Whole(kNorm, weights_.final_norm);
    if (model_.trainable.Has(kOutput)) return {norm, Trained(kOutput), model_.config.rms_norm_epsilon};
    if (model_.trainable.tied_output()) return {norm, Trained(kEmbedding), model_.config.rms_norm_epsilon};
    return {norm, model_.output, model_.config.rms_norm_epsilon};
  }

  const at::Tensor& Trained(const char* name) const { return model_.trainable.Whole(name, at::Tensor()); }

  at::Tensor Up(std::int64_t index, const at::Tensor& hidden) {
    if (!options_.with_gradients || index < model_.trainable.first_layer()) return Layer(index, hidden);
    Kept kept{.input = hidden};
    const at::Tensor output = options_.recompute ? Layer(index, hidden) : Follow(index, &kept);
    kept_.push_back(std::move(kept));
    return output.detach();
  }

  at::Tensor Layer(std::int64_t index, const at::Tensor& hidden) const {
    return TrainingLayer(model_, index, layout_, hidden);
  }

  struct Kept {
    at::Tensor input, output;  // the output only where it was followed
  };
  at::Tensor Follow(std::int64_t index, Kept* kept) const {
    const c10::AutoGradMode with_gradients(true);
    const bool gradient_goes_on = index > model_.trainable.first_layer() || model_.trainable.Has(kEmbedding);
    kept->input = kept->input.detach().requires_grad_(gradient_goes_on);
    return kept->output = Layer(index, kept->input);
  }

  // The gradient of a layer's input, from that of its output; undefined where nobody needs it.
  at::Tensor Down(std::int64_t index, const at::Tensor& gradient) {
    Kept kept = std::move(kept_.back());
    kept_.pop_back();
    if (!kept.output.defined()) Follow(index, &kept);
    torch::autograd::backward({kept.output}, {gradient});
    return kept.input.grad();
  }

  void AddEmbeddingGradient(const at::Tensor& gradient) const {
    if (!model_.trainable.Has(kEmbedding)) return;
    at::Tensor leaf = Trained(kEmbedding);
    if (!leaf.grad().defined()) leaf.mutable_grad() = at::zeros(leaf.sizes(), leaf.options().requires_grad(false));
    leaf.mutable_grad().index_add_(0, InputIds(), gradient);
  }

  const TrainingModel& model_;
  const LlamaWeights& weights_;
  const Rows rows_;
  const SequenceLayout layout_;
  const PassOptions options_;
  std::vector<Kept> kept_;
};

}  // namespace

absl::StatusOr<double> RunTrainingPass(const TrainingModel& model, absl::Span<const TrainingSequence> batch,
                                       const PassOptions& options) {
  TOME_ASSIGN_OR_RETURN(Rows rows, RowsOf(batch, model.config.vocab_size));
  LlamaConfig config = model.config;
  if (options.rope_factor > 0) config.rope_scaling.factor = options.rope_factor;
  TOME_ASSIGN_OR_RETURN(SequenceLayout layout, SequenceLayout::Make(config, model.pattern, rows.lengths, options.shifts,
                                                                    model.weights->device));
  return Pass(model, std::move(rows), std::move(layout), options).Run();
}

std::int64_t EstimatePassBytes(const TrainingModel& model, std::int64_t tokens, bool recompute) {
  const LlamaConfig& config = model.config;
  const auto element = static_cast<std::int64_t>(at::elementSize(model.weights->type));
  const std::int64_t heads = config.num_heads * config.head_dim, keys = 2 * config.num_kv_heads * config.head_dim;
  // Hidden states and norms in fp32; each of q, k, v twice, as product and rotated; what the activations keep.
  const std::int64_t layer = 4 * 6 * config.hidden_size +
                             element * (2 * (heads + keys) + 2 * heads + 2 * config.hidden_size + 5 * config.ffn_size);
  const std::int64_t block = std::min<std::int64_t>(512, tokens) * config.vocab_size * (4 + 4 + element);
  const std::int64_t kept = recompute ? 4 * config.hidden_size : layer;
  return tokens * (kept * config.num_layers + 2 * layer) + block;
}

}  // namespace tome
