#include "server/rpc/conversion.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/tiny_server_model.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;

TEST(ConversionTest, UnsetGenerationOptionsAreTheEnginesDefaults) {
  v1::AskRequest request;
  request.set_session("sessions/abcd");
  const GenerationOptions options = FromProto(request).generation;
  const GenerationOptions defaults;
  EXPECT_EQ(options.max_tokens, defaults.max_tokens);
  EXPECT_EQ(options.sampling.temperature, defaults.sampling.temperature);
  EXPECT_EQ(options.sampling.top_p, defaults.sampling.top_p);
  EXPECT_EQ(options.sampling.repetition_penalty, defaults.sampling.repetition_penalty);
  EXPECT_TRUE(ValidateGenerationOptions(options).ok());
}

TEST(ConversionTest, AskCarriesEverything) {
  v1::AskRequest request;
  request.set_session("sessions/abcd");
  request.set_question("Why?");
  request.set_instruction("Be brief.");
  request.set_prompt_form(v1::PROMPT_FORM_QUESTION_ANSWER);
  request.set_wait_for_ingested_bytes(77);
  auto* turn = request.add_turns();
  turn->set_question("Who?");
  turn->set_answer("He.");
  auto* generation = request.mutable_generation();
  generation->set_max_tokens(5);
  generation->set_temperature(0.5);
  generation->set_top_k(6);
  generation->set_top_p(0.7);
  generation->set_min_p(0.1);
  generation->set_repetition_penalty(1.5);
  generation->set_seed(8);
  generation->add_stop("end");
  generation->set_log_probabilities(true);

  const QuestionRequest question = FromProto(request);
  EXPECT_EQ(question.session_id, "abcd");
  EXPECT_EQ(question.question, "Why?");
  EXPECT_EQ(question.instruction, "Be brief.");
  EXPECT_EQ(question.prompt_form, PromptForm::kQuestionAnswer);
  EXPECT_EQ(question.wait_for_ingested_bytes, 77u);
  ASSERT_EQ(question.turns.size(), 1u);
  EXPECT_EQ(question.turns[0].answer, "He.");
  EXPECT_EQ(question.generation.max_tokens, 5);
  EXPECT_EQ(question.generation.sampling.temperature, 0.5);
  EXPECT_EQ(question.generation.sampling.top_k, 6);
  EXPECT_EQ(question.generation.sampling.top_p, 0.7);
  EXPECT_EQ(question.generation.sampling.min_p, 0.1);
  EXPECT_EQ(question.generation.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(question.generation.sampling.seed, 8u);
  EXPECT_THAT(question.generation.stop, ElementsAre("end"));
  EXPECT_TRUE(question.generation.log_probabilities);
}

TEST(ConversionTest, UpdateMaskChoosesFields) {
  v1::UpdateSessionRequest request;
  request.mutable_session()->set_name("sessions/abcd");
  request.mutable_session()->set_display_name("new");
  EXPECT_EQ(FromProto(request).display_name, "new");
  EXPECT_TRUE(FromProto(request).labels.has_value());
  request.mutable_update_mask()->add_paths("labels");
  EXPECT_FALSE(FromProto(request).display_name.has_value());
  EXPECT_TRUE(FromProto(request).labels.has_value());
}

TEST(ConversionTest, SessionCarriesEverything) {
  const SessionInfo info = {
      .id = "abcd",
      .display_name = "Book",
      .labels = {{"a", "b"}},
      .etag = "7",
      .create_time = absl::FromUnixNanos(1'500'000'000'250'000'000),
      .update_time = absl::FromUnixSeconds(-1) + absl::Milliseconds(250),
      .options = {.sink_tokens = 1, .window_tokens = 2, .segment_tokens = 3},
      .documents = {{.name = "d", .durable_bytes = 9, .ingested_bytes = 8, .ingested_tokens = 7, .sealed = true}},
      .phase = SessionPhase::kFailed,
      .durable_bytes = 9,
      .ingested_bytes = 8,
      .ingested_tokens = 7,
      .state_bytes = 100,
      .max_state_bytes = 200,
      .problem = "bad \xFF byte",
      .model_digest = "m",
      .tokenizer_digest = "t"};
  const v1::Session session = ToProto(info);
  EXPECT_EQ(session.name(), "sessions/abcd");
  EXPECT_EQ(session.labels().at("a"), "b");
  EXPECT_EQ(session.create_time().seconds(), 1'500'000'000);
  EXPECT_EQ(session.create_time().nanos(), 250'000'000);
  EXPECT_EQ(session.update_time().seconds(), -1);
  EXPECT_EQ(session.update_time().nanos(), 250'000'000);
  EXPECT_EQ(session.options().window_tokens(), 2u);
  ASSERT_EQ(session.documents_size(), 1);
  EXPECT_TRUE(session.documents(0).sealed());
  EXPECT_EQ(session.phase(), v1::Session::PHASE_FAILED);
  EXPECT_EQ(session.max_state_bytes(), 200u);
  EXPECT_EQ(session.problem(), "bad \xEF\xBF\xBD byte");
}

TEST(ConversionTest, WatchTellsTimeLeftOnlyWhenKnown) {
  SessionProgress progress{.phase = SessionPhase::kReading};
  EXPECT_FALSE(ToProto(progress).has_time_left());
  progress.time_left = absl::Milliseconds(1250);
  EXPECT_EQ(ToProto(progress).time_left().seconds(), 1);
  EXPECT_EQ(ToProto(progress).time_left().nanos(), 250'000'000);
  progress.time_left = absl::InfiniteDuration();
  EXPECT_GT(ToProto(progress).time_left().seconds(), 0);
}

TEST(ConversionTest, DeltasMergeInOrder) {
  const auto model = tome::testing::TinyServerModel();
  v1::AskDelta delta;
  MergeDelta({.text = "a", .tokens = {{.id = 65, .log_probability = -1}}}, *model->tokenizer(), &delta);
  MergeDelta({.text = "b", .tokens = {{.id = 66, .log_probability = -2}}}, *model->tokenizer(), &delta);
  EXPECT_EQ(delta.text(), "ab");
  ASSERT_EQ(delta.tokens_size(), 2);
  EXPECT_EQ(delta.tokens(1).token(), 66);
  EXPECT_EQ(delta.tokens(1).log_probability(), -2);
  EXPECT_EQ(delta.tokens(1).piece(), model->tokenizer()->PieceText(66));
}

TEST(ConversionTest, ModelTellsItsConfigAndStateSize) {
  const auto model = tome::testing::TinyServerModel();
  const MemoryOptions options = tome::testing::kTinyMemoryOptions;
  const v1::Model proto = ToProto(model->info(), options, "1.2 (abc)");
  EXPECT_EQ(proto.config().context_length(), static_cast<std::uint64_t>(model->info().config.context_length));
  EXPECT_EQ(proto.config().rope_scaling(), "none");
  EXPECT_EQ(proto.max_state_bytes(), Memory::MaxStateBytes(model->info().config, options, model->info().precision));
  EXPECT_EQ(proto.server_version(), "1.2 (abc)");
  EXPECT_FALSE(proto.cpu_features().empty());
  EXPECT_FALSE(proto.engine().empty());
  EXPECT_EQ(proto.device(), "cpu");
}

}  // namespace
}  // namespace tome::server
