#include "engine/checkpoint/huggingface_checkpoint.h"

#include <filesystem>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::tome::testing::IsOk;
using ::tome::testing::ReadFile;
using ::tome::testing::StatusIs;
using ::tome::testing::TempDir;
using ::tome::testing::TinyModelOptions;
using ::tome::testing::TinyModelType;
using ::tome::testing::TinyTensor;
using ::tome::testing::TinyVocabSize;
using ::tome::testing::WriteTinyModel;
using Json = nlohmann::json;

TEST(HuggingFaceCheckpointTest, ReadsOneOrManyFilesOfEveryType) {
  for (const int num_files : {1, 3}) {
    for (const TinyModelType type : {TinyModelType::kF32, TinyModelType::kF16, TinyModelType::kBF16}) {
      const TempDir folder;
      const TinyModelOptions options = {.tied = false, .type = type, .num_files = num_files};
      WriteTinyModel(folder.path(), options);
      TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
      EXPECT_EQ(checkpoint.files.size(), static_cast<std::size_t>(num_files));
      for (const TinyTensor& expected : testing::TinyTensors(options)) {
        const CheckpointTensor& found = checkpoint.contents.tensors.at(expected.name);
        std::vector<float> values(expected.values.size());
        DequantizeRow(found.type, found.data, absl::MakeSpan(values));
        EXPECT_EQ(values, expected.values) << expected.name;
        EXPECT_EQ(found.shape, expected.shape) << expected.name;
      }
    }
  }
}

TEST(HuggingFaceCheckpointTest, ReadsTheTokenizersFiles) {
  const TempDir folder;
  WriteTinyModel(folder.path());
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
  const TokenizerData& tokenizer = checkpoint.contents.tokenizer;
  EXPECT_EQ(tokenizer.kind, TokenizerKind::kByteLevelBpe);
  EXPECT_EQ(tokenizer.source, folder.File("tokenizer.json"));
  EXPECT_EQ(tokenizer.bos, TinyVocabSize() - 2);
  EXPECT_EQ(tokenizer.eos, TinyVocabSize() - 1);
  EXPECT_THAT(tokenizer.chat_template, HasSubstr("<|im_start|>"));
}

TEST(HuggingFaceCheckpointTest, DropsWhatTransformersIgnores) {
  const TempDir folder;
  const TinyModelOptions options = {.tied = true};
  WriteTinyModel(folder.path(), options);
  std::vector<TinyTensor> tensors = testing::TinyTensors(options);
  tensors.push_back({"lm_head.weight", {1}, {0}});
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {2}, {1, 1}});
  folder.Write("model.safetensors", testing::SafetensorsBytes(tensors, options.type));
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
  EXPECT_EQ(checkpoint.contents.tensors.size(), tensors.size() - 2);
}

TEST(HuggingFaceCheckpointTest, ATokenizerMayBeAbsent) {
  const TempDir folder;
  WriteTinyModel(folder.path(), {.tokenizer = false});
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
  EXPECT_EQ(checkpoint.contents.tokenizer.kind, TokenizerKind::kNone);
}

TEST(HuggingFaceCheckpointTest, SaysWhichFileIsWrong) {
  const auto change_json = [](const TempDir& folder, const std::string& name,
                              const std::function<void(Json&)>& change) {
    Json json = Json::parse(ReadFile(folder.path() / name));
    change(json);
    folder.Write(name, json.dump());
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument, kNotFound = absl::StatusCode::kNotFound;
  const struct {
    int num_files;
    std::function<void(const TempDir&)> change;
    absl::StatusCode code;
    std::string file, message;
  } cases[] = {
      {1, [](const TempDir& d) { std::filesystem::remove(d.path() / "config.json"); }, kNotFound, "config.json",
       "no such file"},
      {1, [](const TempDir& d) { d.Write("config.json", "{"); }, kInvalid, "config.json", "expected JSON"},
      {1, [](const TempDir& d) { std::filesystem::remove(d.path() / "model.safetensors"); }, kNotFound, "",
       "expected model.safetensors or model.safetensors.index.json, found neither"},
      {1,
       [](const TempDir& d) {
         std::filesystem::rename(d.path() / "model.safetensors", d.path() / "pytorch_model.bin");
       },
       kNotFound, "", "found only PyTorch pickles: convert them to safetensors"},
      {1, [](const TempDir& d) { d.Write("model.safetensors", ""); }, kInvalid, "model.safetensors", "header size"},
      {1,
       [](const TempDir& d) {
         auto tensors = testing::TinyTensors({});
         tensors.pop_back();
         d.Write("model.safetensors", testing::SafetensorsBytes(tensors, TinyModelType::kF32));
       },
       kInvalid, "model.safetensors", "tensor 'model.norm.weight' of shape [64] is missing"},
      {1,
       [](const TempDir& d) {
         auto tensors = testing::TinyTensors({});
         tensors.push_back({"model.layers.0.self_attn.q_proj.bias", {1}, {0}});
         d.Write("model.safetensors", testing::SafetensorsBytes(tensors, TinyModelType::kF32));
       },
       kInvalid, "model.safetensors", "found 'model.layers.0.self_attn.q_proj.bias' of shape [1]"},
      {2, [](const TempDir& d) { std::filesystem::remove(d.path() / "model-00002-of-00002.safetensors"); }, kNotFound,
       "model-00002-of-00002.safetensors", "no such file"},
      {2,
       [&](const TempDir& d) {
         change_json(d, "model.safetensors.index.json", [](Json& j) { j.erase("weight_map"); });
       },
       kInvalid, "model.safetensors.index.json", "field 'weight_map': expected an object"},
      {2,
       [&](const TempDir& d) {
         change_json(d, "model.safetensors.index.json", [](Json& j) { j["weight_map"]["x"] = "../secret"; });
       },
       kInvalid, "model.safetensors.index.json",
       "expected the name of a file in this folder, found the string '../secret'"},
      {2,
       [&](const TempDir& d) {
         change_json(d, "model.safetensors.index.json", [](Json& j) { j["weight_map"]["x"] = ".."; });
       },
       kInvalid, "model.safetensors.index.json", "expected the name of a file in this folder"},
      {2,
       [&](const TempDir& d) {
         change_json(d, "model.safetensors.index.json", [](Json& j) { j["weight_map"].erase("model.norm.weight"); });
       },
       kInvalid, "model-00002-of-00002.safetensors",
       "tensor 'model.norm.weight': expected only tensors that the index lists"},
      {2,
       [&](const TempDir& d) {
         change_json(d, "model.safetensors.index.json",
                     [](Json& j) { j["weight_map"]["x"] = "model-00001-of-00002.safetensors"; });
       },
       kInvalid, "model.safetensors.index.json", "tensor 'x': expected it in 'model-00001-of-00002.safetensors'"},
      {2,
       [&](const TempDir& d) {
         change_json(d, "model.safetensors.index.json",
                     [](Json& j) { j["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors"; });
       },
       kInvalid, "model-00002-of-00002.safetensors", "found one of 'model-00001-of-00002.safetensors'"},
      {1, [](const TempDir& d) { d.Write("tokenizer.json", "[]"); }, kInvalid, "tokenizer.json",
       "expected a JSON object"},
      {1, [](const TempDir& d) { d.Write("tokenizer_config.json", "{\"bos_token\":\"<none>\"}"); }, kInvalid,
       "tokenizer_config.json", "field 'bos_token': expected a piece of the vocabulary, found the string '<none>'"},
      {1, [](const TempDir& d) { d.Write("tokenizer_config.json", "{\"chat_template\":3}"); }, kInvalid,
       "tokenizer_config.json", "field 'chat_template': expected a string, found 3"},
  };
  for (const auto& c : cases) {
    const TempDir folder;
    WriteTinyModel(folder.path(), {.num_files = c.num_files});
    c.change(folder);
    EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(),
                StatusIs(c.code, AllOf(HasSubstr(c.file.empty() ? folder.path().string() : folder.File(c.file)),
                                       HasSubstr(c.message))));
  }
}

HuggingFaceConfig TinyConfig() { return ParseHuggingFaceConfig(testing::TinyConfigJson({}), "f").value(); }

TEST(HuggingFaceTokenizerTest, PrefersTheSentencePieceModel) {
  const std::string json = testing::TinyTokenizerJson();
  TokenizerFiles files{.folder = "dir", .tokenizer_model = "model bytes", .tokenizer_json = json};
  files.tokenizer_config = R"({"bos_token":"<s>","add_bos_token":true,"chat_template":"T"})";
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePieceModel);
  EXPECT_EQ(data.sentencepiece_model, "model bytes");
  EXPECT_EQ(data.source, "dir/tokenizer.model");
  EXPECT_EQ(data.add_bos, true);
  EXPECT_EQ(data.bos, TinyVocabSize() - 2) << "from config.json";
  EXPECT_EQ(data.chat_template, "T");
}

TEST(HuggingFaceTokenizerTest, ReadsTokenizerConfig) {
  const std::string json = testing::TinyTokenizerJson();
  TokenizerFiles files{.folder = "dir", .tokenizer_json = json};
  files.tokenizer_config = R"({"bos_token":{"content":"<|endoftext|>"},"eos_token":"<|im_end|>","unk_token":"A",
    "add_bos_token":true,"chat_template":[{"name":"tool","template":"X"},{"name":"default","template":"Y"}]})";
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(data.bos, TinyVocabSize() - 3);
  EXPECT_EQ(data.eos, TinyVocabSize() - 1);
  EXPECT_EQ(data.unknown, 65);
  EXPECT_EQ(data.add_bos, true);
  EXPECT_EQ(data.chat_template, "Y");
  files.chat_template = "Z\xff";
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData with_file, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(with_file.chat_template, "Z\xEF\xBF\xBD");
}

}  // namespace
}  // namespace tome
