#include "engine/text/splitting/character_classes.h"

#include <algorithm>
#include <memory>

#include "engine/base/status.h"
#include "engine/text/splitting/regex.h"

namespace tome {
namespace {

// Beyond ASCII.
constexpr std::string_view kSpaces[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
                                        "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
                                        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
                                        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

std::string_view FirstCharacter(std::string_view text) {
  std::size_t size = std::min<std::size_t>(text.size(), 1);
  while (size < text.size() && IsContinuation(text[size])) ++size;
  return text.substr(0, size);
}

std::string_view LastCharacter(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0 && IsContinuation(text[begin - 1])) --begin;
  return text.substr(begin - (begin > 0 ? 1 : 0));
}

bool IsSpace(std::string_view character) {
  if (character.size() == 1) return character[0] == ' ' || (character[0] >= '\t' && character[0] <= '\r');
  return std::find(std::begin(kSpaces), std::end(kSpaces), character) != std::end(kSpaces);
}

bool IsWord(std::string_view character) {
  // Joiners are parts of words as well.
  static const std::shared_ptr<const Regex> word = [] {
    const absl::StatusOr<std::string> letters = TranslateOnigurumaPattern("[\\w\\u200C\\u200D]");
    return letters.ok() ? Regex::Compile(*letters).value_or(nullptr) : nullptr;
  }();
  if (character.empty() || word == nullptr) return false;
  return RegexSearch(word).Find(character, 0, /*more_follows=*/false).outcome == RegexSearch::Outcome::kMatch;
}

}  // namespace

std::size_t LeadingSpaceBytes(std::string_view text, std::size_t enough) {
  std::size_t size = 0;
  while (size < text.size() && size < enough) {
    const std::string_view character = FirstCharacter(text.substr(size));
    if (!IsSpace(character)) break;
    size += character.size();
  }
  return size;
}

std::size_t TrailingSpaceBytes(std::string_view text, std::size_t enough) {
  std::size_t size = 0;
  while (size < text.size() && size < enough) {
    const std::string_view character = LastCharacter(text.substr(0, text.size() - size));
    if (!IsSpace(character)) break;
    size += character.size();
  }
  return size;
}

bool BeginsWithWord(std::string_view text) { return IsWord(FirstCharacter(text)); }
bool EndsWithWord(std::string_view text) { return IsWord(LastCharacter(text)); }

}  // namespace tome
