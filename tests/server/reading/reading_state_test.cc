// Progress with segments without tokens, written and read.
#include "server/reading/reading_state.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/status_matchers.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TokenlessServerModel;

const std::vector<std::string>& Texts() {
  static const auto& texts = *new std::vector<std::string>{"\x04", SomeText(200), std::string(32, 'x') + "\x1d",
                                                           "\x04\x04", SomeText(100, 2) + "\x1d"};
  return texts;
}

std::vector<StoredDocument> Documents() {
  std::vector<StoredDocument> documents;
  for (const std::string& text : Texts()) {
    documents.push_back({.name = std::to_string(documents.size()), .size = text.size(), .sealed = true});
  }
  return documents;
}

// After `read` of the segments of all texts; `at_end`: the last document has come to its end as well.
ReadingState StateAfter(std::size_t read, bool at_end = true) {
  ReadingState state{
      .memory = *Memory::Create(TokenlessServerModel(), kTinyMemoryOptions), .unread = {}, .pipeline = {}};
  TextPipeline pipeline(TokenlessServerModel()->tokenizer(), kTinyMemoryOptions.segment_tokens);
  for (const std::string& text : Texts()) {
    pipeline.Append(text, &state.unread);
    if (at_end || &text != &Texts().back()) pipeline.FinishDocument(&state.unread);
  }
  for (; read > 0 && !state.unread.empty(); --read, state.unread.pop_front()) {
    if (state.unread.front().tokens.empty()) continue;
    Task task = Task::Read(&state.memory, state.unread.front().tokens, state.unread.front().spans);
    Task* tasks[] = {&task};
    EXPECT_THAT(Step(tasks)[0].status, IsOk());
  }
  state.pipeline = pipeline.Save();
  return state;
}

TEST(ReadingStateTest, SegmentsWithoutTokensAreKept) {
  for (std::size_t read = 0; read < 14; ++read) {
    const ReadingState state = StateAfter(read);
    EXPECT_THAT(CheckProgress(state, Documents()), IsOk()) << read;
    std::deque<Segment> unread;
    TextPipelineState pipeline;
    ASSERT_THAT(ParseProgress(SerializeProgress(state), &unread, &pipeline), IsOk());
    EXPECT_EQ(pipeline, state.pipeline);
    ASSERT_EQ(unread.size(), state.unread.size());
    for (std::size_t i = 0; i < unread.size(); ++i) {
      EXPECT_EQ(unread[i].tokens, state.unread[i].tokens);
      EXPECT_EQ(unread[i].spans, state.unread[i].spans);
      EXPECT_EQ(unread[i].document, state.unread[i].document);
      EXPECT_EQ(unread[i].begin, state.unread[i].begin);
      EXPECT_EQ(unread[i].end, state.unread[i].end);
    }
  }
}

TEST(ReadingStateTest, DocumentsThatAreBehindAreReadToTheirEnds) {
  const auto ends = [](const ReadingState& state) {
    std::vector<ByteOffset> result;
    for (const ReadRange& range : DocumentsRead(state, Documents())) {
      EXPECT_EQ(range.document, result.size());
      EXPECT_EQ(range.begin, 0u);
      result.push_back(range.end);
    }
    return result;
  };
  EXPECT_THAT(ends(StateAfter(0)), ElementsAre());
  EXPECT_THAT(ends(StateAfter(1)), ElementsAre(1u));
  EXPECT_THAT(ends(StateAfter(100)), ElementsAre(1u, 200u, 33u, 2u, 101u));
  // The last document's segments but for its last, which is still in the pipeline.
  const std::vector<ByteOffset> unfinished = ends(StateAfter(100, /*at_end=*/false));
  ASSERT_EQ(unfinished.size(), 5u);
  EXPECT_GT(unfinished[4], 0u);
  EXPECT_LT(unfinished[4], 101u);
  std::uint64_t tokens = 0;
  const ReadingState state = StateAfter(100);
  for (const ReadRange& range : DocumentsRead(state, Documents())) tokens += range.tokens;
  EXPECT_EQ(tokens, static_cast<std::uint64_t>(state.memory.tokens_read()));
}

TEST(ReadingStateTest, SegmentsWithoutTokensAreOnlyAtTheEndsOfSealedDocuments) {
  const struct {
    const char* name;
    std::function<void(ReadingState&, std::vector<StoredDocument>&)> change;
  } cases[] = {
      {"not sealed", [](ReadingState&, auto& documents) { documents[0].sealed = false; }},
      {"before the end", [](ReadingState&, auto& documents) { documents[0].size = 2; }},
      {"beyond the end", [](ReadingState& state, auto&) { state.unread[0].end = 2; }},
      {"nothing", [](ReadingState& state, auto&) { state.unread[0].end = 0; }},
      {"not at the beginning", [](ReadingState& state, auto&) { state.unread[0].begin = 1; }},
      {"no such document", [](ReadingState& state, auto&) { state.unread[0].document = 5; }},
      {"far away", [](ReadingState& state, auto&) { state.unread[0].document = ~0u; }},
  };
  for (const auto& test : cases) {
    ReadingState state = StateAfter(0);
    std::vector<StoredDocument> documents = Documents();
    ASSERT_THAT(CheckProgress(state, documents), IsOk());
    ASSERT_TRUE(state.unread[0].tokens.empty());
    test.change(state, documents);
    EXPECT_THAT(CheckProgress(state, documents), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("progress")))
        << test.name;
  }
  ReadingState last = StateAfter(0);
  last.unread = {{.document = 5, .begin = 0, .end = 0}};
  EXPECT_THAT(CheckProgress(last, Documents()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("progress")));
}

}  // namespace
}  // namespace tome::server
