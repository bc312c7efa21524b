#include "server/questions/page_token.h"

#include <charconv>
#include <cstdint>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

// Tells searches apart, so that a token is not used with another one by mistake.
std::uint32_t Fingerprint(const SearchRequest& request) {
  const int effort = request.effort ? static_cast<int>(*request.effort) : -1;
  return Crc32c(fmt::format("{} {} {}", request.session_id, effort, request.query));
}

}  // namespace

std::string MakeSearchToken(const SearchRequest& request, const SearchPosition& position) {
  return fmt::format("{:x}.{:x}.{:08x}", position.next_region, position.read_bytes, Fingerprint(request));
}

absl::StatusOr<SearchPosition> ParseSearchToken(const SearchRequest& request) {
  const std::string& token = request.page_token;
  SearchPosition position;
  const char* const end = token.data() + token.size();
  auto parsed = std::from_chars(token.data(), end, position.next_region, 16);
  if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == '.') {
    parsed = std::from_chars(parsed.ptr + 1, end, position.read_bytes, 16);
    if (parsed.ec == std::errc() && MakeSearchToken(request, position) == token) return position;
  }
  return MakeError(absl::StatusCode::kInvalidArgument,
                   "page_token is not one that this server gave for the same session, query and effort",
                   {.reason = "PAGE_TOKEN", .metadata = {{"field", "page_token"}}});
}

}  // namespace tome::server
