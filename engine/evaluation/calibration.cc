#include "engine/evaluation/calibration.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/needles.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/generation/question_likelihood.h"
#include "engine/memory/archive.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/routing.h"
#include "engine/memory/routing_codec.h"

namespace tome {
namespace {

// A larger set of heads or another coding must be better by this much than a simpler one.
constexpr double kWorthwhile = 0.01;
constexpr int kMaxHeads = 4;
// Of each query head that a profile keeps.
constexpr std::size_t kBackgroundQueries = 32;

struct AskedNeedle {
  bool paraphrased = false;
  std::vector<std::int64_t> regions;  // where it is
  std::vector<at::Tensor> queries;    // of each layer [H, T, D]
  std::vector<float> weights;         // of its tokens
  at::Tensor scores;                  // [L, H, regions]: without the background
};

// Softmax over tokens of `scores` [..., n], which are spoilt, summed in each region: [..., regions].
at::Tensor RegionShares(const at::Tensor& scores, std::int64_t region_tokens) {
  const std::int64_t tokens = scores.size(-1), regions = (tokens + region_tokens - 1) / region_tokens;
  scores.narrow(-1, 0, kAttentionSinks).fill_(-std::numeric_limits<float>::infinity());
  const at::Tensor shares = at::constant_pad_nd(at::softmax(scores, -1), {0, regions * region_tokens - tokens});
  std::vector<std::int64_t> shape = scores.sizes().vec();
  shape.back() = regions;
  shape.push_back(region_tokens);
  return shares.view(shape).sum(-1);
}

// Roots of shares [..., T, regions], averaged over the tokens with their weights: [..., regions].
at::Tensor WeightedRoots(const at::Tensor& shares, const std::vector<float>& weights) {
  return at::matmul(at::tensor(weights), shares.sqrt());
}

class Calibrator {
 public:
  Calibrator(std::shared_ptr<const Model> model, const CalibrationOptions& options)
      : model_(std::move(model)), config_(model_->info().config), options_(options) {}

  absl::Status Read(const Haystack& haystack);
  // The best set of query heads of each key-value head, best first.
  std::vector<HeadGroup> RankGroups() const;
  // The best group, then the one that adds most to those before, and so on.
  std::vector<HeadGroup> ChooseHeads(const std::vector<HeadGroup>& groups) const;
  RetrievalHead FitHead(const HeadGroup& group, int dims, int bits) const;
  FindingRecall CodedRecall(const ModelProfile& profile) const;

  std::int64_t tokens() const { return keys_.size(2); }
  std::int64_t regions() const {
    return (tokens() + options_.memory.region_tokens - 1) / options_.memory.region_tokens;
  }

 private:
  absl::Status Ask(const Memory& memory, const PlacedNeedle& placed);
  void AddRank(const AskedNeedle& asked, const at::Tensor& scores, FindingRecall* recall) const;
  // Queries of one query head about all sorts of things: the rarest tokens of questions.
  std::vector<at::Tensor> Background(int layer, int head) const;
  FindingRecall RecallOf(const std::vector<HeadGroup>& groups) const;

  std::shared_ptr<const Model> model_;
  LlamaConfig config_;
  CalibrationOptions options_;
  at::Tensor keys_;  // [L, KV, n, D], un-rotated, fp32 or bf16
  std::vector<AskedNeedle> asked_;
};

// The keys of the newest `tokens` tokens [L, KV, tokens, D].
at::Tensor NewestKeys(const MemoryState& state, std::int64_t tokens) {
  std::vector<at::Tensor> parts;
  const std::vector<const KeyValueBlock*> blocks = state.blocks();
  for (auto block = blocks.rbegin(); block != blocks.rend() && tokens > 0; ++block) {
    const std::int64_t count = std::min(tokens, (*block)->tokens());
    parts.insert(parts.begin(), (*block)->keys.narrow(2, (*block)->tokens() - count, count));
    tokens -= count;
  }
  return at::cat(parts, 2).cpu();
}

absl::Status Calibrator::Read(const Haystack& haystack) {
  std::vector<at::Tensor> keys;
  TOME_ASSIGN_OR_RETURN(const Memory memory, ReadDocuments(model_, options_.memory, {haystack.text},
                                                           [&](const Memory& now, std::int64_t tokens) {
                                                             keys.push_back(NewestKeys(*now.state(), tokens));
                                                             return absl::OkStatus();
                                                           }));
  keys_ = at::cat(keys, 2);
  Progress progress("asking questions", static_cast<std::int64_t>(haystack.needles.size()));
  for (const PlacedNeedle& placed : haystack.needles) {
    TOME_RETURN_IF_ERROR(Ask(memory, placed));
    progress.Show(static_cast<std::int64_t>(asked_.size()));
  }
  return absl::OkStatus();
}

absl::Status Calibrator::Ask(const Memory& memory, const PlacedNeedle& placed) {
  AskedNeedle asked{.paraphrased = placed.needle.kind == NeedleKind::kParaphrased,
                    .regions = RegionsWith(memory.state()->archive(), 0, placed.bytes)};
  const std::vector<TokenId> question = EncodeQuestion(*model_->tokenizer(), placed.needle.question);
  asked.queries = ReadQuestionQueries(memory, question, config_.num_layers);
  asked.weights = TokenWeights(memory.state()->archive(), question);
  const auto question_tokens = static_cast<std::int64_t>(question.size());
  std::vector<at::Tensor> layers;
  for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
    const at::Tensor queries = asked.queries[layer].view({config_.num_kv_heads, -1, config_.head_dim});
    const at::Tensor keys = keys_.select(0, layer).to(at::kFloat);
    const at::Tensor scores = at::bmm(queries, keys.transpose(1, 2)).div_(std::sqrt(double(config_.head_dim)));
    layers.push_back(WeightedRoots(
        RegionShares(scores, options_.memory.region_tokens).view({config_.num_heads, question_tokens, regions()}),
        asked.weights));
  }
  asked.scores = at::stack(layers);
  if (!at::isfinite(asked.scores).all().item<bool>()) {
    return Internal("the model attends with numbers that are not finite; its weights are damaged");
  }
  asked_.push_back(std::move(asked));
  return absl::OkStatus();
}

void Calibrator::AddRank(const AskedNeedle& asked, const at::Tensor& scores, FindingRecall* recall) const {
  const at::Tensor values = scores.contiguous();
  const absl::Span<const float> span(values.const_data_ptr<float>(), static_cast<std::size_t>(values.numel()));
  (asked.paraphrased ? recall->paraphrased : recall->verbatim).Add(RankByScore(span, asked.regions));
}

// The other questions are the background of each.
FindingRecall Calibrator::RecallOf(const std::vector<HeadGroup>& groups) const {
  const auto score_of = [&](const AskedNeedle& asked) {
    at::Tensor sum = at::zeros({regions()});
    for (const HeadGroup& group : groups) {
      const double share = 1.0 / static_cast<double>(group.query_heads.size());
      for (const int head : group.query_heads) sum.add_(asked.scores.select(0, group.layer).select(0, head), share);
    }
    return sum;
  };
  std::vector<at::Tensor> scores;
  at::Tensor total = at::zeros({regions()});
  for (const AskedNeedle& asked : asked_) total += scores.emplace_back(score_of(asked));
  const double others = std::max(1.0, static_cast<double>(asked_.size()) - 1.0);
  FindingRecall recall;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    AddRank(asked_[i], scores[i] - (total - scores[i]) * (kBackgroundWeight / others), &recall);
  }
  return recall;
}

std::vector<HeadGroup> Calibrator::RankGroups() const {
  const int group_size = static_cast<int>(config_.num_heads / config_.num_kv_heads);
  std::vector<HeadGroup> best;
  for (int layer = 0; layer < config_.num_layers; ++layer) {
    for (int kv_head = 0; kv_head < config_.num_kv_heads; ++kv_head) {
      std::vector<std::pair<double, int>> singles;
      for (int head = kv_head * group_size; head < (kv_head + 1) * group_size; ++head) {
        singles.emplace_back(-RecallOf({{.layer = layer, .kv_head = kv_head, .query_heads = {head}}}).figure(), head);
      }
      std::sort(singles.begin(), singles.end());
      HeadGroup group{.layer = layer, .kv_head = kv_head}, best_group;
      for (const auto& [figure, head] : singles) {
        group.query_heads.push_back(head);
        group.recall = RecallOf({group});
        if (best_group.query_heads.empty() || group.recall.figure() >= best_group.recall.figure()) best_group = group;
      }
      std::sort(best_group.query_heads.begin(), best_group.query_heads.end());
      best.push_back(std::move(best_group));
    }
  }
  std::stable_sort(best.begin(), best.end(),
                   [](const HeadGroup& a, const HeadGroup& b) { return a.recall.figure() > b.recall.figure(); });
  return best;
}

std::vector<HeadGroup> Calibrator::ChooseHeads(const std::vector<HeadGroup>& groups) const {
  std::vector<HeadGroup> chosen;
  const int most = std::min(kMaxHeads, static_cast<int>(groups.size()));
  for (int i = 0; i < most; ++i) {
    HeadGroup best;
    for (const HeadGroup& group : groups) {
      const bool taken = std::any_of(chosen.begin(), chosen.end(), [&](const HeadGroup& other) {
        return other.layer == group.layer && other.kv_head == group.kv_head;
      });
      if (taken) continue;
      std::vector<HeadGroup> together = chosen;
      together.push_back(group);
      HeadGroup candidate = group;
      candidate.recall = RecallOf(together);
      if (best.query_heads.empty() || candidate.recall.figure() > best.recall.figure()) best = std::move(candidate);
    }
    chosen.push_back(std::move(best));
  }
  return chosen;
}

// Six significant digits: what is lost is a thousandth of a code's step.
float Round(float value) { return std::stof(fmt::format("{:.6g}", value)); }
std::vector<float> RoundedVector(const at::Tensor& values) {
  const at::Tensor flat = values.to(at::kFloat).contiguous();
  std::vector<float> rounded(flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
  for (float& value : rounded) value = Round(value);
  return rounded;
}

// The step of each column of `values` [n, R] that loses least when rounded to codes up to `half`: its range is one of
// several quantiles of the magnitudes.
std::vector<float> FitSteps(const at::Tensor& values, int half) {
  const auto tokens = static_cast<double>(values.size(0));
  const at::Tensor sorted = std::get<0>(values.abs().sort(0));
  at::Tensor best_error, best_step;
  for (const double share : {0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0}) {
    const auto row = static_cast<std::int64_t>(share * (tokens - 1));
    const at::Tensor step = sorted.select(0, row).div(half).clamp_min(1e-6);
    const at::Tensor error = values.div(step).round().clamp(-half, half).mul(step).sub(values).square().sum(0);
    if (!best_error.defined()) {
      best_error = error;
      best_step = step;
      continue;
    }
    best_step = at::where(error < best_error, step, best_step);
    best_error = at::minimum(error, best_error);
  }
  return RoundedVector(best_step);
}

std::vector<at::Tensor> Calibrator::Background(int layer, int head) const {
  std::vector<at::Tensor> queries;
  for (std::size_t i = 0; i < kBackgroundQueries; ++i) {
    const AskedNeedle& asked = asked_[i * asked_.size() / kBackgroundQueries];
    const auto rarest = std::max_element(asked.weights.begin(), asked.weights.end()) - asked.weights.begin();
    queries.push_back(asked.queries[layer].select(0, head).select(0, rarest));
  }
  return queries;
}

RetrievalHead Calibrator::FitHead(const HeadGroup& group, int dims, int bits) const {
  const at::Tensor keys = keys_.select(0, group.layer).select(0, group.kv_head).to(at::kDouble);
  const at::Tensor mean = keys.mean(0), centred = keys - mean;
  const auto [values, vectors] = at::linalg_eigh(at::matmul(centred.t(), centred));
  // Eigenvalues ascend; the sign of a vector is made definite, so that the same keys give the same profile.
  at::Tensor basis = vectors.t().flip(0).narrow(0, 0, dims);
  const at::Tensor largest = basis.gather(1, basis.abs().argmax(1, /*keepdim=*/true));
  basis = basis * at::sign(largest);
  RetrievalHead head{.layer = group.layer,
                     .kv_head = group.kv_head,
                     .query_heads = group.query_heads,
                     .mean = RoundedVector(mean),
                     .basis = RoundedVector(basis)};
  head.step = FitSteps(at::matmul(centred, basis.t()), bits == 4 ? 7 : 127);
  std::vector<at::Tensor> background;
  for (const int query_head : group.query_heads) {
    const std::vector<at::Tensor> own = Background(group.layer, query_head);
    background.insert(background.end(), own.begin(), own.end());
  }
  head.background = RoundedVector(at::stack(background));
  return head;
}

FindingRecall Calibrator::CodedRecall(const ModelProfile& profile) const {
  const std::string codes = EncodeKeys(profile, keys_);
  std::vector<at::Tensor> unpacked;  // of each head [n, R]
  for (std::size_t i = 0; i < profile.heads.size(); ++i) {
    at::Tensor own = at::empty({tokens(), profile.heads[i].code_dims()}, at::kChar);
    UnpackCodes(profile, i, reinterpret_cast<const std::uint8_t*>(codes.data()), tokens(),
                own.mutable_data_ptr<std::int8_t>());
    unpacked.push_back(own.to(at::kFloat));
  }
  FindingRecall recall;
  for (const AskedNeedle& asked : asked_) {
    at::Tensor sum = at::zeros({regions()});
    for (std::size_t i = 0; i < profile.heads.size(); ++i) {
      const RetrievalHead& head = profile.heads[i];
      std::vector<at::Tensor> own;
      for (const int query_head : head.query_heads) own.push_back(asked.queries[head.layer].select(0, query_head));
      const auto scores_of = [&](const at::Tensor& queries, const std::vector<float>& weights) {
        const HeadQueries projected = ProjectQueries(head, queries);
        const at::Tensor values = at::tensor(projected.values).view({projected.num_queries, head.code_dims()});
        const at::Tensor shares = RegionShares(at::matmul(values, unpacked[i].t()), options_.memory.region_tokens);
        return WeightedRoots(shares.view({-1, static_cast<std::int64_t>(weights.size()), regions()}), weights).mean(0);
      };
      const auto background = static_cast<std::int64_t>(head.background.size() / head.mean.size());
      sum += scores_of(at::cat(own, 0), asked.weights);
      sum.sub_(scores_of(at::tensor(head.background).view({background, -1}),
                         std::vector<float>(background, 1.0f / static_cast<float>(background))),
               kBackgroundWeight);
    }
    AddRank(asked, sum, &recall);
  }
  return recall;
}

absl::Status CheckOptions(const CalibrationOptions& options) {
  if (options.tokens < 2048) return InvalidArgument("tokens: expected 2048 or more, found {}", options.tokens);
  if (options.verbatim_needles < 1) return InvalidArgument("verbatim needles: expected 1 or more");
  if (options.paraphrased_needles < 1 || options.paraphrased_needles > 2 * kFactsInSet) {
    return InvalidArgument("paraphrased needles: expected 1 to {}, found {}", 2 * kFactsInSet,
                           options.paraphrased_needles);
  }
  if (options.code_bytes < 4 || options.code_bytes % 4 != 0) {
    return InvalidArgument("code bytes: expected a multiple of 4, found {}", options.code_bytes);
  }
  if (options.memory.window_tokens < options.memory.segment_tokens) {
    return InvalidArgument("the window: expected a segment's {} tokens or more, found {}",
                           options.memory.segment_tokens, options.memory.window_tokens);
  }
  // A needle takes about 40 tokens; they should be few among the text.
  const std::int64_t needles = options.verbatim_needles + options.paraphrased_needles;
  if (needles * 100 > options.tokens) {
    return InvalidArgument("{} needles are too many for {} tokens: expected at most one in 100", needles,
                           options.tokens);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CalibrationResult> Calibrate(std::shared_ptr<const Model> model, std::string_view text,
                                            const CalibrationOptions& options, const std::string& made_by) {
  const c10::InferenceMode inference;
  TOME_RETURN_IF_ERROR(CheckOptions(options));
  std::vector<Needle> needles = MakeVerbatimNeedles(options.verbatim_needles, options.seed);
  // Paraphrases are the hard ones, and heads that find a few of them find others no better than any head.
  for (const FactSet set : {FactSet::kCalibration, FactSet::kDevelopment}) {
    const int count =
        std::min(kFactsInSet, options.paraphrased_needles - (set == FactSet::kCalibration ? 0 : kFactsInSet));
    for (Needle& needle : MakeParaphrasedNeedles(std::max(0, count), set)) needles.push_back(std::move(needle));
  }
  TOME_ASSIGN_OR_RETURN(const std::string_view book,
                        CutBesideNeedles(TokenBytesOf(*model->tokenizer()), text, options.tokens, needles));
  Calibrator calibrator(model, options);
  TOME_RETURN_IF_ERROR(calibrator.Read(HideNeedles(book, std::move(needles), options.seed)));

  CalibrationResult result{.tokens = calibrator.tokens(), .regions = calibrator.regions()};
  result.groups = calibrator.RankGroups();
  result.additions = calibrator.ChooseHeads(result.groups);
  const auto head_dim = static_cast<int>(model->info().config.head_dim);
  for (const int num_heads : {1, 2, 4}) {
    if (num_heads > static_cast<int>(result.additions.size())) break;
    for (const int bits : {8, 4}) {
      const int dims = std::min(head_dim, options.code_bytes * 8 / bits / num_heads) / 2 * 2;
      ModelProfile profile{.model_digest = model->info().model_digest, .made_by = made_by, .code_bits = bits};
      for (int i = 0; i < num_heads; ++i) {
        profile.heads.push_back(calibrator.FitHead(result.additions[i], dims, bits));
      }
      result.codings.push_back({.num_heads = num_heads,
                                .code_dims = dims,
                                .code_bits = bits,
                                .exact = result.additions[num_heads - 1].recall,
                                .coded = calibrator.CodedRecall(profile)});
      const bool first = result.codings.size() == 1;
      if (!first &&
          result.codings.back().coded.figure() <= result.codings[result.chosen].coded.figure() + kWorthwhile) {
        continue;
      }
      result.chosen = result.codings.size() - 1;
      result.profile = std::move(profile);
    }
  }
  return result;
}

}  // namespace tome
