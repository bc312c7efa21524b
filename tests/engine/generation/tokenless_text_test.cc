// Questions and texts without tokens, or that are only white space, at the engine's door.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/engine.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const MemoryOptions kOptions = {.sink_tokens = 8, .window_tokens = 64, .segment_tokens = 32, .region_tokens = 16};

// Without tokens for some controls and for the line end; with a profile, or without.
std::shared_ptr<const Model> ModelWithoutControls(bool profile) {
  const testing::TinyModelOptions tiny = {.missing_bytes = std::string("\x04\x1d\n", 3)};
  return profile ? testing::LoadTinyModelWithProfile(8, tiny) : testing::LoadTinyModel(tiny);
}

Memory MemoryOf(const std::shared_ptr<const Model>& model, const std::string& text) {
  Memory memory = *Memory::Create(model, kOptions);
  std::vector<TokenId> tokens;
  for (const TextToken& token : model->tokenizer()->Encode(text)) tokens.push_back(token.id);
  Task task = Task::Read(&memory, std::move(tokens));
  Task* tasks[] = {&task};
  while (!task.finished()) EXPECT_THAT(Step(tasks)[0].status, IsOk());
  return memory;
}

absl::Status RunTask(absl::StatusOr<Task> task) {
  if (!task.ok()) return task.status();
  absl::Status status;
  Task* tasks[] = {&*task};
  while (!task->finished()) status.Update(Step(tasks)[0].status);
  return status;
}

std::string Words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "the ship number " + std::to_string(i) + " sailed ";
  return text;
}

TEST(TokenlessText, IsRefusedByEveryTaskThatAsks) {
  for (const bool profile : {true, false}) {
    const std::shared_ptr<const Model> model = ModelWithoutControls(profile);
    for (const Memory& memory : {*Memory::Create(model, kOptions), MemoryOf(model, Words(40))}) {
      for (const std::string text : {"", "\x04", "\x1d\x04\x1d", "\n\n"}) {
        SCOPED_TRACE(::testing::PrintToString(text));
        const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tokens"));
        EXPECT_THAT(RunTask(Task::Score(memory, {}, text)), refused);
        EXPECT_THAT(RunTask(Task::Search(memory, {}, text, {})), refused);
        EXPECT_THAT(RunTask(Task::Answer(memory, {}, {.text = text}, {.max_tokens = 4})), refused);
      }
    }
  }
}

TEST(TokenlessText, OfWhiteSpaceOrAmongWordsIsWorkedWith) {
  for (const bool profile : {true, false}) {
    const std::shared_ptr<const Model> model = ModelWithoutControls(profile);
    for (const int words : {0, 20}) {
      const Memory memory = MemoryOf(model, Words(words));
      for (const std::string text : {" ", "  \t", "\x04 a", "\xEF\xBB\xBF"}) {
        SCOPED_TRACE(::testing::PrintToString(text) + " after " + std::to_string(words));
        EXPECT_THAT(RunTask(Task::Score(memory, {}, text)), IsOk());
        for (const Effort effort : {Effort::kFast, Effort::kBalanced, Effort::kThorough}) {
          EXPECT_THAT(RunTask(Task::Search(memory, {}, text, {.effort = effort})), IsOk());
        }
        Question question{.text = text};
        question.form.prompt = "{text}{question}";
        for (const AnswerMode mode : {AnswerMode::kReread, AnswerMode::kAttend}) {
          question.mode = mode;
          EXPECT_THAT(RunTask(Task::Answer(memory, {}, question, {.max_tokens = 4})), IsOk());
        }
      }
    }
  }
}

TEST(TokenlessText, ReadingNothingIsDoneAtOnce) {
  Memory memory = *Memory::Create(ModelWithoutControls(false), kOptions);
  Task task = Task::Read(&memory, {});
  EXPECT_TRUE(task.finished());
  Task* tasks[] = {&task};
  const StepResult result = Step(tasks)[0];
  EXPECT_THAT(result.status, IsOk());
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(memory.tokens_read(), 0);
}

// The longest question that is taken fits with everything that a memory keeps, whatever it has read.
TEST(LongQuestions, FitTheContextOrAreRefused) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile(8, {.context_length = 512});
  const MemoryOptions options = {.sink_tokens = 8,
                                 .window_tokens = 200,
                                 .segment_tokens = 32,
                                 .region_tokens = 64,
                                 .regions = {.selected = 1, .query_region_tokens = 16, .ring_regions = 4}};
  for (const int read : {1, 208, 271, 272, 300, 335, 336, 400}) {
    Memory memory = *Memory::Create(model, options);
    Task task = Task::Read(&memory, std::vector<TokenId>(static_cast<std::size_t>(read), 'x'));
    Task* tasks[] = {&task};
    while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());
    bool taken = true;
    for (std::size_t length = 235; length < 310; ++length) {
      const absl::Status status =
          RunTask(Task::Search(memory, {}, std::string(length, 'q'), {.effort = Effort::kFast}));
      if (status.ok()) {
        EXPECT_TRUE(taken) << "a longer one, of " << length << " tokens";
        continue;
      }
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the question has"))) << length;
      taken = false;
    }
    EXPECT_FALSE(taken);
  }
}

}  // namespace
}  // namespace tome
