// What names and labels may be. The shapes are those of the contract; requests and imported archives are held to them.
#ifndef TOME_SERVER_BASE_NAMES_H_
#define TOME_SERVER_BASE_NAMES_H_

#include <cstddef>
#include <string_view>

namespace tome::server {

inline constexpr std::size_t kMaxDisplayNameCharacters = 128;
inline constexpr std::size_t kMaxLabels = 32;
inline constexpr std::size_t kMaxLabelKeyBytes = 63;
inline constexpr std::size_t kMaxLabelValueBytes = 256;
inline constexpr std::size_t kMaxDocumentNameBytes = 255;

// [a-z][a-z0-9-]{3,62}, for people.
inline constexpr std::string_view kSessionIdRule = "4 to 63 of a-z, 0-9 and -, beginning with a letter";
bool IsSessionId(std::string_view id);
// [a-z0-9._/-]{1,63}.
bool IsLabelKey(std::string_view key);
// 1 to 255 bytes without '/' and control characters. `name`: well-formed UTF-8.
bool IsDocumentName(std::string_view name);
// Characters of well-formed UTF-8.
std::size_t NumCharacters(std::string_view text);

}  // namespace tome::server

#endif  // TOME_SERVER_BASE_NAMES_H_
