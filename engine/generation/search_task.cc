#include "engine/generation/search_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/attention/causal_attention.h"
#include "engine/base/status.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

// Tokens of one reranking step: enough to keep the matrix products busy, few enough for a quick cancellation.
constexpr std::size_t kRerankTokens = 768;

struct EffortPlan {
  std::size_t reranked = 0;  // regions
  int neighbours = 0;        // on each side, of the text that is reranked
};
EffortPlan PlanOf(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return {};
    case Effort::kBalanced:
      return {.reranked = 32, .neighbours = 0};
    case Effort::kThorough:
      return {.reranked = 64, .neighbours = 1};
  }
  return {};
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
      const auto [queries, keys, values] = QueryKeyValue::Split(qkv.narrow(0, first, length), weights_.config);
      const at::Tensor rotated_queries = at::empty(queries.sizes(), queries.options());
      const at::Tensor rotated_keys = at::empty(keys.sizes(), keys.options());
      RotateInto(queries, weights_.rope, 0, rotated_queries);
      RotateInto(keys, weights_.rope, 0, rotated_keys);
      CausalAttention(rotated_queries, rotated_keys, values.contiguous(), out.narrow(0, first, length));
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

// exp(value - maximum), normalised to a sum of 1.
void SetShares(const std::vector<double>& logarithms, std::vector<FoundRegion*> regions) {
  double maximum = logarithms.front(), total = 0;
  for (const double value : logarithms) maximum = std::max(maximum, value);
  for (const double value : logarithms) total += std::exp(value - maximum);
  for (std::size_t i = 0; i < regions.size(); ++i) regions[i]->score = std::exp(logarithms[i] - maximum) / total;
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
  const std::size_t to_rerank = routed_ ? candidates_.size() : PlanOf(options_.effort).reranked;
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
  result->tokens_read = tokens;
}

SearchTask::Candidate SearchTask::MakeCandidate(std::int64_t region) const {
  const Archive& archive = fork_.state()->archive();
  Candidate candidate;
  candidate.found.region = region;
  candidate.found.span = archive.RegionSpan(region, region + 1);
  if (!attention_.empty()) candidate.found.attention_mass = attention_[region];
  candidate.found.stem_score = stems_[region];
  candidate.found.token_score = tokens_[region];
  std::int64_t first = region, end = region + 1;
  for (int i = 0; i < PlanOf(options_.effort).neighbours; ++i) {
    if (first > 0 && archive.AreNeighbours(first - 1, first)) --first;
    if (end < archive.num_regions() && archive.AreNeighbours(end - 1, end)) ++end;
  }
  candidate.text = archive.RegionTokens(first, end);
  return candidate;
}

void SearchTask::Route(StepResult* result) {
  result->phase = TaskPhase::kRouting;
  routed_ = true;
  const Archive& archive = fork_.state()->archive();
  const ModelProfile& profile = fork_.model()->profile();
  if (!profile.empty()) attention_ = ScoreByAttention(archive, profile, queries_);
  stems_ = ScoreByStems(archive, question_);
  tokens_ = ScoreByTokens(archive, absl::MakeConstSpan(question_tokens_).subspan(1));
  const std::size_t reranked = PlanOf(options_.effort).reranked;
  const std::size_t count = reranked > 0 ? reranked : options_.max_regions;
  std::vector<std::vector<std::int64_t>> lists = {BestRegions(stems_, count), BestRegions(tokens_, count)};
  // Words find the same regions by stems and by tokens. Half of what is reranked is what attention finds, which is all
  // that there is for a question that shares no word with its answer.
  if (reranked > 0) lists = {FuseByReciprocalRank(lists, count)};
  if (!attention_.empty()) lists.push_back(BestRegions(attention_, count));
  const std::vector<std::int64_t> fused = reranked > 0 ? Interleave(lists, count) : FuseByReciprocalRank(lists, count);
  for (const std::int64_t region : fused) candidates_.push_back(MakeCandidate(region));
  if (reranked == 0 || candidates_.size() < 2) Finish(result);
}

void SearchTask::Rerank(StepResult* result) {
  result->phase = TaskPhase::kReranking;
  std::vector<std::vector<TokenId>> texts;
  std::size_t tokens = 0;
  const std::size_t first = num_reranked_;
  while (num_reranked_ < candidates_.size()) {
    const std::size_t size = candidates_[num_reranked_].text.size() + question_tokens_.size();
    if (!texts.empty() && tokens + size > kRerankTokens) break;
    texts.push_back(candidates_[num_reranked_++].text);
    tokens += size;
  }
  const std::vector<double> likelihoods = QuestionLikelihoods(weights(), texts, question_tokens_);
  for (std::size_t i = 0; i < likelihoods.size(); ++i) {
    if (!std::isfinite(likelihoods[i])) {
      result->status = Internal("the model gives a likelihood that is no number; its weights are damaged");
      return;
    }
    candidates_[first + i].found.log_likelihood = likelihoods[i];
  }
  result->tokens_read = static_cast<std::int64_t>(tokens);
  if (num_reranked_ == candidates_.size()) Finish(result);
}

void SearchTask::Finish(StepResult* result) {
  evidence_ = std::make_shared<Evidence>();
  evidence_->effort = options_.effort;
  evidence_->regions_scanned = fork_.num_regions();
  std::vector<FoundRegion*> regions;
  std::vector<double> logarithms;
  for (Candidate& candidate : candidates_) {
    regions.push_back(&candidate.found);
    if (num_reranked_ > 0) {
      logarithms.push_back(candidate.found.log_likelihood);
    } else {
      const double share = attention_.empty() ? candidate.found.stem_score : candidate.found.attention_mass;
      logarithms.push_back(std::log(std::max(share, 1e-30)));
    }
  }
  if (!regions.empty()) SetShares(logarithms, regions);
  for (const Candidate& candidate : candidates_) evidence_->found.push_back(candidate.found);
  if (num_reranked_ > 0) {
    std::stable_sort(evidence_->found.begin(), evidence_->found.end(),
                     [](const FoundRegion& a, const FoundRegion& b) { return a.log_likelihood > b.log_likelihood; });
  }
  evidence_->found.resize(std::min(evidence_->found.size(), static_cast<std::size_t>(options_.max_regions)));
  candidates_.clear();
  finished_ = true;
  result->finished = true;
  result->evidence = evidence_;
}

}  // namespace tome
