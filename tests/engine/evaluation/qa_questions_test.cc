#include "engine/evaluation/questions/qa_questions.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(QaQuestions, AreOfTwoForms) {
  const auto squad = ParseQaQuestion(
      R"({"id": "q1", "document": "a.txt", "question": "Who?", "answers": ["He", "him"], "answer_bytes": [4, 6]})",
      "x");
  ASSERT_THAT(squad, IsOk());
  EXPECT_EQ(squad->asked.id, "q1");
  EXPECT_EQ(squad->document, "a.txt");
  EXPECT_THAT(squad->asked.references, ElementsAre("He", "him"));
  EXPECT_TRUE(squad->asked.HasEvidence());
  EXPECT_EQ(squad->asked.evidence.end, 6u);

  const auto narrative = ParseQaQuestion(
      R"({"book": "b", "file": "books/b.txt", "question": "Who?", "answer1": "He", "answer2": "him"})", "x");
  ASSERT_THAT(narrative, IsOk());
  EXPECT_EQ(narrative->document, "books/b.txt");
  EXPECT_THAT(narrative->asked.id, HasSubstr("Who?"));
  EXPECT_THAT(narrative->asked.references, ElementsAre("He", "him"));
  EXPECT_FALSE(narrative->asked.HasEvidence());
}

TEST(QaQuestions, RefuseWhatIsNone) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "not a JSON object"},
      {"[1]", "not a JSON object"},
      {"{}", "question"},
      {R"({"question": 7, "answers": ["a"]})", "type"},
      {R"({"question": "q"})", "answer1"},
      {R"({"question": "q", "answers": []})", "expected one or more"},
      {R"({"question": "q", "answers": ["a"], "answer_bytes": [6, 6]})", "begin < end"},
      {R"({"question": "q", "answers": ["a"], "answer_bytes": [6]})", "line 3"},
      {R"({"question": "q", "answers": ["a"], "answer_bytes": "x"})", "line 3"}};
  for (const auto& [line, message] : cases) {
    EXPECT_THAT(ParseQaQuestion(line, "f: line 3"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << line;
  }
}

TEST(QaQuestions, AreSelectedByLineAndDocument) {
  const testing::TempDir folder;
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    lines += fmt::format("{{\"question\": \"{}\", \"answers\": [\"a\"], \"document\": \"{}.txt\"}}\n", i,
                         i < 5 ? "first" : "second");
  }
  folder.Write("questions", lines);
  const auto asked = [&](const QaSelection& selection) {
    std::string all;
    const auto questions = LoadQaQuestions(folder.File("questions"), selection);
    for (const QaQuestion& question : *questions) all += question.asked.text;
    return all;
  };
  EXPECT_EQ(asked({}), "0123456789");
  EXPECT_EQ(asked({.every = 3, .skip = 1}), "147");
  EXPECT_EQ(asked({.every = 3, .skip = 1, .limit = 2}), "14");
  EXPECT_EQ(asked({.limit = 2, .documents = "second"}), "56");
  EXPECT_THAT(LoadQaQuestions(folder.File("questions"), {.documents = "third"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("none that were selected")));
  EXPECT_THAT(LoadQaQuestions(folder.File("missing"), {}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("missing")));
}

}  // namespace
}  // namespace tome
