#include "engine/base/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tome {
namespace {

struct Case {
  std::string bytes;
  std::optional<std::uint64_t> error_offset;
  std::string replaced;                       // R stands for U+FFFD
  std::vector<std::uint32_t> replaced_bytes;  // source bytes of each U+FFFD
};

std::vector<Case> Cases() {
  return {
      {"", {}, "", {}},
      {"plain ASCII, longer than eight bytes", {}, "plain ASCII, longer than eight bytes", {}},
      {std::string("\0\x7f", 2), {}, std::string("\0\x7f", 2), {}},
      {"\xC2\x80\xDF\xBF", {}, "\xC2\x80\xDF\xBF", {}},
      {"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF", {}, "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF", {}},
      {"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", {}, "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", {}},
      {"ab\x80"
       "c",
       2,
       "abRc",
       {1}},
      {"\xC0\xAF", 0, "RR", {1, 1}},                  // overlong: every byte is a part of its own
      {"\xE0\x80\xAF", 0, "RRR", {1, 1, 1}},          // overlong
      {"\xED\xA0\x80", 0, "RRR", {1, 1, 1}},          // surrogate
      {"\xF4\x90\x80\x80", 0, "RRRR", {1, 1, 1, 1}},  // above U+10FFFF
      {"\xF5\xFF", 0, "RR", {1, 1}},
      {"x\xE2\x82", 1, "xR", {2}},  // cut at the end
      {"\xF0\x9F\x98", 0, "R", {3}},
      {"\xE2\x82"
       "A",
       0,
       "RA",
       {2}},                                              // cut in the middle
      {"\xE2\x82\xE2\x82\xAC", 0, "R\xE2\x82\xAC", {2}},  // the byte that does not fit begins a character
      {"\xF0\x9F\xC3\xA9", 0, "R\xC3\xA9", {2}},
      {"\xC3\xC3\xA9", 0, "R\xC3\xA9", {1}},
      // The Unicode Standard's own example (table 3-11).
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 0, "RRRRA", {2, 1, 3, 2}},
      {"abcdefghijklmnop\xC3\xA9qrstuvwxyz\xFF", 28, "abcdefghijklmnop\xC3\xA9qrstuvwxyzR", {1}},
  };
}

std::string Expand(const std::string& text) {
  std::string expanded;
  for (const char c : text) c == 'R' ? expanded += kReplacementCharacter : expanded += c;
  return expanded;
}

TEST(Utf8Test, FindsTheFirstIllFormedSequence) {
  for (const Case& c : Cases()) {
    Utf8Validator validator(1000);
    const bool valid = validator.Append(c.bytes) && validator.Finish();
    EXPECT_EQ(valid, !c.error_offset.has_value()) << c.replaced;
    EXPECT_EQ(IsValidUtf8(c.bytes), valid) << c.replaced;
    if (!c.error_offset) continue;
    EXPECT_EQ(validator.error_offset(), 1000 + *c.error_offset) << c.replaced;
  }
}

TEST(Utf8Test, FindsTheSameOffsetHoweverTheBytesAreCut) {
  for (const Case& c : Cases()) {
    for (std::size_t cut = 0; cut <= c.bytes.size(); ++cut) {
      Utf8Validator validator;
      const bool first = validator.Append(c.bytes.substr(0, cut));
      EXPECT_EQ(validator.Append(c.bytes.substr(cut)) && validator.Finish(), !c.error_offset.has_value());
      EXPECT_TRUE(first || c.error_offset.has_value());
      EXPECT_EQ(validator.error_offset(), c.error_offset) << c.replaced << " cut at " << cut;
    }
  }
}

TEST(Utf8Test, KnowsCharacterBoundaries) {
  Utf8Validator validator(10);
  EXPECT_TRUE(validator.at_boundary());
  ASSERT_TRUE(validator.Append("a\xF0\x9F"));
  EXPECT_FALSE(validator.at_boundary());
  EXPECT_EQ(validator.offset(), 13u);
  EXPECT_EQ(validator.boundary_offset(), 11u);
  ASSERT_TRUE(validator.Append("\x98"));
  EXPECT_FALSE(validator.at_boundary());
  ASSERT_TRUE(validator.Append("\x80"));
  EXPECT_TRUE(validator.at_boundary());
  EXPECT_EQ(validator.boundary_offset(), 15u);
  EXPECT_TRUE(validator.Finish());
}

TEST(Utf8Test, StaysIllFormed) {
  Utf8Validator validator;
  EXPECT_FALSE(validator.Append("ab\xFF"));
  EXPECT_FALSE(validator.Append("fine"));
  EXPECT_FALSE(validator.Finish());
  EXPECT_FALSE(validator.at_boundary());
  EXPECT_EQ(validator.error_offset(), 2u);
  EXPECT_EQ(validator.boundary_offset(), 2u);
}

TEST(Utf8Test, ReplacesMaximalSubparts) {
  for (const Case& c : Cases()) {
    std::vector<Utf8Replacement> replacements;
    EXPECT_EQ(ReplaceInvalidUtf8(c.bytes, &replacements), Expand(c.replaced));
    std::vector<std::uint32_t> source_bytes;
    for (const Utf8Replacement& replacement : replacements) source_bytes.push_back(replacement.source_bytes);
    EXPECT_EQ(source_bytes, c.replaced_bytes) << c.replaced;
  }
}

TEST(Utf8Test, ReplacesTheSameHoweverTheBytesAreCut) {
  for (const Case& c : Cases()) {
    std::vector<Utf8Replacement> whole;
    ReplaceInvalidUtf8(c.bytes, &whole);
    Utf8Replacer replacer;
    std::string output;
    std::vector<Utf8Replacement> pieces;
    for (const char byte : c.bytes) {
      replacer.Append(std::string_view(&byte, 1), &output, &pieces);
      EXPECT_LE(replacer.pending_bytes(), 3);
    }
    replacer.Finish(&output, &pieces);
    EXPECT_EQ(output, Expand(c.replaced));
    EXPECT_EQ(pieces, whole) << c.replaced;
  }
}

// Rebuilds the source from the output and the replacements: the documented mapping of offsets.
TEST(Utf8Test, ReplacementsMapOutputToSource) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    std::string source;
    const std::string_view parts[] = {"a",        "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                      "\xE2\x82", "\x80",     "\xF0",         "longer plain text"};
    for (int i = 0; i < 20; ++i) source += parts[random() % std::size(parts)];
    std::vector<Utf8Replacement> replacements;
    const std::string output = ReplaceInvalidUtf8(source, &replacements);
    ASSERT_TRUE(IsValidUtf8(output));
    std::string rebuilt;
    std::uint64_t copied = 0;
    for (const Utf8Replacement& replacement : replacements) {
      rebuilt += output.substr(copied, replacement.output_offset - copied);
      ASSERT_EQ(rebuilt.size(), replacement.source_offset);
      rebuilt += source.substr(replacement.source_offset, replacement.source_bytes);
      copied = replacement.output_offset + kReplacementCharacter.size();
    }
    rebuilt += output.substr(copied);
    EXPECT_EQ(rebuilt, source);
  }
}

}  // namespace
}  // namespace tome
