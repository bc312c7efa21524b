// Questions that name an adapter: it reads and ranks in their forks, and what is stored stays the model's own.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/generation/answer_task.h"
#include "engine/generation/passages.h"
#include "engine/generation/prompt_form.h"
#include "engine/generation/question_likelihood.h"
#include "engine/generation/sentences.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/random_adapter.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::RandomAdapter;
using testing::StatusIs;

const MemoryOptions kOptions = {.sink_tokens = 8, .window_tokens = 64, .segment_tokens = 32, .region_tokens = 16};
const std::string kText = "Which ship sailed to harbour 130?";

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}

std::shared_ptr<const Adapter> AdapterOf(std::uint32_t seed) {
  return RandomAdapter(TinyModel()->info().config, {.seed = seed});
}

std::vector<TokenId> Encode(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyModel()->tokenizer()->Encode(text)) tokens.push_back(token.id);
  return tokens;
}

Memory Book() {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("Chapter {}. The ship {} sailed to harbour {}. ", i, i * 37, i * 13);
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  Task task = Task::Read(&memory, Encode(text));
  Task* tasks[] = {&task};
  while (!task.finished()) EXPECT_THAT(Step(tasks)[0].status, IsOk());
  return memory;
}

Question Ask(std::shared_ptr<const Adapter> adapter) {
  return {.text = kText,
          .form = RawPromptForm(),
          .route = {.effort = Effort::kFast},
          .budget_tokens = 64,
          .adapter = std::move(adapter)};
}

struct Outcome {
  std::shared_ptr<const Evidence> evidence;
  std::vector<TokenId> tokens;
  std::vector<float> log_probabilities;
};

// All of them step together.
std::vector<Outcome> RunTogether(std::vector<Task> tasks) {
  std::vector<Outcome> outcomes(tasks.size());
  const auto left = [&] {
    return std::any_of(tasks.begin(), tasks.end(), [](const Task& task) { return !task.finished(); });
  };
  while (left()) {
    std::vector<Task*> all;
    for (Task& task : tasks) all.push_back(&task);
    const std::vector<StepResult> results = Step(all);
    for (std::size_t i = 0; i < results.size(); ++i) {
      EXPECT_THAT(results[i].status, IsOk());
      if (results[i].evidence != nullptr) outcomes[i].evidence = results[i].evidence;
      for (const GeneratedToken& token : results[i].tokens) outcomes[i].tokens.push_back(token.id);
    }
  }
  return outcomes;
}

Outcome RunOne(absl::StatusOr<Task> task) {
  EXPECT_THAT(task, IsOk());
  std::vector<Task> tasks;
  tasks.push_back(*std::move(task));
  return RunTogether(std::move(tasks)).front();
}

TEST(QuestionAdapter, ReadsAndAnswersAsTheAdaptedModelDoes) {
  const Memory book = Book();
  const auto adapter = AdapterOf(1);
  const Outcome answered = RunOne(Task::Answer(book, {}, Ask(adapter), {.max_tokens = 12}));
  EXPECT_NE(answered.tokens, RunOne(Task::Answer(book, {}, Ask(nullptr), {.max_tokens = 12})).tokens);

  // By hand: the prompt over what was found, greedily.
  const LlamaWeights& weights = **LlamaModel::From(*TinyModel()).AdaptedWeights(adapter);
  const std::string text =
      JoinPassages(book.state()->archive(), *TinyModel()->tokenizer(), answered.evidence->passages);
  TOME_ASSERT_OK_AND_ASSIGN(const FilledPrompt prompt, FillPrompt(*TinyModel(), Ask(adapter), text, true));
  std::vector<TokenId> tokens = prompt.tokens;
  for (const TokenId expected : answered.tokens) {
    SequenceCache cache(weights, MemoryState(MemoryOptions{}), static_cast<std::int64_t>(tokens.size()));
    const at::Tensor hidden = Forward(weights, tokens, cache);
    const at::Tensor logits = ComputeLogits(weights, hidden.narrow(0, hidden.size(0) - 1, 1))[0];
    EXPECT_NEAR(logits[expected].item<float>(), logits.max().item<float>(), 1e-3);
    tokens.push_back(expected);
  }
}

TEST(QuestionAdapter, LeavesWhatIsStoredAsItWas) {
  const Memory book = Book();
  const std::string digest = book.Digest();
  Question question = Ask(AdapterOf(1));
  question.route = {.effort = Effort::kBalanced, .adapter = AdapterOf(2)};
  RunOne(Task::Answer(book, {}, question, {.max_tokens = 4}));
  EXPECT_EQ(book.Digest(), digest);
  const std::vector<TokenId> before = RunOne(Task::Answer(book, {}, Ask(nullptr), {.max_tokens = 8})).tokens;
  EXPECT_EQ(before, RunOne(Task::Answer(Book(), {}, Ask(nullptr), {.max_tokens = 8})).tokens);
}

TEST(QuestionAdapter, QuestionsWithDifferentAdaptersShareSteps) {
  const Memory book = Book();
  const std::vector<std::shared_ptr<const Adapter>> adapters = {AdapterOf(1), nullptr, AdapterOf(2), AdapterOf(3)};
  std::vector<Task> tasks;
  for (const auto& adapter : adapters) tasks.push_back(*Task::Answer(book, {}, Ask(adapter), {.max_tokens = 10}));
  const std::vector<Outcome> together = RunTogether(std::move(tasks));
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    EXPECT_EQ(together[i].tokens, RunOne(Task::Answer(book, {}, Ask(adapters[i]), {.max_tokens = 10})).tokens) << i;
  }
}

TEST(QuestionAdapter, RanksByTheAdaptedModelsLikelihoods) {
  const Memory book = Book();
  const auto adapter = AdapterOf(4);
  const LlamaWeights& weights = **LlamaModel::From(*TinyModel()).AdaptedWeights(adapter);
  const RouteOptions route = {.effort = Effort::kBalanced, .max_regions = 8, .adapter = adapter};
  const Outcome found = RunOne(Task::Search(book, {}, kText, route));
  ASSERT_FALSE(found.evidence->found.empty());
  for (const FoundRegion& region : found.evidence->found) {
    bool checked = false;
    for (const RegionSentence& sentence :
         RegionSentences(book.state()->archive(), *TinyModel()->tokenizer(), region.region)) {
      if (!(sentence.span == region.sentence)) continue;
      const auto all = QuestionLogProbabilities(weights, {{sentence.tokens}}, Encode("\n\n" + kText)).front();
      EXPECT_NEAR(region.log_likelihood, std::accumulate(all.begin(), all.end(), 0.0), 1e-3);
      checked = true;
    }
    EXPECT_TRUE(checked);
  }
}

TEST(QuestionAdapter, IsRefusedWhereStoredKeysAreAttended) {
  Question question = Ask(AdapterOf(1));
  question.mode = AnswerMode::kAttend;
  EXPECT_THAT(Task::Answer(Book(), {}, question, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes no adapter")));
  question.mode = AnswerMode::kWindow;
  EXPECT_THAT(Task::Answer(Book(), {}, question, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sink and window")));
}

TEST(QuestionAdapter, OfAnotherModelIsRefused) {
  const auto stranger = RandomAdapter(testing::LoadTinyModel({.num_layers = 3})->info().config, {});
  EXPECT_THAT(Task::Answer(Book(), {}, Ask(stranger), {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("adapter")));
  EXPECT_THAT(Task::Search(Book(), {}, kText, {.adapter = stranger}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("adapter")));
}

}  // namespace
}  // namespace tome
