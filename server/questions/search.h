// A search for regions of text, page by page.
#ifndef TOME_SERVER_QUESTIONS_SEARCH_H_
#define TOME_SERVER_QUESTIONS_SEARCH_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "server/base/types.h"
#include "server/questions/inquiry.h"
#include "server/questions/question.h"

namespace tome::server {

// Its errors are also INVALID_ARGUMENT/PAGE_TOKEN and ABORTED/SEARCH_CHANGED, where more was read since the first page.
// The citations of its result are the regions of the page.
std::unique_ptr<Inquiry> MakeSearch(SearchRequest request);

// Turns its result into the page.
std::shared_ptr<QuestionObserver> MakeSearchObserver(SearchRequest request,
                                                     std::function<void(absl::StatusOr<SearchPage>)> done);

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_SEARCH_H_
