// Whole runs on tiny models: they learn, they go on bit for bit, and they say what is wrong.
#include "engine/training/training_run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <limits>

#include "engine/adapter/peft_adapter.h"
#include "engine/model/adapted_weights.h"
#include "engine/model/llama_model.h"
#include "engine/training/training_checkpoint.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::ReadFile;
using testing::StatusIs;
using testing::TempDir;

const LlamaWeights& TinyWeights() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return LlamaModel::From(*model).weights();
}

TrainingModel NewModel(const std::string& pattern = "dense", const TrainableOptions& options = {}) {
  auto model =
      MakeTrainingModel(TinyWeights(), "", *AttentionPattern::Parse(pattern), Trainable::Make(TinyWeights(), options));
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

// The second half of each sequence is the first again: to learn it takes attention over half of it.
DataSet Copies(int count, int half, int first = 0) {
  DataSet data;
  for (int i = first; i < first + count; ++i) {
    TrainingSequence sequence{.first_counted = static_cast<std::size_t>(half)};
    for (int j = 0; j < 2 * half; ++j) sequence.tokens.push_back((i * 31 + (j % half) * 17) % 200);
    data.sequences.push_back(std::move(sequence));
  }
  return data;
}

RunOptions Options(const std::string& folder, std::int64_t steps) {
  RunOptions options;
  options.schedule = {.kind = ScheduleKind::kCosine, .learning_rate = 1e-2, .warmup_steps = 3, .steps = steps};
  options.adam.weight_decay = 0.01;
  options.batch_sequences = 2;
  options.accumulation = 2;
  options.checkpoint_every = 3;
  options.folder = folder;
  return options;
}

// The adapter's weights and, but for the seconds, the log.
std::string Results(const std::string& folder) {
  std::string log = ReadFile(folder + "/losses.csv"), kept;
  for (std::size_t begin = 0; begin < log.size();) {
    const std::size_t end = log.find('\n', begin);
    std::string line = log.substr(begin, end - begin);
    const std::size_t last = line.rfind(','), seconds = line.rfind(',', last - 1);
    kept += line.erase(seconds, last - seconds) + "\n";
    begin = end + 1;
  }
  return ReadFile(folder + "/adapter/adapter_model.safetensors") + kept;
}

TEST(RunTraining, LowersTheLossUnderEveryPattern) {
  for (const char* pattern : {"dense", "s2", "scca-fixed", "scca-flow(m=2)", "longmixed"}) {
    const TempDir folder;
    TrainableOptions trainable;
    trainable.matrices = {kAdaptedMatrices.begin(), kAdaptedMatrices.end()};
    const TrainingModel model = NewModel(pattern, trainable);
    const DataSet data = Copies(8, 12);
    TOME_ASSERT_OK_AND_ASSIGN(const double before, ValidationLoss(model, data, 4));
    RunOptions options = Options(folder.path().string(), 40);
    TOME_ASSERT_OK_AND_ASSIGN(const RunResult result, RunTraining(model, data, data, options, nullptr));
    EXPECT_EQ(result.steps, 40);
    EXPECT_LT(*result.validation_loss, before - 1) << pattern;
  }
}

// What was trained under PEFT's format is what is served.
TEST(RunTraining, LeavesAnAdapterThatServes) {
  const TempDir folder;
  const TrainingModel model = NewModel("dense", {.embedding = true, .norms = true});
  const DataSet data = Copies(4, 8);
  ASSERT_THAT(RunTraining(model, data, {}, Options(folder.path().string(), 5), nullptr), IsOk());
  TOME_ASSERT_OK_AND_ASSIGN(const auto adapter, ReadPeftAdapter(folder.File("adapter"), TinyWeights().config));
  TOME_ASSERT_OK_AND_ASSIGN(const LlamaWeights served, WithAdapter(TinyWeights(), *adapter));
  EXPECT_TRUE(served.config.tied_output);
  const TrainingModel loaded =
      *MakeTrainingModel(TinyWeights(), "", AttentionPattern(), Trainable::From(TinyWeights(), adapter->contents()));
  EXPECT_EQ(*ValidationLoss(loaded, data, 4), *ValidationLoss(model, data, 4));
}

TEST(RunTraining, IsTheSameBySeed) {
  const TempDir folder;
  const DataSet data = Copies(7, 6);
  for (const char* name : {"a", "b", "other"}) {
    RunOptions options = Options(folder.File(name), 6);
    options.seed = name == std::string("other") ? 2 : 1;
    ASSERT_THAT(RunTraining(NewModel(), data, {}, options, nullptr), IsOk());
  }
  EXPECT_EQ(Results(folder.File("a")), Results(folder.File("b")));
  EXPECT_NE(Results(folder.File("a")), Results(folder.File("other")));
}

TEST(RunTraining, GoesOnBitForBitFromAnInterruptionAfterAnyStep) {
  const TempDir folder;
  const DataSet data = Copies(7, 6), validation = Copies(3, 6, 50);
  constexpr int kSteps = 8;
  const auto options = [&](const std::string& name) {
    RunOptions own = Options(folder.File(name), kSteps);
    own.validate_every = 4;
    return own;
  };
  ASSERT_THAT(RunTraining(NewModel(), data, validation, options("whole"), nullptr), IsOk());
  for (int after = 1; after < kSteps; ++after) {
    const std::string name = std::to_string(after);
    std::atomic<bool> stop = false;
    const auto report = [&](const StepReport& step) { stop = step.step == after - 1; };
    stop = after == 1;
    TOME_ASSERT_OK_AND_ASSIGN(const RunResult first,
                              RunTraining(NewModel(), data, validation, options(name), report, &stop));
    EXPECT_TRUE(first.interrupted);
    EXPECT_EQ(first.steps, after);
    TOME_ASSERT_OK_AND_ASSIGN(const RunResult rest, RunTraining(NewModel(), data, validation, options(name), nullptr));
    EXPECT_FALSE(rest.interrupted);
    EXPECT_EQ(Results(folder.File(name)), Results(folder.File("whole"))) << after;
  }
}

// Killed by SIGKILL at moments that nobody chose, again and again, until it ends.
TEST(RunTraining, GoesOnBitForBitAfterItWasKilled) {
  const TempDir folder;
  const DataSet data = Copies(7, 6);
  at::set_num_threads(1);  // a fork has no other threads
  RunOptions whole = Options(folder.File("whole"), 30), killed = Options(folder.File("killed"), 30);
  whole.checkpoint_every = killed.checkpoint_every = 1;
  ASSERT_THAT(RunTraining(NewModel(), data, {}, whole, nullptr), IsOk());
  int kills = 0;
  for (int attempt = 0; attempt < 200 && !std::filesystem::exists(folder.File("killed/adapter")); ++attempt) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const bool ok = RunTraining(NewModel(), data, {}, killed, nullptr).ok();
      _exit(ok ? 0 : 1);
    }
    usleep(20'000 + attempt * 7'919 % 60'000);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    kills += WIFSIGNALED(status) ? 1 : 0;
  }
  ASSERT_THAT(RunTraining(NewModel(), data, {}, killed, nullptr), IsOk());
  RecordProperty("kills", kills);
  EXPECT_EQ(Results(folder.File("killed")), Results(folder.File("whole")));
}

TEST(RunTraining, RefusesToGoOnWithOtherOptionsOrData) {
  const TempDir folder;
  RunOptions options = Options(folder.path().string(), 6);
  std::atomic<bool> stop = true;
  ASSERT_THAT(RunTraining(NewModel(), Copies(5, 6), {}, options, nullptr, &stop), IsOk());
  EXPECT_THAT(RunTraining(NewModel(), Copies(6, 6), {}, options, nullptr).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("begun with data")));
  options.schedule.learning_rate = 0.5;
  EXPECT_THAT(
      RunTraining(NewModel(), Copies(5, 6), {}, options, nullptr).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("learning_rate 0.01, and is to go on with 0.5")));
}

TEST(RunTraining, StopsAtALossThatIsNoNumber) {
  const TempDir folder;
  const TrainingModel model = NewModel();
  model.trainable.parameters()[1].tensor.detach().fill_(std::numeric_limits<float>::infinity());
  EXPECT_THAT(RunTraining(model, Copies(5, 6), {}, Options(folder.path().string(), 3), nullptr).status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("step 1: the loss is")));
  EXPECT_EQ(FindTrainingCheckpoint(folder.path().string()), std::nullopt);
}

TEST(RunTraining, SaysWhichOptionIsWrong) {
  const TempDir folder;
  const auto status = [&](auto change) {
    RunOptions options = Options(folder.path().string(), 3);
    change(&options);
    return RunTraining(NewModel(), Copies(2, 4), {}, options, nullptr).status();
  };
  EXPECT_THAT(status([](RunOptions* o) { o->schedule.steps = 0; }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("steps")));
  EXPECT_THAT(status([](RunOptions* o) { o->batch_sequences = 0; }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("batch")));
  EXPECT_THAT(status([](RunOptions* o) { o->schedule.learning_rate = -1; }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("learning rate")));
  EXPECT_THAT(RunTraining(NewModel(), {}, {}, Options(folder.path().string(), 3), nullptr).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no sequence")));
  const std::string file = folder.Write("file", "");
  EXPECT_FALSE(RunTraining(NewModel(), Copies(2, 4), {}, Options(file, 3), nullptr).ok());
}

TEST(TrainingCheckpoint, ThatWasCutOffIsRemovedAndADamagedOneIsRefused) {
  const TempDir folder;
  std::atomic<bool> stop = true;
  const RunOptions options = Options(folder.path().string(), 6);
  ASSERT_THAT(RunTraining(NewModel(), Copies(5, 6), {}, options, nullptr, &stop), IsOk());
  folder.Write("checkpoint-000000009.new/adapter_config.json", "{}");
  const std::optional<std::string> found = FindTrainingCheckpoint(folder.path().string());
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(*found, ::testing::EndsWith("checkpoint-000000001"));
  EXPECT_FALSE(std::filesystem::exists(folder.File("checkpoint-000000009.new")));
  const std::string path = *found + "/optimizer.safetensors";
  testing::WriteFile(path, ReadFile(path).substr(0, 100));
  EXPECT_THAT(RunTraining(NewModel(), Copies(5, 6), {}, options, nullptr).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path)));
}

TEST(LossHead, MemoryDoesNotGrowWithTheVocabularyTimesTheTokens) {
  const TrainingModel model = NewModel();
  EXPECT_LT(EstimatePassBytes(model, 20'000, true) - EstimatePassBytes(model, 10'000, true),
            10'000 * (4 * 64 * 3 + 4 * 6'000));
  EXPECT_LT(EstimatePassBytes(model, 1000, true), EstimatePassBytes(model, 1000, false));
}

}  // namespace
}  // namespace tome
