// Evaluation tasks through the whole server.
#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "client/evaluation/service_answerer.h"
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
