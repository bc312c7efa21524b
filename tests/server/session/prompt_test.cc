#include "server/session/prompt.h"

#include "engine/generation/prompt_form.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/session/errors.h"
#include "tests/support/status_matchers.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::StatusIs;

class PromptTest : public ::testing::Test {
 protected:
  absl::StatusOr<ChosenForm> Choose(PromptForm form, ChatTemplate chat_template = ChatTemplate::kChatMl) {
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
  for (const auto& [form, expected] : std::initializer_list<std::pair<PromptForm, tome::PromptForm>>{
           {PromptForm::kChat, ChatPromptForm()},
           {PromptForm::kRaw, RawPromptForm()},
           {PromptForm::kQuestionAnswer, QuestionAnswerPromptForm()},
           {PromptForm::kCustom, request_.custom_form},
           {PromptForm::kProfile, *profile_.prompt_form}}) {
    EXPECT_EQ(Choose(form)->name, form);
    EXPECT_EQ(Choose(form)->form, expected);
  }
}

TEST_F(PromptTest, DefaultIsTheProfilesThenChatThenRaw) {
  EXPECT_EQ(Choose(PromptForm::kDefault, ChatTemplate::kPlain)->name, PromptForm::kRaw);
  EXPECT_EQ(Choose(PromptForm::kDefault)->name, PromptForm::kChat);
  profile_.prompt_form = QuestionAnswerPromptForm();
  EXPECT_EQ(Choose(PromptForm::kDefault)->name, PromptForm::kProfile);
  EXPECT_EQ(Choose(PromptForm::kDefault)->form, QuestionAnswerPromptForm());
}

TEST_F(PromptTest, RefusesWhatTheModelLacks) {
  request_.custom_form = {.prompt = "{text} {question}", .chat = true};
  for (const PromptForm form : {PromptForm::kChat, PromptForm::kCustom}) {
    const absl::Status status = Choose(form, ChatTemplate::kPlain).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no chat template")));
    EXPECT_EQ(ReasonOf(status), "NO_CHAT_TEMPLATE");
  }
  const absl::Status status = Choose(PromptForm::kProfile).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no prompt form")));
  EXPECT_EQ(ReasonOf(status), "NO_PROFILE_FORM");
}

TEST_F(PromptTest, RefusesWhatTheFormHasNoPlaceFor) {
  request_.custom_form = {.prompt = "{text} {question}"};
  EXPECT_THAT(Choose(PromptForm::kCustom), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("instruction")));
  request_.instruction.clear();
  const absl::Status status = Choose(PromptForm::kCustom).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("turns")));
  EXPECT_EQ(ReasonOf(status), "PROMPT_FORM");
  request_.turns.clear();
  EXPECT_EQ(Choose(PromptForm::kCustom)->form, request_.custom_form);
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
