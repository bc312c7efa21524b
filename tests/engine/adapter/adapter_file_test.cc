#include "engine/adapter/adapter_file.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapter/adapter_tests.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using testing::GoldenAdapter;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TinyLlamaConfig;

TEST(LoadAdapter, TellsTheFormatsApart) {
  EXPECT_THAT(LoadAdapter(GoldenAdapter("plain"), TinyLlamaConfig()), IsOk());
  EXPECT_THAT(LoadAdapter(GoldenAdapter("plain.gguf"), TinyLlamaConfig()), IsOk());
  const testing::TempDir folder;
  EXPECT_THAT(LoadAdapter(folder.Write("notes.txt", "Once upon a time"), TinyLlamaConfig()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("adapter_config.json")));
  EXPECT_THAT(LoadAdapter(folder.File("absent"), TinyLlamaConfig()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(LoadAdapter("", TinyLlamaConfig()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
}

TEST(LoadAdapter, RefusesTheAdapterOfAnotherModel) {
  LlamaConfig other = TinyLlamaConfig();
  other.ffn_size = 128;
  for (const char* name : {"plain", "plain.gguf"}) {
    EXPECT_THAT(LoadAdapter(GoldenAdapter(name), other),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected shape")));
  }
}

TEST(ModuleNames, AreReadAsTheyAreWritten) {
  for (const AdaptedMatrix matrix : kAdaptedMatrices) {
    const auto module = ParseModuleName(ModuleName(17, matrix));
    ASSERT_TRUE(module.has_value());
    EXPECT_EQ(module->layer, 17);
    EXPECT_EQ(module->matrix, matrix);
    EXPECT_EQ(ParseAdaptedMatrix(AdaptedMatrixName(matrix)), matrix);
  }
  for (const char* name :
       {"", "model.layers.", "model.layers.1", "model.layers.1.q_proj", "model.layers.-1.mlp.up_proj",
        "model.layers.1.self_attn.up_proj", "model.layers.99999999999999999999.mlp.up_proj",
        "model.layers.1.mlp.up_proj.weight", "layers.1.mlp.up_proj"}) {
    EXPECT_FALSE(ParseModuleName(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace tome
