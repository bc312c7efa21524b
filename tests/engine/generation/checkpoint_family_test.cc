// A family of small checkpoints, as people have them: every format, kind of vocabulary and shape, with the options of
// their files at their edges. Each loads or is refused with a reason; each that loads reads a text and answers.
//
// Runs for TOME_SWEEP_SECONDS, 8 unless that is set, with seeds from TOME_SWEEP_SEED, 1 unless that is set.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "engine/base/utf8.h"
#include "engine/engine.h"
#include "engine/generation/prompt_form.h"
#include "fmt/format.h"
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
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::tome::testing::IsOk;
using ::tome::testing::ReadFile;
using ::tome::testing::TempDir;
using ::tome::testing::TinyModelOptions;
using ::tome::testing::TinyModelType;
using ::tome::testing::TinyTensor;
using ::tome::testing::TinyTokenizerKind;
using ::tome::testing::TinyVocabSize;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int Below(int limit) { return static_cast<int>(engine_() % static_cast<unsigned>(limit)); }
  bool OneIn(int chances) { return Below(chances) == 0; }
  template <typename Value>
  Value Pick(std::initializer_list<Value> values) {
    return *(values.begin() + Below(static_cast<int>(values.size())));
  }

 private:
  std::mt19937 engine_;
};

// A checkpoint on disk, and what is known of it.
struct Made {
  std::string path;
  std::string tokenizer_path;
  bool may_be_refused = false;
  std::string what;  // the changes, for messages
};

TinyModelOptions RandomShape(Random& random) {
  TinyModelOptions options;
  options.num_layers = random.Pick({1, 1, 2, 3});
  options.num_heads = random.Pick({1, 2, 4, 6});
  options.num_kv_heads = options.num_heads == 6 ? random.Pick({1, 2, 3, 6}) : random.OneIn(2) ? 1 : options.num_heads;
  options.head_dim = random.Pick({2, 4, 8, 16, 32});
  options.hidden_size = random.OneIn(3) ? 8 * (1 + random.Below(8)) : options.num_heads * options.head_dim;
  options.ffn_size = random.Pick({1, 8, 33, 64, 96});
  options.context_length = random.Pick({32, 64, 100, 256, 512, 1000, 2048, 4096});
  options.vocab_size = TinyVocabSize() + random.Pick({0, 0, 0, 1, 16});
  options.tied = random.OneIn(2);
  options.rope_theta = random.Pick({10000.0, 500000.0, 1e6});
  options.type = random.Pick({TinyModelType::kF32, TinyModelType::kF16, TinyModelType::kBF16});
  options.num_files = random.Pick({1, 1, 2, 3});
  options.seed = static_cast<std::uint64_t>(random.Below(1000));
  return options;
}

// A change of a folder's files that transformers would take as well, or that may be refused.
using Change = void (*)(Random&, const std::filesystem::path&, Made*);

void ChangeJson(const std::filesystem::path& file, const std::function<void(Json&)>& change) {
  Json json = std::filesystem::exists(file) ? Json::parse(ReadFile(file)) : Json::object();
  change(json);
  testing::WriteFile(file, json.dump());
}

void SpellNumbers(Random& random, const std::filesystem::path& folder, Made* made) {
  ChangeJson(folder / "config.json", [&](Json& config) {
    for (const char* name : {"hidden_size", "max_position_embeddings", "num_hidden_layers", "rope_theta"}) {
      if (!config.contains(name) || !config[name].is_number()) continue;  // another change has dropped it
      const double value = config[name].get<double>();
      if (random.OneIn(3)) config[name] = value;
      if (random.OneIn(4)) config[name] = fmt::format("{:.1f}", value);
    }
  });
  made->what += " numbers";
}

void ScaleRope(Random& random, const std::filesystem::path& folder, Made* made) {
  const std::string scaling = random.Pick({
      R"({"type":"linear","factor":2.0})",
      R"({"rope_type":"dynamic","factor":4})",
      R"({"rope_type":"yarn","factor":4,"original_max_position_embeddings":32})",
      R"({"rope_type":"yarn","factor":2.0,"beta_fast":16,"beta_slow":2,"attention_factor":1.5})",
      R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":16})",
      R"({"rope_type":"default"})",
      "{}",
      "null",
      R"({"rope_type":"longrope","factor":4})",
      R"({"type":"linear"})",
  });
  ChangeJson(folder / "config.json", [&](Json& config) {
    config[random.OneIn(3) ? "rope_parameters" : "rope_scaling"] = Json::parse(scaling);
  });
  made->may_be_refused =
      made->may_be_refused || scaling.find("longrope") != std::string::npos || scaling == R"({"type":"linear"})";
  made->what += " rope " + scaling;
}

void MakeMistral(Random& random, const std::filesystem::path& folder, Made* made) {
  ChangeJson(folder / "config.json", [&](Json& config) {
    config["architectures"] = random.OneIn(2) ? Json::array({"MistralForCausalLM"})
                                              : Json::array({"MistralForCausalLM", "LlavaForConditionalGeneration"});
    config["sliding_window"] = random.Pick<Json>({nullptr, 16, 48, 4096, "64"});
  });
  made->what += " mistral";
}

void NameEnds(Random& random, const std::filesystem::path& folder, Made* made) {
  const std::initializer_list<Json> ends = {
      Json(nullptr), Json(2), Json(-1), Json::array(), Json::array({2, 303, 7}), Json::array({100000, 303}),
      Json(-100)};
  ChangeJson(folder / "config.json", [&](Json& config) {
    config["eos_token_id"] = random.Pick(ends);
    config["bos_token_id"] = random.Pick<Json>({nullptr, 1, -1, 70000});
    config["pad_token_id"] = random.Pick<Json>({nullptr, -1, 303, 99999});
  });
  ChangeJson(folder / "generation_config.json", [&](Json& config) { config["eos_token_id"] = random.Pick(ends); });
  made->what += " ends";
}

void ChangeTokenizer(Random& random, const std::filesystem::path& folder, Made* made) {
  if (!std::filesystem::exists(folder / "tokenizer.json")) return;
  ChangeJson(folder / "tokenizer.json", [&](Json& tokenizer) {
    const auto flag = [&] { return random.OneIn(3); };
    const Json last = tokenizer["added_tokens"].back();
    for (int i = 0; i < 1 + random.Below(4); ++i) {
      const std::string text = random.Pick<std::string>({"<x>", "[PAD]", " and", "\n\n", "the", "a b", "<y", "\u00e9"});
      const bool special = text.size() > 2 && flag();
      tokenizer["added_tokens"].push_back({{"id", last["id"].get<int>() + 1 + i + (random.OneIn(5) ? 3 : 0)},
                                           {"content", text},
                                           {"special", special},
                                           {"lstrip", flag()},
                                           {"rstrip", flag()},
                                           {"single_word", flag()},
                                           {"normalized", flag()}});
    }
    if (random.OneIn(3)) tokenizer["model"]["ignore_merges"] = true;
    if (random.OneIn(6)) tokenizer["model"]["vocab"]["a hole before this"] = TinyVocabSize() + 5;
  });
  made->may_be_refused = true;  // pieces of one character that are special, overlaps, ...
  made->what += " added tokens";
}

void AddTensors(Random& random, const std::filesystem::path& folder, Made* made) {
  if (!std::filesystem::exists(folder / "model.safetensors")) return;
  const Json config = Json::parse(ReadFile(folder / "config.json"));
  TinyModelOptions options;
  options.num_layers = config["num_hidden_layers"].is_number_integer() ? config["num_hidden_layers"].get<int>() : 0;
  if (options.num_layers == 0 || !config["hidden_size"].is_number_integer()) return;
  options.hidden_size = config["hidden_size"], options.num_heads = config["num_attention_heads"];
  options.num_kv_heads = config["num_key_value_heads"], options.head_dim = config["head_dim"];
  options.ffn_size = config["intermediate_size"], options.vocab_size = config["vocab_size"];
  options.tied = config["tie_word_embeddings"];
  std::vector<TinyTensor> tensors = testing::TinyTensors(options);
  const auto add = [&](std::string name, int size, float value) {
    tensors.push_back({std::move(name), {size}, std::vector<float>(static_cast<std::size_t>(size), value)});
  };
  if (random.OneIn(2)) add("model.layers.0.self_attn.rotary_emb.inv_freq", options.head_dim, 1);
  if (random.OneIn(3)) add("model.layers.0.self_attn.q_proj.bias", options.num_heads * options.head_dim, 0);
  if (options.tied && random.OneIn(2)) {
    TinyTensor output = tensors.front();
    output.name = "lm_head.weight";
    if (random.OneIn(2)) output.values[5] += 1;
    tensors.push_back(output);
  }
  testing::WriteFile(folder / "model.safetensors", testing::SafetensorsBytes(tensors, TinyModelType::kF32));
  made->what += " tensors";
}

void AddFiles(Random& random, const std::filesystem::path& folder, Made* made) {
  for (const char* name : {"consolidated.safetensors", "pytorch_model.bin", "README.md", "adapter_config.json"}) {
    if (random.OneIn(3)) testing::WriteFile(folder / name, "{}");
  }
  if (random.OneIn(3)) std::filesystem::remove(folder / "model.safetensors.index.json");
  made->what += " files";
}

void DropFields(Random& random, const std::filesystem::path& folder, Made* made) {
  ChangeJson(folder / "config.json", [&](Json& config) {
    for (const char* name : {"rope_theta", "rope_scaling", "attention_bias", "hidden_act", "torch_dtype", "model_type",
                             "rms_norm_eps", "architectures"}) {
      if (random.OneIn(4)) config.erase(name);
      if (random.OneIn(6)) config[name] = nullptr;
    }
    if (!config.contains("architectures") || config["architectures"].is_null()) config["model_type"] = "llama";
    if (random.OneIn(4)) config["dtype"] = "bfloat16";
  });
  made->what += " fields";
}

Made MakeFolder(Random& random, const TempDir& folder) {
  const std::filesystem::path path = folder.path() / "model";
  Made made{.path = path.string()};
  const TinyModelOptions options = RandomShape(random);
  testing::WriteTinyModel(path, options);
  const TinyTokenizerKind kind = testing::kTinyTokenizerKinds[random.Below(std::size(testing::kTinyTokenizerKinds))];
  testing::WriteTinyTokenizer(path, kind);
  made.what = fmt::format("folder, tokenizer {}, context {}:", static_cast<int>(kind), options.context_length);
  constexpr Change kChanges[] = {SpellNumbers,    ScaleRope,  MakeMistral, NameEnds,
                                 ChangeTokenizer, AddTensors, AddFiles,    DropFields};
  for (int i = 0; i < 3; ++i) {
    if (random.OneIn(4)) break;
    kChanges[random.Below(std::size(kChanges))](random, path, &made);
  }
  return made;
}

Made MakeGguf(Random& random, const TempDir& folder) {
  TinyModelOptions options = RandomShape(random);
  testing::GgufWriter writer = testing::TinyGguf(options);
  Made made{.what = fmt::format("GGUF, context {}:", options.context_length)};
  if (random.OneIn(2)) testing::SetSentencePieceTokenizer(&writer);
  const std::vector<std::int32_t> kv_heads(static_cast<std::size_t>(options.num_layers), options.num_kv_heads);
  if (random.OneIn(3)) writer.SetInt32s("llama.attention.head_count_kv", kv_heads);
  if (random.OneIn(4)) writer.Remove("tokenizer.ggml.pre");
  if (random.OneIn(4)) writer.Remove("tokenizer.ggml.token_type");
  if (random.OneIn(4)) writer.SetUint32("tokenizer.ggml.eot_token_id", random.Pick({0u, 7u, 303u, 5000u}));
  if (random.OneIn(4)) writer.SetUint32("tokenizer.ggml.eom_token_id", random.Pick({0u, 7u, 303u, 4294967295u}));
  if (random.OneIn(4)) writer.SetFloat("llama.context_length", static_cast<float>(options.context_length));
  if (random.OneIn(5)) writer.SetUint32("llama.attention.sliding_window", random.Pick({0u, 16u, 40u, 1u << 20}));
  if (random.OneIn(6)) {
    writer.SetUint32("split.count", random.Pick({1u, 2u}));
    made.may_be_refused = true;
  }
  made.path = folder.Write("model.gguf", writer.Bytes());
  return made;
}

Made MakeLlama2c(Random& random, const TempDir& folder) {
  TinyModelOptions options = RandomShape(random);
  options.hidden_size = options.num_heads * options.head_dim;
  options.vocab_size = random.Pick({259, 260, 300, 512});
  options.rope_theta = 10000;
  Made made{.path = folder.Write("model.bin", testing::TinyLlama2c(options)),
            .what = fmt::format("llama2.c, context {}", options.context_length)};
  made.tokenizer_path = folder.Write("words.bin", testing::TinyLlama2cVocabulary(options.vocab_size));
  return made;
}

std::string RandomText(Random& random, int parts) {
  std::string text;
  for (int i = 0; i < parts; ++i) {
    text += random.Pick<std::string>({"the ship", " ", "\n", " sailed", ". ", "It was", " cold", "<|im_end|>", "\u4e2d",
                                      "</s>", "  ", "\t", "1", "\U0001f600", "a", "<x>", "[INST]"});
  }
  return text;
}

void ExpectText(const std::shared_ptr<const Model>& model, const std::string& text, const std::string& what) {
  const Tokenizer& tokenizer = *model->tokenizer();
  std::size_t bytes = 0;
  for (const TextToken& token : tokenizer.Encode(text)) {
    ASSERT_GE(token.id, 0) << what;
    ASSERT_LT(token.id, model->info().config.vocab_size) << what;
    EXPECT_NE(token.id, tokenizer.eos().value_or(-1)) << what;
    bytes += token.num_bytes;
  }
  EXPECT_EQ(bytes, text.size()) << what;
}

// Reads a text and asks about it; what does not fit a short context may be refused.
void ReadAndAsk(Random& random, const std::shared_ptr<const Model>& model, const std::string& what) {
  const ModelInfo& info = model->info();
  const auto options = FitMemoryOptions({}, {}, info.config, info.precision);
  ASSERT_THAT(options, IsOk()) << what << options.status();
  Memory memory = *Memory::Create(model, *options);
  const std::string text = RandomText(random, 60);
  ExpectText(model, text, what);
  std::vector<TokenId> tokens;
  for (const TextToken& token : model->tokenizer()->Encode(text)) tokens.push_back(token.id);
  std::vector<Task> tasks;
  tasks.push_back(Task::Read(&memory, tokens));
  const auto run = [&](Task task) {
    std::string answer;
    Task* running[] = {&task};
    while (!task.finished()) {
      const StepResult result = std::move(Step(running)[0]);
      if (!result.status.ok()) {
        EXPECT_TRUE(absl::IsInvalidArgument(result.status)) << what << result.status;
        return;
      }
      answer += result.text;
    }
    EXPECT_TRUE(IsValidUtf8(answer)) << what;
  };
  run(std::move(tasks.front()));
  const bool chats = info.chat_template != ChatTemplate::kPlain && random.OneIn(2);
  const PromptForm form = chats ? ChatPromptForm() : random.OneIn(2) ? RawPromptForm() : QuestionAnswerPromptForm();
  const int budget = std::max(options->region_tokens, static_cast<int>(info.config.context_length / 2));
  absl::StatusOr<Task> task =
      Task::Answer(memory, {},
                   {.text = "Which?",
                    .form = form,
                    .route = {.effort = random.OneIn(2) ? Effort::kFast : Effort::kBalanced},
                    .budget_tokens = std::min(budget, 512),
                    .mode = random.OneIn(3) ? AnswerMode::kAttend : AnswerMode::kReread},
                   {.sampling = {.temperature = 1, .seed = static_cast<std::uint64_t>(random.Below(100))},
                    .max_tokens = 12,
                    .up_to_context = true});
  if (task.ok()) return run(*std::move(task));
  EXPECT_TRUE(absl::IsInvalidArgument(task.status())) << what << task.status();
}

void Try(unsigned seed, int* loaded) {
  Random random(seed);
  const TempDir folder;
  const int format = random.Below(5);
  const Made made = format == 0   ? MakeGguf(random, folder)
                    : format == 1 ? MakeLlama2c(random, folder)
                                  : MakeFolder(random, folder);
  const std::string what = fmt::format("TOME_SWEEP_SEED={}: {}\n", seed, made.what);
  SCOPED_TRACE(what);
  const absl::StatusOr<std::shared_ptr<const Model>> model = Model::Load(
      {.path = made.path, .tokenizer_path = made.tokenizer_path, .precision = Precision::kFp32, .num_threads = 1});
  if (!model.ok()) {
    EXPECT_TRUE(made.may_be_refused) << model.status();
    EXPECT_THAT(model.status().code(), AnyOf(absl::StatusCode::kInvalidArgument, absl::StatusCode::kNotFound));
    EXPECT_THAT(std::string(model.status().message()), HasSubstr(folder.path().string())) << "it names the file";
    return;
  }
  for (const std::string& warning : (*model)->info().warnings) {
    EXPECT_THAT(warning, HasSubstr(folder.path().string())) << "it names the file";
  }
  ++*loaded;
  ReadAndAsk(random, *model, what);
}

double Setting(const char* name, double usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::atof(value);
}

TEST(CheckpointFamilyTest, LoadsReadsAndAnswersOrIsRefusedWithAReason) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(Setting("TOME_SWEEP_SECONDS", 8));
  auto seed = static_cast<unsigned>(Setting("TOME_SWEEP_SEED", 1));
  int tried = 0, loaded = 0;
  while (std::chrono::steady_clock::now() < end && !HasFailure()) {
    Try(seed++, &loaded);
    ++tried;
  }
  EXPECT_GT(loaded, tried / 2) << "of " << tried;
  std::cout << loaded << " of " << tried << " checkpoints were loaded\n";
}

}  // namespace
}  // namespace tome
