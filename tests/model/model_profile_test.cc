#include "engine/model/model_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const ModelInfo& Info() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model->info();
}

TEST(ModelProfile, FormattedAndParsedIsTheSame) {
  for (const int bits : {4, 8}) {
    const ModelProfile profile = testing::RandomProfile(Info(), bits);
    const std::string text = FormatModelProfile(profile);
    TOME_ASSERT_OK_AND_ASSIGN(const ModelProfile parsed, ParseModelProfile(text, "p.json", Info().config));
    EXPECT_EQ(FormatModelProfile(parsed), text);
    EXPECT_EQ(parsed.code_bytes(), 2 * 8 * bits / 8);
    EXPECT_EQ(parsed.num_layers(), 2);
  }
}

TEST(ModelProfile, TheDigestOfCodesChangesWithWhatCodesDependOnOnly) {
  const ModelProfile profile = testing::RandomProfile(Info(), 8);
  ModelProfile same = profile;
  same.made_by = "another command";
  same.heads[0].background.clear();
  same.heads[1].query_heads.pop_back();
  EXPECT_EQ(RoutingCodesDigest(same), RoutingCodesDigest(profile));
  ModelProfile other = profile;
  other.heads[1].step[0] *= 2;
  EXPECT_NE(RoutingCodesDigest(other), RoutingCodesDigest(profile));
}

TEST(ModelProfile, ErrorsNameTheFileAndTheField) {
  using nlohmann::json;
  const json good = json::parse(FormatModelProfile(testing::RandomProfile(Info(), 8)));
  const struct {
    const char* path;
    json value;
    const char* field;
  } rows[] = {{"/format", 99, "format"},
              {"/code_bits", 5, "code_bits"},
              {"/model_digest", 3, "model_digest"},
              {"/heads", "none", "heads"},
              {"/heads/0/layer", 2, "layer"},
              {"/heads/0/layer", -1, "layer"},
              {"/heads/1/kv_head", 2, "kv_head"},
              {"/heads/0/query_heads", json::array(), "query_heads"},
              {"/heads/0/query_heads", json::array({3}), "query_heads"},
              {"/heads/0/mean", json::array({1}), "mean"},
              {"/heads/0/basis", json::array(), "basis"},
              {"/heads/0/basis/3", 1e300, "basis"},
              {"/heads/0/background", json::array({1, 2, 3}), "background"},
              {"/heads/0/step", json::array({1, 2, 3}), "step"},
              {"/heads/0/step/0", 0, "step"},
              {"/heads/0/step/0", -1, "step"},
              {"/heads/0/step/0", "x", "step"}};
  for (const auto& [path, value, field] : rows) {
    json bad = good;
    bad[json::json_pointer(path)] = value;
    EXPECT_THAT(ParseModelProfile(bad.dump(), "p.json", Info().config),
                StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("p.json"), HasSubstr(field))))
        << path << " " << value;
  }
  for (const char* text : {"", "[]", "{", "3", "{\"format\":1}"}) {
    EXPECT_THAT(ParseModelProfile(text, "p.json", Info().config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("p.json")));
  }
}

TEST(ModelProfile, OfAnotherModelIsRefusedWithBothDigests) {
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path() / "model");
  ModelProfile profile = testing::RandomProfile(Info(), 8);
  profile.model_digest = "another";
  const std::string file = folder.Write("other.json", FormatModelProfile(profile));
  EXPECT_THAT(Model::Load({.path = (folder.path() / "model").string(), .profile_path = file}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("another"), HasSubstr(Info().model_digest), HasSubstr("calibrate"))));
}

TEST(ModelProfile, ModelsWithoutOneHaveAnEmptyOne) {
  const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  EXPECT_TRUE(model->profile().empty());
  EXPECT_EQ(model->profile().code_bytes(), 0);
  EXPECT_FALSE(testing::LoadTinyModelWithProfile()->profile().empty());
}

}  // namespace
}  // namespace tome
