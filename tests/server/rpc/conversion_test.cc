#include "server/rpc/wire/conversion.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/wire/limits.h"
#include "server/rpc/wire/question_conversion.h"
#include "server/rpc/wire/validation.h"
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
  request.mutable_custom_form()->set_prompt("{text}{question}");
  request.mutable_custom_form()->set_turn("{answer}");
  request.mutable_custom_form()->set_chat(true);
  request.mutable_custom_form()->set_opening("It is");
  request.mutable_custom_form()->add_stop("!");
  request.set_wait_for_ingested_bytes(77);
  request.set_mode(v1::ANSWER_MODE_WINDOW);
  request.set_effort(v1::EFFORT_THOROUGH);
  request.set_budget_tokens(300);
  request.mutable_citations()->set_include_text(true);
  request.mutable_citations()->set_max_citations(3);
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
  EXPECT_EQ(question.prompt_form, PromptFormKind::kQuestionAnswer);
  EXPECT_EQ(question.custom_form,
            (tome::PromptForm{
                .prompt = "{text}{question}", .turn = "{answer}", .chat = true, .opening = "It is", .stop = {"!"}}));
  EXPECT_EQ(question.wait_for_ingested_bytes, 77u);
  EXPECT_EQ(question.mode, AnswerMode::kWindow);
  EXPECT_EQ(question.effort, Effort::kThorough);
  EXPECT_EQ(question.budget_tokens, 300);
  EXPECT_TRUE(question.citations.include_text);
  EXPECT_EQ(question.citations.max_citations, 3);
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

TEST(ConversionTest, UnsetQuestionOptionsAreTheDefaults) {
  v1::AskRequest request;
  request.set_session("sessions/abcd");
  const QuestionRequest question = FromProto(request), defaults;
  EXPECT_EQ(question.mode, AnswerMode::kReread);
  EXPECT_EQ(question.effort, std::nullopt);
  EXPECT_EQ(question.prompt_form, PromptFormKind::kDefault);
  EXPECT_EQ(question.budget_tokens, 0);
  EXPECT_FALSE(question.citations.include_text);
  EXPECT_EQ(question.citations.max_citations, defaults.citations.max_citations);
}

// Every field with a value of its own.
constexpr QuestionTimings kTimings = {.waiting = absl::Seconds(1),
                                      .queued = absl::Seconds(2),
                                      .reading_question = absl::Seconds(3),
                                      .routing = absl::Seconds(4),
                                      .reranking = absl::Seconds(5),
                                      .reading_text = absl::Seconds(6),
                                      .generating = absl::Seconds(7),
                                      .time_to_first_token = absl::Seconds(8)};

void ExpectTimings(const v1::Timings& timings) {
  EXPECT_EQ(timings.waiting().seconds(), 1);
  EXPECT_EQ(timings.queued().seconds(), 2);
  EXPECT_EQ(timings.reading_question().seconds(), 3);
  EXPECT_EQ(timings.routing().seconds(), 4);
  EXPECT_EQ(timings.reranking().seconds(), 5);
  EXPECT_EQ(timings.reading_text().seconds(), 6);
  EXPECT_EQ(timings.generating().seconds(), 7);
}

TEST(ConversionTest, ResultCarriesEverything) {
  const QuestionResult result = {.answer = "Yes.",
                                 .finish_reason = FinishReason::kMaxTokens,
                                 .prompt_tokens = 1,
                                 .generated_tokens = 2,
                                 .attended_tokens = 3,
                                 .stored_tokens = 4,
                                 .reread_tokens = 5,
                                 .timings = kTimings,
                                 .coverage = {.durable_bytes = 11,
                                              .ingested_bytes = 12,
                                              .ingested_tokens = 13,
                                              .pending_bytes = 14,
                                              .exact = {{"a", 1, 2}},
                                              .forgotten_bytes = 15,
                                              .searchable_bytes = 16,
                                              .archive_only_bytes = 17,
                                              .reread_bytes = 18,
                                              .stored_bytes = 20,
                                              .unread_bytes = 19},
                                 .mode = AnswerMode::kAttend,
                                 .prompt_form = PromptFormKind::kProfile,
                                 .effort = Effort::kFast,
                                 .budget_tokens = 21,
                                 .regions_scanned = 22,
                                 .regions_reranked = 11,
                                 .passages = {{.range = {"b", 3, 4}, .tokens = 23, .score = 0.5, .stored = true}},
                                 .citations = {{.range = {"c", 5, 6}, .score = 0.25, .text = "bad \xFF byte"}}};
  v1::AskResult proto = ToProto(result);
  EXPECT_EQ(proto.answer(), "Yes.");
  EXPECT_EQ(proto.finish_reason(), v1::AskResult::FINISH_REASON_MAX_TOKENS);
  EXPECT_EQ(proto.usage().prompt_tokens(), 1u);
  EXPECT_EQ(proto.usage().generated_tokens(), 2u);
  EXPECT_EQ(proto.usage().attended_tokens(), 3u);
  ExpectTimings(proto.timings());
  EXPECT_EQ(proto.timings().time_to_first_token().seconds(), 8);
  EXPECT_EQ(proto.coverage().durable_bytes(), 11u);
  EXPECT_EQ(proto.coverage().ingested_bytes(), 12u);
  EXPECT_EQ(proto.coverage().ingested_tokens(), 13u);
  EXPECT_EQ(proto.coverage().pending_bytes(), 14u);
  EXPECT_EQ(proto.coverage().exact(0).document(), "a");
  EXPECT_EQ(proto.coverage().forgotten_bytes(), 15u);
  EXPECT_EQ(proto.coverage().searchable_bytes(), 16u);
  EXPECT_EQ(proto.coverage().archive_only_bytes(), 17u);
  EXPECT_EQ(proto.coverage().reread_bytes(), 18u);
  EXPECT_EQ(proto.coverage().stored_bytes(), 20u);
  EXPECT_EQ(proto.coverage().unread_bytes(), 19u);
  EXPECT_EQ(proto.usage().stored_tokens(), 4u);
  EXPECT_EQ(proto.usage().reread_tokens(), 5u);
  EXPECT_EQ(proto.mode(), v1::ANSWER_MODE_ATTEND);
  EXPECT_EQ(proto.prompt_form(), v1::PROMPT_FORM_PROFILE);
  EXPECT_EQ(proto.effort(), v1::EFFORT_FAST);
  EXPECT_EQ(proto.budget_tokens(), 21u);
  EXPECT_EQ(proto.regions_scanned(), 22u);
  EXPECT_EQ(proto.regions_reranked(), 11u);
  ASSERT_EQ(proto.passages_size(), 1);
  EXPECT_EQ(proto.passages(0).range().document(), "b");
  EXPECT_EQ(proto.passages(0).range().begin(), 3u);
  EXPECT_EQ(proto.passages(0).range().end(), 4u);
  EXPECT_EQ(proto.passages(0).tokens(), 23u);
  EXPECT_EQ(proto.passages(0).score(), 0.5);
  EXPECT_TRUE(proto.passages(0).stored());
  ASSERT_EQ(proto.citations_size(), 1);
  EXPECT_EQ(proto.citations(0).range().document(), "c");
  EXPECT_EQ(proto.citations(0).score(), 0.25);
  EXPECT_EQ(proto.citations(0).text(), "bad \xEF\xBF\xBD byte");
}

TEST(ConversionTest, NamesOfFormsAndModesGoBothWays) {
  for (int form = v1::PROMPT_FORM_CHAT; form <= v1::PROMPT_FORM_PROFILE; ++form) {
    for (int mode = v1::ANSWER_MODE_REREAD; mode <= v1::ANSWER_MODE_ATTEND; ++mode) {
      v1::AskRequest request;
      request.set_session("sessions/abcd");
      request.set_prompt_form(static_cast<v1::PromptForm>(form));
      request.set_mode(static_cast<v1::AnswerMode>(mode));
      const QuestionRequest question = FromProto(request);
      const v1::AskResult result = ToProto(QuestionResult{.mode = question.mode, .prompt_form = question.prompt_form});
      EXPECT_EQ(result.prompt_form(), form);
      EXPECT_EQ(result.mode(), mode);
    }
  }
}

TEST(ConversionTest, ResultOverTheWindowLeavesOutWhatDoesNotApply) {
  const v1::AskResult proto = ToProto(QuestionResult{.mode = AnswerMode::kWindow});
  EXPECT_EQ(proto.mode(), v1::ANSWER_MODE_WINDOW);
  EXPECT_EQ(proto.effort(), v1::EFFORT_UNSPECIFIED);
  EXPECT_FALSE(proto.timings().has_time_to_first_token());
}

TEST(ConversionTest, SearchCarriesEverything) {
  v1::SearchRequest request;
  request.set_session("sessions/abcd");
  EXPECT_EQ(FromProto(request).page_size, kDefaultSearchPageSize);
  EXPECT_EQ(FromProto(request).effort, std::nullopt);
  request.set_query("cat");
  request.set_effort(v1::EFFORT_FAST);
  request.set_page_size(1000);
  request.set_page_token("token");
  request.set_include_text(true);
  request.set_wait_for_ingested_bytes(77);
  const SearchRequest search = FromProto(request);
  EXPECT_EQ(search.session_id, "abcd");
  EXPECT_EQ(search.query, "cat");
  EXPECT_EQ(search.effort, Effort::kFast);
  EXPECT_EQ(search.page_size, kMaxSearchPageSize);
  EXPECT_EQ(search.page_token, "token");
  EXPECT_TRUE(search.include_text);
  EXPECT_EQ(search.wait_for_ingested_bytes, 77u);

  RoutedRegion region = {.range = {"c", 5, 6},
                         .score = 0.25,
                         .attention_mass = 0.5,
                         .stem_score = 1.5,
                         .token_score = 2.5,
                         .log_likelihood = -9,
                         .sentence = ByteRange{"c", 4, 7},
                         .text = "x"};
  SearchPage page = {.regions = {region},
                     .next_page_token = "more",
                     .ingested_bytes = 1,
                     .ingested_tokens = 2,
                     .pending_bytes = 3,
                     .regions_scanned = 4,
                     .regions_reranked = 3,
                     .effort = Effort::kThorough,
                     .timings = kTimings};
  const v1::SearchResponse proto = ToProto(page);
  ASSERT_EQ(proto.regions_size(), 1);
  EXPECT_EQ(proto.regions(0).range().document(), "c");
  EXPECT_EQ(proto.regions(0).range().begin(), 5u);
  EXPECT_EQ(proto.regions(0).range().end(), 6u);
  EXPECT_EQ(proto.regions(0).score(), 0.25);
  EXPECT_EQ(proto.regions(0).parts().attention_mass(), 0.5);
  EXPECT_EQ(proto.regions(0).parts().stem_score(), 1.5);
  EXPECT_EQ(proto.regions(0).parts().token_score(), 2.5);
  EXPECT_EQ(proto.regions(0).parts().log_likelihood(), -9);
  EXPECT_EQ(proto.regions(0).text(), "x");
  EXPECT_EQ(proto.regions(0).sentence().begin(), 4u);
  EXPECT_EQ(proto.regions(0).sentence().end(), 7u);
  EXPECT_EQ(proto.next_page_token(), "more");
  EXPECT_EQ(proto.ingested_bytes(), 1u);
  EXPECT_EQ(proto.ingested_tokens(), 2u);
  EXPECT_EQ(proto.pending_bytes(), 3u);
  EXPECT_EQ(proto.regions_scanned(), 4u);
  EXPECT_EQ(proto.regions_reranked(), 3u);
  EXPECT_EQ(proto.effort(), v1::EFFORT_THOROUGH);
  ExpectTimings(proto.timings());
  page.regions[0].log_likelihood.reset();
  page.regions[0].sentence.reset();
  EXPECT_FALSE(ToProto(page).regions(0).parts().has_log_likelihood());
  EXPECT_FALSE(ToProto(page).regions(0).has_sentence());
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
      .options = {.sink_tokens = 1, .window_tokens = 2, .segment_tokens = 3, .region_tokens = 4},
      .documents = {{.name = "d", .durable_bytes = 9, .ingested_bytes = 8, .ingested_tokens = 7, .sealed = true}},
      .phase = SessionPhase::kFailed,
      .durable_bytes = 9,
      .ingested_bytes = 8,
      .ingested_tokens = 7,
      .state_bytes = 100,
      .max_state_bytes = 200,
      .archive_bytes = 300,
      .archive_resident_bytes = 250,
      .problem = "bad \xFF byte",
      .model_digest = "m",
      .tokenizer_digest = "t",
      .state_place = StatePlace::kRestoring,
      .snapshots = {{.number = 3,
                     .create_time = absl::FromUnixSeconds(5),
                     .size_bytes = 30,
                     .ingested_bytes = 6,
                     .ingested_tokens = 2,
                     .digest = "d"}}};
  const v1::Session session = ToProto(info);
  EXPECT_EQ(session.name(), "sessions/abcd");
  EXPECT_EQ(session.labels().at("a"), "b");
  EXPECT_EQ(session.create_time().seconds(), 1'500'000'000);
  EXPECT_EQ(session.create_time().nanos(), 250'000'000);
  EXPECT_EQ(session.update_time().seconds(), -1);
  EXPECT_EQ(session.update_time().nanos(), 250'000'000);
  EXPECT_EQ(session.options().window_tokens(), 2u);
  EXPECT_EQ(session.options().region_tokens(), 4u);
  EXPECT_EQ(session.options().region_memory(), FormatRegionMemoryOptions({}));
  EXPECT_EQ(session.archive_bytes(), 300u);
  EXPECT_EQ(session.archive_resident_bytes(), 250u);
  ASSERT_EQ(session.documents_size(), 1);
  EXPECT_TRUE(session.documents(0).sealed());
  EXPECT_EQ(session.phase(), v1::Session::PHASE_FAILED);
  EXPECT_EQ(session.max_state_bytes(), 200u);
  EXPECT_EQ(session.problem(), "bad \xEF\xBF\xBD byte");
  EXPECT_EQ(session.residency(), v1::RESIDENCY_RESTORING);
  ASSERT_EQ(session.snapshots_size(), 1);
  EXPECT_EQ(session.snapshots(0).number(), 3u);
  EXPECT_EQ(session.snapshots(0).create_time().seconds(), 5);
  EXPECT_EQ(session.snapshots(0).size_bytes(), 30u);
  EXPECT_EQ(session.snapshots(0).ingested_bytes(), 6u);
  EXPECT_EQ(session.snapshots(0).ingested_tokens(), 2u);
  EXPECT_EQ(session.snapshots(0).digest(), "d");
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
  const v1::Model proto = ToProto(model->info(), model->profile(), options, "1.2 (abc)");
  EXPECT_EQ(proto.config().context_length(), static_cast<std::uint64_t>(model->info().config.context_length));
  EXPECT_EQ(proto.config().rope_scaling(), "none");
  EXPECT_EQ(proto.max_state_bytes(), Memory::MaxStateBytes(model->info().config, options, model->info().precision));
  EXPECT_EQ(proto.server_version(), "1.2 (abc)");
  EXPECT_FALSE(proto.cpu_features().empty());
  EXPECT_FALSE(proto.engine().empty());
  EXPECT_EQ(proto.device(), "cpu");
  EXPECT_EQ(proto.profile_digest(), model->info().profile_digest);
  EXPECT_EQ(proto.retrieval_heads(), 4u);  // two key-value heads with two query heads each
  EXPECT_FALSE(proto.has_prompt_form());
  EXPECT_EQ(proto.effort(), v1::EFFORT_UNSPECIFIED);
  ModelProfile profile = model->profile();
  profile.prompt_form = {.prompt = "{text}{question}", .stop = {"!"}};
  profile.effort = Effort::kFast;
  profile.budget_tokens = 99;
  const v1::Model with_form = ToProto(model->info(), profile, options, "");
  EXPECT_EQ(with_form.prompt_form().prompt(), "{text}{question}");
  EXPECT_EQ(with_form.prompt_form().stop(0), "!");
  EXPECT_EQ(with_form.effort(), v1::EFFORT_FAST);
  EXPECT_EQ(with_form.budget_tokens(), 99u);
}

TEST(ConversionTest, SessionCostIsTheEnginesAtOneAndFourMillionTokens) {
  const MemoryOptions options = tome::testing::kTinyMemoryOptions;
  const SessionCost cost = {.exact_bytes = 600,
                            .region_memory_bytes = 400,
                            .max_state_bytes = 1000,
                            .attended_tokens = 77,
                            .archive_bytes_per_token = 2.5,
                            .text_bytes_per_token = 4,
                            .dense_bytes_per_token = 50};
  const v1::SessionCost proto = ToProto(cost, options, 1200, 3999);
  EXPECT_EQ(proto.options().window_tokens(), 64u);
  EXPECT_EQ(proto.exact_bytes(), 600u);
  EXPECT_EQ(proto.region_memory_bytes(), 400u);
  EXPECT_EQ(proto.max_state_bytes(), 1000u);
  EXPECT_EQ(proto.attended_tokens(), 77u);
  EXPECT_EQ(proto.archive_bytes_per_token(), 2.5);
  EXPECT_EQ(proto.text_bytes_per_token(), 4);
  EXPECT_EQ(proto.dense_bytes_per_token(), 50u);
  EXPECT_EQ(proto.max_resident_bytes(), 3999u);
  EXPECT_EQ(proto.resident_sessions(), 3u);
  ASSERT_EQ(proto.lengths_size(), 2);
  EXPECT_EQ(proto.lengths(0).tokens(), 1'048'576u);
  EXPECT_EQ(proto.lengths(0).archive_bytes(), 2'621'440u);
  EXPECT_EQ(proto.lengths(0).memory_bytes(), 2'622'440u);
  EXPECT_EQ(proto.lengths(0).text_bytes(), 4'194'304u);
  EXPECT_EQ(proto.lengths(0).dense_bytes(), 52'428'800u);
  EXPECT_DOUBLE_EQ(proto.lengths(0).dense_ratio(), 52'428'800.0 / 2'622'440.0);
  EXPECT_EQ(proto.lengths(1).tokens(), 4'194'304u);
}

}  // namespace
}  // namespace tome::server
