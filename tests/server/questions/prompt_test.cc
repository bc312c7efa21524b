#include "server/questions/prompt.h"

#include "engine/generation/prompt_form.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/support/status_matchers.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::StatusIs;

class PromptTest : public ::testing::Test {
 protected:
  absl::StatusOr<ChosenForm> Choose(PromptFormKind form, ChatTemplate chat_template = ChatTemplate::kChatMl) {
    request_.prompt_form = form;
    return ChooseForm(request_, chat_template, profile_);
  }
  std::string ReasonOf(const absl::Status& status) { return GetErrorDetails(status)->reason; }

  QuestionRequest request_{.question = "Who?", .instruction = "Be brief.", .turns = {{"When?", "Then."}}};
  ModelProfile profile_;
};

TEST_F(PromptTest, NamesTheFormThatIsUsed) {
  request_.custom_form = {.prompt = "{instruction} {text} {turns} {question}!", .turn = "{question} {answer}"};
  profile_.prompt_form = request_.custom_form;
  profile_.prompt_form->prompt += "?";
  for (const auto& [form, expected] : std::initializer_list<std::pair<PromptFormKind, tome::PromptForm>>{
           {PromptFormKind::kChat, ChatPromptForm()},
           {PromptFormKind::kRaw, RawPromptForm()},
           {PromptFormKind::kQuestionAnswer, QuestionAnswerPromptForm()},
           {PromptFormKind::kCustom, request_.custom_form},
           {PromptFormKind::kProfile, *profile_.prompt_form}}) {
    EXPECT_EQ(Choose(form)->name, form);
    EXPECT_EQ(Choose(form)->form, expected);
  }
}

TEST_F(PromptTest, DefaultIsTheProfilesThenChatThenRaw) {
  EXPECT_EQ(Choose(PromptFormKind::kDefault, ChatTemplate::kPlain)->name, PromptFormKind::kRaw);
  EXPECT_EQ(Choose(PromptFormKind::kDefault)->name, PromptFormKind::kChat);
  profile_.prompt_form = QuestionAnswerPromptForm();
  EXPECT_EQ(Choose(PromptFormKind::kDefault)->name, PromptFormKind::kProfile);
  EXPECT_EQ(Choose(PromptFormKind::kDefault)->form, QuestionAnswerPromptForm());
}

TEST_F(PromptTest, RefusesWhatTheModelLacks) {
  request_.custom_form = {.prompt = "{text} {question}", .chat = true};
  for (const PromptFormKind form : {PromptFormKind::kChat, PromptFormKind::kCustom}) {
    const absl::Status status = Choose(form, ChatTemplate::kPlain).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no chat template")));
    EXPECT_EQ(ReasonOf(status), "NO_CHAT_TEMPLATE");
  }
  const absl::Status status = Choose(PromptFormKind::kProfile).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no prompt form")));
  EXPECT_EQ(ReasonOf(status), "NO_PROFILE_FORM");
}

TEST_F(PromptTest, RefusesWhatTheFormHasNoPlaceFor) {
  request_.custom_form = {.prompt = "{text} {question}"};
  EXPECT_THAT(Choose(PromptFormKind::kCustom), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("instruction")));
  request_.instruction.clear();
  const absl::Status status = Choose(PromptFormKind::kCustom).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("turns")));
  EXPECT_EQ(ReasonOf(status), "PROMPT_FORM");
  request_.turns.clear();
  EXPECT_EQ(Choose(PromptFormKind::kCustom)->form, request_.custom_form);
}

TEST_F(PromptTest, ChecksTheSizeOfAllParts) {
  request_.custom_form = {.prompt = "{text}{question}", .turn = "t", .opening = "o"};
  const std::size_t bytes = std::string("Who?Be brief.When?Then.{text}{question}to").size();
  EXPECT_TRUE(CheckQuestionSize(request_, bytes).ok());
  const absl::Status status = CheckQuestionSize(request_, bytes - 1);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::to_string(bytes))));
  EXPECT_EQ(ReasonOf(status), "QUESTION_TOO_LONG");
}

}  // namespace
}  // namespace tome::server
