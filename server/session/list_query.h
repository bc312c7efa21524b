// Which sessions a list shows, and in which order.
#ifndef TOME_SERVER_SESSION_LIST_QUERY_H_
#define TOME_SERVER_SESSION_LIST_QUERY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/session/types.h"

namespace tome::server {

// Immutable.
class ListQuery {
 public:
  // INVALID_ARGUMENT/LIST_QUERY {field} for what is not as the contract says.
  static absl::StatusOr<ListQuery> Parse(std::string_view filter, std::string_view order_by);

  bool Matches(const SessionInfo& info) const;
  // Sessions are listed by ascending keys; no two have the same one. `info`: a Session::Summary is enough.
  std::string SortKey(const SessionInfo& info) const;

  // What follows the session with this key, as an opaque text, and back. INVALID_ARGUMENT/PAGE_TOKEN for one of another
  // query.
  std::string MakePageToken(const std::string& last_key) const;
  absl::StatusOr<std::string> ParsePageToken(const std::string& token) const;

 private:
  using Condition = std::function<bool(const SessionInfo&)>;
  using Key = std::function<std::string(const SessionInfo&)>;

  static absl::StatusOr<Condition> ParseCondition(std::string_view text);
  static absl::StatusOr<Condition> ParseLabel(std::string_view key, char op, const std::string& value);

  std::vector<Condition> conditions_;
  Key key_;
  bool descending_ = false;
  std::uint32_t fingerprint_ = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_LIST_QUERY_H_
