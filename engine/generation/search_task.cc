#include "engine/generation/search_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/attention/causal_attention.h"
#include "engine/base/status.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

// Tokens of one reranking step: enough to keep the matrix products busy, few enough for a quick cancellation.
constexpr std::size_t kRerankTokens = 768;

// Chosen on questions of three kinds over one book and eight articles; see docs/results/finding.md.
constexpr float kAnyScore = -std::numeric_limits<float>::infinity();
constexpr double kNatsOfRouting = 2.0;  // of a routing score beside log-likelihoods
// The sum of both is too sure of itself by this factor: divided by it, the mean score of first regions was the share of
// them that were right.
constexpr double kTemperature = 5.0;

std::size_t RegionsToRerank(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return 0;
    case Effort::kBalanced:
      return 40;
    case Effort::kThorough:
      return 256;
  }
  return 0;
}

// Keeps the queries of the retrieval heads on their way to another attention.
class QueryCapture final : public SequenceAttention {
 public:
  QueryCapture(const ModelProfile& profile, const LlamaConfig& config, SequenceAttention& attention)
      : profile_(profile), config_(config), attention_(attention), queries_(profile.heads.size()) {}

  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override {
    const at::Tensor queries = QueryKeyValue::Split(qkv, config_).queries;
    for (std::size_t i = 0; i < profile_.heads.size(); ++i) {
      if (profile_.heads[i].layer != layer) continue;
      std::vector<at::Tensor> own;
      for (const int head : profile_.heads[i].query_heads) own.push_back(queries.select(0, head));
      queries_[i] = ProjectQueries(profile_.heads[i], at::cat(own, 0));
    }
    attention_.Attend(layer, qkv, out);
  }

  std::vector<HeadQueries> TakeQueries() && { return std::move(queries_); }

 private:
  const ModelProfile& profile_;
  const LlamaConfig& config_;
  SequenceAttention& attention_;
  std::vector<HeadQueries> queries_;
};

// Several sequences side by side, each of which sees only itself.
class SeparateAttention final : public SequenceAttention {
 public:
  SeparateAttention(const LlamaWeights& weights, std::vector<std::int64_t> lengths)
      : weights_(weights), lengths_(std::move(lengths)) {}

  void Attend(std::int64_t, const at::Tensor& qkv, const at::Tensor& out) override {
    std::int64_t first = 0;
    for (const std::int64_t length : lengths_) {
      const auto [queries, keys, values] =
          QueryKeyValue::Split(qkv.narrow(0, first, length), weights_.config).Rotated(weights_.rope);
      CausalAttention(queries, keys, values, out.narrow(0, first, length));
      first += length;
    }
  }

 private:
  const LlamaWeights& weights_;
  std::vector<std::int64_t> lengths_;
};

std::vector<TokenId> QuestionTokens(const Tokenizer& tokenizer, const std::string& question) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : tokenizer.Encode("\n\n" + question)) tokens.push_back(token.id);
  return tokens;
}

std::vector<TokenId> Distinct(absl::Span<const TokenId> tokens) {
  std::vector<TokenId> distinct(tokens.begin(), tokens.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  return distinct;
}

// The probability of each region, given the routers' scores and the question's likelihoods, among these regions.
void SetScores(std::vector<FoundRegion>* regions) {
  double maximum = -std::numeric_limits<double>::infinity(), total = 0;
  for (FoundRegion& region : *regions) {
    region.score = region.log_likelihood + kNatsOfRouting * region.routing_score;
    maximum = std::max(maximum, region.score);
  }
  for (FoundRegion& region : *regions) total += region.score = std::exp((region.score - maximum) / kTemperature);
  for (FoundRegion& region : *regions) region.score /= total;
}

}  // namespace

std::vector<double> QuestionLikelihoods(const LlamaWeights& weights, absl::Span<const std::vector<TokenId>> texts,
                                        absl::Span<const TokenId> question) {
  const c10::InferenceMode inference;
  std::vector<TokenId> all;
  std::vector<std::int64_t> lengths, rows;
  for (const std::vector<TokenId>& text : texts) {
    const auto begin = static_cast<std::int64_t>(all.size() + text.size());
    all.insert(all.end(), text.begin(), text.end());
    all.insert(all.end(), question.begin(), question.end());
    lengths.push_back(static_cast<std::int64_t>(text.size() + question.size()));
    // The row before a token predicts it; the first token of an empty text is not predicted.
    for (std::size_t i = 0; i < question.size(); ++i) rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
  }
  SeparateAttention attention(weights, lengths);
  const at::Tensor hidden = Forward(weights, all, attention);
  std::vector<double> likelihoods(texts.size());
  const auto question_size = static_cast<std::int64_t>(question.size());
  const at::Tensor targets =
      at::tensor(std::vector<std::int64_t>(question.begin(), question.end()), at::kLong).unsqueeze(1);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const at::Tensor own = hidden.narrow(0, rows[i * question.size()], question_size);
    const at::Tensor log_probabilities = at::log_softmax(ComputeLogits(weights, own), -1);
    likelihoods[i] = log_probabilities.gather(1, targets).to(at::kDouble).sum().item<double>();
  }
  return likelihoods;
}

SearchTask::SearchTask(Memory fork, PendingText pending, std::string question, RouteOptions options)
    : fork_(std::move(fork)),
      options_(options),
      question_(std::move(question)),
      question_tokens_(QuestionTokens(*fork_.model()->tokenizer(), question_)) {
  if (!pending.tokens.empty()) read_pending_.emplace(&fork_, std::move(pending.tokens), std::move(pending.spans));
}

const LlamaWeights& SearchTask::weights() const { return LlamaModel::From(*fork_.model()).weights(); }

std::int64_t SearchTask::tokens_left_to_read() const {
  if (finished_) return 0;
  std::int64_t left = 1;
  if (read_pending_) left += read_pending_->tokens_left_to_read();
  const auto question = static_cast<std::int64_t>(question_tokens_.size());
  if (!question_read_) left += question;
  const std::int64_t each = fork_.options().region_tokens + question;
  const std::size_t to_rerank = routed_ ? found_.size() : RegionsToRerank(options_.effort);
  return left + static_cast<std::int64_t>(to_rerank - num_reranked_) * each;
}

StepResult SearchTask::Advance() {
  StepResult result;
  if (read_pending_) {
    result = read_pending_->Advance();
    if (result.finished) read_pending_.reset();
    result.finished = false;
  } else if (!question_read_) {
    ReadQuestion(&result);
  } else if (!routed_) {
    Route(&result);
  } else {
    Rerank(&result);
  }
  return result;
}

void SearchTask::ReadQuestion(StepResult* result) {
  result->phase = TaskPhase::kRouting;
  question_read_ = true;
  const ModelProfile& profile = fork_.model()->profile();
  if (profile.empty()) return;
  const std::int64_t tokens = static_cast<std::int64_t>(question_tokens_.size());
  SequenceCache cache(weights(), *fork_.state(), fork_.tokens_kept() + tokens);
  QueryCapture capture(profile, weights().config, cache);
  ForwardLayers(weights(), question_tokens_, profile.num_layers(), capture);
  queries_ = std::move(capture).TakeQueries();
  for (const HeadQueries& head : queries_) {
    if (AreUsable(head.values)) continue;
    result->status = Internal("the model gives queries that are no usable numbers; its weights are damaged");
    return;
  }
  result->tokens_read = tokens;
}

FoundRegion SearchTask::Describe(std::int64_t region) const {
  FoundRegion found{.region = region,
                    .span = fork_.state()->archive().RegionSpan(region, region + 1),
                    .routing_score = routing_[region],
                    .stem_score = stems_[region],
                    .token_score = tokens_[region]};
  if (!attention_.shares.empty()) found.attention_mass = attention_.shares[region];
  return found;
}

void SearchTask::Route(StepResult* result) {
  result->phase = TaskPhase::kRouting;
  routed_ = true;
  const Archive& archive = fork_.state()->archive();
  const ModelProfile& profile = fork_.model()->profile();
  if (!profile.empty()) {
    attention_ = ScoreByAttention(archive, profile, queries_, TokenWeights(archive, question_tokens_));
  }
  const absl::Span<const TokenId> tokens = absl::MakeConstSpan(question_tokens_).subspan(1);
  stems_ = ScoreByStems(archive, question_);
  tokens_ = ScoreByTokens(archive, tokens);
  const LlamaModel& model = LlamaModel::From(*fork_.model());
  routing_ =
      RoutingScores(attention_.scores,
                    ScoreByMeaning(archive, model.meanings().Similarities(model.weights(), Distinct(tokens))), stems_);
  const std::size_t reranked = RegionsToRerank(options_.effort);
  const std::size_t count = reranked > 0 ? reranked : options_.max_regions;
  // Two by their sense for each one by its words: neither finds all that the other finds.
  const std::vector<std::int64_t> by_words =
      FuseByReciprocalRank({BestRegions(stems_, count), BestRegions(tokens_, count)}, count);
  for (const std::int64_t region : TakeInTurn(BestRegions(routing_, count, kAnyScore), 2, by_words, count)) {
    found_.push_back(Describe(region));
  }
  if (reranked == 0 || found_.size() < 2) Finish(result);
}

void SearchTask::Rerank(StepResult* result) {
  result->phase = TaskPhase::kReranking;
  std::vector<std::vector<TokenId>> texts;
  std::size_t tokens = 0;
  for (std::size_t i = num_reranked_; i < found_.size(); ++i) {
    const std::int64_t region = found_[i].region;
    std::vector<TokenId> text = fork_.state()->archive().RegionTokens(region, region + 1);
    const std::size_t size = text.size() + question_tokens_.size();
    if (!texts.empty() && tokens + size > kRerankTokens) break;
    texts.push_back(std::move(text));
    tokens += size;
  }
  for (const double likelihood : QuestionLikelihoods(weights(), texts, question_tokens_)) {
    if (!std::isfinite(likelihood)) {
      result->status = Internal("the model gives a likelihood that is no number; its weights are damaged");
      return;
    }
    found_[num_reranked_++].log_likelihood = likelihood;
  }
  result->tokens_read = static_cast<std::int64_t>(tokens);
  if (num_reranked_ == found_.size()) Finish(result);
}

void SearchTask::Finish(StepResult* result) {
  evidence_ = std::make_shared<Evidence>();
  evidence_->effort = options_.effort;
  evidence_->regions_scanned = fork_.num_regions();
  evidence_->regions_reranked = static_cast<std::int64_t>(num_reranked_);
  std::vector<FoundRegion>& found = evidence_->found = std::move(found_);
  SetScores(&found);
  std::stable_sort(found.begin(), found.end(),
                   [](const FoundRegion& a, const FoundRegion& b) { return a.score > b.score; });
  found.resize(std::min(found.size(), static_cast<std::size_t>(options_.max_regions)));
  finished_ = true;
  result->finished = true;
  result->evidence = evidence_;
}

}  // namespace tome
