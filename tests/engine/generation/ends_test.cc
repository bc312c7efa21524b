// An answer ends at every token that the model's files name for it, in every prompt form, and does not show it.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/utf8.h"
#include "engine/engine.h"
#include "engine/generation/prompt_form.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model_formats.h"
#include "tests/support/tiny_tokenizers.h"

namespace tome {
namespace {

using Json = nlohmann::json;
using ::tome::testing::IsOk;
using ::tome::testing::TempDir;
using ::tome::testing::TinyTokenizerKind;

struct Answer {
  std::vector<TokenId> tokens;
  std::string text;
  FinishReason reason = FinishReason::kNone;
};

constexpr MemoryOptions kMemory = {
    .sink_tokens = 4, .window_tokens = 60, .segment_tokens = 16, .region_tokens = 8, .regions = {.selected = 0}};

std::shared_ptr<const Model> Load(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = path, .precision = Precision::kFp32, .num_threads = 1});
  EXPECT_THAT(model, IsOk()) << model.status();
  return model.ok() ? *std::move(model) : nullptr;
}

Answer Ask(const std::shared_ptr<const Model>& model, const PromptForm& form) {
  Memory memory = *Memory::Create(model, kMemory);
  std::vector<TokenId> text;
  for (const TextToken& token : model->tokenizer()->Encode("a ship of the line, and the sea. "))
    text.push_back(token.id);
  Task read = Task::Read(&memory, text);
  Task* reading[] = {&read};
  while (!read.finished()) EXPECT_THAT(Step(reading)[0].status, IsOk());
  absl::StatusOr<Task> task = Task::Answer(
      memory, {}, {.text = "Which ship?", .form = form, .route = {.effort = Effort::kFast}, .budget_tokens = 16},
      {.max_tokens = 24});
  EXPECT_THAT(task, IsOk()) << task.status();
  Answer answer;
  Task* tasks[] = {&*task};
  while (task.ok() && !task->finished()) {
    const StepResult result = std::move(Step(tasks)[0]);
    EXPECT_THAT(result.status, IsOk()) << result.status;
    if (!result.status.ok()) break;
    for (const GeneratedToken& token : result.tokens) answer.tokens.push_back(token.id);
    answer.text += result.text;
    if (result.finished) answer.reason = result.finish_reason;
  }
  return answer;
}

std::vector<PromptForm> Forms(const Model& model) {
  std::vector<PromptForm> forms = {RawPromptForm(),
                                   {.prompt = "{text}\n\nQ: {question}\nA:", .stop = {"never said"}},
                                   {.prompt = "{text}\n\n{question}", .opening = "It is"}};
  if (model.info().chat_template != ChatTemplate::kPlain) forms.push_back(ChatPromptForm());
  return forms;
}

// Asks with a model whose files name other ends, and again after `name` has named one of the tokens of that answer.
// `name` writes the model's files; given nothing, they name ends that the model does not say.
void ExpectEnds(const std::function<std::string(std::optional<TokenId>)>& name) {
  const std::shared_ptr<const Model> model = Load(name(std::nullopt));
  ASSERT_NE(model, nullptr);
  for (const PromptForm& form : Forms(*model)) {
    const Answer free = Ask(model, form);
    ASSERT_GE(free.tokens.size(), 2u) << form.prompt;
    const std::size_t at = std::min<std::size_t>(5, free.tokens.size() - 2);
    const TokenId end = free.tokens[at];
    const std::shared_ptr<const Model> ending = Load(name(end));
    ASSERT_NE(ending, nullptr);
    const Answer ended = Ask(ending, form);
    EXPECT_EQ(ended.reason, FinishReason::kStopToken) << form.prompt;
    ASSERT_LE(ended.tokens.size(), at + 1);
    EXPECT_EQ(ended.tokens.back(), end);
    std::string text;
    for (std::size_t i = 0; i + 1 < ended.tokens.size(); ++i) {
      EXPECT_EQ(ended.tokens[i], free.tokens[i]);
      text += ending->tokenizer()->TokenBytes(ended.tokens[i]);
    }
    EXPECT_EQ(ended.text, ReplaceInvalidUtf8(text)) << "the end is not shown";
  }
}

constexpr int kFarEnd = 3;  // a byte that the tiny model seldom says

class EndsTest : public ::testing::TestWithParam<TinyTokenizerKind> {
 protected:
  EndsTest() {
    testing::WriteTinyModel(folder_.path(), {.seed = 5});
    testing::WriteTinyTokenizer(folder_.path(), GetParam());
    ChangeConfig("config.json", "eos_token_id", nullptr);
  }
  void ChangeConfig(const std::string& file, const std::string& field, const Json& value) {
    Json json = Json::object();
    if (std::filesystem::exists(folder_.path() / file)) json = Json::parse(testing::ReadFile(folder_.path() / file));
    json[field] = value;
    folder_.Write(file, json.dump());
  }
  TempDir folder_;
};

TEST_P(EndsTest, OfConfigJson) {
  ExpectEnds([&](std::optional<TokenId> end) {
    ChangeConfig("config.json", "eos_token_id", Json::array({kFarEnd, end.value_or(kFarEnd)}));
    return folder_.path().string();
  });
}

TEST_P(EndsTest, OfGenerationConfig) {
  ExpectEnds([&](std::optional<TokenId> end) {
    ChangeConfig("generation_config.json", "eos_token_id", Json::array({kFarEnd, kFarEnd, end.value_or(kFarEnd)}));
    return folder_.path().string();
  });
  ExpectEnds([&](std::optional<TokenId> end) {
    ChangeConfig("generation_config.json", "eos_token_id", end.value_or(kFarEnd));
    return folder_.path().string();
  });
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, EndsTest, ::testing::ValuesIn(testing::kTinyTokenizerKinds));

TEST(GgufEndsTest, OfEveryKey) {
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const TempDir folder;
    ExpectEnds([&](std::optional<TokenId> end) {
      testing::GgufWriter writer = testing::TinyGguf({.seed = 5});
      writer.SetUint32("tokenizer.ggml.eos_token_id", kFarEnd);
      writer.SetUint32(key, static_cast<std::uint32_t>(end.value_or(kFarEnd)));
      writer.SetString("tokenizer.chat_template", "<|im_start|>");
      return folder.Write("model.gguf", writer.Bytes());
    });
  }
}

// The tokens of a chat end what a model says in every form, also where its files name only "</s>".
TEST(KnownEndsTest, OfChatModels) {
  for (const TinyTokenizerKind kind : testing::kTinyTokenizerKinds) {
    if (kind == TinyTokenizerKind::kByteLevel || !testing::HasChatMl(kind)) continue;
    const TempDir folder;
    testing::WriteTinyModel(folder.path());
    testing::WriteTinyTokenizer(folder.path(), kind);
    Json config = Json::parse(testing::ReadFile(folder.path() / "tokenizer_config.json"));
    config["eos_token"] = "</s>";
    folder.Write("tokenizer_config.json", config.dump());
    Json model_config = Json::parse(testing::ReadFile(folder.path() / "config.json"));
    model_config["eos_token_id"] = 2;
    folder.Write("config.json", model_config.dump());
    const std::shared_ptr<const Model> model = Load(folder.path().string());
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model->tokenizer()->eos(), 2);
    EXPECT_THAT(model->tokenizer()->ends(), ::testing::IsSupersetOf({2, testing::TinyVocabSize() - 1}));
    EXPECT_EQ(model->info().chat_template, ChatTemplate::kChatMl);
  }
}

}  // namespace
}  // namespace tome
