#include "engine/generation/search_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/base/status.h"
#include "engine/generation/question_likelihood.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

// Tokens of one reranking step: enough to keep the matrix products busy, few enough for a quick cancellation.
constexpr std::size_t kRerankTokens = 768;
constexpr std::int64_t kUsualSentence = 24;  // tokens
constexpr int kRoutedForWords = 2;           // regions by their sense for each one by its words
constexpr std::size_t kMostByWords = 32;     // of those
constexpr std::size_t kFound = 256;          // regions that share the scores where the model ranks none

// Chosen on questions of three kinds over one book and eight articles; see docs/results/finding.md.
constexpr float kAnyScore = -std::numeric_limits<float>::infinity();
// See SetScores. Gains and routing scores are too sure of themselves by the temperature.
constexpr double kWeightOfLikelihood = 0.5, kTemperature = 4.0;
// What a sentence gains from the question, in nats for a token, counts as so many tokens; of so many regions, where
// none stands out.
constexpr double kTokensOfGain = 4.0;
constexpr std::size_t kCompared = 16;

// How many regions the model ranks: `at_least`, and then more until it is sure, or `at_most` are ranked; by so many
// sentences of each.
struct RerankPlan {
  std::size_t at_least = 0, at_most = 0, sentences = 0;
};
RerankPlan PlanOf(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return {};
    case Effort::kBalanced:
      return {.at_least = 40, .at_most = 256, .sentences = 1};
    case Effort::kThorough:
      return {.at_least = 256, .at_most = 256, .sentences = 2};
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

std::vector<double> Softmax(std::vector<double> scores) {
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp((score - maximum) / kTemperature);
  for (double& score : scores) score /= total;
  return scores;
}

// The probability of each region among these: a mixture of two opinions, that of what the question's likelihood gains
// by each and that of the routers, because either is sure of some wrong regions. No gains, that of the routers alone:
// the model has not ranked them.
void SetScores(const std::vector<double>& gains, std::vector<FoundRegion>* regions) {
  if (regions->empty()) return;
  std::vector<double> routing;
  for (const FoundRegion& region : *regions) routing.push_back(region.routing_score);
  routing = Softmax(std::move(routing));
  for (std::size_t i = 0; i < regions->size(); ++i) (*regions)[i].score = routing[i];
  if (gains.empty()) return;
  const std::vector<double> likely = Softmax(gains);
  for (std::size_t i = 0; i < regions->size(); ++i) {
    (*regions)[i].score = kWeightOfLikelihood * likely[i] + (1 - kWeightOfLikelihood) * routing[i];
  }
}

// Without its span, which only those need that are kept.
FoundRegion Describe(std::int64_t region, const RegionScores& scores) {
  FoundRegion found{.region = region,
                    .routing_score = scores.routing[region],
                    .stem_score = scores.stems[region],
                    .token_score = scores.tokens[region]};
  if (!scores.attention.shares.empty()) found.attention_mass = scores.attention.shares[region];
  return found;
}

absl::Status NoNumber() { return Internal("the model gives a likelihood that is no number; its weights are damaged"); }

}  // namespace

SearchTask::SearchTask(Memory fork, PendingText pending, std::string question, RouteOptions options,
                       std::shared_ptr<const LlamaWeights> ranking)
    : fork_(std::move(fork)),
      options_(std::move(options)),
      ranking_(std::move(ranking)),
      question_(std::move(question)),
      question_tokens_(EncodeQuestion(*fork_.model()->tokenizer(), question_)) {
  if (!pending.tokens.empty()) read_pending_.emplace(&fork_, std::move(pending.tokens), std::move(pending.spans));
}

const LlamaWeights& SearchTask::weights() const { return LlamaModel::From(*fork_.model()).weights(); }

std::int64_t SearchTask::tokens_left_to_read() const {
  if (finished_) return 0;
  std::int64_t left = 1;
  if (read_pending_) left += read_pending_->tokens_left_to_read();
  const auto question = static_cast<std::int64_t>(question_tokens_.size());
  if (!question_read_) left += question;
  if (!routed_) return left + static_cast<std::int64_t>(PlanOf(options_.effort).at_least) * (kUsualSentence + question);
  for (std::size_t i = num_read_; i < sentences_.size(); ++i) {
    left += static_cast<std::int64_t>(sentences_[i].text.tokens.size()) + question;
  }
  const std::size_t to_compare = compared_.size() - gains_from_question_.size();
  return left + static_cast<std::int64_t>(to_compare) * (2 * kUsualSentence + question);
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
  } else if (num_read_ < sentences_.size()) {
    Rerank(&result);
  } else {
    Compare(&result);
  }
  return result;
}

void SearchTask::ReadQuestion(StepResult* result) {
  result->phase = TaskPhase::kRouting;
  question_read_ = true;
  if (question_tokens_.empty()) {
    result->status = InvalidArgument("the question has no tokens");
    return;
  }
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

void SearchTask::Route(StepResult* result) {
  result->phase = TaskPhase::kRouting;
  routed_ = true;
  const RegionScores scores =
      ScoreRegions(*fork_.model(), fork_.state()->archive(), question_, question_tokens_, queries_);
  const std::size_t reranked = PlanOf(options_.effort).at_most;
  const std::size_t count = reranked > 0 ? reranked : std::max<std::size_t>(kFound, options_.max_regions);
  // Some by their sense for each one by its words: neither finds all that the other finds.
  const std::vector<std::int64_t> by_words = FuseByReciprocalRank(
      {BestRegions(scores.stems, count), BestRegions(scores.tokens, count)}, std::min(count, kMostByWords));
  for (const std::int64_t region :
       TakeInTurn(BestRegions(scores.routing, count, kAnyScore), kRoutedForWords, by_words, count)) {
    found_.push_back(Describe(region, scores));
  }
  if (reranked == 0 || found_.size() < 2) return Finish(result);
  token_weights_ = scores.token_weights;
  ChooseSentences(scores);
}

void SearchTask::ChooseSentences(const RegionScores& scores) {
  for (std::size_t i = 0; i < found_.size(); ++i) {
    std::vector<RegionSentence> own =
        RegionSentences(fork_.state()->archive(), *fork_.model()->tokenizer(), found_[i].region);
    std::vector<std::pair<double, std::size_t>> nearest;
    for (std::size_t k = 0; k < own.size(); ++k) {
      nearest.emplace_back(-ScoreTextByMeaning(scores.similarities, scores.meaning.weights, own[k].tokens), k);
    }
    std::sort(nearest.begin(), nearest.end());
    nearest.resize(std::min(nearest.size(), PlanOf(options_.effort).sentences));
    for (const auto& [score, k] : nearest) sentences_.push_back({.found = i, .text = std::move(own[k])});
    found_[i].log_likelihood = -std::numeric_limits<double>::infinity();
  }
  log_probabilities_.resize(found_.size());
  likeliest_.resize(found_.size());
}

void SearchTask::Rerank(StepResult* result) {
  result->phase = TaskPhase::kReranking;
  std::vector<std::vector<TokenId>> texts;
  std::size_t tokens = 0;
  for (std::size_t i = num_read_; i < sentences_.size(); ++i) {
    const std::size_t size = sentences_[i].text.tokens.size() + question_tokens_.size();
    if (!texts.empty() && tokens + size > kRerankTokens) break;
    texts.push_back(sentences_[i].text.tokens);
    tokens += size;
  }
  for (std::vector<double>& log_probabilities : QuestionLogProbabilities(ranking_weights(), texts, question_tokens_)) {
    const double likelihood = std::accumulate(log_probabilities.begin(), log_probabilities.end(), 0.0);
    if (!std::isfinite(likelihood)) {
      result->status = NoNumber();
      return;
    }
    const std::size_t index = num_read_++;
    const Sentence& sentence = sentences_[index];
    FoundRegion& found = found_[sentence.found];
    if (likelihood <= found.log_likelihood) continue;
    found.log_likelihood = likelihood;
    found.sentence = sentence.text.span;
    log_probabilities_[sentence.found] = std::move(log_probabilities);
    likeliest_[sentence.found] = index;
  }
  result->tokens_read = static_cast<std::int64_t>(tokens);
  const RerankPlan plan = PlanOf(options_.effort);
  const bool all_read = num_read_ == sentences_.size();
  if (!all_read && num_read_ < plan.at_least * plan.sentences) return;
  if (IsSure()) {
    found_.resize(sentences_[num_read_ - 1].found + 1);
    log_probabilities_.resize(found_.size());
    sentences_.resize(num_read_);
    Finish(result);
  } else if (all_read) {
    ChooseToCompare();
  }
}

void SearchTask::ChooseToCompare() {
  SetScores(GainsOverMedian(log_probabilities_, token_weights_), &found_);
  compared_.resize(found_.size());
  std::iota(compared_.begin(), compared_.end(), std::size_t{0});
  std::stable_sort(compared_.begin(), compared_.end(),
                   [&](std::size_t a, std::size_t b) { return found_[a].score > found_[b].score; });
  compared_.resize(std::min(compared_.size(), kCompared));
}

void SearchTask::Compare(StepResult* result) {
  result->phase = TaskPhase::kReranking;
  std::vector<std::vector<TokenId>> texts;
  std::size_t tokens = 0;
  for (std::size_t i = gains_from_question_.size(); i < compared_.size(); ++i) {
    const std::vector<TokenId>& text = sentences_[likeliest_[compared_[i]]].text.tokens;
    const std::size_t size = 2 * (text.size() + 1) + question_tokens_.size();
    if (!texts.empty() && tokens + size > kRerankTokens) break;
    texts.push_back(text);
    tokens += size;
  }
  for (const double gain : GainsFromQuestion(ranking_weights(), texts, question_tokens_)) {
    if (!std::isfinite(gain)) {
      result->status = NoNumber();
      return;
    }
    gains_from_question_.push_back(gain);
  }
  result->tokens_read = static_cast<std::int64_t>(tokens);
  if (gains_from_question_.size() == compared_.size()) Finish(result);
}

// What the likelihoods of question and sentences tell for each of found_; none where the model did not rank them.
std::vector<double> SearchTask::Gains() const {
  std::vector<double> gains = GainsOverMedian(log_probabilities_, token_weights_);
  if (gains_from_question_.empty()) return gains;
  // Those that were not compared gain as little as any.
  const double least = *std::min_element(gains_from_question_.begin(), gains_from_question_.end());
  for (std::size_t i = 0; i < compared_.size(); ++i) {
    gains[compared_[i]] += kTokensOfGain * (gains_from_question_[i] - least);
  }
  return gains;
}

bool SearchTask::IsSure() const {
  std::vector<double> likelihoods;
  for (std::size_t i = 0; i <= sentences_[num_read_ - 1].found; ++i) likelihoods.push_back(found_[i].log_likelihood);
  return OneStandsOut(std::move(likelihoods));
}

void SearchTask::Finish(StepResult* result) {
  evidence_ = std::make_shared<Evidence>();
  evidence_->effort = options_.effort;
  evidence_->regions_scanned = fork_.num_regions();
  evidence_->regions_reranked = num_read_ > 0 ? static_cast<std::int64_t>(found_.size()) : 0;
  std::vector<FoundRegion>& found = evidence_->found = std::move(found_);
  SetScores(Gains(), &found);
  std::stable_sort(found.begin(), found.end(),
                   [](const FoundRegion& a, const FoundRegion& b) { return a.score > b.score; });
  found.resize(std::min(found.size(), static_cast<std::size_t>(options_.max_regions)));
  const Archive& archive = fork_.state()->archive();
  for (FoundRegion& kept : found) {
    kept.span = archive.RunSpan(InSentences(archive, *fork_.model()->tokenizer(), kept.region));
  }
  finished_ = true;
  result->finished = true;
  result->evidence = evidence_;
}

}  // namespace tome
