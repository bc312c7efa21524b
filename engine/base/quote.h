// Foreign text inside messages.
#ifndef TOME_ENGINE_BASE_QUOTE_H_
#define TOME_ENGINE_BASE_QUOTE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace tome {

// `text` in single quotes, fit for a message or a log line: control characters, quotes, backslashes and all that is not
// ASCII become \xNN, and what is longer than `max_bytes` is cut and ends with "...". Thread-safe.
std::string Quote(std::string_view text, std::size_t max_bytes = 80);

}  // namespace tome

#endif  // TOME_ENGINE_BASE_QUOTE_H_
