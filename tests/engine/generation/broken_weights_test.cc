// Weights with NaN, infinite or absurd numbers: what meets them ends with an error, and the memory stays as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/engine.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
constexpr TokenId kZ = 'Z';  // single bytes are the first tokens
const MemoryOptions kOptions = {.sink_tokens = 4, .window_tokens = 48, .segment_tokens = 16, .region_tokens = 16};

auto IsDamage(const std::string& what) {
  return StatusIs(absl::StatusCode::kInternal, AllOf(HasSubstr(what), HasSubstr("weights are damaged")));
}

// A tiny model of which one row of a tensor has another value; "": of no tensor.
std::shared_ptr<const Model> ModelWith(const std::string& tensor, std::int64_t row, float value, bool profile = true) {
  testing::TinyModelOptions tiny;
  tiny.tied = false;
  std::vector<testing::TinyTensor> tensors = testing::TinyTensors(tiny);
  bool found = tensor.empty();
  for (testing::TinyTensor& candidate : tensors) {
    if (candidate.name != tensor) continue;
    found = true;
    std::fill_n(candidate.values.begin() + row * candidate.shape[1], candidate.shape[1], value);
  }
  EXPECT_TRUE(found) << tensor;
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path() / "model", tiny);
  folder.Write("model/model.safetensors", testing::SafetensorsBytes(tensors, testing::TinyModelType::kF32));
  const ModelOptions options = {.path = folder.File("model"), .precision = Precision::kFp32, .num_threads = 2};
  std::shared_ptr<const Model> model = Model::Load(options).value();
  if (!profile) return model;
  folder.Write("model.profile.json", FormatModelProfile(testing::RandomProfile(model->info(), 8)));
  return Model::Load(options).value();
}

std::vector<TokenId> GoodTokens(int count) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back('a' + i * i % 19);
  return tokens;
}

struct Outcome {
  absl::Status status;
  std::vector<TokenId> tokens;
};

Outcome RunTask(Task task) {
  Outcome outcome;
  Task* tasks[] = {&task};
  while (!task.finished()) {
    const StepResult result = std::move(Step(tasks)[0]);
    outcome.status.Update(result.status);
    for (const GeneratedToken& token : result.tokens) outcome.tokens.push_back(token.id);
  }
  return outcome;
}

TEST(BrokenWeights, EndASegmentWithAnErrorAndLeaveTheStateAsItWas) {
  const struct {
    const char* tensor;
    float value;
  } cases[] = {
      {"model.layers.0.self_attn.k_proj.weight", kNan},      {"model.layers.0.self_attn.k_proj.weight", -kInfinity},
      {"model.layers.1.self_attn.v_proj.weight", kInfinity}, {"model.layers.1.self_attn.v_proj.weight", 1e30f},
      {"model.layers.0.self_attn.q_proj.weight", kNan},      {"model.layers.1.self_attn.o_proj.weight", kNan},
      {"model.layers.1.mlp.down_proj.weight", kNan},         {"model.layers.0.mlp.up_proj.weight", kInfinity},
  };
  for (const auto& [tensor, value] : cases) {
    for (const int selected : {0, 2}) {
      SCOPED_TRACE(std::string(tensor) + " " + std::to_string(value));
      MemoryOptions options = kOptions;
      options.regions.selected = selected;
      Memory memory = *Memory::Create(ModelWith(tensor, 3, value), options);
      const std::string digest = memory.Digest();
      EXPECT_THAT(RunTask(Task::Read(&memory, GoodTokens(40))).status, IsDamage("keys or values"));
      EXPECT_EQ(memory.Digest(), digest);
    }
  }
}

TEST(BrokenWeights, OnlySegmentsThatMeetThemFail) {
  Memory memory = *Memory::Create(ModelWith("model.embed_tokens.weight", kZ, kNan), kOptions);
  std::vector<TokenId> tokens = GoodTokens(160);
  tokens[16 * 7 + 5] = kZ;
  EXPECT_THAT(RunTask(Task::Read(&memory, tokens)).status, IsDamage("keys or values"));
  EXPECT_EQ(memory.tokens_read(), 16 * 7);
  EXPECT_EQ(memory.num_regions(), 7);
  Memory expected = *Memory::Create(memory.model(), kOptions);
  EXPECT_THAT(RunTask(Task::Read(&expected, GoodTokens(16 * 7))).status, IsOk());
  EXPECT_EQ(memory.Digest(), expected.Digest());
  EXPECT_THAT(RunTask(Task::Read(&memory, GoodTokens(20))).status, IsOk());
}

TEST(BrokenWeights, EndQuestionsWhereTheyMeetThem) {
  const struct {
    bool profile;
    const char* what;
  } cases[] = {{true, "queries"}, {false, "likelihood"}};
  for (const auto& [profile, what] : cases) {
    Memory memory = *Memory::Create(ModelWith("model.embed_tokens.weight", kZ, kNan, profile), kOptions);
    ASSERT_THAT(RunTask(Task::Read(&memory, GoodTokens(100))).status, IsOk());
    const std::string digest = memory.Digest();
    // A letter of the text, so that words find something as well.
    EXPECT_THAT(RunTask(*Task::Search(memory, {}, "aeb Z?", {})).status, IsDamage(what));
    EXPECT_THAT(RunTask(*Task::Answer(memory, {}, {.text = "aeb Z?"}, {.max_tokens = 4})).status, IsDamage(what));
    EXPECT_THAT(RunTask(*Task::Search(memory, {}, "aeb?", {})).status, IsOk());
    // Text that was not read yet is read with the question.
    const PendingText pending = {.tokens = {'a', kZ}, .spans = {{.num_bytes = 1}, {.num_bytes = 1, .begin = 1}}};
    EXPECT_THAT(RunTask(*Task::Search(memory, pending, "aeb?", {})).status, IsDamage("keys or values"));
    EXPECT_THAT(RunTask(*Task::Generate(memory, {'a', kZ, 'b'}, {.max_tokens = 4})).status, IsDamage("logits"));
    EXPECT_EQ(memory.Digest(), digest);
  }
}

TEST(BrokenWeights, EndAnAnswerAtItsFirstTokenWhenTheOutputIsBroken) {
  const Memory memory = *Memory::Create(ModelWith("lm_head.weight", 200, kInfinity), kOptions);
  for (const double temperature : {0.0, 1.0}) {
    const Outcome outcome =
        RunTask(*Task::Generate(memory, GoodTokens(9), {.sampling = {.temperature = temperature}, .max_tokens = 4}));
    EXPECT_THAT(outcome.status, IsDamage("logits"));
    EXPECT_THAT(outcome.tokens, ::testing::IsEmpty());
  }
}

TEST(BrokenWeights, EndDecodingWithoutTheAnswersInTheSameStep) {
  const auto make = [](const Memory& memory, std::uint64_t seed) {
    return *Task::Generate(memory, GoodTokens(9), {.sampling = {.temperature = 2, .seed = seed}, .max_tokens = 6});
  };
  // What good weights give: an answer that begins with a token that is not in the prompt, and one without that token.
  const Memory good = *Memory::Create(ModelWith("", 0, 0), kOptions);
  const Outcome first = RunTask(make(good, 1));
  ASSERT_GT(first.tokens.size(), 1u);
  const TokenId bad = first.tokens[0];
  ASSERT_THAT(GoodTokens(9), Not(Contains(bad)));
  Outcome expected;
  std::uint64_t other_seed = 1;
  do {
    ASSERT_LT(++other_seed, 100u);
    expected = RunTask(make(good, other_seed));
  } while (expected.tokens.size() < 4 || std::count(expected.tokens.begin(), expected.tokens.end(), bad) > 0);

  const Memory broken = *Memory::Create(ModelWith("model.embed_tokens.weight", bad, kNan), kOptions);
  Task failing = make(broken, 1), going_on = make(broken, other_seed);
  Outcome failed, went_on;
  while (!failing.finished() || !going_on.finished()) {
    Task* tasks[] = {&failing, &going_on};
    const std::vector<StepResult> results = Step(tasks);
    failed.status.Update(results[0].status);
    went_on.status.Update(results[1].status);
    for (const GeneratedToken& token : results[0].tokens) failed.tokens.push_back(token.id);
    for (const GeneratedToken& token : results[1].tokens) went_on.tokens.push_back(token.id);
  }
  EXPECT_THAT(failed.status, IsDamage("logits"));
  EXPECT_THAT(failed.tokens, ::testing::ElementsAre(bad));
  EXPECT_THAT(went_on.status, IsOk());
  EXPECT_EQ(went_on.tokens, expected.tokens);
}

}  // namespace
}  // namespace tome
