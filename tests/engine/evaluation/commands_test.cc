#include "engine/evaluation/commands/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/evaluation/questions/answerer.h"
#include "engine/evaluation/questions/reading.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// Answers every question with its reference, and counts a token for each byte.
class KnowingAnswerer final : public Answerer {
 public:
  nlohmann::json Describe() const override { return {{"kind", "knowing"}}; }
  absl::StatusOr<std::vector<std::uint32_t>> CountTokenBytes(std::string_view text) override {
    return std::vector<std::uint32_t>(text.size(), 1);
  }
  absl::Status AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions&,
                         const FiguresCallback& on_figures) override {
    for (std::size_t i = documents.size(); i-- > 0;) {
      on_figures(i, {.rank = 1, .in_text = true, .answer = documents[i].asked.references[0]});
    }
    return absl::OkStatus();
  }
  absl::StatusOr<Findings> AskAll(const std::vector<std::string>& documents, absl::Span<const AskedQuestion> questions,
                                  const FindingOptions& options, const std::string& kept) override {
    asked_ = {documents, {questions.begin(), questions.end()}, kept};
    Findings findings;
    for (const AskedQuestion& asked : questions) {
      QuestionFigures figures = {.asked = asked};
      for (const std::string& search : options.searches) {
        figures.ways[search] = {.rank = 1, .in_text = true, .cited = true};
        SetAnswer(asked.references[0], asked.references, documents[asked.document], &figures.ways[search]);
      }
      findings.questions.push_back(std::move(figures));
    }
    return findings;
  }

  struct Asked {
    std::vector<std::string> documents;
    std::vector<AskedQuestion> questions;
    std::string kept;
  };
  // The last call of AskAll.
  static inline Asked asked_;
};

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    testing::WriteTinyModel(folder_.path() / "model");
    std::string text;
    for (int i = 0; i < 300; ++i) text += "On day " + std::to_string(i) + " nothing happened. ";
    folder_.Write("book.txt", text);
  }

  // Runs tome-eval with these arguments and --json.
  absl::Status Run(std::vector<std::string> arguments) {
    CLI::App app;
    std::function<absl::Status()> run;
    const AnswererFactory connect = [this](const std::string& target) -> absl::StatusOr<std::unique_ptr<Answerer>> {
      target_ = target;
      return std::make_unique<KnowingAnswerer>();
    };
    AddTaskCommands(app, connect, &run);
    AddStreamCommand(app, &run);
    AddRecallCommand(app, &run);
    AddCostCommand(app, &run);
    AddQaCommand(app, connect, &run);
    AddNeedleCommand(app, connect, &run);
    if (arguments[0] != "qa" && arguments[0] != "needle")
      arguments.insert(arguments.end(), {"--svg", folder_.File("picture.svg")});
    arguments.insert(arguments.end(), {"--json", folder_.File("figures.json")});
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError& error) {
      return InvalidArgument("usage: {}", error.what());
    }
    return run();
  }
  nlohmann::json Figures() { return nlohmann::json::parse(*ReadTextFile(folder_.File("figures.json"))); }
  std::string Picture() { return *ReadTextFile(folder_.File("picture.svg")); }
  std::string Model() { return folder_.File("model"); }
  std::string Book() { return folder_.File("book.txt"); }

  testing::TempDir folder_;
  std::string target_;
};

TEST_F(CommandsTest, PassKeysAreAskedOnTheEngineWithADenseCeiling) {
  ASSERT_THAT(Run({"passkey", "--model", Model(), "--window", "128", "--noise", "--lengths", "900", "1200", "--depths",
                   "3", "--effort", "fast", "--max-answer-tokens", "2", "--dense-lengths", "600", "100000"}),
              IsOk());
  const nlohmann::json figures = Figures();
  EXPECT_EQ(figures["answerer"]["kind"], "engine");
  EXPECT_EQ(figures["answerer"]["window_tokens"], 128);
  EXPECT_THAT(figures["settings"]["depths"], ElementsAre(0, 0.5, 1));
  EXPECT_EQ(figures["questions"].size(), 6u);
  EXPECT_EQ(figures["questions"][5]["length"], 1200);
  EXPECT_EQ(figures["questions"][5]["router_ranks"]["stems"], 1);
  EXPECT_EQ(figures["dense"].size(), 3u) << "100,000 tokens do not fit the context";
  EXPECT_THAT(Picture(), HasSubstr(">1200<"));
}

TEST_F(CommandsTest, TasksRunThroughAServerWithoutAModel) {
  ASSERT_THAT(Run({"number", "--target", "host:1", "--text", Book(), Book(), "--lengths", "9000", "--depths", "10",
                   "90", "--repeats", "2"}),
              IsOk());
  EXPECT_EQ(target_, "host:1");
  const nlohmann::json figures = Figures();
  EXPECT_EQ(figures["answerer"]["kind"], "knowing");
  EXPECT_EQ(figures["questions"].size(), 4u);
  EXPECT_EQ(figures["all"]["accuracy"], 1.0);
  EXPECT_TRUE(figures["dense"].empty());
  ASSERT_THAT(Run({"key-value", "--target", "host:1", "--needles", "--depths", "50%"}), IsOk());
  EXPECT_THAT(Figures()["settings"]["depths"], ElementsAre(0.5));
}

TEST_F(CommandsTest, TasksRefuseOptionsThatContradict) {
  const auto refused = [&](std::vector<std::string> arguments, const std::string& message) {
    EXPECT_THAT(Run(std::move(arguments)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  refused({"passkey", "--noise"}, "--model");
  refused({"passkey", "--target", "host:1"}, "--text");
  refused({"passkey", "--target", "host:1", "--noise", "--text", Book()}, "give one of");
  refused({"passkey", "--target", "host:1", "--noise", "--window", "5"}, "usage");
  refused({"passkey", "--target", "host:1", "--needles"}, "usage");
  for (const char* depths : {"1", "x", "5x", "-3", "101", "nan"}) {
    refused({"passkey", "--target", "host:1", "--noise", std::string("--depths=") + depths}, "--depths");
  }
}

TEST_F(CommandsTest, StreamsAreComparedAndTheirDriftTold) {
  ASSERT_THAT(Run({"stream", "--model", Model(), "--text", Book(), Book(), "--tokens", "2048", "--from", "512",
                   "--window", "128", "--memory", "window", "window=256", "--drift", "1024"}),
              IsOk());
  const nlohmann::json runs = Figures()["runs"];
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[1]["memory"], "window=256");
  EXPECT_EQ(runs[1]["segments"].size(), 4u);
  EXPECT_EQ(runs[0]["to_the_first"]["mean"], 0.0);
  EXPECT_EQ(runs[1]["drift"]["tokens"], 1024);
  EXPECT_DOUBLE_EQ(runs[1]["drift"]["change"]["mean"].get<double>(),
                   runs[1]["drift"]["last"]["mean"].get<double>() - runs[1]["drift"]["first"]["mean"].get<double>());
  EXPECT_THAT(Picture(), HasSubstr(">window=256<"));
}

TEST_F(CommandsTest, OnlyTheQuestionsThatAreWantedAreAsked) {
  folder_.Write("cat.txt", "The cat sat on the mat.");
  folder_.Write("questions.jsonl",
                R"({"question": "Where did it sit?", "answers": ["the mat"], "answer_bytes": [15, 22]})");
  const auto ask = [&](const std::string& groups) {
    return Run({"qa",          folder_.File("questions.jsonl"),
                "--documents", folder_.File("cat.txt"),
                "--filler",    Book(),
                "--tokens",    "1500",
                "--needles",   "3",
                "--model",     Model(),
                "--window",    "128",
                "--effort",    "fast",
                "--form",      "qa",
                "--ask",       groups});
  };
  ASSERT_THAT(ask("questions"), IsOk());
  EXPECT_EQ(Figures()["questions"].size(), 1u);
  EXPECT_EQ(Figures()["questions"][0]["group"], "questions");
  ASSERT_THAT(ask("questions,pass-key,number"), IsOk());
  EXPECT_GT(Figures()["questions"].size(), 1u);
  EXPECT_THAT(ask("paraphrased"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--ask")));
}

TEST_F(CommandsTest, QuestionsAndNeedlesGoThroughAServerWithoutAModel) {
  folder_.Write("cat.txt", "The cat sat on the mat.");
  folder_.Write("questions.jsonl",
                R"({"question": "Where did it sit?", "answers": ["the mat"], "answer_bytes": [15, 22]})");
  ASSERT_THAT(Run({"qa", folder_.File("questions.jsonl"), "--documents", folder_.File("cat.txt"), "--filler", Book(),
                   "--tokens", "2000", "--needles", "2", "--target", "host:1", "--state", "kept"}),
              IsOk());
  EXPECT_EQ(target_, "host:1");
  const KnowingAnswerer::Asked& asked = KnowingAnswerer::asked_;
  EXPECT_EQ(asked.kept, "kept");
  ASSERT_EQ(asked.documents.size(), 3u);
  EXPECT_EQ(asked.documents[1], "The cat sat on the mat.");
  ASSERT_EQ(asked.questions.size(), 3u);
  EXPECT_EQ(asked.questions[0].document, 1u);
  EXPECT_FALSE(asked.questions[0].form.has_value()) << "the server's own";
  for (const AskedQuestion& question : asked.questions) {
    const std::string& document = asked.documents[question.document];
    const TextRange& answer = question.answers.at(0);
    EXPECT_EQ(document.substr(answer.begin, answer.end - answer.begin), question.references[0]);
  }
  EXPECT_EQ(Figures()["answerer"]["kind"], "knowing");
  EXPECT_EQ(Figures()["sums"]["fast"]["all"]["cited"], 1.0);
  EXPECT_FALSE(Figures()["sums"]["fast"]["all"].contains("log_probability")) << "nobody measured it";

  ASSERT_THAT(Run({"needle", "--text", Book(), "--tokens", "4000", "--needles", "3", "--paraphrased", "1", "--target",
                   "host:2", "--effort", "balanced"}),
              IsOk());
  EXPECT_EQ(target_, "host:2");
  EXPECT_EQ(Figures()["questions"].size(), 4u);
  EXPECT_EQ(Figures()["sums"]["balanced"]["paraphrased"]["recall"]["1"], 1.0);
  EXPECT_THAT(Run({"needle", "--text", Book(), "--target", "host:1", "--model", Model()}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("usage")));
  EXPECT_THAT(Run({"needle", "--text", Book()}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--target")));
}

TEST_F(CommandsTest, AFormThatTheModelLacksIsRefusedBeforeReading) {
  folder_.Write("cat.txt", "The cat sat on the mat.");
  folder_.Write("questions.jsonl", R"({"question": "Where did it sit?", "answers": ["the mat"]})");
  folder_.Write("model/tokenizer_config.json", "{}");
  EXPECT_THAT(Run({"qa", folder_.File("questions.jsonl"), "--documents", folder_.File("cat.txt"), "--model", Model(),
                   "--form", "chat", "--state", folder_.File("state")}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chat")));
  EXPECT_EQ(ReadTextFile(folder_.File("state")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CommandsTest, RecallAndCostAreWritten) {
  ASSERT_THAT(Run({"recall", "--model", Model(), "--text", Book(), "--tokens", "2048", "--window", "512", "--selected",
                   "2,4", "--region-memory", "query-region=128"}),
              IsOk());
  EXPECT_THAT(Figures()["selected"], ElementsAre(2, 4));
  EXPECT_THAT(Figures()["region_memory"].get<std::string>(), HasSubstr("query-region=128"));
  EXPECT_THAT(Run({"recall", "--model", Model(), "--text", Book(), "--tokens", "99999"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("99999")));
  ASSERT_THAT(Run({"cost", "--model", Model(), "--text", Book(), "--tokens", "1024", "--window", "128", "--until",
                   "4096", "--region-memory", "off"}),
              IsOk());
  EXPECT_EQ(Figures()["region_memory"], "off");
  EXPECT_EQ(Figures()["points"].back()["tokens"], 4096);
}

}  // namespace
}  // namespace tome
