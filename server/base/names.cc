#include "server/base/names.h"

#include <algorithm>

namespace tome::server {
namespace {

bool IsLowerCase(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// U+0000 to U+001F and U+007F to U+009F, in well-formed UTF-8.
bool HasControlCharacters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = text[i];
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

}  // namespace

bool IsSessionId(std::string_view id) {
  return id.size() >= 4 && id.size() <= 63 && IsLowerCase(id.front()) &&
         std::all_of(id.begin(), id.end(), [](char c) { return IsLowerCase(c) || IsDigit(c) || c == '-'; });
}

bool IsLabelKey(std::string_view key) {
  return !key.empty() && key.size() <= kMaxLabelKeyBytes && std::all_of(key.begin(), key.end(), [](char c) {
    return IsLowerCase(c) || IsDigit(c) || c == '.' || c == '_' || c == '/' || c == '-';
  });
}

bool IsDocumentName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxDocumentNameBytes && name.find('/') == std::string_view::npos &&
         !HasControlCharacters(name);
}

std::size_t NumCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace tome::server
