#include "server/session/page_token.h"

#include <charconv>
#include <cstdint>

#include "engine/base/status.h"
#include "server/session/data_folder.h"
#include "server/session/errors.h"

namespace tome::server {

std::string MakePageToken(const PagePosition& last) {
  return fmt::format("{:x}.{}", absl::ToUnixMicros(last.create_time), last.id);
}

absl::StatusOr<PagePosition> ParsePageToken(const std::string& token) {
  std::int64_t micros = 0;
  const std::size_t dot = token.find('.');
  if (dot != std::string::npos) {
    const auto [end, error] = std::from_chars(token.data(), token.data() + dot, micros, 16);
    PagePosition position{.create_time = absl::FromUnixMicros(micros), .id = token.substr(dot + 1)};
    const bool good = error == std::errc() && end == token.data() + dot && IsSessionId(position.id);
    if (good && MakePageToken(position) == token) return position;
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "page_token is not one that this server gave",
                   {.reason = "PAGE_TOKEN", .metadata = {{"field", "page_token"}}});
}

}  // namespace tome::server
