// Other people's models through the whole server, with its default options: those with short contexts, ChatML
// fine-tunes of models with SentencePiece's vocabulary, and files that are not quite as they should be.
#include <cstdio>
#include <filesystem>
#include <string>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/tiny_model_formats.h"
#include "tests/support/tiny_tokenizers.h"

namespace tome::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelsTest : public ServerFixture {
 protected:
  ModelsTest() { has_memory_flags_ = false; }

  v1::Model GetModel() {
    grpc::ClientContext context;
    v1::Model model;
    const grpc::Status status = model_stub_->GetModel(&context, {}, &model);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return model;
  }

  // Reads a text and asks about it in every mode and form that a request which says nothing else can take.
  void ReadAndAsk() {
    const std::string session = CreateSession("book");
    AppendDocument(session, "doc", SomeText(8000));
    const v1::WatchResponse report = WatchToTheEnd(session);
    EXPECT_EQ(report.ingested_bytes(), 8000u);
    const bool chats = GetModel().chat_template() != "plain";
    for (const auto mode : {v1::ANSWER_MODE_REREAD, v1::ANSWER_MODE_WINDOW, v1::ANSWER_MODE_ATTEND}) {
      for (const auto form :
           {v1::PROMPT_FORM_UNSPECIFIED, v1::PROMPT_FORM_RAW, v1::PROMPT_FORM_QUESTION_ANSWER, v1::PROMPT_FORM_CHAT}) {
        if (form == v1::PROMPT_FORM_CHAT && !chats) continue;
        v1::AskRequest request = Question(session, "Which ship was it?", /*max_tokens=*/0);
        request.set_mode(mode);
        request.set_prompt_form(form);
        v1::AskResult result;
        const grpc::Status status = Ask(request, &result);
        EXPECT_TRUE(status.ok()) << v1::AnswerMode_Name(mode) << " " << form << ": " << status.error_message();
        EXPECT_THAT(result.answer(), ::testing::Not(HasSubstr("<|im_")));
      }
    }
  }
};

TEST_F(ModelsTest, ShortContextsStartWithTheDefaultOptions) {
  const struct {
    int context, window, segment;
  } cases[] = {{2048, 1024, 256}, {512, 256, 64}, {256, 128, 32}};
  for (const auto& [context, window, segment] : cases) {
    SCOPED_TRACE(context);
    std::filesystem::remove_all(folder_.path() / "model");
    std::filesystem::remove_all(folder_.path() / "data");
    WriteTinyModel(folder_.path() / "model", {.context_length = context});
    Start();
    const v1::Model model = GetModel();
    EXPECT_EQ(model.default_options().window_tokens(), static_cast<std::uint32_t>(window));
    EXPECT_EQ(model.default_options().segment_tokens(), static_cast<std::uint32_t>(segment));
    EXPECT_THAT(model.warnings(), ::testing::ElementsAre(HasSubstr("--window-tokens is " + std::to_string(window))));
    EXPECT_THAT(server_->Errors(), HasSubstr("memory_fitted"));
    ReadAndAsk();
    EXPECT_EQ(Stop(SIGTERM), 0);
  }
}

TEST_F(ModelsTest, ChosenOptionsThatDoNotFitNameTheirFlags) {
  WriteTinyModel(folder_.path() / "model", {.context_length = 512});
  const Finished flag = RunServer(Flags({"--window-tokens=2048"}));
  EXPECT_EQ(flag.exit_code, 1);
  EXPECT_THAT(flag.err, HasSubstr("--window-tokens=2048: "));
  const Finished variable = RunServer(Flags(), {{"TOME_SEGMENT_TOKENS", "512"}});
  EXPECT_EQ(variable.exit_code, 1);
  EXPECT_THAT(variable.err, HasSubstr("--segment-tokens=512: "));
}

TEST_F(ModelsTest, EveryKindOfTokenizerReadsAndAnswers) {
  for (const TinyTokenizerKind kind : kTinyTokenizerKinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    std::filesystem::remove_all(folder_.path() / "data");
    WriteTinyTokenizer(folder_.path() / "model", kind);
    Start();
    EXPECT_EQ(GetModel().chat_template(), HasChatMl(kind) ? "chatml" : "plain");
    ReadAndAsk();
    EXPECT_EQ(Stop(SIGTERM), 0);
  }
}

TEST_F(ModelsTest, WarningsAreLoggedAndShown) {
  const std::filesystem::path config_path = folder_.path() / "model" / "config.json";
  nlohmann::json config = nlohmann::json::parse(ReadFile(config_path));
  config["architectures"].push_back("OtherForCausalLM");
  config["hidden_size"] = "64.0";
  WriteFile(config_path, config.dump());
  Start();
  const v1::Model model = GetModel();
  EXPECT_THAT(model.warnings(), Contains(HasSubstr("'architectures'")));
  EXPECT_THAT(model.warnings(), Contains(HasSubstr("'hidden_size'")));
  EXPECT_THAT(server_->Errors(), HasSubstr("'hidden_size'"));

  const std::string tome = std::filesystem::path(TOME_SERVER_BINARY).parent_path() / "tome";
  const std::string command = fmt::format("{} --server 127.0.0.1:{} model", tome, port_);
  std::string shown;
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) shown.push_back(static_cast<char>(c));
  EXPECT_EQ(pclose(pipe), 0) << shown;
  EXPECT_THAT(shown, HasSubstr("warning"));
  EXPECT_THAT(shown, HasSubstr("'hidden_size': expected a number, found the string '64.0': taken as 64"));
}

TEST_F(ModelsTest, UsualModelsHaveNoWarnings) {
  WriteTinyModel(folder_.path() / "model", {.context_length = 8192});
  Start();
  EXPECT_THAT(GetModel().warnings(), IsEmpty());
}

TEST_F(ModelsTest, Stories260KStartsWithTheDefaultOptions) {
  const std::string model = SharedDataPath("models/stories260K.bin");
  TOME_SKIP_WITHOUT(model);
  Start({"--model=" + model, "--tokenizer=" + SharedDataPath("models/llama2c_tok512.bin")});
  EXPECT_EQ(GetModel().default_options().window_tokens(), 256u);
  ReadAndAsk();
  EXPECT_EQ(Stop(SIGTERM), 0);
}

}  // namespace
}  // namespace tome::testing
