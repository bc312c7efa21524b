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
#include "absl/time/time.h"
#include "server/base/types.h"

namespace tome::server {

// What sessions are ordered by.
struct SortFields {
  std::string_view id, display_name;
  absl::Time create_time, update_time, last_use_time;
  std::uint64_t durable_bytes = 0;
};

// Immutable.
class ListQuery {
 public:
  // INVALID_ARGUMENT/LIST_QUERY {field} for what is not as the contract says.
  static absl::StatusOr<ListQuery> Parse(std::string_view filter, std::string_view order_by);

  bool Matches(const SessionInfo& info) const;
  // Sessions are listed by ascending keys; no two have the same one. Quick: every page of a list looks at all sessions.
  std::string SortKey(const SortFields& fields) const;

  // What follows the session with this key, as an opaque text, and back. INVALID_ARGUMENT/PAGE_TOKEN for one of another
  // query.
  std::string MakePageToken(const std::string& last_key) const;
  absl::StatusOr<std::string> ParsePageToken(const std::string& token) const;

 private:
  using Condition = std::function<bool(const SessionInfo&)>;
  using AppendKey = void (*)(const SortFields& fields, std::string* key);

  static absl::StatusOr<Condition> ParseCondition(std::string_view text);
  static absl::StatusOr<Condition> ParseLabel(std::string_view key, char op, const std::string& value);

  std::vector<Condition> conditions_;
  AppendKey append_key_ = nullptr;
  bool descending_ = false;
  std::uint32_t fingerprint_ = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_LIST_QUERY_H_
