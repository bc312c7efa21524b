#include "server/questions/search.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/questions/evidence_text.h"
#include "server/questions/page_token.h"
#include "server/questions/prompt.h"

namespace tome::server {
namespace {

// Regions that one search can find; with effort the engine stops earlier.
constexpr int kMaxFoundRegions = 256;

// From where the page goes on; INVALID_ARGUMENT/PAGE_TOKEN.
absl::StatusOr<SearchPosition> StartOf(const SearchRequest& request) {
  if (request.page_token.empty()) return SearchPosition();
  return ParseSearchToken(request);
}

absl::Status CheckUnchanged(const SearchPosition& position, std::uint64_t read_bytes) {
  if (position.next_region == 0 || position.read_bytes == read_bytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAborted,
                   fmt::format("the session had read {} bytes at the first page of this search and has now read {}; "
                               "search again from the first page",
                               position.read_bytes, read_bytes),
                   {.reason = "SEARCH_CHANGED", .metadata = {{"field", "page_token"}}});
}

class Search final : public Inquiry {
 public:
  explicit Search(SearchRequest request)
      : Inquiry({.session_id = request.session_id,
                 .wait_for_ingested_bytes = request.wait_for_ingested_bytes,
                 .include_text = request.include_text}),
        request_(std::move(request)),
        position_(StartOf(request_)) {}

  std::string_view name() const override { return "searching"; }
  absl::Status Check(const Tokenizer& tokenizer, std::size_t max_bytes) const override;
  absl::StatusOr<InquiryWork> Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const override;
  void AddEvidence(const Evidence& evidence, const std::vector<StoredDocument>& documents,
                   QuestionResult* result) const override;

 private:
  const SearchRequest request_;
  const absl::StatusOr<SearchPosition> position_;
};

absl::Status Search::Check(const Tokenizer& tokenizer, std::size_t max_bytes) const {
  TOME_RETURN_IF_ERROR(position_.status());
  TOME_RETURN_IF_ERROR(CheckTextSize(request_.query.size(), max_bytes));
  return CheckQuestionText(request_.query, tokenizer);
}

absl::StatusOr<InquiryWork> Search::Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const {
  QuestionResult result{.mode = AnswerMode::kReread, .effort = EffortFor(request_.effort, fork.memory)};
  result.coverage = MakeCoverage(fork, documents, result.mode);
  PendingText pending = TakePending(&fork);
  TOME_RETURN_IF_ERROR(CheckUnchanged(*position_, result.coverage.searchable_bytes));
  absl::StatusOr<Task> task = Task::Search(std::move(fork.memory), std::move(pending), request_.query,
                                           {.effort = result.effort, .max_regions = kMaxFoundRegions});
  if (!task.ok()) return WithQuestionDetails(task.status());
  return InquiryWork{.task = *std::move(task), .result = std::move(result)};
}

void Search::AddEvidence(const Evidence& evidence, const std::vector<StoredDocument>& documents,
                         QuestionResult* result) const {
  AddSearched(evidence, result);
  const std::size_t end =
      std::min(evidence.found.size(), position_->next_region + static_cast<std::size_t>(request_.page_size));
  for (std::size_t i = position_->next_region; i < end; ++i) {
    result->citations.push_back(ToRoutedRegion(evidence.found[i], evidence, documents));
  }
}

SearchPage ToPage(const SearchRequest& request, const QuestionResult& result) {
  SearchPage page{.regions = result.citations,
                  .next_page_token = "",
                  .ingested_bytes = result.coverage.ingested_bytes,
                  .ingested_tokens = result.coverage.ingested_tokens,
                  .pending_bytes = result.coverage.pending_bytes,
                  .regions_scanned = result.regions_scanned,
                  .regions_reranked = result.regions_reranked,
                  .effort = result.effort,
                  .timings = result.timings};
  const absl::StatusOr<SearchPosition> position = StartOf(request);
  const std::size_t next = (position.ok() ? position->next_region : 0) + result.citations.size();
  if (next < result.regions_found) {
    page.next_page_token =
        MakeSearchToken(request, {.next_region = next, .read_bytes = result.coverage.searchable_bytes});
  }
  return page;
}

class SearchObserver final : public QuestionObserver {
 public:
  SearchObserver(SearchRequest request, std::function<void(absl::StatusOr<SearchPage>)> done)
      : request_(std::move(request)), done_(std::move(done)) {}

  void OnProgress(const QuestionProgress&) override {}
  void OnDelta(const AnswerDelta&) override {}
  void OnDone(const absl::StatusOr<QuestionResult>& result) override {
    if (!result.ok()) return done_(WithField(result.status(), "question", "query"));
    done_(ToPage(request_, *result));
  }

 private:
  const SearchRequest request_;
  const std::function<void(absl::StatusOr<SearchPage>)> done_;
};

}  // namespace

std::unique_ptr<Inquiry> MakeSearch(SearchRequest request) { return std::make_unique<Search>(std::move(request)); }

std::shared_ptr<QuestionObserver> MakeSearchObserver(SearchRequest request,
                                                     std::function<void(absl::StatusOr<SearchPage>)> done) {
  return std::make_shared<SearchObserver>(std::move(request), std::move(done));
}

}  // namespace tome::server
