#include "engine/evaluation/questions/finding.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/generation/answer_task.h"
#include "engine/generation/prompt_form.h"
#include "engine/generation/question_likelihood.h"
#include "engine/generation/region_scores.h"
#include "engine/memory/archive.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/routing.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "engine/model/token_losses.h"

namespace tome {
namespace {

using nlohmann::json;

// Regions of a router's list: as many as the deepest recall and any fusion look at.
constexpr std::size_t kListed = 64;
constexpr std::string_view kRouters[] = {"attention",   "stems", "tokens", "meaning", "routed", "reciprocal",
                                         "interleaved", "gold",  "none",   "first",   "random"};
constexpr std::string_view kSearches[] = {"fast", "balanced", "thorough"};

bool IsOneOf(absl::Span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Effort EffortOf(std::string_view name) {
  if (name == "fast") return Effort::kFast;
  return name == "thorough" ? Effort::kThorough : Effort::kBalanced;
}

// The scores of the routers that there are, by their names.
std::map<std::string, std::vector<float>> ScoresByRouter(const Memory& memory, const std::string& question) {
  const Model& model = *memory.model();
  const ModelProfile& profile = model.profile();
  const std::vector<TokenId> tokens = EncodeQuestion(*model.tokenizer(), question);
  const std::vector<at::Tensor> layers = ReadQuestionQueries(memory, tokens, profile.num_layers());
  std::vector<HeadQueries> queries;
  for (const RetrievalHead& head : profile.heads) {
    std::vector<at::Tensor> own;
    for (const int query_head : head.query_heads) own.push_back(layers[head.layer].select(0, query_head));
    queries.push_back(ProjectQueries(head, at::cat(own, 0)));
  }
  RegionScores scores = ScoreRegions(model, memory.state()->archive(), question, tokens, queries);
  std::map<std::string, std::vector<float>> by_router;
  by_router["stems"] = std::move(scores.stems);
  by_router["tokens"] = std::move(scores.tokens);
  by_router["meaning"] = std::move(scores.meaning.scores);
  by_router["routed"] = std::move(scores.routing);
  if (!profile.empty()) by_router["attention"] = std::move(scores.attention.scores);
  return by_router;
}

class Evaluator {
 public:
  Evaluator(const Memory& memory, const AskedQuestion& asked, const FindingOptions& options)
      : memory_(memory),
        archive_(memory.state()->archive()),
        asked_(asked),
        options_(options),
        wanted_(RegionsWithInText(archive_, tokenizer(), asked.document, asked.evidence)) {
    figures_.asked = asked;
  }

  absl::StatusOr<QuestionFigures> Run() &&;
  absl::StatusOr<WayFigures> AnswerOver(const std::vector<FoundRegion>& found) const;

 private:
  absl::Status AddRouters(const std::map<std::string, std::vector<float>>& scores);
  absl::Status AddBaselines();
  absl::Status AddList(const std::string& way, const std::vector<std::int64_t>& list, int rank) {
    return AddList(way, list, rank, options_.budget_tokens);
  }
  absl::Status AddList(const std::string& way, const std::vector<std::int64_t>& list, int rank, int budget_tokens);
  absl::Status AddSearch(const std::string& way, const std::map<std::string, std::vector<float>>& scores);
  std::vector<std::int64_t> RandomRegions() const;
  absl::StatusOr<std::string> Generate(FilledPrompt prompt) const;
  absl::StatusOr<double> LogProbability(const FilledPrompt& prompt, const std::string& answer) const;
  void SetText(const std::vector<Passage>& passages, WayFigures* way) const;
  absl::Status AddAnswer(std::optional<std::string> answer, const std::vector<Passage>& passages,
                         WayFigures* way) const;
  const Tokenizer& tokenizer() const { return *memory_.model()->tokenizer(); }
  bool IsAnswered(const std::string& way) const { return tome::IsAnswered(options_, way); }
  Question MakeQuestion() const {
    return {.text = asked_.text,
            .instruction = asked_.instruction,
            .form = FormOf(asked_, *memory_.model()),
            .budget_tokens = options_.budget_tokens};
  }
  GenerationOptions MakeGenerationOptions() const { return {.max_tokens = options_.max_answer_tokens, .stop = {"\n"}}; }

  const Memory& memory_;
  const Archive& archive_;
  const AskedQuestion& asked_;
  const FindingOptions& options_;
  std::vector<std::int64_t> wanted_;
  QuestionFigures figures_;
};

absl::StatusOr<QuestionFigures> Evaluator::Run() && {
  if (asked_.HasEvidence() && wanted_.empty()) return Internal("{}: the answer's bytes are in no region", asked_.id);
  std::map<std::string, std::vector<float>> scores;
  {
    const c10::InferenceMode inference;
    scores = ScoresByRouter(memory_, asked_.text);
  }
  TOME_RETURN_IF_ERROR(AddRouters(scores));
  TOME_RETURN_IF_ERROR(AddBaselines());
  for (const std::string& search : options_.searches) TOME_RETURN_IF_ERROR(AddSearch(search, scores));
  return std::move(figures_);
}

absl::Status Evaluator::AddRouters(const std::map<std::string, std::vector<float>>& scores) {
  std::vector<std::vector<std::int64_t>> lists;
  for (const char* router : {"stems", "tokens", "attention", "meaning", "routed"}) {
    if (!scores.contains(router)) continue;
    const bool signed_scores = std::string_view(router) == "attention" || std::string_view(router) == "routed";
    const float floor = signed_scores ? -std::numeric_limits<float>::infinity() : 0;
    lists.push_back(BestRegions(scores.at(router), kListed, floor));
    TOME_RETURN_IF_ERROR(AddList(router, lists.back(), RankByScore(scores.at(router), wanted_)));
  }
  const std::vector<std::int64_t> reciprocal = FuseByReciprocalRank(lists, kListed);
  TOME_RETURN_IF_ERROR(AddList("reciprocal", reciprocal, RankInList(reciprocal, wanted_)));
  // As the searches draw their candidates: in turn by sense and by words.
  const std::vector<std::int64_t> interleaved =
      TakeInTurn(lists.back(), 2, FuseByReciprocalRank({lists[0], lists[1]}, kListed), kListed);
  return AddList("interleaved", interleaved, RankInList(interleaved, wanted_));
}

absl::Status Evaluator::AddBaselines() {
  if (IsAnswered("gold") && asked_.HasEvidence()) TOME_RETURN_IF_ERROR(AddList("gold", wanted_, 1));
  if (IsAnswered("none")) TOME_RETURN_IF_ERROR(AddList("none", {}, 0, 0));
  if (IsAnswered("random")) {
    const std::vector<std::int64_t> list = RandomRegions();
    TOME_RETURN_IF_ERROR(AddList("random", list, RankInList(list, wanted_)));
  }
  if (IsAnswered("first")) {
    std::vector<std::int64_t> list(archive_.num_regions());
    std::iota(list.begin(), list.end(), 0);
    const std::int64_t budget = memory_.model()->info().config.context_length / 4 * 3;
    TOME_RETURN_IF_ERROR(AddList("first", list, RankInList(list, wanted_), static_cast<int>(budget)));
  }
  return absl::OkStatus();
}

// The same for the same question.
std::vector<std::int64_t> Evaluator::RandomRegions() const {
  std::seed_seq seeds(asked_.id.begin(), asked_.id.end());
  std::mt19937_64 random(seeds);
  std::vector<std::int64_t> list;
  for (std::size_t i = 0; i < kListed && archive_.num_regions() > 0; ++i) {
    list.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(archive_.num_regions())));
  }
  return list;
}

void Evaluator::SetText(const std::vector<Passage>& passages, WayFigures* way) const {
  for (const Passage& passage : passages) way->text_tokens += passage.tokens;
  way->in_text = std::any_of(asked_.answers.begin(), asked_.answers.end(),
                             [&](const TextRange& answer) { return PassagesCover(passages, asked_.document, answer); });
}

// `answer`: none is generated here.
absl::Status Evaluator::AddAnswer(std::optional<std::string> answer, const std::vector<Passage>& passages,
                                  WayFigures* way) const {
  const Model& model = *memory_.model();
  const std::string text = JoinPassages(archive_, tokenizer(), passages);
  TOME_ASSIGN_OR_RETURN(FilledPrompt prompt, FillPrompt(model, MakeQuestion(), text));
  TOME_ASSIGN_OR_RETURN(way->log_probability, LogProbability(prompt, asked_.references.front()));
  if (!answer.has_value()) {
    TOME_ASSIGN_OR_RETURN(answer, Generate(std::move(prompt)));
  }
  SetAnswer(*std::move(answer), asked_.references, text, way);
  return absl::OkStatus();
}

absl::Status Evaluator::AddList(const std::string& way, const std::vector<std::int64_t>& list, int rank,
                                int budget_tokens) {
  WayFigures figures{.rank = rank};
  std::vector<FoundRegion> found;
  for (const std::int64_t region : list) found.push_back({.region = region});
  const std::vector<Passage> passages = ChoosePassages(archive_, tokenizer(), found, budget_tokens);
  SetText(passages, &figures);
  figures_.candidates[way] = {{"wanted", wanted_}, {"regions", list}};
  if (IsAnswered(way)) TOME_RETURN_IF_ERROR(AddAnswer(std::nullopt, passages, &figures));
  figures_.ways[way] = std::move(figures);
  return absl::OkStatus();
}

absl::Status Evaluator::AddSearch(const std::string& way, const std::map<std::string, std::vector<float>>& scores) {
  using std::chrono::steady_clock;
  const steady_clock::time_point begin = steady_clock::now();
  Question question = MakeQuestion();
  question.route.effort = EffortOf(way);
  const bool answered = IsAnswered(way);
  TOME_ASSIGN_OR_RETURN(Task task, answered ? Task::Answer(memory_, {}, question, MakeGenerationOptions())
                                            : Task::Search(memory_, {}, asked_.text, question.route));
  TOME_ASSIGN_OR_RETURN(TaskOutcome outcome, RunTask(std::move(task)));
  WayFigures figures{.seconds = std::chrono::duration<double>(steady_clock::now() - begin).count(),
                     .first_token_seconds = outcome.first_token_seconds};
  std::vector<std::int64_t> list;
  json candidates = json::array();
  for (const FoundRegion& found : outcome.evidence->found) {
    list.push_back(found.region);
    json candidate = {{"region", found.region}, {"score", found.score}, {"log_likelihood", found.log_likelihood}};
    for (const auto& [router, values] : scores) candidate[router] = values[found.region];
    candidates.push_back(std::move(candidate));
  }
  figures_.candidates[way] = {{"wanted", wanted_}, {"found", candidates}};
  figures.rank = RankInList(list, wanted_);
  if (!list.empty()) figures.score = outcome.evidence->found.front().score;
  figures.regions_reranked = outcome.evidence->regions_reranked;
  const std::vector<Passage> passages =
      answered ? outcome.evidence->passages
               : ChoosePassages(archive_, tokenizer(), outcome.evidence->found, options_.budget_tokens);
  SetText(passages, &figures);
  if (answered) TOME_RETURN_IF_ERROR(AddAnswer(std::move(outcome.text), passages, &figures));
  figures_.ways[way] = std::move(figures);
  return absl::OkStatus();
}

absl::StatusOr<WayFigures> Evaluator::AnswerOver(const std::vector<FoundRegion>& found) const {
  WayFigures figures;
  const std::vector<Passage> passages = ChoosePassages(archive_, tokenizer(), found, options_.budget_tokens);
  SetText(passages, &figures);
  TOME_RETURN_IF_ERROR(AddAnswer(std::nullopt, passages, &figures));
  return figures;
}

absl::StatusOr<double> Evaluator::LogProbability(const FilledPrompt& prompt, const std::string& answer) const {
  const c10::InferenceMode inference;
  const LlamaWeights& weights = LlamaModel::From(*memory_.model()).weights();
  std::vector<TokenId> tokens = prompt.tokens;
  const std::size_t first = tokens.size();
  for (const TextToken& token : memory_.model()->tokenizer()->Encode(" " + answer)) tokens.push_back(token.id);
  TOME_ASSIGN_OR_RETURN(const Memory empty, Memory::Create(memory_.model(), memory_.options()));
  SequenceCache cache(weights, *empty.state(), static_cast<std::int64_t>(tokens.size()));
  const at::Tensor hidden = Forward(weights, tokens, cache);
  const auto count = static_cast<std::int64_t>(tokens.size() - first);
  const std::vector<double> losses = TokenLosses(weights, hidden.narrow(0, static_cast<std::int64_t>(first) - 1, count),
                                                 absl::MakeConstSpan(tokens).subspan(first));
  return -std::accumulate(losses.begin(), losses.end(), 0.0);
}

absl::StatusOr<std::string> Evaluator::Generate(FilledPrompt prompt) const {
  GenerationOptions options = MakeGenerationOptions();
  options.stop.insert(options.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options.stop_tokens = std::move(prompt.stop_tokens);
  TOME_ASSIGN_OR_RETURN(Memory empty, Memory::Create(memory_.model(), memory_.options()));
  TOME_ASSIGN_OR_RETURN(Task task, Task::Generate(std::move(empty), std::move(prompt.tokens), std::move(options)));
  TOME_ASSIGN_OR_RETURN(TaskOutcome outcome, RunTask(std::move(task)));
  return std::move(outcome.text);
}

}  // namespace

AskedQuestion AskFor(const PlacedNeedle& placed, double depth) {
  const Needle& needle = placed.needle;
  AskedQuestion asked{.group = std::string(NeedleKindName(needle.kind)),
                      .id = fmt::format("{} at {:.3f}", NeedleKindName(needle.kind), depth),
                      .text = needle.question,
                      .form = needle.kind == NeedleKind::kParaphrased ? QuestionAnswerPromptForm() : RawPromptForm(),
                      .references = {needle.answer},
                      .evidence = placed.bytes,
                      .answers = placed.answers};
  asked.form->opening = needle.opening;
  return asked;
}

PromptForm FormOf(const AskedQuestion& asked, const Model& model) {
  if (asked.form.has_value()) return *asked.form;
  return model.profile().prompt_form.value_or(QuestionAnswerPromptForm());
}

bool IsAnswered(const FindingOptions& options, const std::string& way) {
  return std::find(options.answered.begin(), options.answered.end(), way) != options.answered.end();
}

void SetAnswer(std::string answer, const std::vector<std::string>& references, std::string_view text, WayFigures* way) {
  way->answered = true;
  way->f1 = TokenF1(answer, references);
  way->rouge_l = RougeL(answer, references);
  way->contains = ContainsAnswer(answer, references);
  way->supported = ContainsAnswer(text, std::vector<std::string>{answer});
  way->answer = std::move(answer);
}

absl::Status ValidateFindingOptions(const FindingOptions& options) {
  for (const std::string& search : options.searches) {
    if (!IsOneOf(kSearches, search)) return InvalidArgument("expected fast, balanced or thorough, found '{}'", search);
  }
  for (const std::string& way : options.answered) {
    const bool searched = std::find(options.searches.begin(), options.searches.end(), way) != options.searches.end();
    if (!searched && !IsOneOf(kRouters, way)) {
      return InvalidArgument("cannot answer with '{}': it is no router, and not among the searches", way);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<QuestionFigures> EvaluateQuestion(const Memory& memory, const AskedQuestion& asked,
                                                 const FindingOptions& options) {
  return Evaluator(memory, asked, options).Run();
}

absl::StatusOr<WayFigures> AnswerOver(const Memory& memory, const AskedQuestion& asked,
                                      const std::vector<FoundRegion>& found, const FindingOptions& options) {
  return Evaluator(memory, asked, options).AnswerOver(found);
}

}  // namespace tome
