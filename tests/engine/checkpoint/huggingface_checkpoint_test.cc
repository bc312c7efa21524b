#include "engine/checkpoint/huggingface/huggingface_checkpoint.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/checkpoint/llama2c_checkpoint.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizers/sentencepiece_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model_formats.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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

// A checkpoint of the tensors, and what was said of it.
HuggingFaceCheckpoint ReadWith(const TempDir& folder, const std::vector<TinyTensor>& tensors) {
  folder.Write("model.safetensors", testing::SafetensorsBytes(tensors, TinyModelType::kF32));
  return ReadHuggingFace(folder.path().string()).value();
}

TEST(HuggingFaceCheckpointTest, TakesAnOutputThatIsNotTheEmbeddingItShouldBe) {
  const TempDir folder;
  const TinyModelOptions options = {.tied = true};
  WriteTinyModel(folder.path(), options);
  std::vector<TinyTensor> tensors = testing::TinyTensors(options);
  TinyTensor output = tensors.front();
  output.name = "lm_head.weight";
  tensors.push_back(output);
  const HuggingFaceCheckpoint equal = ReadWith(folder, tensors);
  EXPECT_TRUE(equal.contents.config.tied_output);
  EXPECT_FALSE(equal.contents.tensors.contains("lm_head.weight"));
  EXPECT_THAT(equal.contents.warnings, IsEmpty());

  tensors.back().values.back() += 1;
  const HuggingFaceCheckpoint other = ReadWith(folder, tensors);
  EXPECT_FALSE(other.contents.config.tied_output);
  EXPECT_TRUE(other.contents.tensors.contains("lm_head.weight"));
  EXPECT_THAT(other.contents.warnings, ElementsAre(HasSubstr("tensor 'lm_head.weight': config.json says")));

  tensors.erase(tensors.begin());  // the file has kept the other one of two equal tensors
  const HuggingFaceCheckpoint only_output = ReadWith(folder, tensors);
  EXPECT_TRUE(only_output.contents.config.tied_output);
  EXPECT_TRUE(only_output.contents.tensors.contains("model.embed_tokens.weight"));
}

TEST(HuggingFaceCheckpointTest, SaysHowToTieAnOutputThatIsMissing) {
  const TempDir folder;
  WriteTinyModel(folder.path(), {.tied = false});
  std::vector<TinyTensor> tensors = testing::TinyTensors({.tied = true});
  folder.Write("model.safetensors", testing::SafetensorsBytes(tensors, TinyModelType::kF32));
  EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tensor 'lm_head.weight' of shape [304, 64] is missing; if the output layer is the "
                                 "embedding, say so in config.json: \"tie_word_embeddings\": true")));
}

TEST(HuggingFaceCheckpointTest, LeavesOutBiasesThatAreZero) {
  const TempDir folder;
  WriteTinyModel(folder.path());
  std::vector<TinyTensor> tensors = testing::TinyTensors({});
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", {64}, std::vector<float>(64)});
  tensors.push_back({"model.layers.1.mlp.up_proj.bias", {96}, std::vector<float>(96)});
  EXPECT_THAT(ReadWith(folder, tensors).contents.warnings, ElementsAre(HasSubstr("2 biases")));
  tensors.back().values[7] = 1;
  folder.Write("model.safetensors", testing::SafetensorsBytes(tensors, TinyModelType::kF32));
  EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found 'model.layers.1.mlp.up_proj.bias'")));
}

TEST(HuggingFaceCheckpointTest, RotaryTablesMayBeListedOrNot) {
  const TempDir folder;
  WriteTinyModel(folder.path(), {.num_files = 2});
  const std::string table = "model.layers.0.self_attn.rotary_emb.inv_freq";
  const std::string index_path = "model.safetensors.index.json", shard = "model-00001-of-00002.safetensors";
  const Json original = Json::parse(ReadFile(folder.path() / index_path));
  std::vector<TinyTensor> tensors;
  for (TinyTensor& tensor : testing::TinyTensors({})) {
    if (original["weight_map"][tensor.name] == shard) tensors.push_back(std::move(tensor));
  }
  Json listed = original;
  listed["weight_map"][table] = shard;
  listed.erase("metadata");
  folder.Write(index_path, listed.dump());
  EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(), IsOk()) << "listed, not there";
  tensors.push_back({table, {8}, std::vector<float>(8)});
  folder.Write(shard, testing::SafetensorsBytes(tensors, TinyModelType::kF32));
  EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(), IsOk()) << "listed and there";
  folder.Write(index_path, original.dump());
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint unlisted, ReadHuggingFace(folder.path().string()));
  EXPECT_THAT(unlisted.contents.warnings, IsEmpty());
}

TEST(HuggingFaceCheckpointTest, AllFilesAreTakenWhereTheIndexIsMissing) {
  const TempDir folder;
  WriteTinyModel(folder.path(), {.num_files = 3});
  std::filesystem::remove(folder.path() / "model.safetensors.index.json");
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
  EXPECT_EQ(checkpoint.files.size(), 3u);
  EXPECT_THAT(checkpoint.contents.warnings, ElementsAre(HasSubstr("all 3 files are taken")));
  std::filesystem::remove(folder.path() / "model-00002-of-00003.safetensors");
  EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("fetch the missing ones")));
}

TEST(HuggingFaceCheckpointTest, IgnoresWhatLiesBeside) {
  const TempDir folder;
  WriteTinyModel(folder.path());
  for (const char* name : {"consolidated.safetensors", "pytorch_model.bin", "README.md", "tokenizer.model.v3"}) {
    folder.Write(name, "anything");
  }
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
  EXPECT_THAT(checkpoint.contents.warnings, IsEmpty());
  folder.Write("adapter_config.json", "{}");
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint adapted, ReadHuggingFace(folder.path().string()));
  EXPECT_THAT(adapted.contents.warnings,
              ElementsAre(HasSubstr("the adapter in it (adapter_config.json) is not applied")));
}

TEST(HuggingFaceCheckpointTest, SaysWhatAFolderHasInstead) {
  const struct {
    std::vector<std::string> files;
    std::string message;
  } cases[] = {
      {{"adapter_config.json", "adapter_model.safetensors"},
       "config.json: no such file or folder; the folder has an adapter"},
      {{"params.json", "consolidated.00.pth"}, "convert it with transformers' conversion script"},
      {{"model.Q4_K_M.gguf"}, "give the path of the file 'model.Q4_K_M.gguf' instead of the folder's"},
      {{"config.json", "pytorch_model-00001-of-00002.bin"}, "found only PyTorch pickles: convert them"},
      {{"config.json", "consolidated.safetensors"}, "format of the model's makers"},
      {{"config.json", "adapter_model.bin"}, "found only an adapter: merge it into its base model first"},
      {{"config.json", "model.gguf"}, "found a .gguf file: give its path"},
  };
  for (const auto& [files, message] : cases) {
    const TempDir folder;
    for (const std::string& name : files) {
      folder.Write(name, name == "config.json" ? testing::TinyConfigJson({}) : "x");
    }
    EXPECT_THAT(ReadHuggingFace(folder.path().string()).status(),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(message)));
  }
}

TEST(HuggingFaceCheckpointTest, TheEndsOfGenerationConfigCount) {
  const TempDir folder;
  WriteTinyModel(folder.path());
  folder.Write("generation_config.json", R"({"eos_token_id":[5,303],"bos_token_id":1})");
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceCheckpoint checkpoint, ReadHuggingFace(folder.path().string()));
  EXPECT_THAT(checkpoint.contents.tokenizer.ends, ::testing::IsSupersetOf({5, 303}));
  folder.Write("generation_config.json", "[]");
  EXPECT_THAT(
      ReadHuggingFace(folder.path().string()).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("generation_config.json: expected a JSON object")));
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

// tokenizer.model of 290 pieces, of which the first are <unk>, <s> and </s>.
std::string SentencePieceModel() {
  return SerializeSentencePieceModel(
      ReadLlama2cTokenizer(testing::TinyLlama2cVocabulary(290), "f", 290).value().pieces);
}

TEST(HuggingFaceTokenizerTest, PrefersTokenizerJson) {
  const std::string json = testing::TinyTokenizerJson(), model = SentencePieceModel();
  TokenizerFiles files{.folder = "dir", .tokenizer_model = model, .tokenizer_json = json};
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(data.kind, TokenizerKind::kByteLevelBpe);
  EXPECT_EQ(data.source, "dir/tokenizer.json");
  files.tokenizer_json = "{}";
  EXPECT_THAT(ReadHuggingFaceTokenizer(files, TinyConfig()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("dir/tokenizer.json: "), HasSubstr("once tokenizer.json is removed"))));
}

TEST(HuggingFaceTokenizerTest, ReadsSentencePieceModels) {
  const std::string model = SentencePieceModel();
  TokenizerFiles files{.folder = "dir", .tokenizer_model = model};
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData alone, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(alone.kind, TokenizerKind::kSentencePieceBpe);
  EXPECT_EQ(alone.add_bos, true);
  files.tokenizer_config = R"({"bos_token":"<s>","add_bos_token":false,"chat_template":"T","added_tokens_decoder":{
    "0":{"content":"<unk>","special":true},"1":{"content":"<s>","special":true},"2":{"content":"</s>","special":true}}})";
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePieceBpe);
  EXPECT_EQ(data.source, "dir/tokenizer.model");
  EXPECT_EQ(data.add_bos, false);
  EXPECT_EQ(data.bos, 1);
  EXPECT_EQ(data.eos, 2);
  EXPECT_EQ(data.chat_template, "T");
  EXPECT_EQ(Tokenizer::Create(data).value()->digest(), Tokenizer::Create(alone).value()->digest());
}

// A ChatML fine-tune of a model with SentencePiece's vocabulary: two tokens are added behind it.
TEST(HuggingFaceTokenizerTest, AddsTokensToSentencePieceModels) {
  const std::string model = SentencePieceModel();
  TokenizerFiles by_file{.folder = "dir", .tokenizer_model = model};
  by_file.added_tokens = R"({"<|im_end|>":290,"<|im_start|>":291})";
  by_file.special_tokens_map = R"({"eos_token":{"content":"<|im_end|>"}})";
  TokenizerFiles by_config{.folder = "dir", .tokenizer_model = model};
  by_config.tokenizer_config = R"({"eos_token":"<|im_end|>","added_tokens_decoder":{
    "290":{"content":"<|im_end|>","special":true},
    "291":{"content":"<|im_start|>","special":false,"normalized":true}}})";
  std::vector<std::string> digests;
  for (const TokenizerFiles& files : {by_file, by_config}) {
    TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
    EXPECT_EQ(data.kind, TokenizerKind::kCharacterBpe);
    EXPECT_EQ(data.pieces.size(), 292u);
    EXPECT_EQ(data.eos, 290);
    EXPECT_EQ(data.pieces[290].type, PieceType::kControl);
    EXPECT_EQ(data.pieces[291].type, PieceType::kUserDefined);
    TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(data));
    EXPECT_THAT(tokenizer->ends(), ::testing::Contains(290));
    EXPECT_EQ(tokenizer->FindAdded("<|im_start|>"), 291);
    EXPECT_EQ(tokenizer->FindSpecial("<|im_start|>"), std::nullopt);
    digests.push_back(tokenizer->digest());
  }
  EXPECT_EQ(digests[0], digests[1]);
}

// Llama 2's tokens of plain text do not change when tokens are added to it.
TEST(HuggingFaceTokenizerTest, AddedTokensLeaveOtherTextAsItIs) {
  const std::string model = SentencePieceModel();
  TokenizerFiles files{.folder = "dir", .tokenizer_model = model};
  const auto make = [&] { return Tokenizer::Create(ReadHuggingFaceTokenizer(files, TinyConfig()).value()).value(); };
  const auto plain = make();
  files.added_tokens = R"({"<|im_end|>":290,"<|im_start|>":291})";
  const auto added = make();
  for (const std::string text : {"", "a", " a", "abc  aac\n", "  ", "the aaaaaaa of it", "\xff\u2581z", "a <|im"}) {
    EXPECT_EQ(plain->Encode(text), added->Encode(text)) << text;
  }
}

TEST(HuggingFaceTokenizerTest, LeavesOutTokensWithoutAnEmbedding) {
  const std::string model = SentencePieceModel();
  TokenizerFiles files{.folder = "dir", .tokenizer_model = model};
  files.added_tokens = R"({"[PAD]":304})";
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePieceBpe);
  EXPECT_THAT(data.warnings,
              ElementsAre(HasSubstr("dir/added_tokens.json: '[PAD]' has id 304, but the model has only")));
}

TEST(HuggingFaceTokenizerTest, RefusesTokensThatCannotBe) {
  const std::string json = testing::TinyTokenizerJson();
  const struct {
    std::string config, added, message;
  } cases[] = {
      {R"({"added_tokens_decoder":{"65":{"content":"<x>"}}})", "{}",
       "id 65: expected 'A' as in the vocabulary, found '<x>'"},
      {R"({"added_tokens_decoder":{"x":{"content":"<x>"}}})", "{}",
       "expected tokens by their id, found an object for 'x'"},
      {R"({"added_tokens_decoder":{"304":"<x>"}})", "{}", "found the string '<x>' for '304'"},
      {R"({"added_tokens_decoder":[]})", "{}", "field 'added_tokens_decoder': expected an object"},
      {R"({"added_tokens_decoder":{"4":{"content":"<x>","lstrip":1}}})", "{}",
       "field 'lstrip': expected true or false"},
      {"{}", R"({"<x>":"1"})", "dir/added_tokens.json: field '<x>': expected an integer"},
      {"{}", R"({"<x>":-1})", "dir/added_tokens.json: field '<x>': expected an integer"},
      {R"({"eos_token":"<none>"})", "{}", "'eos_token': expected a piece of the vocabulary, found the string '<none>'"},
  };
  for (const auto& [config, added, message] : cases) {
    const TokenizerFiles files{
        .folder = "dir", .tokenizer_json = json, .tokenizer_config = config, .added_tokens = added};
    EXPECT_THAT(ReadHuggingFaceTokenizer(files, TinyConfig()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(HuggingFaceTokenizerTest, EveryEndOfATextCounts) {
  const std::string json = testing::TinyTokenizerJson();
  TokenizerFiles files{.folder = "dir", .tokenizer_json = json};
  files.tokenizer_config = R"({"eos_token":"<|endoftext|>"})";
  HuggingFaceConfig config = TinyConfig();
  config.ends = {65, 303};
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, config));
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(data));
  EXPECT_EQ(tokenizer->eos(), 301);
  EXPECT_THAT(tokenizer->ends(), ::testing::UnorderedElementsAre(65, 301, 303));
}

// What ends a text must not be made by one, whatever its flags are.
TEST(HuggingFaceTokenizerTest, EndsAreSpecial) {
  Json json = Json::parse(testing::TinyTokenizerJson());
  for (Json& token : json["added_tokens"]) token["special"] = false;
  const std::string text = json.dump();
  TokenizerFiles files{.folder = "dir", .tokenizer_json = text};
  files.tokenizer_config = R"({"eos_token":"<|im_end|>"})";
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, ReadHuggingFaceTokenizer(files, TinyConfig()));
  EXPECT_EQ(data.pieces[303].type, PieceType::kControl);
  EXPECT_EQ(data.pieces[302].type, PieceType::kUserDefined);
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
