#include "server/scheduling/compute_loop.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "tests/server/tiny_server_model.h"
#include "tests/server/waiting.h"

namespace tome::server {
namespace {

using tome::testing::Awaited;
using tome::testing::kTinyMemoryOptions;
using tome::testing::TinyServerModel;
using tome::testing::Watched;

using Log = Watched<std::string>;  // a letter for each step of each work

// Reads `segments` segments, or answers with `tokens` tokens, and logs its steps.
class LoggedWork final : public ComputeWork {
 public:
  static std::shared_ptr<LoggedWork> Reading(char name, int segments, Log& log) {
    auto work = std::make_shared<LoggedWork>(name, log);
    work->task_.emplace(
        Task::Read(&work->memory_, std::vector<TokenId>(segments * kTinyMemoryOptions.segment_tokens, 7)));
    return work;
  }
  static std::shared_ptr<LoggedWork> Question(char name, int prompt_tokens, int tokens, Log& log) {
    auto work = std::make_shared<LoggedWork>(name, log);
    GenerationOptions options;
    options.max_tokens = tokens;
    work->task_.emplace(Task::Generate(work->memory_, std::vector<TokenId>(prompt_tokens, 9), options).value());
    return work;
  }

  LoggedWork(char name, Log& log)
      : name_(name), log_(log), memory_(Memory::Create(TinyServerModel(), kTinyMemoryOptions).value()) {}

  Task* NextTask() override {
    if (cancelled || task_->finished()) {
      log_.Update([](std::string& steps) { steps += '.'; });
      return nullptr;
    }
    return &*task_;
  }
  void OnStep(StepResult result, absl::Duration) override {
    EXPECT_TRUE(result.status.ok()) << result.status;
    const bool decoded = !result.tokens.empty() && result.tokens_read == 0;
    log_.Update([&](std::string& steps) { steps += decoded ? static_cast<char>(std::tolower(name_)) : name_; });
    if (on_step) on_step();
  }

  std::atomic<bool> cancelled = false;
  std::function<void()> on_step;

 private:
  const char name_;
  Log& log_;
  Memory memory_;
  std::optional<Task> task_;
};

// Waits until so many works have ended.
std::string StepsAfter(Log& log, int ends) {
  return log.WaitUntil([&](const std::string& steps) { return std::count(steps.begin(), steps.end(), '.') == ends; });
}

// Holds the loop in its first step until the rest is submitted.
class ComputeLoopTest : public ::testing::Test {
 protected:
  void Block() {
    auto blocker = LoggedWork::Reading('!', 1, ignored_);
    blocker->on_step = [this] {
      started_.callback()(true);
      go_.Get();
    };
    loop_.Submit(Lane::kReading, std::move(blocker));
    started_.Get();
  }
  void Go() { go_.callback()(true); }

  Log log_, ignored_;
  Awaited<bool> started_, go_;
  ComputeLoop loop_{{.reading_share = 0.0}};
};

TEST_F(ComputeLoopTest, ReadersTakeTurns) {
  Block();
  loop_.Submit(Lane::kReading, LoggedWork::Reading('A', 3, log_));
  loop_.Submit(Lane::kReading, LoggedWork::Reading('B', 2, log_));
  loop_.Submit(Lane::kReading, LoggedWork::Reading('C', 1, log_));
  Go();
  EXPECT_EQ(StepsAfter(log_, 3), "ABCAB.A..");
}

TEST_F(ComputeLoopTest, QuestionsGoBeforeReading) {
  Block();
  loop_.Submit(Lane::kReading, LoggedWork::Reading('R', 2, log_));
  loop_.Submit(Lane::kQuestions, LoggedWork::Question('Q', 40, 3, log_));
  Go();
  // Two steps for the prompt, the second of which gives the first token, and one for each other token.
  EXPECT_EQ(StepsAfter(log_, 2), "QQqq.RR.");
}

TEST_F(ComputeLoopTest, DecodingQuestionsShareStepsWithOnePrompt) {
  Block();
  for (const char name : {'A', 'B', 'C'}) {
    loop_.Submit(Lane::kQuestions, LoggedWork::Question(name, 20, 3, log_));
  }
  Go();
  // A step: A's prompt. The next: A decodes, B's prompt. Then A and B decode, C's prompt. Nobody waits for the longest.
  std::string steps = StepsAfter(log_, 3);
  EXPECT_EQ(steps.find('A'), 0u);
  EXPECT_LT(steps.find('B'), steps.rfind('a'));
  EXPECT_LT(steps.find('C'), steps.rfind('b'));
  std::sort(steps.begin(), steps.end());
  EXPECT_EQ(steps, "...ABCaabbcc");
}

TEST_F(ComputeLoopTest, CancelledWorkEndsAfterTheStepThatRuns) {
  Block();
  auto long_one = LoggedWork::Question('Q', 10, 500, log_);
  LoggedWork* const cancel = long_one.get();
  long_one->on_step = [cancel] { cancel->cancelled = true; };
  loop_.Submit(Lane::kQuestions, std::move(long_one));
  loop_.Submit(Lane::kReading, LoggedWork::Reading('R', 1, log_));
  Go();
  EXPECT_EQ(StepsAfter(log_, 2), "Q.R.");
}

TEST(ComputeLoopShareTest, ReadingGoesOnWhileQuestionsAreAnswered) {
  Log log;
  ComputeLoop loop({.reading_share = 0.5});
  loop.Submit(Lane::kQuestions, LoggedWork::Question('Q', 10, 400, log));
  loop.Submit(Lane::kReading, LoggedWork::Reading('R', 1000, log));
  const std::string steps = StepsAfter(log, 1);
  EXPECT_GT(std::count(steps.begin(), steps.end(), 'R'), 5);
  loop.Stop();
}

TEST(ComputeLoopShareTest, StopDropsWorkAndLaterSubmissions) {
  Log log;
  std::weak_ptr<LoggedWork> dropped;
  ComputeLoop loop({});
  {
    auto work = LoggedWork::Reading('R', 100'000, log);
    dropped = work;
    loop.Submit(Lane::kReading, std::move(work));
  }
  log.WaitUntil([](const std::string& steps) { return !steps.empty(); });
  loop.Stop();
  EXPECT_TRUE(dropped.expired());
  loop.Submit(Lane::kReading, LoggedWork::Reading('X', 1, log));
  loop.Stop();
  EXPECT_EQ(log.Get().find('X'), std::string::npos);
}

}  // namespace
}  // namespace tome::server
