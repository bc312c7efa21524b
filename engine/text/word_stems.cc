#include "engine/text/word_stems.h"

#include <libstemmer.h>

#include <algorithm>

#include "engine/base/crc32c.h"

namespace tome {
namespace {

// Words longer than this are stemmed by their first bytes.
constexpr std::size_t kMaxStemBytes = 64;

// A character at text[i]: its code point and length. Ill-formed bytes are code point 0 of length 1.
struct Character {
  std::uint32_t code = 0;
  std::size_t size = 1;
};

Character Decode(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || i + size > text.size()) return {};
  std::uint32_t code = first & (0x7F >> size);
  for (std::size_t k = 1; k < size; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(k) & 0x3F);
  }
  return {code, size};
}

std::uint32_t Fold(std::uint32_t code) {
  if (code >= 'A' && code <= 'Z') return code + 32;
  if (code < 0xC0) return code;
  if (code <= 0xDE && code != 0xD7) return code + 32;
  if (code >= 0x100 && code <= 0x17F) {
    const bool odd_capitals = (code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17E);
    if (code == 0x130 || code == 0x131 || code == 0x138 || code == 0x149 || code == 0x178 || code == 0x17F) return code;
    return odd_capitals ? code + (code % 2) : code | 1;
  }
  if (code >= 0x391 && code <= 0x3A9 && code != 0x3A2) return code + 32;
  if (code >= 0x410 && code <= 0x42F) return code + 32;
  if (code >= 0x400 && code <= 0x40F) return code + 80;
  return code;
}

enum class Kind { kSeparator, kPart, kWhole };

// Of what a character is part. Coarse above Latin, where every letter of a script is kPart.
Kind KindOf(std::uint32_t code) {
  if (code < 0x80) {
    const bool part = (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    return part ? Kind::kPart : Kind::kSeparator;
  }
  if (code < 0xC0) return code == 0xAA || code == 0xB5 || code == 0xBA ? Kind::kPart : Kind::kSeparator;
  if (code == 0xD7 || code == 0xF7) return Kind::kSeparator;
  const auto in = [code](std::uint32_t low, std::uint32_t high) { return code >= low && code <= high; };
  // Punctuation, symbols, arrows, mathematics, boxes; CJK punctuation; private use; emoji; U+FFFD.
  if (in(0x2000, 0x2BFF) || in(0x2E00, 0x2E7F) || in(0x3000, 0x3004) || in(0x3007, 0x3020) || in(0xE000, 0xF8FF) ||
      in(0xFE10, 0xFE6F) || in(0xFF00, 0xFF0F) || in(0xFF1A, 0xFF20) || in(0xFFF0, 0xFFFF) || in(0x1F000, 0x1FAFF)) {
    return Kind::kSeparator;
  }
  // Thai, Lao, Tibetan, Burmese, Khmer; kana, Han, Yi: written without spaces.
  if (in(0x0E00, 0x0FFF) || in(0x1000, 0x109F) || in(0x1780, 0x17FF) || in(0x2E80, 0xA4CF) || in(0xF900, 0xFAFF) ||
      in(0x20000, 0x3FFFF)) {
    return Kind::kWhole;
  }
  return Kind::kPart;
}

void AppendUtf8(std::uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
    return;
  }
  out->push_back(static_cast<char>(0xC0 | code >> 6));
  out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
}

}  // namespace

std::string FoldCase(std::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Character character = Decode(text, i);
    // All that folds lies below U+0800.
    if (character.size <= 2 && character.code != 0) {
      AppendUtf8(Fold(character.code), &folded);
    } else {
      folded.append(text.substr(i, character.size));
    }
    i += character.size;
  }
  return folded;
}

WordStemmer::WordStemmer() : stemmer_(sb_stemmer_new("english", "UTF_8")) {}
WordStemmer::~WordStemmer() { sb_stemmer_delete(stemmer_); }

std::string WordStemmer::Stem(std::string_view word) {
  if (word.size() > kMaxStemBytes) {
    std::size_t cut = kMaxStemBytes;
    while (cut > 0 && (static_cast<unsigned char>(word[cut]) & 0xC0) == 0x80) --cut;
    word = word.substr(0, cut);
  }
  std::string folded = FoldCase(word);
  const auto* symbols = reinterpret_cast<const sb_symbol*>(folded.data());
  const sb_symbol* stem = sb_stemmer_stem(stemmer_, symbols, static_cast<int>(folded.size()));
  if (stem == nullptr) return folded;
  return std::string(reinterpret_cast<const char*>(stem), static_cast<std::size_t>(sb_stemmer_length(stemmer_)));
}

std::vector<WordStem> WordStemmer::Analyze(std::string_view text) {
  std::vector<WordStem> words;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) words.push_back({Crc32c(Stem(text.substr(begin, end - begin))), begin, end});
  };
  for (std::size_t i = 0; i < text.size();) {
    const Character character = Decode(text, i);
    const Kind kind = KindOf(character.code);
    const std::size_t next = i + character.size;
    if (kind != Kind::kPart) {
      end_word(i);
      begin = i;
      if (kind == Kind::kWhole) end_word(next);
      begin = next;
    }
    i = next;
  }
  end_word(text.size());
  return words;
}

}  // namespace tome
