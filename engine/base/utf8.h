// UTF-8 that arrives in pieces: checking it, and repairing it. Well-formed is what the Unicode Standard says (table
// 3-7): no surrogates, nothing above U+10FFFF, no overlong forms.
#ifndef TOME_ENGINE_BASE_UTF8_H_
#define TOME_ENGINE_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tome {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// How far one character has been read. Takes bytes one by one; both classes below are built on it.
class Utf8Decoder {
 public:
  enum class Result {
    kIncomplete,  // the byte continues or begins a character that needs more
    kComplete,    // the byte ends a character
    kIllFormed,   // the byte cannot stand here and was not taken; the decoder is at a boundary again. If bytes of a
                  // character were pending, the byte may begin another one: give it again. If not, skip it.
  };
  Result Take(unsigned char byte);

  // Bytes of an unfinished character taken so far, 0 to 3.
  int pending_bytes() const { return pending_; }

 private:
  int pending_ = 0;
  int missing_ = 0;
  unsigned char lowest_ = 0x80, highest_ = 0xBF;  // what the next byte may be
};

// Checks a stream of bytes, whose pieces may be cut anywhere. Not thread-safe; copyable.
class Utf8Validator {
 public:
  // `offset`: the absolute offset of the first byte, which must be at a character boundary.
  explicit Utf8Validator(std::uint64_t offset = 0) : offset_(offset) {}

  // Takes the next bytes. False when the stream is ill-formed, here or before; then it stays so.
  bool Append(std::string_view bytes);

  // Ends the stream: an unfinished character makes it ill-formed.
  bool Finish();

  // Where the first ill-formed sequence begins, which is how many bytes before it are good, counted as absolute offset.
  std::optional<std::uint64_t> error_offset() const { return error_offset_; }
  // Whether the bytes so far end with a whole character.
  bool at_boundary() const { return !error_offset_ && decoder_.pending_bytes() == 0; }
  // The absolute offset after the last byte taken.
  std::uint64_t offset() const { return offset_; }
  // The absolute offset after the last whole character: offset() less the bytes of an unfinished one.
  std::uint64_t boundary_offset() const { return error_offset_.value_or(offset_ - decoder_.pending_bytes()); }

 private:
  Utf8Decoder decoder_;
  std::uint64_t offset_;
  std::optional<std::uint64_t> error_offset_;
};

bool IsValidUtf8(std::string_view text);

// One U+FFFD that stands for ill-formed bytes. Everything else is copied byte for byte, so after a replacement and up
// to the next one: source offset = output offset - (output_offset + 3) + (source_offset + source_bytes).
struct Utf8Replacement {
  std::uint64_t output_offset = 0;  // where the three bytes of U+FFFD begin in all that was put out
  std::uint64_t source_offset = 0;  // where the bytes that it stands for begin in all that was taken
  std::uint32_t source_bytes = 0;   // how many they are: 1 to 3

  friend bool operator==(const Utf8Replacement&, const Utf8Replacement&) = default;
};

// Turns any bytes into well-formed UTF-8: each maximal subpart of an ill-formed sequence becomes one U+FFFD, as Unicode
// recommends (and Python, the WHATWG and ICU do). The same output whatever the cuts. Not thread-safe; copyable.
class Utf8Replacer {
 public:
  Utf8Replacer() = default;
  // Goes on at a character boundary after so many bytes taken and put out.
  Utf8Replacer(std::uint64_t source_offset, std::uint64_t output_offset)
      : source_offset_(source_offset), output_offset_(output_offset) {}

  // Takes the next bytes and adds to `output` what is certain; up to three bytes of an unfinished character wait.
  // Replacements are added to `replacements` unless it is null.
  void Append(std::string_view bytes, std::string* output, std::vector<Utf8Replacement>* replacements = nullptr);

  // Ends the stream: an unfinished character becomes U+FFFD.
  void Finish(std::string* output, std::vector<Utf8Replacement>* replacements = nullptr);

  // Bytes taken and not yet put out, 0 to 3.
  int pending_bytes() const { return decoder_.pending_bytes(); }
  std::string_view pending() const { return {pending_, static_cast<std::size_t>(pending_bytes())}; }

 private:
  void Replace(int source_bytes, std::string* output, std::vector<Utf8Replacement>* replacements);

  Utf8Decoder decoder_;
  char pending_[4] = {};
  std::uint64_t source_offset_ = 0;  // bytes put out or replaced so far
  std::uint64_t output_offset_ = 0;
};

// The same for a whole text.
std::string ReplaceInvalidUtf8(std::string_view bytes, std::vector<Utf8Replacement>* replacements = nullptr);

}  // namespace tome

#endif  // TOME_ENGINE_BASE_UTF8_H_
