// tome-train's commands as a user gives them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/adapter/adapter_file.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/training/commands/commands.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::StartsWith;
using testing::StatusIs;
using testing::TempDir;

absl::Status RunCommand(std::vector<std::string> arguments) {
  CLI::App app("test");
  std::function<absl::Status()> run;
  AddTrainCommand(app, &run);
  AddMergeCommand(app, &run);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return run();
}

class TrainCommand : public ::testing::Test {
 protected:
  TrainCommand() {
    testing::WriteTinyModel(folder_.path() / "model");
    std::string lines;
    for (int i = 0; i < 6; ++i) {
      lines +=
          R"({"prompt":"Question )" + std::to_string(i) + R"(:","completion":" answer )" + std::to_string(i) + "\"}\n";
    }
    folder_.Write("data.jsonl", lines);
    folder_.Write("text.txt", "Once upon a time there was a model that read whole books and told what was in them.");
  }

  std::vector<std::string> Train(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"adapter",  "--model",           folder_.File("model"),
                                          "--output", folder_.File("out"), "--precision",
                                          "fp32",     "--threads",         "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  const TempDir folder_;
};

TEST_F(TrainCommand, TrainsAnAdapterAndMergesIt) {
  ASSERT_THAT(RunCommand(Train({"--completions",
                                folder_.File("data.jsonl"),
                                "--text",
                                folder_.File("text.txt"),
                                "--validation-text",
                                folder_.File("text.txt"),
                                "--window",
                                "32",
                                "--rank",
                                "4",
                                "--matrices",
                                "q_proj,down_proj",
                                "--rank-of",
                                "down_proj=2",
                                "--attention",
                                "s2",
                                "--rope",
                                "linear(2)",
                                "--epochs",
                                "2",
                                "--batch",
                                "2",
                                "--learning-rate",
                                "0.01",
                                "--warmup",
                                "1",
                                "--schedule",
                                "cosine",
                                "--validate-every",
                                "2",
                                "--train-norms"})),
              IsOk());
  const std::string log = testing::ReadFile(folder_.File("out/losses.csv"));
  EXPECT_THAT(log, StartsWith("step,learning_rate,loss,gradient_norm,tokens,seconds,validation_loss\n1,"));
  EXPECT_GE(std::count(log.begin(), log.end(), '\n'), 7);
  TOME_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::Open({.path = folder_.File("model")}));
  TOME_ASSERT_OK_AND_ASSIGN(const auto adapter, LoadAdapter(folder_.File("out/adapter"), checkpoint->config()));
  EXPECT_EQ(adapter->contents().Pair(0, AdaptedMatrix::kQuery).rank, 4);
  EXPECT_EQ(adapter->contents().Pair(1, AdaptedMatrix::kDown).rank, 2);
  EXPECT_EQ(adapter->contents().Pair(1, AdaptedMatrix::kKey).rank, 0);
  EXPECT_TRUE(adapter->contents().trained.contains("model.norm.weight"));
  ASSERT_THAT(RunCommand({"adapter", "--model", folder_.File("model"), "--output", folder_.File("further"), "--text",
                          folder_.File("text.txt"), "--window", "16", "--begin-with", folder_.File("out/adapter"),
                          "--rope", "crd-ntk(2)", "--crd-stages", "2"}),
              IsOk());
  ASSERT_THAT(RunCommand({"merge", "--model", folder_.File("model"), "--adapter", folder_.File("out/adapter"),
                          "--output", folder_.File("merged"), "--type", "fp32"}),
              IsOk());
  EXPECT_THAT(Checkpoint::Open({.path = folder_.File("merged")}), IsOk());
}

TEST_F(TrainCommand, SaysWhatIsWrong) {
  EXPECT_THAT(RunCommand(Train({})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--completions or --text")));
  EXPECT_THAT(RunCommand(Train({"--text", folder_.File("none.txt")})),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.txt")));
  EXPECT_THAT(RunCommand(Train({"--text", folder_.File("text.txt"), "--attention", "spiral"})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("spiral")));
  EXPECT_THAT(RunCommand(Train({"--text", folder_.File("text.txt"), "--rope", "linear(0)"})).code(),
              absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(RunCommand(Train({"--text", folder_.File("text.txt"), "--rank-of", "down_proj"})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--rank-of")));
  EXPECT_THAT(RunCommand(Train({"--text", folder_.File("text.txt"), "--matrices", "w_proj"})).code(),
              absl::StatusCode::kInvalidArgument);
  folder_.Write("bad.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n{}\n");
  EXPECT_THAT(RunCommand(Train({"--completions", folder_.File("bad.jsonl")})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bad.jsonl: line 2")));
}

}  // namespace
}  // namespace tome
