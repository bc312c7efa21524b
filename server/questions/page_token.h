// Where a page of a search ends, as an opaque text.
#ifndef TOME_SERVER_QUESTIONS_PAGE_TOKEN_H_
#define TOME_SERVER_QUESTIONS_PAGE_TOKEN_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/types.h"

namespace tome::server {

// The place in the regions that a search has found.
struct SearchPosition {
  std::size_t next_region = 0;
  std::uint64_t read_bytes = 0;  // of the session, when the search began
};

// Tokens fit searches of the same session, query and effort.
std::string MakeSearchToken(const SearchRequest& request, const SearchPosition& position);
// The position in `request.page_token`. INVALID_ARGUMENT/PAGE_TOKEN for one that is not of such a search.
absl::StatusOr<SearchPosition> ParseSearchToken(const SearchRequest& request);

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_PAGE_TOKEN_H_
