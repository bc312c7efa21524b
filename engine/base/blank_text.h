// Text that says nothing.
#ifndef TOME_ENGINE_BASE_BLANK_TEXT_H_
#define TOME_ENGINE_BASE_BLANK_TEXT_H_

#include <string_view>

namespace tome {

// Whether nothing of `text` can be seen: white space, control characters, and what Unicode has fonts leave out, like
// the byte order mark, the soft hyphen and spaces of no width. True of an empty text. Bytes that are not UTF-8 are
// seen. Thread-safe.
bool IsBlank(std::string_view text);

}  // namespace tome

#endif  // TOME_ENGINE_BASE_BLANK_TEXT_H_
