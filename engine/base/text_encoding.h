// Text in UTF-16 or UTF-32, and bytes that are no text, where UTF-8 is expected.
//
// Their bytes may be well-formed UTF-8: every second one of English UTF-16 is NUL. Read as UTF-8 they are a text in
// which no word is ever found.
#ifndef TOME_ENGINE_BASE_TEXT_ENCODING_H_
#define TOME_ENGINE_BASE_TEXT_ENCODING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tome {

enum class ForeignText {
  kUtf16Le,
  kUtf16Be,
  kUtf16,  // with a byte order mark, which says the order
  kUtf32Le,
  kUtf32Be,
  kUtf32,   // as kUtf16
  kBinary,  // so many NULs that it is no text in any of these
};

// What iconv calls the encoding: "UTF-16LE". Of kBinary: "binary".
std::string_view ForeignTextName(ForeignText kind);

// Looks at the first bytes of a text that comes in pieces, whose cuts do not matter. A few NULs, and other control
// characters, may be in UTF-8. Not thread-safe; copyable.
class ForeignTextDetector {
 public:
  // What comes after so many bytes is not looked at.
  static constexpr std::size_t kInspectedBytes = 4096;

  // Takes the next bytes. What they are if they are not UTF-8, as soon as that is certain; it is asked at 4, 16, 32, 64
  // bytes and so on.
  std::optional<ForeignText> Append(std::string_view bytes);
  // The text ends here.
  std::optional<ForeignText> Finish() const;

 private:
  // Bytes of a kind, by their offset modulo 4.
  using Counts = std::array<std::uint32_t, 4>;

  std::optional<ForeignText> Marked() const;
  std::optional<ForeignText> Guess(bool at_end) const;
  std::optional<ForeignText> GuessUtf16() const;
  std::optional<ForeignText> GuessUtf32() const;

  std::size_t taken_ = 0;  // at most kInspectedBytes
  std::array<unsigned char, 4> first_ = {};
  Counts nuls_ = {};
  Counts controls_ = {};  // below U+0020 but NUL and what follows
  Counts blanks_ = {};    // tabs and ends of lines
};

}  // namespace tome

#endif  // TOME_ENGINE_BASE_TEXT_ENCODING_H_
