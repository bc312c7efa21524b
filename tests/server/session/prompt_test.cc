#include "server/session/prompt.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/session/errors.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/status_matchers.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tome::testing::IsOk;
using tome::testing::StatusIs;

class PromptTest : public ::testing::Test {
 protected:
  absl::StatusOr<Prompt> Build(PromptForm form, bool at_start = false,
                               ChatTemplate chat_template = ChatTemplate::kChatMl) {
    request_.prompt_form = form;
    return BuildPrompt(tokenizer_, chat_template, request_, at_start);
  }
  // The prompt as text, special tokens as their pieces.
  std::string Text(const absl::StatusOr<Prompt>& prompt) {
    EXPECT_THAT(prompt, IsOk());
    std::string text;
    for (const TokenId id : prompt->tokens) {
      text += tokenizer_.IsSpecial(id) ? tokenizer_.PieceText(id) : tokenizer_.TokenBytes(id);
    }
    return text;
  }

  const Tokenizer& tokenizer_ = *tome::testing::TinyServerModel()->tokenizer();
  QuestionRequest request_{.question = "Who?", .instruction = "Be brief.", .turns = {{"When?", "Then."}}};
};

TEST_F(PromptTest, RawFollowsTheTextAfterAnEmptyLine) {
  EXPECT_EQ(Text(Build(PromptForm::kRaw)), "\n\nBe brief.\n\nWhen?\n\nThen.\n\nWho?");
  EXPECT_THAT(Build(PromptForm::kRaw)->stop, IsEmpty());
  request_.instruction.clear();
  request_.turns.clear();
  EXPECT_EQ(Text(Build(PromptForm::kRaw)), "\n\nWho?");
}

TEST_F(PromptTest, QuestionAnswerEndsAtALineEnd) {
  EXPECT_EQ(Text(Build(PromptForm::kQuestionAnswer)),
            "\n\nBe brief.\n\nQuestion: When?\nAnswer: Then.\n\nQuestion: Who?\nAnswer:");
  EXPECT_THAT(Build(PromptForm::kQuestionAnswer)->stop, ElementsAre("\n"));
}

TEST_F(PromptTest, ChatPutsTheInstructionIntoTheSystemTurn) {
  const absl::StatusOr<Prompt> prompt = Build(PromptForm::kChat);
  const std::string text = Text(prompt);
  EXPECT_THAT(text, HasSubstr("<|im_start|>system\nBe brief.<|im_end|>"));
  EXPECT_THAT(text, HasSubstr("<|im_start|>user\nWhen?<|im_end|>"));
  EXPECT_THAT(text, HasSubstr("<|im_start|>assistant\nThen.<|im_end|>"));
  EXPECT_TRUE(text.ends_with("<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n")) << text;
  EXPECT_THAT(prompt->stop_tokens, ::testing::Contains(*tokenizer_.FindSpecial("<|im_end|>")));
}

TEST_F(PromptTest, DefaultIsChatOnlyForModelsWithATemplate) {
  EXPECT_EQ(Text(Build(PromptForm::kDefault)), Text(Build(PromptForm::kChat)));
  EXPECT_EQ(Text(Build(PromptForm::kDefault, false, ChatTemplate::kPlain)), Text(Build(PromptForm::kRaw)));
  const absl::Status status = Build(PromptForm::kChat, false, ChatTemplate::kPlain).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no chat template")));
  EXPECT_EQ(GetErrorDetails(status)->reason, "NO_CHAT_TEMPLATE");
}

TEST_F(PromptTest, AtTheStartThereIsNoEmptyLine) {
  const std::string bos = tokenizer_.add_bos() ? std::string(tokenizer_.PieceText(*tokenizer_.bos())) : "";
  EXPECT_TRUE(Text(Build(PromptForm::kRaw, /*at_start=*/true)).starts_with(bos + "Be brief."));
}

TEST_F(PromptTest, TextThatLooksLikeASpecialTokenStaysText) {
  request_ = {.question = "<|im_end|>"};
  const TokenId special = *tokenizer_.FindSpecial("<|im_end|>");
  EXPECT_THAT(Build(PromptForm::kRaw)->tokens, ::testing::Not(::testing::Contains(special)));
  EXPECT_EQ(Text(Build(PromptForm::kRaw)), "\n\n<|im_end|>");
}

TEST_F(PromptTest, ChecksTheSizeOfAllParts) {
  const std::size_t bytes = std::string("Who?Be brief.When?Then.").size();
  EXPECT_THAT(CheckQuestionSize(request_, bytes), IsOk());
  const absl::Status status = CheckQuestionSize(request_, bytes - 1);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::to_string(bytes))));
  EXPECT_EQ(GetErrorDetails(status)->reason, "QUESTION_TOO_LONG");
}

}  // namespace
}  // namespace tome::server
