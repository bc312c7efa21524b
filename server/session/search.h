// A search as a question without an answer, and its pages.
#ifndef TOME_SERVER_SESSION_SEARCH_H_
#define TOME_SERVER_SESSION_SEARCH_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "server/session/question_work.h"
#include "server/session/session_manager.h"
#include "server/session/types.h"

namespace tome::server {

// The question that a search asks.
QuestionRequest ToQuestion(const SearchRequest& request);

// Which of the regions found are on the page. INVALID_ARGUMENT/PAGE_TOKEN when the token is not one of a search like
// this.
absl::StatusOr<RegionSlice> ToSlice(const SearchRequest& request);

// Turns the end of the question into the page.
std::shared_ptr<QuestionObserver> MakeSearchObserver(const SearchRequest& request, const RegionSlice& slice,
                                                     std::function<void(absl::StatusOr<SearchPage>)> done);

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SEARCH_H_
