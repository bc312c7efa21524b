// Finding and re-reading text, on tiny random models: what is found makes no sense, but every promise can be checked.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/ascii.h"
#include "engine/generation/answer_task.h"
#include "engine/generation/prompt_form.h"
#include "engine/generation/question_likelihood.h"
#include "engine/generation/region_scores.h"
#include "engine/generation/sentences.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const MemoryOptions kOptions = {.sink_tokens = 8, .window_tokens = 64, .segment_tokens = 32, .region_tokens = 16};

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}

std::vector<TokenId> Encode(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyModel()->tokenizer()->Encode(text)) tokens.push_back(token.id);
  return tokens;
}

std::string BookText() {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += fmt::format("Chapter {}. The ship number {} sailed to harbour {} with {} men. ", i, i * 37 % 101, i * 13,
                        i + 3);
  }
  return text;
}

Memory MemoryOf(const std::string& text, const std::shared_ptr<const Model>& model = TinyModel()) {
  Memory memory = *Memory::Create(model, kOptions);
  Task task = Task::Read(&memory, Encode(text));
  Task* tasks[] = {&task};
  while (!task.finished()) EXPECT_THAT(Step(tasks)[0].status, IsOk());
  return memory;
}

struct Outcome {
  std::vector<TaskPhase> phases;  // without repeats
  std::shared_ptr<const Evidence> evidence;
  std::string text;
  absl::Status status;
};

Outcome RunTask(Task task) {
  Outcome outcome;
  Task* tasks[] = {&task};
  while (!task.finished()) {
    const StepResult result = Step(tasks)[0];
    if (outcome.phases.empty() || outcome.phases.back() != result.phase) outcome.phases.push_back(result.phase);
    if (result.evidence != nullptr) outcome.evidence = result.evidence;
    outcome.text += result.text;
    outcome.status = result.status;
  }
  return outcome;
}

struct LikeliestSentence {
  double likelihood = 0;  // of the question
  TokenSpan span;
};

// The slow twin of what a search does with its sentences, for one region.
LikeliestSentence LikeliestOf(const Memory& memory, const std::string& question, std::int64_t region,
                              std::size_t sentences) {
  const LlamaModel& model = LlamaModel::From(*memory.model());
  const Archive& archive = memory.state()->archive();
  const std::vector<TokenId> tokens = Encode("\n\n" + question);
  const std::set<TokenId> distinct(tokens.begin() + 1, tokens.end());
  const at::Tensor similarities =
      model.meanings().Similarities(model.weights(), std::vector<TokenId>(distinct.begin(), distinct.end()));
  const std::vector<double> weights = ScoreByMeaning(archive, similarities).weights;
  std::vector<std::pair<double, LikeliestSentence>> scored;  // by meaning
  for (const RegionSentence& sentence : RegionSentences(archive, *memory.model()->tokenizer(), region)) {
    const std::vector<double> all = QuestionLogProbabilities(model.weights(), {sentence.tokens}, tokens).front();
    const double likelihood = std::accumulate(all.begin(), all.end(), 0.0);
    scored.push_back({ScoreTextByMeaning(similarities, weights, sentence.tokens), {likelihood, sentence.span}});
  }
  std::stable_sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  scored.resize(std::min(sentences, scored.size()));
  return std::max_element(scored.begin(), scored.end(),
                          [](const auto& a, const auto& b) { return a.second.likelihood < b.second.likelihood; })
      ->second;
}

// To a mean of 0 and a standard deviation of 1.
std::vector<double> Standardised(const std::vector<double>& values) {
  double mean = 0, variance = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) variance += (value - mean) * (value - mean) / static_cast<double>(values.size());
  std::vector<double> result;
  for (const double value : values) result.push_back((value - mean) / std::sqrt(variance));
  return result;
}

TEST(RegionScores, RouteToTheRegionsWithTheBestSentences) {
  const std::shared_ptr<const Model> plain = testing::LoadTinyModel();
  const Memory memory = MemoryOf(BookText(), plain);
  const Archive& archive = memory.state()->archive();
  const std::string question = "Which ship sailed to harbour 130?";
  const RegionScores scores = ScoreRegions(*plain, archive, question, Encode("\n\n" + question), {});
  ASSERT_EQ(static_cast<std::int64_t>(scores.routing.size()), archive.num_regions());
  std::vector<double> by_all, by_nearest;
  for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
    SentenceMeaning best;
    for (const RegionSentence& sentence : RegionSentences(archive, *plain->tokenizer(), region)) {
      const SentenceMeaning own = ScoreSentenceByMeaning(scores.similarities, scores.meaning.weights, sentence.tokens);
      best.by_all = std::max(best.by_all, own.by_all);
      best.by_nearest = std::max(best.by_nearest, own.by_nearest);
    }
    by_all.push_back(best.by_all);
    by_nearest.push_back(best.by_nearest);
  }
  const std::vector<double> first = Standardised(by_all), second = Standardised(by_nearest);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_NEAR(scores.routing[i], first[i] + second[i] + scores.stems[i], 1e-3);
  }
}

TEST(Search, RanksRegionsByTheSentencesNearestToTheQuestion) {
  const std::string question = "Which ship sailed to harbour 130?";
  const Memory memory = MemoryOf(BookText());
  for (const auto& [effort, sentences] :
       std::map<Effort, std::size_t>{{Effort::kBalanced, 1}, {Effort::kThorough, 2}}) {
    const Outcome outcome = RunTask(*Task::Search(memory, {}, question, {.effort = effort, .max_regions = 8}));
    ASSERT_THAT(outcome.status, IsOk());
    ASSERT_EQ(outcome.evidence->found.size(), 8u);
    for (const FoundRegion& found : outcome.evidence->found) {
      const LikeliestSentence likeliest = LikeliestOf(memory, question, found.region, sentences);
      EXPECT_NEAR(found.log_likelihood, likeliest.likelihood, 1e-3);
      EXPECT_EQ(found.sentence, likeliest.span);
    }
  }
}

// The slow twin of the scores, over all regions that were ranked. Whether one stood out.
bool ExpectScores(const Memory& memory, const std::string& question) {
  const Outcome outcome =
      RunTask(*Task::Search(memory, {}, question, {.effort = Effort::kThorough, .max_regions = 256}));
  EXPECT_THAT(outcome.status, IsOk());
  const std::vector<FoundRegion>& found = outcome.evidence->found;
  EXPECT_GT(found.size(), 30u);
  const LlamaModel& model = LlamaModel::From(*memory.model());
  const std::vector<TokenId> tokens = Encode("\n\n" + question);
  std::vector<std::vector<TokenId>> texts;
  for (const FoundRegion& region : found) {
    for (RegionSentence& own :
         RegionSentences(memory.state()->archive(), *memory.model()->tokenizer(), region.region)) {
      if (own.span == region.sentence) texts.push_back(std::move(own.tokens));
    }
  }
  EXPECT_EQ(texts.size(), found.size());
  std::vector<double> gains = GainsOverMedian(QuestionLogProbabilities(model.weights(), texts, tokens),
                                              TokenWeights(memory.state()->archive(), tokens));
  const std::vector<double> from_question = GainsFromQuestion(model.weights(), texts, tokens);
  const auto shares = [](std::vector<double> values) {
    double sum = 0;
    for (double& value : values) sum += value = std::exp(value / 4);
    for (double& value : values) value /= sum;
    return values;
  };
  std::vector<double> routing;
  for (const FoundRegion& region : found) routing.push_back(region.routing_score);
  routing = shares(routing);
  const auto mixed = [&](const std::vector<double>& likely) {
    std::vector<double> scores = shares(likely);
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = (scores[i] + routing[i]) / 2;
    return scores;
  };
  std::vector<double> likelihoods;
  for (const FoundRegion& region : found) likelihoods.push_back(region.log_likelihood);
  const bool sure = OneStandsOut(likelihoods);
  if (!sure) {
    // The best 16 are compared, the others gain as little as the least of these.
    const std::vector<double> before = mixed(gains);
    std::vector<std::size_t> order(found.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return before[a] > before[b]; });
    order.resize(16);
    double least = std::numeric_limits<double>::infinity();
    for (const std::size_t i : order) least = std::min(least, from_question[i]);
    for (const std::size_t i : order) gains[i] += 4 * (from_question[i] - least);
  }
  const std::vector<double> scores = mixed(gains);
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i].score, scores[i], 1e-3);
  return sure;
}

TEST(Search, ScoresByWhatTextAndQuestionSayOfEachOther) {
  const Memory memory = MemoryOf(BookText());
  EXPECT_TRUE(ExpectScores(memory, "Which ship sailed to harbour 130?"));
  EXPECT_FALSE(ExpectScores(memory, "130")) << "so short a question has not ten nats to gain";
}

TEST(Search, RanksOnWhileNoRegionStandsOut) {
  const Memory memory = MemoryOf(BookText() + BookText());
  bool some_sure = false;
  for (int harbour = 0; harbour < 780; harbour += 60) {
    const std::string question = fmt::format("Which ship sailed to harbour {}?", harbour);
    const Outcome outcome = RunTask(*Task::Search(memory, {}, question, {.max_regions = 256}));
    ASSERT_THAT(outcome.status, IsOk());
    ASSERT_EQ(static_cast<std::int64_t>(outcome.evidence->found.size()), outcome.evidence->regions_reranked);
    EXPECT_GE(outcome.evidence->regions_reranked, 40);
    std::vector<double> likelihoods;
    for (const FoundRegion& found : outcome.evidence->found) likelihoods.push_back(found.log_likelihood);
    some_sure = some_sure || likelihoods.size() < 256;
    EXPECT_TRUE(likelihoods.size() == 256 || OneStandsOut(likelihoods)) << question;
  }
  EXPECT_TRUE(some_sure);
}

TEST(Search, ListsRegionsByTheirProbability) {
  const Memory memory = MemoryOf(BookText() + BookText());
  ASSERT_GT(memory.num_regions(), 256);
  for (const auto& [effort, reranked] :
       std::map<Effort, std::int64_t>{{Effort::kFast, 0}, {Effort::kBalanced, 40}, {Effort::kThorough, 256}}) {
    const Outcome outcome = RunTask(*Task::Search(memory, {}, "Which ship sailed to harbour 130?", {.effort = effort}));
    ASSERT_THAT(outcome.status, IsOk());
    ASSERT_NE(outcome.evidence, nullptr);
    EXPECT_EQ(outcome.evidence->regions_scanned, memory.num_regions());
    EXPECT_GE(outcome.evidence->regions_reranked, reranked);
    EXPECT_LE(outcome.evidence->regions_reranked, effort == Effort::kFast ? 0 : 256);
    ASSERT_FALSE(outcome.evidence->found.empty());
    std::set<std::int64_t> seen;
    double sum = 0;
    for (const FoundRegion& region : outcome.evidence->found) {
      EXPECT_TRUE(seen.insert(region.region).second);
      const Archive& archive = memory.state()->archive();
      EXPECT_EQ(region.span, archive.RunSpan(InSentences(archive, *TinyModel()->tokenizer(), region.region)));
      EXPECT_GE(region.score, 0);
      sum += region.score;
      EXPECT_EQ(region.log_likelihood < 0, effort != Effort::kFast);
    }
    EXPECT_LE(sum, 1.0 + 1e-6);
    if (effort == Effort::kFast) {
      EXPECT_THAT(outcome.phases, ElementsAre(TaskPhase::kRouting));
    } else {
      EXPECT_THAT(outcome.phases, ElementsAre(TaskPhase::kRouting, TaskPhase::kReranking));
      EXPECT_TRUE(std::is_sorted(outcome.evidence->found.begin(), outcome.evidence->found.end(),
                                 [](const auto& a, const auto& b) { return a.score > b.score; }));
    }
  }
}

TEST(Search, ScoresRegionsTheSameHoweverManyAreAskedFor) {
  const Memory memory = MemoryOf(BookText() + BookText());
  for (const Effort effort : {Effort::kFast, Effort::kBalanced}) {
    const auto search = [&](int max_regions) {
      return RunTask(*Task::Search(memory, {}, "Which ship sailed to harbour 130?",
                                   {.effort = effort, .max_regions = max_regions}))
          .evidence->found;
    };
    const std::vector<FoundRegion> many = search(200);
    for (const int few : {1, 32}) {
      const std::vector<FoundRegion> found = search(few);
      ASSERT_EQ(found.size(), static_cast<std::size_t>(few));
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].region, many[i].region);
        EXPECT_EQ(found[i].score, many[i].score);
      }
    }
  }
}

TEST(Search, WorksWithoutAProfile) {
  const std::shared_ptr<const Model> plain = testing::LoadTinyModel();
  const Outcome outcome =
      RunTask(*Task::Search(MemoryOf(BookText(), plain), {}, "harbour 130", {.effort = Effort::kFast}));
  ASSERT_THAT(outcome.status, IsOk());
  ASSERT_FALSE(outcome.evidence->found.empty());
  EXPECT_EQ(outcome.evidence->found.front().attention_mass, 0);
  EXPECT_GT(outcome.evidence->found.front().stem_score, 0);
}

TEST(Search, OfAnEmptyMemoryFindsNothing) {
  const Memory empty = *Memory::Create(TinyModel(), kOptions);
  const Outcome outcome = RunTask(*Task::Search(empty, {}, "What?", {}));
  ASSERT_THAT(outcome.status, IsOk());
  EXPECT_TRUE(outcome.evidence->found.empty());
}

TEST(Search, ReadsWhatIsPendingIntoItsForkOnly) {
  const Memory memory = MemoryOf(BookText());
  const std::string digest = memory.Digest();
  PendingText pending{.tokens = Encode("The zebra lives in Ulm.")};
  for (std::size_t i = 0; i < pending.tokens.size(); ++i) {
    pending.spans.push_back({.document = 3, .num_bytes = 1, .begin = i});
  }
  const Outcome outcome =
      RunTask(*Task::Search(memory, pending, "zebra Ulm", {.effort = Effort::kFast, .max_regions = 1}));
  ASSERT_THAT(outcome.status, IsOk());
  ASSERT_EQ(outcome.evidence->found.size(), 1u);
  EXPECT_EQ(outcome.evidence->found[0].span.document, 3u);
  EXPECT_EQ(memory.Digest(), digest);
}

TEST(Search, RefusesWhatCannotWork) {
  const Memory memory = MemoryOf(BookText());
  const auto refused = [&](const std::string& question, RouteOptions options, const char* message) {
    EXPECT_THAT(Task::Search(memory, {}, question, options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  refused("", {}, "empty");
  refused("What?", {.max_regions = 0}, "max_regions");
  refused(std::string(40'000, 'x') + " y", {}, "has room for");
  EXPECT_THAT(Task::Search(memory, {.tokens = {1, 2}, .spans = {{}}}, "What?", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("spans")));
}

TEST(Passages, TakeTheBestWithItsNeighboursAndPutItLast) {
  const Memory memory = MemoryOf(BookText());
  const Archive& archive = memory.state()->archive();
  const Tokenizer& tokenizer = *TinyModel()->tokenizer();
  const std::vector<FoundRegion> found = {
      {.region = 10, .score = 0.6}, {.region = 20, .score = 0.3}, {.region = 4, .score = 0.031}};
  const std::vector<Passage> passages = ChoosePassages(archive, tokenizer, found, 16 * 6);
  ASSERT_EQ(passages.size(), 3u);
  EXPECT_EQ(passages[0].regions.first, 4);
  EXPECT_EQ(passages[1].regions.first, 20);
  EXPECT_EQ(passages[1].regions.end, 21) << "only the best has its neighbours";
  EXPECT_EQ(passages[2].regions.first, 9);
  EXPECT_EQ(passages[2].regions.end, 12);
  EXPECT_DOUBLE_EQ(passages[2].score, 0.6);
  for (const auto& [score, first] : std::map<double, std::int64_t>{{0.14, 9}, {0.16, 10}}) {
    const std::vector<FoundRegion> unsure = {
        {.region = 10, .score = 0.6}, {.region = 20, .score = 0.3}, {.region = 30, .score = score}};
    const std::vector<Passage> last = ChoosePassages(archive, tokenizer, unsure, 16 * 4);
    EXPECT_EQ(last.back().regions.first, first) << "what is beside the best is worth a quarter of it";
    EXPECT_EQ(last.back().regions.end, 12);
  }
  const std::vector<Passage> sure =
      ChoosePassages(archive, tokenizer, {{.region = 10, .score = 0.96}, {.region = 20}}, 16 * 6);
  ASSERT_EQ(sure.size(), 1u) << "what is hardly asked for only distracts";
  EXPECT_EQ(sure[0].regions.first, 9);
  EXPECT_EQ(sure[0].regions.end, 12);
  for (const auto& [score, passages] : std::map<double, std::size_t>{{0.029, 1}, {0.031, 2}}) {
    const std::vector<FoundRegion> beside = {{.region = 10, .score = 0.6}, {.region = 20, .score = score}};
    EXPECT_EQ(ChoosePassages(archive, tokenizer, beside, 16 * 6).size(), passages) << "a 20th of the best is the least";
  }
  for (int budget : {16, 40, 100, 400}) {
    int tokens = 0;
    for (const Passage& passage : ChoosePassages(archive, tokenizer, found, budget)) tokens += passage.tokens;
    EXPECT_LE(tokens, budget);
    EXPECT_GE(tokens, 16);
  }
}

TEST(Passages, AreNotTornByOneRegion) {
  const Memory memory = MemoryOf(BookText());
  const Archive& archive = memory.state()->archive();
  const Tokenizer& tokenizer = *TinyModel()->tokenizer();
  const auto choose = [&](std::vector<std::int64_t> regions, int budget) {
    std::vector<FoundRegion> found;
    for (const std::int64_t region : regions) found.push_back({.region = region, .score = 0.2});
    std::vector<RegionRun> runs;
    for (const Passage& passage : ChoosePassages(archive, tokenizer, found, budget)) runs.push_back(passage.regions);
    return runs;
  };
  const auto run = [](std::int64_t first, std::int64_t end) {
    return AllOf(Field(&RegionRun::first, first), Field(&RegionRun::end, end));
  };
  // The best one, 10, is last with those beside it.
  EXPECT_THAT(choose({10, 20, 22}, 16 * 6), ElementsAre(run(20, 23), run(9, 12)));
  EXPECT_THAT(choose({10, 22, 20}, 16 * 6), ElementsAre(run(20, 23), run(9, 12)));
  EXPECT_THAT(choose({10, 20, 23}, 16 * 6), ElementsAre(run(20, 21), run(23, 24), run(9, 12)));
  EXPECT_THAT(choose({10, 20, 22, 30}, 72), ElementsAre(run(20, 23), run(10, 11))) << "in the turn of 22";
}

TEST(Passages, AreAllTextInOrderWhenItFits) {
  const std::string text = "A short text, caf\xc3\xa9 and all. ";
  const Memory memory = MemoryOf(text + text + text);
  const std::vector<Passage> passages =
      ChoosePassages(memory.state()->archive(), *TinyModel()->tokenizer(), {{.region = 1}}, 1000);
  ASSERT_EQ(passages.size(), 1u);
  EXPECT_EQ(PassageText(memory.state()->archive(), *TinyModel()->tokenizer(), passages[0]), text + text + text);
}

TEST(Passages, TextIsWholeCharacters) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "\xf0\x9f\x9a\x80\xe6\x9d\xb1\xc3\xa9";
  const Memory memory = MemoryOf(text);
  for (std::int64_t region = 0; region < memory.num_regions(); ++region) {
    const std::string part = PassageText(memory.state()->archive(), *TinyModel()->tokenizer(),
                                         {.regions = {.first = region, .end = region + 1}});
    EXPECT_TRUE(IsValidUtf8(part));
    EXPECT_NE(text.find(part), std::string::npos);
    EXPECT_FALSE(part.empty());
  }
}

Question AskAbout(const std::string& text) { return {.text = text, .form = RawPromptForm(), .budget_tokens = 64}; }

TEST(Answer, GeneratesOverWhatItFound) {
  const Memory memory = MemoryOf(BookText());
  const std::string digest = memory.Digest();
  const Outcome outcome = RunTask(*Task::Answer(memory, {}, AskAbout("Which ship?"), {.max_tokens = 6}));
  ASSERT_THAT(outcome.status, IsOk());
  EXPECT_THAT(outcome.phases,
              ElementsAre(TaskPhase::kRouting, TaskPhase::kReranking, TaskPhase::kPrompt, TaskPhase::kGenerating));
  ASSERT_NE(outcome.evidence, nullptr);
  EXPECT_FALSE(outcome.evidence->passages.empty());
  EXPECT_LE(outcome.evidence->text_tokens, 64);
  EXPECT_EQ(memory.Digest(), digest);
}

TEST(Answer, IsThatOfThePromptWithTheText) {
  const Memory memory = MemoryOf(BookText());
  const Outcome answer = RunTask(*Task::Answer(memory, {}, AskAbout("Which ship?"), {.max_tokens = 6}));
  std::string text;
  for (const Passage& passage : answer.evidence->passages) {
    if (!text.empty()) text += "\n...\n";
    std::string part = PassageText(memory.state()->archive(), *TinyModel()->tokenizer(), passage);
    absl::StripAsciiWhitespace(&part);
    text += part;
  }
  const Outcome expected = RunTask(
      *Task::Generate(*Memory::Create(TinyModel(), kOptions), Encode(text + "\n\nWhich ship?"), {.max_tokens = 6}));
  EXPECT_EQ(answer.text, expected.text);
}

TEST(Answer, DroppedAnywhereLeavesTheMemoryAsItWas) {
  const Memory memory = MemoryOf(BookText());
  const std::string digest = memory.Digest();
  for (int steps = 0; steps < 8; ++steps) {
    Task task = *Task::Answer(memory, {}, AskAbout("Which ship?"), {.max_tokens = 6});
    Task* tasks[] = {&task};
    for (int i = 0; i < steps && !task.finished(); ++i) {
      EXPECT_EQ(task.decoding(), task.tokens_left_to_read() == 0);
      ASSERT_THAT(Step(tasks)[0].status, IsOk());
    }
    EXPECT_EQ(memory.Digest(), digest);
  }
}

TEST(Answer, RefusesWhatCannotWork) {
  const Memory memory = MemoryOf(BookText());
  Question question = AskAbout("What?");
  question.budget_tokens = 3;
  EXPECT_THAT(Task::Answer(memory, {}, question, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("budget_tokens")));
  question.budget_tokens = 4096;
  const Outcome outcome = RunTask(*Task::Answer(memory, {}, question, {.max_tokens = 4090}));
  EXPECT_THAT(outcome.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("context")));
}

std::string Filled(Question question, const std::string& text, bool at_start = true) {
  const absl::StatusOr<FilledPrompt> filled = FillPrompt(*TinyModel(), question, text, at_start);
  EXPECT_THAT(filled, IsOk());
  std::string bytes;
  for (const TokenId token : filled->tokens) {
    bytes += TinyModel()->tokenizer()->TokenBytes(token);
  }
  return bytes;
}

TEST(PromptForm, LeavesOutParagraphsWithNothingToSay) {
  Question question = {.text = "Q?", .form = QuestionAnswerPromptForm()};
  EXPECT_EQ(Filled(question, "T"), "T\n\nQuestion: Q?\nAnswer:");
  question.instruction = "Be brief.";
  question.turns = {{"A?", "B"}};
  EXPECT_EQ(Filled(question, "T"), "Be brief.\n\nT\n\nQuestion: A?\nAnswer: B\n\nQuestion: Q?\nAnswer:");
  EXPECT_EQ(Filled({.text = "Q?", .form = RawPromptForm()}, "T"), "T\n\nQ?");
  question.form.opening = " It is";
  EXPECT_THAT(Filled(question, ""), ::testing::EndsWith("Answer: It is"));
}

TEST(PromptForm, MarksInTextAndQuestionStayPlain) {
  EXPECT_EQ(Filled({.text = "{text}?", .form = RawPromptForm()}, "{question} {answer}"),
            "{question} {answer}\n\n{text}?");
}

TEST(PromptForm, FollowsEarlierTextAfterAnEmptyLine) {
  Question question = {.text = "Q?", .instruction = "Be brief.", .form = QuestionAnswerPromptForm()};
  EXPECT_EQ(Filled(question, "", /*at_start=*/false), "\n\nBe brief.\n\nQuestion: Q?\nAnswer:");
  EXPECT_EQ(Filled(question, "T", /*at_start=*/false), "\n\nBe brief.\n\nT\n\nQuestion: Q?\nAnswer:");
}

TEST(PromptForm, ExamplesArePartOfEveryPrompt) {
  Question question = {.text = "Q?"};
  question.form = {.prompt = "{instruction}\n\n{text}\n\nQ: 1?\nA: one\n\nQ: {question}\nA:", .stop = {"\n"}};
  EXPECT_EQ(Filled(question, "T"), "T\n\nQ: 1?\nA: one\n\nQ: Q?\nA:");
  question.instruction = "Be brief.";
  EXPECT_EQ(Filled(question, ""), "Be brief.\n\nQ: 1?\nA: one\n\nQ: Q?\nA:");
}

TEST(PromptForm, WithoutAPlaceForWhatIsGivenIsRefused) {
  Question question = {.text = "Q?", .instruction = "Be brief."};
  question.form = {.prompt = "{text}\n\n{question}"};
  EXPECT_THAT(FillPrompt(*TinyModel(), question, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("instruction")));
  question = {.text = "Q?", .turns = {{"A?", "B"}}, .form = question.form};
  EXPECT_THAT(FillPrompt(*TinyModel(), question, ""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("turns")));
}

TEST(PromptForm, ChatFollowsTheModelsTemplate) {
  Question question = {.text = "Q?", .form = ChatPromptForm()};
  const absl::StatusOr<FilledPrompt> filled = FillPrompt(*TinyModel(), question, "T");
  if (TinyModel()->info().chat_template == ChatTemplate::kPlain) {
    EXPECT_THAT(filled, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chat template")));
  } else {
    ASSERT_THAT(filled, IsOk());
    EXPECT_FALSE(filled->stop_tokens.empty());
    EXPECT_THAT(Filled(question, "T"), HasSubstr("T\n\nQ?"));
  }
}

TEST(Answer, FormThatMakesNoPromptIsAnError) {
  // Nothing was read, and an empty form is nothing but the text that was found.
  const Outcome outcome =
      RunTask(*Task::Answer(*Memory::Create(TinyModel(), kOptions), {}, {.text = "Q?"}, {.max_tokens = 2}));
  EXPECT_THAT(outcome.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty prompt")));
}

}  // namespace
}  // namespace tome
