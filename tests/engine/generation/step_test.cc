// A shared pass in which one task throws.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/generation/step_tasks.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr int kMaxTokens = 12;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

Task Answering(int seed) {
  const MemoryOptions options = {.sink_tokens = 4, .window_tokens = 60, .segment_tokens = 16};
  std::vector<TokenId> prompt;
  for (int i = 0; i < 9 + seed; ++i) prompt.push_back('a' + (seed * 7 + i * 11) % 26);
  const SamplingOptions sampling = {.temperature = 1, .seed = static_cast<std::uint64_t>(seed)};
  return *Task::Generate(*Memory::Create(TinyModel(), options), prompt,
                         {.sampling = sampling, .max_tokens = kMaxTokens});
}

// Where a task throws.
enum class Fault { kNone, kFirstLayer, kLastLayer, kOutOfMemory, kUnknown, kNextInput, kTakingLogits };

// Another task, which throws once it has generated some tokens.
class FaultyTask final : public TaskImpl, private TokenAttention {
 public:
  FaultyTask(Task task, Fault fault, int good_tokens)
      : task_(std::move(task)), own_(*task_.impl()), fault_(fault), good_tokens_(good_tokens) {}

  std::int64_t tokens_left_to_read() const override { return own_.tokens_left_to_read(); }
  const LlamaWeights& weights() const override { return own_.weights(); }
  StepResult Advance() override { return Counted(own_.Advance()); }
  TokenAttention* decode_attention() override {
    attention_ = own_.decode_attention();
    return attention_ == nullptr ? nullptr : this;
  }
  TokenId next_input() const override {
    if (IsDue(Fault::kNextInput)) throw std::runtime_error("injected");
    return own_.next_input();
  }
  StepResult TakeLogits(absl::Span<const float> logits) override {
    if (IsDue(Fault::kTakingLogits)) throw std::runtime_error("injected");
    return Counted(own_.TakeLogits(logits));
  }

 private:
  bool IsDue(Fault fault) const { return fault_ == fault && num_tokens_ >= good_tokens_; }
  StepResult Counted(StepResult result) {
    num_tokens_ += static_cast<int>(result.tokens.size());
    finished_ = own_.finished();
    return result;
  }
  void AttendToken(std::int64_t layer, const float* qkv, float* out) override {
    const bool last = layer + 1 == weights().config.num_layers;
    if (layer == 0 && IsDue(Fault::kFirstLayer)) throw std::runtime_error("injected");
    if (last && IsDue(Fault::kLastLayer)) throw std::runtime_error("injected");
    if (last && IsDue(Fault::kOutOfMemory)) throw std::bad_alloc();
    if (last && IsDue(Fault::kUnknown)) throw 42;
    attention_->AttendToken(layer, qkv, out);
  }

  Task task_;
  TaskImpl& own_;
  TokenAttention* attention_ = nullptr;
  Fault fault_;
  int good_tokens_;
  int num_tokens_ = 0;
};

struct Outcome {
  std::vector<TokenId> tokens;
  std::string text;
  absl::Status status;
  int endings = 0;
};

// Steps all to their ends, together.
std::vector<Outcome> StepAll(const std::vector<std::unique_ptr<FaultyTask>>& tasks) {
  std::vector<TaskImpl*> impls;
  for (const auto& task : tasks) impls.push_back(task.get());
  std::vector<Outcome> outcomes(tasks.size());
  for (int step = 0; step < 3 * kMaxTokens; ++step) {
    const std::vector<StepResult> results = StepTasks(impls);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      for (const GeneratedToken& token : results[i].tokens) outcomes[i].tokens.push_back(token.id);
      outcomes[i].text += results[i].text;
      outcomes[i].status.Update(results[i].status);
    }
  }
  for (const auto& task : tasks) EXPECT_TRUE(task->finished());
  return outcomes;
}

Outcome RunAlone(int seed) {
  std::vector<std::unique_ptr<FaultyTask>> tasks;
  tasks.push_back(std::make_unique<FaultyTask>(Answering(seed), Fault::kNone, 0));
  return StepAll(tasks)[0];
}

TEST(StepTasks, OnlyTheTaskThatThrowsInASharedPassFails) {
  const struct {
    Fault fault;
    absl::StatusCode code;
    const char* message;
  } cases[] = {{Fault::kFirstLayer, absl::StatusCode::kInternal, "injected"},
               {Fault::kLastLayer, absl::StatusCode::kInternal, "injected"},
               {Fault::kOutOfMemory, absl::StatusCode::kResourceExhausted, "out of memory"},
               {Fault::kUnknown, absl::StatusCode::kInternal, "unknown type"},
               {Fault::kNextInput, absl::StatusCode::kInternal, "injected"},
               {Fault::kTakingLogits, absl::StatusCode::kInternal, "injected"}};
  constexpr int kTasks = 5;
  std::vector<Outcome> alone;
  for (int i = 0; i < kTasks; ++i) alone.push_back(RunAlone(i));
  for (const auto& test : cases) {
    for (const int faulty : {0, 2, kTasks - 1}) {
      SCOPED_TRACE(::testing::Message() << "fault " << static_cast<int>(test.fault) << " in task " << faulty);
      std::vector<std::unique_ptr<FaultyTask>> tasks;
      for (int i = 0; i < kTasks; ++i) {
        tasks.push_back(std::make_unique<FaultyTask>(Answering(i), i == faulty ? test.fault : Fault::kNone, 4));
      }
      const std::vector<Outcome> outcomes = StepAll(tasks);
      for (int i = 0; i < kTasks; ++i) {
        if (i == faulty) continue;
        EXPECT_THAT(outcomes[i].status, IsOk());
        EXPECT_EQ(outcomes[i].tokens, alone[i].tokens);
        EXPECT_EQ(outcomes[i].text, alone[i].text);
      }
      EXPECT_THAT(outcomes[faulty].status, StatusIs(test.code, HasSubstr(test.message)));
      EXPECT_EQ(outcomes[faulty].tokens,
                std::vector<TokenId>(alone[faulty].tokens.begin(), alone[faulty].tokens.begin() + 4));
    }
  }
}

TEST(StepTasks, SeveralThatThrowAreAllThatFail) {
  std::vector<std::unique_ptr<FaultyTask>> tasks;
  for (int i = 0; i < 6; ++i) {
    tasks.push_back(
        std::make_unique<FaultyTask>(Answering(i), i % 2 == 0 ? Fault::kNone : Fault::kLastLayer, /*good_tokens=*/i));
  }
  const std::vector<Outcome> outcomes = StepAll(tasks);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(outcomes[i].status.ok(), i % 2 == 0) << i;
    if (i % 2 == 0) {
      EXPECT_EQ(outcomes[i].tokens, RunAlone(i).tokens);
    }
  }
}

}  // namespace
}  // namespace tome
