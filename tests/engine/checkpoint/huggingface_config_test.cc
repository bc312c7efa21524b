#include "engine/checkpoint/huggingface/huggingface_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;
using ::tome::testing::TinyConfigJson;
using ::tome::testing::TinyVocabSize;
using Json = nlohmann::json;
using Kind = RopeScaling::Kind;

// The tiny model's config with some fields replaced; a field that is null in `changes` is removed.
std::string Changed(const std::string& changes) {
  Json config = Json::parse(TinyConfigJson({}));
  config.merge_patch(Json::parse(changes));
  return config.dump();
}

TEST(HuggingFaceConfigTest, ReadsEveryField) {
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig config,
                            ParseHuggingFaceConfig(TinyConfigJson({.tied = false, .rope_theta = 5e5}), "f"));
  LlamaConfig expected;
  expected.vocab_size = TinyVocabSize();
  expected.hidden_size = 64, expected.num_layers = 2, expected.num_heads = 4, expected.num_kv_heads = 2;
  expected.head_dim = 16, expected.ffn_size = 96, expected.context_length = 4096;
  expected.rms_norm_epsilon = 1e-5, expected.rope_theta = 5e5;
  EXPECT_EQ(config.model, expected);
  EXPECT_EQ(config.bos, TinyVocabSize() - 2);
  EXPECT_EQ(config.eos, TinyVocabSize() - 1);
}

TEST(HuggingFaceConfigTest, AbsentFieldsHaveTransformersDefaults) {
  TOME_ASSERT_OK_AND_ASSIGN(
      const HuggingFaceConfig config,
      ParseHuggingFaceConfig(
          Changed(R"({"head_dim":null,"num_key_value_heads":null,"rms_norm_eps":null,"rope_theta":null,
        "tie_word_embeddings":null,"bos_token_id":null,"eos_token_id":[7,8],"architectures":null})"),
          "f"));
  EXPECT_EQ(config.model.head_dim, 16);
  EXPECT_EQ(config.model.num_kv_heads, 4);
  EXPECT_EQ(config.model.rms_norm_epsilon, 1e-6);
  EXPECT_EQ(config.model.rope_theta, 10000);
  EXPECT_FALSE(config.model.tied_output);
  EXPECT_EQ(config.bos, std::nullopt);
  EXPECT_EQ(config.eos, 7);
}

TEST(HuggingFaceConfigTest, ReadsMistral) {
  const std::string mistral = R"("architectures":["MistralForCausalLM"],"model_type":"mistral")";
  // merge_patch cannot write a null, so the field is put in by hand.
  std::string without_window = Changed("{" + mistral + "}");
  without_window.insert(1, "\"sliding_window\":null,");
  EXPECT_THAT(ParseHuggingFaceConfig(without_window, "f"), IsOk());
  EXPECT_THAT(ParseHuggingFaceConfig(Changed("{" + mistral + R"(,"sliding_window":4096})"), "f"), IsOk());
}

// Within its window a model attends to all, so it runs with the window as its context.
TEST(HuggingFaceConfigTest, AShorterSlidingWindowIsTheContext) {
  const struct {
    std::string changes;
    std::int64_t context_length, original;
    std::string warning;
  } cases[] = {
      {R"("sliding_window":4095)", 4095, 0, "'sliding_window': the model attends to the latest 4095 of its 4096"},
      {R"("max_position_embeddings":32768)", 4096, 0, "(transformers' default): its context is taken as 4096"},
      {R"("sliding_window":100,"rope_scaling":{"type":"dynamic","factor":2})", 100, 4096, "latest 100"},
  };
  for (const auto& [changes, context_length, original, warning] : cases) {
    TOME_ASSERT_OK_AND_ASSIGN(
        const HuggingFaceConfig config,
        ParseHuggingFaceConfig(Changed(R"({"architectures":["MistralForCausalLM"],)" + changes + "}"), "f"));
    EXPECT_EQ(config.model.context_length, context_length);
    EXPECT_EQ(config.model.rope_scaling.original_context_length, original);
    EXPECT_THAT(config.warnings, ElementsAre(AllOf(StartsWith("f: "), HasSubstr(warning))));
  }
}

TEST(HuggingFaceConfigTest, TakesWithAWarningWhatHasOneMeaning) {
  const struct {
    std::string changes, warning;
  } cases[] = {
      {R"({"architectures":["LlamaForCausalLM","OtherForCausalLM"]})",
       "'architectures': found 2 of them: read as LLaMA"},
      {R"({"architectures":["Other","LlamaForCausalLM"]})", "read as LLaMA"},
      {R"({"hidden_size":"64"})", "'hidden_size': expected a number, found the string '64': taken as 64"},
      {R"({"max_position_embeddings":"4096.0"})", "the string '4096.0': taken as 4096"},
      {R"({"bos_token_id":304})", "'bos_token_id': expected token ids below 304, found 304: left out"},
      {R"({"eos_token_id":[-1]})", "'eos_token_id': expected token ids below 304, found -1: left out"},
      {R"({"max_position_embeddings":null})", "taken as 2048, transformers' default"},
  };
  for (const auto& [changes, warning] : cases) {
    TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig config,
                              ParseHuggingFaceConfig(Changed(changes), "dir/config.json"));
    EXPECT_THAT(config.warnings, ElementsAre(AllOf(StartsWith("dir/config.json: "), HasSubstr(warning)))) << changes;
  }
  // These are nothing unusual.
  for (const char* changes :
       {R"({"max_position_embeddings":4096.0})", R"({"pad_token_id":-1})", R"({"torch_dtype":null,"dtype":"bfloat16"})",
        R"({"rope_scaling":null,"rope_parameters":{"rope_type":"default"}})", R"({"head_dim":null})",
        R"({"num_key_value_heads":2.0})", R"({"pretraining_tp":2})", R"({"quantization_config":null})"}) {
    TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig config, ParseHuggingFaceConfig(Changed(changes), "f"));
    EXPECT_THAT(config.warnings, IsEmpty()) << changes;
    EXPECT_EQ(config.model.context_length, 4096) << changes;
  }
}

TEST(HuggingFaceConfigTest, OfTwoArchitecturesTheModelTypeDecides) {
  const std::string both =
      R"("architectures":["LlamaForCausalLM","MistralForCausalLM"],"max_position_embeddings":8192)";
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig llama,
                            ParseHuggingFaceConfig(Changed("{" + both + R"(,"model_type":"llama"})"), "f"));
  EXPECT_EQ(llama.model.context_length, 8192);
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig mistral,
                            ParseHuggingFaceConfig(Changed("{" + both + R"(,"model_type":"mistral"})"), "f"));
  EXPECT_EQ(mistral.model.context_length, 4096) << "its default window";
  EXPECT_THAT(ParseHuggingFaceConfig(Changed("{" + both + R"(,"model_type":"other"})"), "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("field 'model_type'")));
}

TEST(HuggingFaceConfigTest, AllEndsOfATextCount) {
  TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig config,
                            ParseHuggingFaceConfig(Changed(R"({"eos_token_id":[7,303,8]})"), "f"));
  EXPECT_EQ(config.eos, 7);
  EXPECT_THAT(config.ends, ElementsAre(7, 303, 8));
}

TEST(HuggingFaceConfigTest, ReadsTheEndsOfGenerationConfigs) {
  std::vector<std::string> warnings;
  EXPECT_THAT(*ParseGenerationEnds(R"({"eos_token_id":5,"temperature":0.6})", "g", 304, &warnings), ElementsAre(5));
  EXPECT_THAT(*ParseGenerationEnds(R"({"eos_token_id":[5,6]})", "g", 304, &warnings), ElementsAre(5, 6));
  EXPECT_THAT(*ParseGenerationEnds(R"({"eos_token_id":null})", "g", 304, &warnings), IsEmpty());
  EXPECT_THAT(*ParseGenerationEnds("{}", "g", 304, &warnings), IsEmpty());
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_THAT(*ParseGenerationEnds(R"({"eos_token_id":[5,304]})", "g", 304, &warnings), ElementsAre(5));
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("g: field 'eos_token_id'")));
  EXPECT_THAT(ParseGenerationEnds(R"({"eos_token_id":"</s>"})", "g", 304, &warnings),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("g: field 'eos_token_id': expected a token id")));
}

TEST(HuggingFaceConfigTest, ReadsRopeScalingsInEverySpelling) {
  const struct {
    std::string changes;
    RopeScaling expected;
  } cases[] = {
      {R"({"rope_scaling":{"rope_type":"default"}})", {}},
      {R"({"rope_scaling":{"type":"linear","factor":2.0}})", {.kind = Kind::kLinear, .factor = 2}},
      {R"({"rope_scaling":{"rope_type":"linear","factor":2}})", {.kind = Kind::kLinear, .factor = 2}},
      {R"({"rope_scaling":{"rope_type":"dynamic","type":"dynamic","factor":4.0}})",
       {.kind = Kind::kDynamicNtk, .factor = 4}},
      {R"({"rope_scaling":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":1024,"beta_fast":16,
           "beta_slow":2,"attention_factor":1.5}})",
       {.kind = Kind::kYarn,
        .factor = 4,
        .original_context_length = 1024,
        .beta_fast = 16,
        .beta_slow = 2,
        .attention_factor = 1.5}},
      {R"({"rope_scaling":{"rope_type":"llama3","factor":32.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
           "original_max_position_embeddings":8192}})",
       {.kind = Kind::kLlama3,
        .factor = 32,
        .original_context_length = 8192,
        .low_freq_factor = 1,
        .high_freq_factor = 4}},
      {R"({"rope_theta":null,"rope_parameters":{"rope_type":"linear","factor":2.0,"rope_theta":1234.5}})",
       {.kind = Kind::kLinear, .factor = 2}},
  };
  for (const auto& [changes, expected] : cases) {
    TOME_ASSERT_OK_AND_ASSIGN(const HuggingFaceConfig config, ParseHuggingFaceConfig(Changed(changes), "f"));
    EXPECT_EQ(config.model.rope_scaling, expected) << changes;
  }
}

TEST(HuggingFaceConfigTest, TakesThetaFromRopeParameters) {
  TOME_ASSERT_OK_AND_ASSIGN(
      const HuggingFaceConfig config,
      ParseHuggingFaceConfig(Changed(R"({"rope_parameters":{"rope_type":"default","rope_theta":1234.5}})"), "f"));
  EXPECT_EQ(config.model.rope_theta, 1234.5);
}

TEST(HuggingFaceConfigTest, RefusesWhatItCannotRun) {
  const struct {
    std::string changes, message;
  } cases[] = {
      {R"({"architectures":["Qwen2ForCausalLM"]})", "field 'architectures': expected [\"LlamaForCausalLM\"] or"},
      {R"({"architectures":["Qwen2ForCausalLM"]})", "found the string 'Qwen2ForCausalLM'"},
      {R"({"architectures":"LlamaForCausalLM"})", "field 'architectures'"},
      {R"({"architectures":[]})", "field 'architectures'"},
      {R"({"architectures":null,"model_type":"gpt2"})", "field 'model_type': expected 'llama' or 'mistral'"},
      {R"({"architectures":null,"model_type":null})", "field 'model_type': expected a string"},
      {R"({"vocab_size":0})", "field 'vocab_size': expected an integer from 1 to 16777216, found 0"},
      {R"({"vocab_size":16777217})", "field 'vocab_size'"},
      {R"({"vocab_size":null})", "field 'vocab_size': expected an integer from 1 to 16777216, found no such field"},
      {R"({"hidden_size":64.5})", "field 'hidden_size': expected an integer from 1 to 1048576, found 64.5"},
      {R"({"hidden_size":"many"})", "found the string 'many'"},
      {R"({"hidden_size":"64.5"})", "found the string '64.5'"},
      {R"({"hidden_size":"64 "})", "found the string '64 '"},
      {R"({"num_hidden_layers":1025})", "field 'num_hidden_layers': expected an integer from 1 to 1024, found 1025"},
      {R"({"num_attention_heads":-4})", "field 'num_attention_heads'"},
      {R"({"num_attention_heads":5,"head_dim":null})",
       "expected a divisor of the hidden size 64 (or a 'head_dim'), found 5"},
      {R"({"num_key_value_heads":3})", "expected a divisor of the 4 query heads, found 3"},
      {R"({"head_dim":15})", "head dimension: expected an even number, found 15"},
      {R"({"intermediate_size":99999999999})", "field 'intermediate_size'"},
      {R"({"max_position_embeddings":0})", "field 'max_position_embeddings'"},
      {R"({"rms_norm_eps":-1e-5})", "RMS norm epsilon: expected a number above 0 and below 1, found -1e-05"},
      {R"({"rms_norm_eps":"small"})", "field 'rms_norm_eps': expected a number"},
      {R"({"rope_theta":0})", "rope theta"},
      {R"({"attention_bias":true})",
       "field 'attention_bias': expected false: layers with biases are not supported, found true"},
      {R"({"mlp_bias":true})", "field 'mlp_bias': expected false"},
      {R"({"mlp_bias":1})", "field 'mlp_bias': expected true or false, found 1"},
      {R"({"hidden_act":"gelu"})", "field 'hidden_act': expected 'silu', found the string 'gelu'"},
      {R"({"quantization_config":{"bits":4}})", "field 'quantization_config': expected none"},
      {R"({"partial_rotary_factor":0.5})", "field 'partial_rotary_factor': expected 1, found 0.5"},
      {R"({"tie_word_embeddings":"yes"})", "field 'tie_word_embeddings': expected true or false"},
      {R"({"bos_token_id":"<s>"})",
       "field 'bos_token_id': expected a token id below 304, or an array of them, found the string '<s>'"},
      {R"({"eos_token_id":[1.5]})", "field 'eos_token_id'"},
      {R"({"rope_scaling":"linear"})", "field 'rope_scaling': expected an object, found the string 'linear'"},
      {R"({"rope_scaling":{"rope_type":"longrope","factor":4}})",
       "rope_scaling: field 'rope_type': expected one of default, linear, dynamic, yarn, llama3, found the string "
       "'longrope'"},
      {R"({"rope_scaling":{"type":"su","factor":4}})", "rope_scaling: field 'type'"},
      {R"({"rope_scaling":{"rope_type":"linear"}})", "rope_scaling: field 'factor': expected a number"},
      {R"({"rope_scaling":{"rope_type":"linear","factor":0.5}})", "rope scaling factor: expected 1 to"},
      {R"({"rope_scaling":{"rope_type":"llama3","factor":8}})", "rope_scaling: field 'low_freq_factor'"},
      {R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}})",
       "low frequency factor < high frequency factor"},
      {R"({"rope_scaling":{"rope_type":"yarn","factor":8,"mscale":1.0}})", "field 'mscale': expected none"},
      {R"({"rope_scaling":{"rope_type":"yarn","factor":8,"truncate":false}})", "field 'truncate': expected true"},
      {R"({"rope_scaling":{"rope_type":"linear","factor":2,"partial_rotary_factor":0.25}})", "partial_rotary_factor"},
  };
  for (const auto& [changes, message] : cases) {
    EXPECT_THAT(
        ParseHuggingFaceConfig(Changed(changes), "dir/config.json"),
        StatusIs(absl::StatusCode::kInvalidArgument, AllOf(StartsWith("dir/config.json: "), HasSubstr(message))))
        << changes;
  }
}

TEST(HuggingFaceConfigTest, RefusesEveryTruncation) {
  const std::string text = Changed("{}");
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(ParseHuggingFaceConfig(text.substr(0, size), "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected JSON")));
  }
}

}  // namespace
}  // namespace tome
