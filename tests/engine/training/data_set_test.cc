#include "engine/training/data_set.h"

#include <algorithm>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

const Tokenizer& TinyTokenizer() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return *model->tokenizer();
}

std::vector<TokenId> Encode(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyTokenizer().Encode(text)) tokens.push_back(token.id);
  return tokens;
}

std::vector<TokenId> Joined(std::vector<std::vector<TokenId>> parts) {
  std::vector<TokenId> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

absl::StatusOr<DataSet> Completions(const std::string& lines, std::int64_t window = 100) {
  return ReadCompletions(lines, TinyTokenizer(), {.window_tokens = window}, "f");
}

TEST(ReadCompletions, LearnsTheCompletionAndTheEnd) {
  TOME_ASSERT_OK_AND_ASSIGN(const DataSet data, Completions(R"({"prompt":"Is it?","completion":" Yes."})"
                                                            "\n\n"
                                                            R"({"prompt":"And?","answer":"No","end":false})"));
  ASSERT_EQ(data.sequences.size(), 2u);
  std::vector<TokenId> prompt = Encode("Is it?");
  if (TinyTokenizer().add_bos()) prompt.insert(prompt.begin(), *TinyTokenizer().bos());
  EXPECT_EQ(data.sequences[0].tokens, Joined({prompt, Encode(" Yes."), {*TinyTokenizer().eos()}}));
  EXPECT_EQ(data.sequences[0].first_counted, prompt.size());
  EXPECT_EQ(data.sequences[1].counted(), static_cast<std::int64_t>(Encode("No").size()));
  EXPECT_EQ(data.counted(), data.sequences[0].counted() + data.sequences[1].counted());
}

TEST(ReadCompletions, TakesSpecialTokensOfThePromptAsSuch) {
  TOME_ASSERT_OK_AND_ASSIGN(
      const DataSet data,
      Completions(R"({"prompt":"<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n","completion":"<|im_end|>"})"));
  const TokenId start = *TinyTokenizer().FindSpecial("<|im_start|>"), end = *TinyTokenizer().FindSpecial("<|im_end|>");
  const auto& tokens = data.sequences[0].tokens;
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), start), 2);
  EXPECT_EQ(std::count(tokens.begin(), tokens.begin() + data.sequences[0].first_counted, end), 1);
  // The completion is text, be it what it may; then comes the end.
  EXPECT_EQ((std::vector<TokenId>(tokens.begin() + data.sequences[0].first_counted, tokens.end())),
            Joined({Encode("<|im_end|>"), {*TinyTokenizer().eos()}}));
}

TEST(ReadCompletions, CutsLongPromptsAtTheirBeginning) {
  const std::string prompt = "one two three four five six seven eight nine ten";
  TOME_ASSERT_OK_AND_ASSIGN(const DataSet whole, Completions(R"({"prompt":")" + prompt + R"(","completion":"x"})"));
  TOME_ASSERT_OK_AND_ASSIGN(const DataSet cut, Completions(R"({"prompt":")" + prompt + R"(","completion":"x"})", 8));
  const auto& all = whole.sequences[0].tokens;
  EXPECT_EQ(cut.sequences[0].tokens, std::vector<TokenId>(all.end() - 8, all.end()));
  EXPECT_EQ(cut.sequences[0].counted(), whole.sequences[0].counted());
  EXPECT_THAT(whole.warnings, IsEmpty());
  EXPECT_THAT(cut.warnings, ElementsAre(HasSubstr("f: 1 of 1 prompts are longer than the window of 8 tokens")));
}

TEST(ReadCompletions, NamesTheLineThatIsWrong) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "f: expected lines of JSON, found none"},
      {R"({"prompt":"a","completion":"b"})"
       "\nnonsense",
       "f: line 2: expected JSON"},
      {R"(["prompt"])", "f: line 1"},
      {R"({"prompt":"a"})", "f: line 1: field 'completion'"},
      {R"({"prompt":3,"completion":"b"})", "f: line 1: field 'prompt'"},
      {R"({"prompt":"a","completion":""})", "f: line 1: expected a completion with tokens, found none"},
      {R"({"prompt":"a","completion":"this one is far too long for it"})", "the window is 8: give a longer one"},
      {R"({"prompt":"a","completion":"b","end":"no"})", "f: line 1: field 'end'"},
  };
  for (const auto& [lines, message] : cases) {
    EXPECT_THAT(Completions(lines, 8), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(ReadPlainText, CountsEveryTokenOnce) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "word" + std::to_string(i) + " ";
  const std::vector<TokenId> tokens = Encode(text);
  const std::size_t bos = TinyTokenizer().add_bos() ? 1 : 0;
  for (const auto& [window, stride] : {std::pair(16, 0), std::pair(16, 5), std::pair(1000, 0)}) {
    TOME_ASSERT_OK_AND_ASSIGN(
        const DataSet data,
        ReadPlainText(text, TinyTokenizer(), {.window_tokens = window, .stride_tokens = stride}, "f"));
    std::vector<TokenId> counted;
    for (const TrainingSequence& sequence : data.sequences) {
      EXPECT_LE(sequence.tokens.size(), static_cast<std::size_t>(window));
      counted.insert(counted.end(), sequence.tokens.begin() + sequence.first_counted, sequence.tokens.end());
    }
    const bool overlap = stride > 0;
    // Without overlap the first token of each window is learnt from nothing.
    const std::size_t left_out = overlap ? 1 - bos : data.sequences.size() - bos;
    EXPECT_GE(counted.size() + left_out + 2, tokens.size()) << window << " " << stride;
    EXPECT_LE(counted.size(), tokens.size());
    if (overlap) {
      EXPECT_TRUE(std::equal(counted.begin(), counted.end(), tokens.begin() + (1 - bos)));
    }
  }
}

TEST(ReadPlainText, RefusesTextsAndWindowsThatGiveNothing) {
  const auto status = [](const std::string& text, const DataOptions& options) {
    return ReadPlainText(text, TinyTokenizer(), options, "f").status();
  };
  EXPECT_THAT(status("", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f: expected a text of 2 tokens")));
  EXPECT_THAT(status("some text", {.window_tokens = 1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("window")));
  EXPECT_THAT(status("some text", {.window_tokens = 8, .stride_tokens = 9}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stride")));
}

TEST(EpochOrder, IsAPermutationByTheSeed) {
  const std::vector<std::int64_t> order = EpochOrder(50, 3, 0);
  EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()).size(), 50u);
  EXPECT_EQ(order, EpochOrder(50, 3, 0));
  EXPECT_NE(order, EpochOrder(50, 3, 1));
  EXPECT_NE(order, EpochOrder(50, 4, 0));
  EXPECT_THAT(EpochOrder(1, 1, 1), ElementsAre(0));
}

TEST(DataSetDigest, TellsWhatIsLearntApart) {
  DataSet data{.sequences = {{.tokens = {1, 2, 3}}}};
  const std::string digest = data.Digest();
  data.sequences[0].first_counted = 2;
  EXPECT_NE(data.Digest(), digest);
}

}  // namespace
}  // namespace tome
