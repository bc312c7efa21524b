#include "server/session/search.h"

#include <string>
#include <utility>

#include "server/session/errors.h"
#include "server/session/page_token.h"

namespace tome::server {
namespace {

class SearchObserver final : public QuestionObserver {
 public:
  SearchObserver(SearchRequest request, RegionSlice slice, std::function<void(absl::StatusOr<SearchPage>)> done)
      : request_(std::move(request)), slice_(slice), done_(std::move(done)) {}

  void OnProgress(const QuestionProgress&) override {}
  void OnDelta(const AnswerDelta&) override {}
  void OnDone(const absl::StatusOr<QuestionResult>& result) override {
    if (!result.ok()) return done_(WithField(result.status(), "question", "query"));
    done_(ToPage(*result));
  }

 private:
  SearchPage ToPage(const QuestionResult& result) const {
    SearchPage page{.regions = result.citations,
                    .next_page_token = "",
                    .ingested_bytes = result.coverage.ingested_bytes,
                    .ingested_tokens = result.coverage.ingested_tokens,
                    .pending_bytes = result.coverage.pending_bytes,
                    .regions_scanned = result.regions_scanned,
                    .regions_reranked = result.regions_reranked,
                    .effort = result.effort,
                    .timings = result.timings};
    const std::size_t next = slice_.first + result.citations.size();
    if (next < result.regions_found) {
      page.next_page_token =
          MakeSearchToken(request_, {.next_region = next, .read_bytes = result.coverage.searchable_bytes});
    }
    return page;
  }

  const SearchRequest request_;
  const RegionSlice slice_;
  const std::function<void(absl::StatusOr<SearchPage>)> done_;
};

}  // namespace

QuestionRequest ToQuestion(const SearchRequest& request) {
  return {.session_id = request.session_id,
          .question = request.query,
          .mode = AnswerMode::kReread,
          .effort = request.effort,
          .citations = {.include_text = request.include_text},
          .wait_for_ingested_bytes = request.wait_for_ingested_bytes};
}

absl::StatusOr<RegionSlice> ToSlice(const SearchRequest& request) {
  RegionSlice slice{.first = 0, .count = static_cast<std::size_t>(request.page_size), .read_bytes = std::nullopt};
  if (request.page_token.empty()) return slice;
  const absl::StatusOr<SearchPosition> position = ParseSearchToken(request);
  if (!position.ok()) return position.status();
  slice.first = position->next_region;
  slice.read_bytes = position->read_bytes;
  return slice;
}

std::shared_ptr<QuestionObserver> MakeSearchObserver(const SearchRequest& request, const RegionSlice& slice,
                                                     std::function<void(absl::StatusOr<SearchPage>)> done) {
  return std::make_shared<SearchObserver>(request, slice, std::move(done));
}

}  // namespace tome::server
