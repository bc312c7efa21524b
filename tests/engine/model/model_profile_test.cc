#include "engine/model/profiles/model_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/model/profiles/shipped_profiles.h"
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

ModelProfile ProfileWithDefaults() {
  ModelProfile profile = testing::RandomProfile(Info(), 8);
  profile.prompt_form = {.prompt = "{text}\n\nQ: 1 + 1?\nA: {2}\n\n{turns}\n\nQ: {question}\nA:",
                         .turn = "Q: {question}\nA: {answer}",
                         .opening = " It is",
                         .stop = {"\n"}};
  profile.budget_tokens = 300;
  profile.effort = Effort::kThorough;
  return profile;
}

TEST(ModelProfile, KeepsTheDefaultsOfQuestions) {
  const ModelProfile profile = ProfileWithDefaults();
  TOME_ASSERT_OK_AND_ASSIGN(const ModelProfile parsed,
                            ParseModelProfile(FormatModelProfile(profile), "p.json", Info().config));
  EXPECT_EQ(parsed.prompt_form, profile.prompt_form);
  EXPECT_EQ(parsed.budget_tokens, 300);
  EXPECT_EQ(parsed.effort, Effort::kThorough);
  TOME_ASSERT_OK_AND_ASSIGN(
      const ModelProfile without,
      ParseModelProfile(FormatModelProfile(testing::RandomProfile(Info(), 8)), "p.json", Info().config));
  EXPECT_FALSE(without.prompt_form || without.budget_tokens || without.effort);
}

TEST(ModelProfile, ShippedOneKeepsItsDigestAndHasAForm) {
  ASSERT_EQ(ShippedProfiles().size(), 1u);
  // The width of SmolLM2's heads.
  const LlamaConfig config = {.hidden_size = 576,
                              .num_layers = 30,
                              .num_heads = 9,
                              .num_kv_heads = 3,
                              .head_dim = 64,
                              .ffn_size = 1536,
                              .context_length = 8192};
  const std::string json(ShippedProfiles()[0].json);
  TOME_ASSERT_OK_AND_ASSIGN(const ModelProfile profile, ParseModelProfile(json, "shipped", config));
  EXPECT_EQ(FormatModelProfile(profile), json);
  ASSERT_TRUE(profile.prompt_form.has_value());
  EXPECT_THAT(profile.prompt_form->prompt, ::testing::EndsWith("Question: {question}\nAnswer:"));
  EXPECT_THAT(profile.prompt_form->prompt, ::testing::StartsWith("{instruction}\n\n{text}\n\n"));
  EXPECT_THAT(profile.prompt_form->stop, ::testing::ElementsAre("\n"));
}

TEST(PromptForm, TellsWhatIsWrongWithIt) {
  const PromptForm good = *ProfileWithDefaults().prompt_form;
  EXPECT_THAT(ValidatePromptForm(good), IsOk());
  EXPECT_THAT(ValidatePromptForm({.prompt = "{text}{question}", .chat = true}), IsOk());
  EXPECT_THAT(ValidatePromptForm({.prompt = "{ text } {\"a\": 1} {} {text}{question} {Text} {"}), IsOk());
  const auto refused = [](const PromptForm& form, const char* message) {
    EXPECT_THAT(ValidatePromptForm(form), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  const auto with = [&good](auto change) {
    PromptForm form = good;
    change(form);
    return form;
  };
  refused({}, "prompt: {text} is missing");
  refused({.prompt = "{question}"}, "prompt: {text} is missing");
  refused({.prompt = "{text}"}, "prompt: {question} is missing");
  refused({.prompt = "{text} {question} {answer}"}, "found {answer}");
  refused({.prompt = "{text} {question} {documents}"}, "found {documents}");
  refused({.prompt = "{text} {question} {turns}"}, "turn: {question} is missing");
  refused({.prompt = "{text} {question} {turns}", .turn = "{question}"}, "turn: {answer} is missing");
  refused({.prompt = "{text} {question}", .turn = "{question} {answer}"}, "turn: it has no place");
  refused({.prompt = "{text} {question} {instruction}", .chat = true}, "found {instruction}");
  refused({.prompt = "{text} {question}", .turn = "{question} {answer}", .chat = true}, "messages of the chat");
  refused(with([](PromptForm& f) { f.turn += "{text}"; }), "turn: expected no marks but {question}, {answer}");
  refused(with([](PromptForm& f) { f.prompt += std::string(16384, 'x'); }), "prompt: expected at most 16384 bytes");
  refused(with([](PromptForm& f) { f.turn += std::string(16384, 'x'); }), "turn: expected at most 16384 bytes");
  refused(with([](PromptForm& f) { f.opening = std::string(1025, 'x'); }), "opening: expected at most 1024 bytes");
  refused(with([](PromptForm& f) { f.prompt += "\xff"; }), "prompt: it is not UTF-8");
  refused(with([](PromptForm& f) { f.opening = "\xff"; }), "opening: it is not UTF-8");
  refused(with([](PromptForm& f) { f.stop.assign(17, "x"); }), "stop: expected at most 16 texts, found 17");
  refused(with([](PromptForm& f) { f.stop.push_back(""); }), "stop: expected no empty text");
  refused(with([](PromptForm& f) { f.stop.push_back(std::string(257, 'x')); }), "stop: expected at most 256 bytes");
}

TEST(ModelProfile, ErrorsNameTheFileAndTheField) {
  using nlohmann::json;
  const json good = json::parse(FormatModelProfile(ProfileWithDefaults()));
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
              {"/heads/0/step/0", "x", "step"},
              {"/prompt_form", "raw", "prompt_form"},
              {"/prompt_form", json::object(), "prompt"},
              {"/prompt_form/prompt", "{text}", "{question} is missing"},
              {"/prompt_form/prompt", 7, "prompt"},
              {"/prompt_form/chat", "yes", "chat"},
              {"/prompt_form/stop", "x", "stop"},
              {"/prompt_form/halt", json::array(), "halt"},
              {"/budget_tokens", 0, "budget_tokens"},
              {"/budget_tokens", 1e12, "budget_tokens"},
              {"/budget_tokens", "many", "budget_tokens"},
              {"/effort", "heroic", "effort"},
              {"/effort", 3, "effort"}};
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
