#include "engine/base/text_encoding.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace tome {
namespace {

using namespace std::string_literals;

// --- Texts in an encoding ---

void Put(std::uint32_t unit, int bytes, bool big_endian, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    const int shift = 8 * (big_endian ? bytes - 1 - i : i);
    out->push_back(static_cast<char>(unit >> shift & 0xFF));
  }
}

std::string Encode(const std::u32string& text, ForeignText encoding) {
  const bool big_endian = encoding == ForeignText::kUtf16Be || encoding == ForeignText::kUtf32Be;
  const bool wide = encoding == ForeignText::kUtf32Le || encoding == ForeignText::kUtf32Be;
  std::string out;
  for (const char32_t c : text) {
    if (wide) {
      Put(c, 4, big_endian, &out);
    } else if (c < 0x10000) {
      Put(c, 2, big_endian, &out);
    } else {
      Put(0xD800 + ((c - 0x10000) >> 10), 2, big_endian, &out);
      Put(0xDC00 + (c & 0x3FF), 2, big_endian, &out);
    }
  }
  return out;
}

constexpr ForeignText kEncodings[] = {ForeignText::kUtf16Le, ForeignText::kUtf16Be, ForeignText::kUtf32Le,
                                      ForeignText::kUtf32Be};

// Words of letters from a range, as long as `characters`.
std::u32string Words(char32_t first, char32_t last, std::size_t characters) {
  std::mt19937 random(7);
  std::u32string text;
  while (text.size() < characters) {
    for (std::size_t length = 2 + random() % 8; length > 0; --length) text += first + random() % (last - first + 1);
    text += random() % 12 == 0 ? U"\n" : U" ";
  }
  text.resize(characters);
  return text;
}

// What is found in a text that comes in pieces of this size; `sealed`: it ends.
std::optional<ForeignText> Detect(const std::string& text, std::size_t piece = std::string::npos, bool sealed = true) {
  ForeignTextDetector detector;
  for (std::size_t at = 0; at < text.size();) {
    const std::string part = text.substr(at, piece);
    if (const auto found = detector.Append(part)) return found;
    at += part.size();
  }
  return sealed ? detector.Finish() : std::nullopt;
}

// --- What is found ---

TEST(ForeignTextTest, FindsEnglishInEveryEncodingAndAtEveryLength) {
  const std::u32string text = Words('a', 'z', 5000);
  for (const ForeignText encoding : kEncodings) {
    for (const std::size_t characters : {4u, 5u, 8u, 15u, 16u, 100u, 511u, 2000u, 5000u}) {
      EXPECT_EQ(Detect(Encode(text.substr(0, characters), encoding)), encoding)
          << ForeignTextName(encoding) << ", " << characters << " characters";
    }
  }
  EXPECT_EQ(Detect("H\0i\0"s), ForeignText::kUtf16Le);
  EXPECT_EQ(Detect("\0H\0i"s), ForeignText::kUtf16Be);
}

TEST(ForeignTextTest, CutsDoNotMatter) {
  const std::u32string text = Words('a', 'z', 3000);
  for (const ForeignText encoding : kEncodings) {
    const std::string bytes = Encode(text, encoding);
    for (const std::size_t piece : {1u, 2u, 3u, 7u, 64u, 1000u}) {
      EXPECT_EQ(Detect(bytes, piece, /*sealed=*/false), encoding) << ForeignTextName(encoding) << ", " << piece;
    }
    EXPECT_EQ(Detect(bytes.substr(0, 16), 1, /*sealed=*/false), encoding) << "so little is stored before it is found";
  }
}

// Only scripts whose bytes can be UTF-8: others are refused because they are not.
TEST(ForeignTextTest, FindsOtherScriptsWhoseBytesAreUtf8) {
  const std::vector<std::pair<char32_t, char32_t>> scripts = {
      {0x0100, 0x017F},  // Latin with more letters
      {0x0410, 0x044F},  // Cyrillic
      {0x0621, 0x064A},  // Arabic
      {0x0905, 0x0939},  // Devanagari, whose high byte is a tab
      {0x0A05, 0x0A39},  // Gurmukhi, whose high byte ends a line
      {0x0D05, 0x0D39},  // Malayalam, whose high byte is a carriage return
      {0x0E01, 0x0E3A},  // Thai
      {0x1200, 0x1248},  // Ethiopic
  };
  for (const auto& [first, last] : scripts) {
    for (const ForeignText encoding : kEncodings) {
      EXPECT_EQ(Detect(Encode(Words(first, last, 1000), encoding)), encoding)
          << ForeignTextName(encoding) << ", from U+" << std::hex << static_cast<std::uint32_t>(first);
    }
  }
}

TEST(ForeignTextTest, FindsTextThatIsMixedWithOthers) {
  std::u32string text = U"\u201EQuoted\u201C \u2013 \u2026\n";
  while (text.size() < 3000) text += Words(0x0400, 0x044F, 6) + Words('a', 'z', 10) + U"\u2019 ";
  for (const ForeignText encoding : kEncodings) {
    EXPECT_EQ(Detect(Encode(text, encoding)), encoding) << ForeignTextName(encoding);
  }
}

TEST(ForeignTextTest, FindsByteOrderMarks) {
  const std::u32string text = U"\uFEFF" + Words(0x4E00, 0x9FFF, 1000);
  const auto expected = [](ForeignText encoding) {
    const bool wide = encoding == ForeignText::kUtf32Le || encoding == ForeignText::kUtf32Be;
    return wide ? ForeignText::kUtf32 : ForeignText::kUtf16;
  };
  for (const ForeignText encoding : kEncodings) {
    for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
      EXPECT_EQ(Detect(Encode(text, encoding), piece), expected(encoding)) << ForeignTextName(encoding);
    }
  }
  EXPECT_EQ(Detect("\xFF\xFE"), ForeignText::kUtf16);
}

TEST(ForeignTextTest, FindsWhatIsNoTextAtAll) {
  EXPECT_EQ(Detect(std::string(5000, '\0')), ForeignText::kBinary);
  EXPECT_EQ(Detect("header"s + std::string(200, '\0')), ForeignText::kBinary);
  std::string records;
  for (int i = 0; i < 1000; ++i) records += "ab\0\0\0c"s;
  EXPECT_EQ(Detect(records), ForeignText::kBinary);
}

// --- What is let through ---

TEST(ForeignTextTest, LetsTextWithControlCharactersThrough) {
  const auto repeat = [](const std::string& part, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  const std::vector<std::pair<const char*, std::string>> texts = {
      {"nothing", ""},
      {"a NUL", "\0"s},
      {"a letter and a NUL", "a\0"s},
      {"a NUL here and there", repeat("The quick brown fox\0jumps over the lazy dog.\n"s, 6000)},
      {"names that end with NUL", repeat("first.txt\0second/name.txt\0x\0"s, 6000)},
      {"short names that end with NUL", repeat("ab\0cde\0f\0ghi\0"s, 6000)},
      {"fields of equal size", repeat("abc def\0"s, 6000)},
      {"a column of digits", repeat("1\n2\n3\n", 6000)},
      {"a table of digits", repeat("1\t2\t3\n", 6000)},
      {"lines of one letter, of Windows", repeat("a\r\nb\r\n", 6000)},
      {"empty lines", std::string(6000, '\n')},
      {"tabs", std::string(6000, '\t')},
      {"messages of fields that end with U+0001", repeat("8=FIX.4.2\x01\x39=178\x01\x33\x35=8\x01", 6000)},
      {"records and units", repeat("name\x1F\x61ge\x1E", 6000)},
      {"colours of a terminal", repeat("\x1B[0m\x1B[31mred\x1B[0m\n", 6000)},
      {"every byte of ASCII",
       [] {
         std::string all;
         for (int c = 0; c < 128; ++c) all.push_back(static_cast<char>(c));
         return all;
       }()},
      {"Chinese", repeat("\xE4\xB8\xAD\xE6\x96\x87", 6000)},
      {"a mark of UTF-8", "\xEF\xBB\xBFtext"},
      {"text with a hole", repeat("text ", 3000) + std::string(1000, '\0') + repeat("text ", 3000)},
  };
  for (const auto& [name, text] : texts) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{100}, std::string::npos}) {
      EXPECT_EQ(Detect(text, piece), std::nullopt) << name;
    }
  }
}

TEST(ForeignTextTest, LooksAtTheFirstBytesOnly) {
  const std::string text(ForeignTextDetector::kInspectedBytes, 'x');
  EXPECT_EQ(Detect(text + Encode(Words('a', 'z', 5000), ForeignText::kUtf16Le)), std::nullopt);
}

}  // namespace
}  // namespace tome
