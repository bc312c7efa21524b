// Where a page of List ends, as an opaque text.
#ifndef TOME_SERVER_SESSION_PAGE_TOKEN_H_
#define TOME_SERVER_SESSION_PAGE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/session/types.h"

namespace tome::server {

// The place of a session in the list; newer ones are less.
struct PagePosition {
  absl::Time create_time;  // microseconds
  SessionId id;

  friend bool operator<(const PagePosition& a, const PagePosition& b) {
    return a.create_time != b.create_time ? a.create_time > b.create_time : a.id < b.id;
  }
};

std::string MakePageToken(const PagePosition& last);
// INVALID_ARGUMENT/PAGE_TOKEN for anything that MakePageToken does not make.
absl::StatusOr<PagePosition> ParsePageToken(const std::string& token);

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_PAGE_TOKEN_H_
