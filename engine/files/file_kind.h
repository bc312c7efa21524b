// What bytes are that should have been something else.
#ifndef TOME_ENGINE_FILES_FILE_KIND_H_
#define TOME_ENGINE_FILES_FILE_KIND_H_

#include <string>
#include <string_view>

namespace tome {

// For the end of an error message, "... found {}": the kind of a file by its first bytes, as far as they tell one:
// "a GGUF model file", "an empty file", "text that begins 'Once upon'". A dozen bytes are enough. Thread-safe.
std::string DescribeFile(std::string_view first_bytes);

}  // namespace tome

#endif  // TOME_ENGINE_FILES_FILE_KIND_H_
