// Classes of characters, as Rust's regular expressions have them.
#ifndef TOME_ENGINE_TEXT_SPLITTING_CHARACTER_CLASSES_H_
#define TOME_ENGINE_TEXT_SPLITTING_CHARACTER_CLASSES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tome {

// All take well-formed UTF-8.

// The bytes of the white space (\s) that `text` begins or ends with. Counting ends once there are `enough`.
std::size_t LeadingSpaceBytes(std::string_view text, std::size_t enough = SIZE_MAX);
std::size_t TrailingSpaceBytes(std::string_view text, std::size_t enough = SIZE_MAX);

// Whether `text` begins or ends with a character of a word (\w).
bool BeginsWithWord(std::string_view text);
bool EndsWithWord(std::string_view text);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_CHARACTER_CLASSES_H_
