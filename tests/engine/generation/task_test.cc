#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

const MemoryOptions kOptions = {.sink_tokens = 4, .window_tokens = 60, .segment_tokens = 16};

Memory MemoryWith(int tokens) {
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  std::vector<TokenId> text;
  for (int i = 0; i < tokens; ++i) text.push_back((i * 13 + 1) % 256);
  Task task = Task::Read(&memory, text);
  Task* tasks[] = {&task};
  while (!task.finished()) EXPECT_THAT(Step(tasks)[0].status, IsOk());
  return memory;
}

std::vector<TokenId> Prompt(int tokens, int seed) {
  std::vector<TokenId> prompt;
  for (int i = 0; i < tokens; ++i) prompt.push_back((seed * 29 + i * 11) % 256);
  return prompt;
}

struct Answer {
  std::vector<TokenId> tokens;
  std::string text;
  FinishReason reason = FinishReason::kNone;
};

void Take(const StepResult& result, Answer* answer) {
  ASSERT_THAT(result.status, IsOk());
  for (const GeneratedToken& token : result.tokens) answer->tokens.push_back(token.id);
  answer->text += result.text;
  if (result.finished) answer->reason = result.finish_reason;
}

Answer RunTask(Task task) {
  Answer answer;
  Task* tasks[] = {&task};
  while (!task.finished()) Take(Step(tasks)[0], &answer);
  return answer;
}

TEST(Generate, RefusesWhatCannotWork) {
  const Memory memory = MemoryWith(100);
  EXPECT_THAT(Task::Generate(memory, {}, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prompt")));
  EXPECT_THAT(Task::Generate(memory, {1 << 30}, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("vocabulary")));
  EXPECT_THAT(Task::Generate(memory, {-1}, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("vocabulary")));
  EXPECT_THAT(Task::Generate(memory, Prompt(4000, 1), {.max_tokens = 100}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4096")));
  EXPECT_THAT(Task::Generate(memory, {1}, {.sampling = {.temperature = -1}}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature")));
  EXPECT_THAT(Task::Generate(memory, {1}, {.sampling = {.top_p = 0}}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top_p")));
  EXPECT_THAT(Task::Generate(memory, {1}, {.max_tokens = 0}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_tokens")));
}

TEST(Generate, FillsTheContextToItsEnd) {
  const Memory memory = MemoryWith(64);
  const Answer answer = RunTask(*Task::Generate(memory, Prompt(4096 - 64 - 3, 1), {.max_tokens = 3}));
  EXPECT_LE(answer.tokens.size(), 3u);
  EXPECT_FALSE(answer.tokens.empty());
}

TEST(Generate, EndsWhereTheContextIsFullIfThatIsAllowed) {
  const Memory memory = MemoryWith(64);
  const std::vector<TokenId> prompt = Prompt(4096 - 64 - 3, 1);
  EXPECT_THAT(Task::Generate(memory, prompt, {.max_tokens = 100}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has room for 4032")));
  const Answer cut = RunTask(*Task::Generate(memory, prompt, {.max_tokens = 100, .up_to_context = true}));
  const Answer whole = RunTask(*Task::Generate(memory, prompt, {.max_tokens = 3}));
  EXPECT_EQ(cut.tokens, whole.tokens);
  EXPECT_EQ(cut.reason, whole.reason == FinishReason::kMaxTokens ? FinishReason::kContextFull : whole.reason);
  EXPECT_EQ(RunTask(*Task::Generate(memory, Prompt(9, 1), {.max_tokens = 2, .up_to_context = true})).reason,
            FinishReason::kMaxTokens)
      << "there is room";
  EXPECT_THAT(Task::Generate(memory, Prompt(4096 - 64, 1), {.up_to_context = true}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the answer may have 1")));
}

TEST(Generate, ReadsTheQuestionInChunksThenDecodes) {
  Task task = *Task::Generate(MemoryWith(30), Prompt(40, 2), {.max_tokens = 5});
  Task* tasks[] = {&task};
  std::vector<std::int64_t> read;
  std::size_t generated = 0;
  while (!task.finished()) {
    const StepResult result = std::move(Step(tasks)[0]);
    ASSERT_THAT(result.status, IsOk());
    if (result.tokens_read > 0) read.push_back(result.tokens_read);
    generated += result.tokens.size();
    EXPECT_EQ(task.decoding(), !task.finished() && task.tokens_left_to_read() == 0);
  }
  EXPECT_EQ(read, (std::vector<std::int64_t>{16, 16, 8}));
  EXPECT_GE(generated, 1u);
}

TEST(Generate, AnAnswerThatIsCutWithinACharacterEndsBeforeIt) {
  const Memory memory = MemoryWith(30);
  int cut_within_a_character = 0;
  for (int seed = 0; seed < 12; ++seed) {
    const GenerationOptions options = {.sampling = {.temperature = 2, .seed = static_cast<std::uint64_t>(seed)},
                                       .max_tokens = 24};
    const Answer whole = RunTask(*Task::Generate(memory, Prompt(10, seed), options));
    Detokenizer detokenizer(memory.model()->tokenizer());
    std::string certain;  // the characters that are whole
    for (std::size_t tokens = 1; tokens <= whole.tokens.size(); ++tokens) {
      certain += detokenizer.Append(whole.tokens[tokens - 1]);
      GenerationOptions cut = options;
      cut.max_tokens = static_cast<int>(tokens);
      const Answer answer = RunTask(*Task::Generate(memory, Prompt(10, seed), cut));
      ASSERT_EQ(answer.tokens.size(), tokens);
      EXPECT_EQ(answer.text, certain) << seed << ", " << tokens;
      Detokenizer rest = detokenizer;
      cut_within_a_character += rest.Finish().empty() ? 0 : 1;
    }
  }
  EXPECT_GT(cut_within_a_character, 0) << "else this shows nothing";
}

TEST(Generate, StopsAtAStopToken) {
  const Memory memory = MemoryWith(30);
  const Answer free = RunTask(*Task::Generate(memory, Prompt(10, 3), {.max_tokens = 6}));
  ASSERT_GE(free.tokens.size(), 3u);
  const Answer stopped =
      RunTask(*Task::Generate(memory, Prompt(10, 3), {.max_tokens = 6, .stop_tokens = {free.tokens[2]}}));
  EXPECT_EQ(stopped.reason, FinishReason::kStopToken);
  EXPECT_LE(stopped.tokens.size(), 3u);
  EXPECT_EQ(stopped.tokens.back(), free.tokens[2]);
}

TEST(Generate, TheSameSeedGivesTheSameTextAloneAndInAnyCompany) {
  const Memory memory = MemoryWith(70);
  const auto make = [&](int i) {
    return *Task::Generate(memory, Prompt(5 + 9 * i, i),
                           {.sampling = {.temperature = 1.2, .seed = static_cast<std::uint64_t>(i)}, .max_tokens = 12});
  };
  std::vector<Answer> alone;
  for (int i = 0; i < 6; ++i) alone.push_back(RunTask(make(i)));

  Memory reader_memory = MemoryWith(20);
  std::vector<Task> tasks;
  for (int i = 0; i < 6; ++i) tasks.push_back(make(i));
  tasks.push_back(Task::Read(&reader_memory, Prompt(64, 9)));
  std::vector<Answer> together(6);
  for (bool working = true; working;) {
    std::vector<Task*> unfinished;
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (!tasks[i].finished()) {
        unfinished.push_back(&tasks[i]);
        indices.push_back(i);
      }
    }
    working = !unfinished.empty();
    const std::vector<StepResult> results = Step(unfinished);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (indices[i] < 6) Take(results[i], &together[indices[i]]);
    }
  }
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(together[i].tokens, alone[i].tokens) << i;
    EXPECT_EQ(together[i].text, alone[i].text) << i;
  }

  Memory expected = MemoryWith(20);
  Task read = Task::Read(&expected, Prompt(64, 9));
  Task* reading[] = {&read};
  while (!read.finished()) Step(reading);
  EXPECT_EQ(reader_memory.Digest(), expected.Digest());
}

// All scored tokens of a text.
std::vector<ScoredToken> ScoreText(const Memory& memory, PendingText pending, const std::string& text) {
  absl::StatusOr<Task> task = Task::Score(memory, std::move(pending), text);
  EXPECT_THAT(task, IsOk());
  std::vector<ScoredToken> scored;
  Task* tasks[] = {&*task};
  while (!task->finished()) {
    const StepResult result = std::move(Step(tasks)[0]);
    EXPECT_THAT(result.status, IsOk());
    scored.insert(scored.end(), result.scored.begin(), result.scored.end());
  }
  return scored;
}

TEST(Score, TellsEachTokenThatFollows) {
  const Memory memory = MemoryWith(0);
  const std::string text = "a text that is longer than a segment of sixteen tokens, as it has some more words";
  std::vector<TokenId> ids;
  for (const TextToken& token : memory.model()->tokenizer()->Encode(text)) ids.push_back(token.id);
  ASSERT_GT(ids.size(), 40u);
  const std::vector<ScoredToken> scored = ScoreText(memory, {}, text);
  const LlamaWeights& weights = LlamaModel::From(*memory.model()).weights();
  const bool bos = memory.model()->tokenizer()->add_bos();
  std::vector<TokenId> all = ids;
  if (bos) all.insert(all.begin(), *memory.model()->tokenizer()->bos());
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), static_cast<std::int64_t>(all.size()));
  const at::Tensor expected = at::log_softmax(ComputeLogits(weights, Forward(weights, all, cache)), -1);
  ASSERT_EQ(scored.size(), ids.size());
  EXPECT_EQ(scored[0].log_probability.has_value(), bos);
  for (std::size_t i = bos ? 0 : 1; i < ids.size(); ++i) {
    EXPECT_EQ(scored[i].id, ids[i]);
    EXPECT_NEAR(*scored[i].log_probability, expected[i - (bos ? 0 : 1)][ids[i]].item<float>(), 1e-4) << i;
  }
}

TEST(Score, GoesOnAfterWhatWasReadAndWhatIsPending) {
  const Memory memory = MemoryWith(30);
  const std::string before = memory.Digest(), text = "some text";
  PendingText pending{.tokens = {5, 6, 7}, .spans = std::vector<TokenSpan>(3)};
  const std::vector<ScoredToken> scored = ScoreText(memory, pending, text), alone = ScoreText(memory, {}, text);
  ASSERT_EQ(scored.size(), alone.size());
  EXPECT_TRUE(scored[0].log_probability.has_value());
  EXPECT_FALSE(alone[0].log_probability.has_value()) << "what the state expects next is not kept";
  EXPECT_NE(*scored[1].log_probability, *alone[1].log_probability);
  EXPECT_EQ(memory.Digest(), before);
  EXPECT_THAT(Task::Score(memory, {}, "").status(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
}

TEST(Step, AFailingTaskFailsAlone) {
  Memory good_memory = MemoryWith(10), bad_memory = MemoryWith(10);
  const std::string before = bad_memory.Digest();
  Task good = Task::Read(&good_memory, Prompt(16, 1)), bad = Task::Read(&bad_memory, {5, 1 << 29, 7});
  Task* tasks[] = {&bad, &good};
  const std::vector<StepResult> results = Step(tasks);
  EXPECT_THAT(results[0].status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("vocabulary")));
  EXPECT_TRUE(results[0].finished);
  EXPECT_TRUE(bad.finished());
  EXPECT_THAT(results[1].status, IsOk());
  EXPECT_EQ(results[1].tokens_read, 16);
  EXPECT_EQ(bad_memory.Digest(), before);
}

TEST(Step, NothingToDoIsNothingDone) {
  Memory memory = MemoryWith(10);
  Task empty = Task::Read(&memory, {});
  EXPECT_TRUE(empty.finished());
  Task* tasks[] = {&empty};
  EXPECT_TRUE(Step(tasks)[0].finished);
  EXPECT_TRUE(Step({}).empty());
}

}  // namespace
}  // namespace tome
