// Searches from the manager's door: their pages and what they are of.
#include "engine/base/utf8.h"
#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using tome::testing::Awaited;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::Metadata;
using tome::testing::SomeText;
using tome::testing::StatusIs;

class SearchPagesTest : public tome::testing::ManagerFixture {
 protected:
  void SetUp() override {
    Open();
    CreateSession("session");
  }

  SearchPagesTest() {
    // Characters that take several tokens, bytes that are none, and an unfinished character at the end.
    for (int i = 0; i < 50; ++i) books_["c"] += "\xF0\x9F\x93\x96 \xC3\xE4\xBA lord\xFF said \xE4\xBA\xBA ";
    books_["c"] += "\xE4\xBA";
    for (const auto& [name, text] : books_) num_bytes_ += text.size();
  }

  void AppendBooks() {
    for (const auto& [name, text] : books_) {
      ASSERT_THAT(Append("session", name, text, /*finish=*/true, 0, Utf8Policy::kReplace), IsOk());
    }
    WaitUntilRead("session");
  }

  std::map<std::string, std::string> books_ = {{"a", SomeText(4000, 1)}, {"b", "Short."}, {"d", SomeText(2500, 2)}};
  std::uint64_t num_bytes_ = 0;
  const SearchRequest request_ = {.session_id = "session", .query = "What did the lord say?", .page_size = 256};
};

TEST_F(SearchPagesTest, RegionsTileTheDocumentsAndCarryTheirText) {
  AppendBooks();
  SearchRequest request = request_;
  request.effort = Effort::kFast;
  request.include_text = true;
  const SearchPage page = Search(request).value();
  EXPECT_THAT(page.next_page_token, IsEmpty());
  EXPECT_EQ(page.effort, Effort::kFast);
  EXPECT_EQ(page.ingested_bytes, num_bytes_);
  EXPECT_EQ(page.pending_bytes, 0u);
  // All of the little that there is: once in the order of the text, it is the text.
  ASSERT_EQ(page.regions.size(), page.regions_scanned);
  std::map<std::string, std::map<ByteOffset, std::string>> parts;
  double sum = 0;
  for (const RoutedRegion& region : page.regions) {
    parts[region.range.document][region.range.begin] = region.text;
    EXPECT_EQ(region.text.size(), region.range.end - region.range.begin);
    EXPECT_FALSE(region.log_likelihood.has_value());
    EXPECT_FALSE(region.sentence.has_value());
    sum += region.score;
  }
  EXPECT_NEAR(sum, 1, 1e-9);
  std::map<std::string, std::string> joined;
  for (const auto& [document, texts] : parts) {
    std::string read;
    for (const auto& [begin, text] : texts) {
      EXPECT_EQ(begin, joined[document].size());
      joined[document] += text;
      read += ReplaceInvalidUtf8(text);
    }
    // Cut at characters: each region by itself says what it says within the whole.
    EXPECT_EQ(read, ReplaceInvalidUtf8(books_.at(document)));
  }
  EXPECT_EQ(joined, books_);
}

TEST_F(SearchPagesTest, FindsWhatAQuestionCites) {
  AppendBooks();
  const SearchPage page = Search(request_).value();
  EXPECT_EQ(page.effort, Effort::kBalanced);
  EXPECT_LE(page.regions.size(), 256u);
  EXPECT_GE(page.regions_reranked, page.regions.size());
  const QuestionResult answer = Ask(QuestionTo("session")).results[0].value();
  EXPECT_EQ(page.regions_scanned, answer.regions_scanned);
  EXPECT_EQ(page.regions_reranked, answer.regions_reranked);
  ASSERT_FALSE(answer.citations.empty());
  EXPECT_EQ(page.regions[0].range, answer.citations[0].range);
  EXPECT_EQ(page.regions[0].score, answer.citations[0].score);
  EXPECT_EQ(page.regions[0].log_likelihood, answer.citations[0].log_likelihood);
  EXPECT_EQ(page.regions[0].sentence, answer.citations[0].sentence);
  for (const RoutedRegion& region : page.regions) {
    ASSERT_TRUE(region.sentence.has_value());
    EXPECT_EQ(region.sentence->document, region.range.document);
    EXPECT_LT(region.sentence->begin, region.range.end);
    EXPECT_GT(region.sentence->end, region.range.begin);
    EXPECT_LE(region.sentence->end, books_.at(region.range.document).size());
  }
  EXPECT_GT(page.timings.reranking, absl::ZeroDuration());
  EXPECT_EQ(page.timings.generating, absl::ZeroDuration());
}

TEST_F(SearchPagesTest, PagesFollowEachOther) {
  AppendBooks();
  for (const Effort effort : {Effort::kFast, Effort::kBalanced}) {
    SearchRequest request = request_;
    request.effort = effort;
    const std::vector<RoutedRegion> all = Search(request).value().regions;
    ASSERT_GT(all.size(), 14u);
    request.page_size = 7;
    std::vector<RoutedRegion> joined;
    do {
      const SearchPage page = Search(request).value();
      EXPECT_THAT(page.regions, Not(IsEmpty()));
      EXPECT_LE(page.regions.size(), 7u);
      joined.insert(joined.end(), page.regions.begin(), page.regions.end());
      request.page_token = page.next_page_token;
    } while (!request.page_token.empty());
    ASSERT_EQ(joined.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(joined[i].range, all[i].range);
      EXPECT_EQ(joined[i].score, all[i].score);
    }
  }
}

TEST_F(SearchPagesTest, TokensOfOtherSearchesAreRefused) {
  AppendBooks();
  CreateSession("other");
  SearchRequest request = request_;
  request.page_size = 5;
  const std::string token = Search(request).value().next_page_token;
  ASSERT_THAT(token, Not(IsEmpty()));
  const auto refused = [&](const auto& change) {
    SearchRequest changed = request;
    changed.page_token = token;
    change(changed);
    EXPECT_THAT(Search(changed), HasReason("PAGE_TOKEN")) << changed.page_token;
  };
  refused([](SearchRequest& r) { r.query = "Who?"; });
  refused([](SearchRequest& r) { r.effort = Effort::kThorough; });
  refused([](SearchRequest& r) { r.session_id = "other"; });
  refused([](SearchRequest& r) { r.page_token = "1"; });
  refused([](SearchRequest& r) { r.page_token += "0"; });
  refused([](SearchRequest& r) { r.page_token.back() = r.page_token.back() == '0' ? '1' : '0'; });
  request.page_token = token;
  EXPECT_THAT(Search(request), IsOk());
  request.page_size = 2;  // the size may change
  EXPECT_THAT(Search(request), IsOk());
}

TEST_F(SearchPagesTest, ReadingOnEndsTheSearch) {
  AppendBooks();
  SearchRequest request = request_;
  request.page_size = 5;
  request.page_token = Search(request).value().next_page_token;
  ASSERT_THAT(Append("session", "more", SomeText(500, 3)), IsOk());
  request.wait_for_ingested_bytes = num_bytes_ + 500;
  EXPECT_THAT(Search(request), StatusIs(absl::StatusCode::kAborted, HasSubstr(std::to_string(num_bytes_) + " bytes")));
  EXPECT_THAT(Search(request), HasReason("SEARCH_CHANGED"));
  request.page_token.clear();
  EXPECT_EQ(Search(request).value().ingested_bytes, num_bytes_ + 500);
}

TEST_F(SearchPagesTest, SearchesThatCannotBeMadeSayWhy) {
  SearchRequest request = request_;
  EXPECT_THAT(Search(request), HasReason("SESSION_EMPTY"));
  request.session_id = "nobody";
  EXPECT_THAT(Search(request), HasReason("SESSION_NOT_FOUND"));
  AppendBooks();
  request = request_;
  request.query = SomeText(20'000);
  EXPECT_THAT(Search(request), HasReason("QUESTION_TOO_LONG"));
  EXPECT_EQ(Metadata(Search(request).status(), "field"), "query");
  request.query = std::string(options_.max_question_bytes + 1, 'x');
  EXPECT_EQ(Metadata(Search(request).status(), "field"), "query");
}

TEST_F(SearchPagesTest, CancelEndsASearchThatWaits) {
  AppendBooks();
  SearchRequest request = request_;
  request.wait_for_ingested_bytes = 1'000'000;
  Awaited<absl::StatusOr<SearchPage>> page;
  manager_->StartSearch(request, page.callback())->Cancel();
  EXPECT_THAT(page.Get(), HasReason("CANCELLED"));
  const auto counts = events_.counts.WaitUntil([](const auto& counts) { return !counts.questions.empty(); });
  EXPECT_EQ(counts.questions[0].status.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace tome::server
