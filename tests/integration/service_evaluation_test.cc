// Evaluation tasks through the whole server.
#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "client/evaluation/service_answerer.h"
#include "engine/evaluation/questions/engine_answerer.h"
#include "engine/generation/prompt_form.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;

class ServiceEvaluationTest : public ServerFixture {
 protected:
  ServiceEvaluationTest() {
    Start();
    answerer_ = *ServiceAnswerer::Connect(fmt::format("127.0.0.1:{}", port_));
  }

  std::vector<TaskDocument> PassKeys(const TaskGrid& grid) {
    return *MakeTaskDocuments({.kind = TaskKind::kPassKey, .filler = Filler::kNoise}, grid,
                              [&](std::string_view text) { return answerer_->CountTokenBytes(text); });
  }

  std::unique_ptr<Answerer> answerer_;
};

TEST_F(ServiceEvaluationTest, PassKeysAreFoundByTheirWordsAndReadAgain) {
  const std::vector<TaskDocument> documents = PassKeys({.lengths = {1500}, .depths = {0, 0.5, 1}});
  std::map<std::size_t, TaskFigures> all;
  // By words: the tiny model's weights are random.
  ASSERT_THAT(answerer_->AnswerAll(documents, {.effort = "fast", .budget_tokens = 192, .max_answer_tokens = 4},
                                   [&](std::size_t index, TaskFigures figures) { all[index] = std::move(figures); }),
              IsOk());
  ASSERT_EQ(all.size(), 3u);
  for (const auto& [index, figures] : all) {
    EXPECT_EQ(figures.rank, 1) << documents[index].asked.id;
    EXPECT_TRUE(figures.in_text);
    EXPECT_TRUE(figures.cited.value());
    EXPECT_TRUE(figures.router_ranks.empty()) << "a server does not tell them";
    EXPECT_FALSE(figures.gold_answer.has_value());
    EXPECT_GT(figures.reading_seconds.value(), 0);
    EXPECT_GT(figures.search_seconds, 0);
    EXPECT_GT(figures.time_to_first_token_seconds.value(), 0);
    EXPECT_GE(figures.answer_seconds, figures.time_to_first_token_seconds.value());
  }
  EXPECT_EQ(answerer_->Describe()["kind"], "service");
  EXPECT_EQ(answerer_->Describe()["window_tokens"], 64);
}

TEST_F(ServiceEvaluationTest, LeavesNoSessionBehindAlsoAfterAnError) {
  const std::vector<TaskDocument> documents = PassKeys({.lengths = {600}, .depths = {0.5}});
  const auto ask = [&](int budget_tokens) {
    return answerer_->AnswerAll(documents, {.effort = "fast", .budget_tokens = budget_tokens, .max_answer_tokens = 4},
                                [](std::size_t, TaskFigures) {});
  };
  EXPECT_THAT(ask(192), IsOk());
  EXPECT_THAT(ask(1'000'000), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("depth 50 %")));
  grpc::ClientContext context;
  v1::ListSessionsResponse sessions;
  ASSERT_TRUE(stub_->ListSessions(&context, {}, &sessions).ok());
  EXPECT_EQ(sessions.sessions_size(), 0);
}

class ServiceQuestionsTest : public ServiceEvaluationTest {
 protected:
  ServiceQuestionsTest() {
    for (const char* what : {"ship", "train"}) {
      std::string text;
      for (int i = 0; i < 60; ++i) text += fmt::format("On day {} the {} went {} miles. ", i, what, i * 37 % 101);
      documents_.push_back(std::move(text));
    }
    questions_ = {AskAbout(0, "A zebra ate the compass. ", "Who ate the compass?", "zebra"),
                  AskAbout(1, "The brakes were painted green. ", "What colour were the brakes?", "green")};
    questions_[1].form = RawPromptForm();
    questions_[1].form->opening = " They were";
  }

  // Puts `fact` into a document: the question about it.
  AskedQuestion AskAbout(std::uint32_t document, const std::string& fact, const std::string& question,
                         const std::string& answer) {
    std::string& text = documents_[document];
    const std::size_t begin = text.find("On day 20");
    text.insert(begin, fact);
    const std::size_t at = begin + fact.find(answer);
    return {.group = "facts",
            .id = question,
            .text = question,
            .references = {answer},
            .document = document,
            .evidence = {begin, begin + fact.size()},
            .answers = {{at, at + answer.size()}}};
  }

  int CountSessions() {
    grpc::ClientContext context;
    v1::ListSessionsResponse sessions;
    EXPECT_TRUE(stub_->ListSessions(&context, {}, &sessions).ok());
    return sessions.sessions_size();
  }

  std::vector<std::string> documents_;
  std::vector<AskedQuestion> questions_;
  const FindingOptions options_ = {.searches = {"fast", "balanced"}, .budget_tokens = 192, .max_answer_tokens = 4};
};

TEST_F(ServiceQuestionsTest, AreAnsweredAsOnTheEngine) {
  const auto found = answerer_->AskAll(documents_, questions_, options_, "");
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(CountSessions(), 0);

  const auto model = Model::Load({.path = folder_.File("model"), .num_threads = 1});
  ASSERT_THAT(model, IsOk());
  const auto regions = ParseRegionMemoryOptions(answerer_->Describe()["region_memory"].get<std::string>());
  EngineAnswerer engine(*model,
                        {.sink_tokens = 8, .window_tokens = 64, .segment_tokens = 32, .regions = regions.value()});
  FindingOptions answered = options_;
  answered.answered = options_.searches;
  const auto expected = engine.AskAll(documents_, questions_, answered, "");
  ASSERT_THAT(expected, IsOk());
  EXPECT_EQ(found->tokens, expected->tokens);
  EXPECT_EQ(found->regions, expected->regions);
  ASSERT_EQ(found->questions.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    for (const std::string& search : options_.searches) {
      const WayFigures& own = found->questions[i].ways.at(search);
      const WayFigures& same = expected->questions[i].ways.at(search);
      EXPECT_EQ(own.rank, same.rank);
      EXPECT_EQ(own.in_text, same.in_text);
      EXPECT_EQ(own.text_tokens, same.text_tokens);
      EXPECT_EQ(own.regions_reranked, same.regions_reranked);
      EXPECT_EQ(own.answer, same.answer);
      EXPECT_EQ(own.supported, same.supported);
      EXPECT_FALSE(own.log_probability.has_value());
    }
    const WayFigures& fast = found->questions[i].ways.at("fast");
    EXPECT_EQ(fast.rank, 1) << "no other sentence has these words";
    EXPECT_TRUE(fast.in_text);
    EXPECT_TRUE(fast.cited.value());
    EXPECT_GT(fast.score, 0);
    EXPECT_GT(fast.first_token_seconds, 0);
    EXPECT_EQ(found->questions[i].candidates["fast"]["found"][0]["document"], fmt::format("document-{}", i));
  }
}

TEST_F(ServiceQuestionsTest, AKeptSessionIsReadOnce) {
  const FindingOptions fast = {.searches = {"fast"}, .budget_tokens = 192, .max_answer_tokens = 4};
  const auto first = answerer_->AskAll(documents_, questions_, fast, "kept");
  ASSERT_THAT(first, IsOk());
  const v1::Session read = GetSession("sessions/kept");
  const auto again = answerer_->AskAll(documents_, questions_, fast, "kept");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->tokens, first->tokens);
  EXPECT_EQ(again->questions[0].ways.at("fast").answer, first->questions[0].ways.at("fast").answer);
  EXPECT_EQ(GetSession("sessions/kept").ingested_tokens(), read.ingested_tokens());
  documents_[0] += "More.";
  EXPECT_FALSE(answerer_->AskAll(documents_, questions_, fast, "kept").ok()) << "other documents";
}

TEST_F(ServiceQuestionsTest, WhatAServerCannotDoIsRefusedBeforeReading) {
  const auto refusal = [&](const FindingOptions& options) {
    return answerer_->AskAll(documents_, questions_, options, "kept").status();
  };
  EXPECT_THAT(refusal({.answered = {"gold"}}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'gold'")));
  EXPECT_THAT(refusal({.searches = {"slow"}}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'slow'")));
  EXPECT_THAT(refusal({.searches = {}}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--effort")));

  Stop(SIGTERM);
  folder_.Write("model/tokenizer_config.json", "{}");
  Start();
  answerer_ = *ServiceAnswerer::Connect(fmt::format("127.0.0.1:{}", port_));
  questions_[1].form = ChatPromptForm();
  EXPECT_THAT(refusal(options_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chat template")));
  EXPECT_EQ(CountSessions(), 0);
}

TEST_F(ServiceEvaluationTest, TokensAreCountedInPieces) {
  std::string text;
  while (text.size() < 150'000) text += "On this day the caf\xC3\xA9 was closed. ";
  for (const std::string& counted : {text, std::string(100'001, 'x')}) {
    const auto sizes = answerer_->CountTokenBytes(counted);
    ASSERT_THAT(sizes, IsOk());
    std::size_t sum = 0;
    for (const std::uint32_t size : *sizes) sum += size;
    EXPECT_EQ(sum, counted.size());
  }
}

TEST_F(ServiceEvaluationTest, AnAbsentServerIsToldWithItsAddress) {
  const std::string target = fmt::format("127.0.0.1:{}", port_);
  answerer_.reset();
  Stop(SIGTERM);
  const auto answerer = ServiceAnswerer::Connect(target);
  EXPECT_EQ(answerer.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(answerer.status().message()), HasSubstr(target));
}

}  // namespace
}  // namespace tome::testing
