#include "engine/adapter/peft_writer.h"

#include <cstdlib>

#include "engine/adapter/peft_adapter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/engine/adapter/adapter_tests.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using testing::GoldenAdapter;
using testing::IsOk;
using testing::ReadFile;
using testing::StatusIs;
using testing::TinyLlamaConfig;
using enum AdaptedMatrix;

TEST(PeftWriter, WritesWhatReadsAsTheSameAdapter) {
  const testing::TempDir folder;
  for (const char* name : {"plain", "patterns", "rslora", "one_layer", "trained", "trained_norms"}) {
    for (const bool bf16 : {false, true}) {  // the golden values are bf16 numbers
      TOME_ASSERT_OK_AND_ASSIGN(const auto read, ReadPeftAdapter(GoldenAdapter(name), TinyLlamaConfig()));
      ASSERT_THAT(WritePeftAdapter(folder.File(name), read->contents(), TinyLlamaConfig(), {.bf16 = bf16}), IsOk());
      TOME_ASSERT_OK_AND_ASSIGN(const auto again, ReadPeftAdapter(folder.File(name), TinyLlamaConfig()));
      EXPECT_EQ(again->digest(), read->digest()) << name;
    }
  }
}

// scripts/golden/adapters.py --check loads these in PEFT.
TEST(PeftWriter, WritesTheFilesThatPeftWasTriedWith) {
  for (const std::string name : {"patterns", "one_layer", "trained_norms"}) {
    TOME_ASSERT_OK_AND_ASSIGN(const auto read, ReadPeftAdapter(GoldenAdapter(name), TinyLlamaConfig()));
    const testing::TempDir scratch;
    const std::string golden = GoldenAdapter("written/" + name);
    const std::string target = std::getenv("TOME_WRITE_GOLDEN") == nullptr ? scratch.File(name) : golden;
    ASSERT_THAT(WritePeftAdapter(target, read->contents(), TinyLlamaConfig(), {.base_model = "tiny_llama"}), IsOk());
    for (const char* file : {"/adapter_config.json", "/adapter_model.safetensors"}) {
      EXPECT_TRUE(ReadFile(target + file) == ReadFile(golden + file)) << name << file;
    }
  }
}

TEST(PeftWriter, NamesModulesSoThatTheyMeanNoOthers) {
  AdapterContents contents;
  contents.layers.resize(2);
  contents.Pair(0, kQuery) = {.rank = 2, .scale = 2};
  contents.Pair(1, kQuery) = {.rank = 2, .scale = 2};
  contents.Pair(1, kUp) = {.rank = 4, .scale = 1};
  contents.trained["model.norm.weight"] = {};
  const auto config = nlohmann::json::parse(FormatPeftConfig(contents, {.base_model = "base", .dropout = 0.05}));
  EXPECT_EQ(config["r"], 2);
  EXPECT_EQ(config["lora_alpha"], 4);
  EXPECT_EQ(config["lora_dropout"], 0.05);
  EXPECT_THAT(config["target_modules"], ElementsAre("q_proj", "model.layers.1.mlp.up_proj"));
  EXPECT_THAT(config["modules_to_save"], ElementsAre("model.norm"));
  EXPECT_EQ(config["rank_pattern"], nlohmann::json({{"model.layers.1.mlp.up_proj", 4}}));
  EXPECT_EQ(config["alpha_pattern"], nlohmann::json::object());
}

TEST(PeftWriter, SaysWhereItCannotWrite) {
  const testing::TempDir folder;
  const std::string file = folder.Write("file", "");
  TOME_ASSERT_OK_AND_ASSIGN(const auto read, ReadPeftAdapter(GoldenAdapter("plain"), TinyLlamaConfig()));
  EXPECT_THAT(WritePeftAdapter(file, read->contents(), TinyLlamaConfig(), {}),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr(file)));
}

}  // namespace
}  // namespace tome
