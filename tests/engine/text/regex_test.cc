#include "engine/text/splitting/regex.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;
using Outcome = RegexSearch::Outcome;

absl::StatusOr<std::shared_ptr<const Regex>> Make(std::string_view pattern) {
  absl::StatusOr<std::string> translated = TranslateOnigurumaPattern(pattern);
  if (!translated.ok()) return translated.status();
  return Regex::Compile(*translated);
}

bool MatchesWhole(std::string_view pattern, std::string_view text) {
  absl::StatusOr<std::shared_ptr<const Regex>> regex = Make(pattern);
  if (!regex.ok()) throw std::runtime_error(regex.status().ToString());
  const RegexSearch::Result result = RegexSearch(*regex).Find(text, 0, false);
  return result.outcome == Outcome::kMatch && result.begin == 0 && result.end == text.size();
}

struct Meaning {
  const char* pattern;
  const char* text;
  bool matches;
};

TEST(RegexTest, MeansWhatOnigurumaMeans) {
  const std::vector<Meaning> table = {
      {R"(\s)", "\u00a0", true},
      {R"(\s)", "\u0085", true},
      {R"(\s)", "\u180e", false},  // white space in PCRE2
      {R"([\s])", "\u180e", false},
      {R"(\S)", "\u180e", true},
      {R"([^\S])", "\u3000", true},
      {R"(\d)", "\u0664", true},
      {R"(\d)", "\u00b2", false},
      {R"([\d])", "7", true},
      {R"(\D)", "x", true},
      {R"(\w)", "\u0301", true},  // not in PCRE2 10.42
      {R"(\w)", "\u203f", true},
      {R"(\w)", "\u00b2", false},
      {R"([\w-])", "\u0301", true},
      {R"(\W)", "-", true},
      {R"(\p{L})", "\U00031350", true},  // Unicode 15
      {R"(\p{N})", "\U00010d40", true},  // Unicode 16
      {R"(\P{L})", "\U00031350", false},
      {R"([^\p{L}])", "1", true},
      {R"(\v)", "\x0b", true},
      {R"(\v)", "\n", false},
      {R"(\u00A0\x41\x{1F600})", "\u00a0A\U0001f600", true},
      {R"((?i:'s|'k))", "'\u017f", true},
      {R"((?i:'s|'k))", "'\u212a", true},
      {R"([\]\-\\]+)", "]-\\", true},
      {R"(a{2}b{1,}c{0,2})", "aabbc", true},
      {R"((?>a+)b++c*?d)", "aabbccd", true},
      {R"([\u4e00-\u9fff]+)", "\u4e2d\u6587", true},
  };
  for (const Meaning& row : table) {
    EXPECT_EQ(MatchesWhole(row.pattern, row.text), row.matches) << row.pattern << " on " << row.text;
  }
}

TEST(RegexTest, RefusesWhatItCannotMeanAlike) {
  const std::vector<std::pair<const char*, const char*>> table = {
      {"^a", "an anchor at offset 0"},
      {"a$", "an anchor at offset 1"},
      {R"(a\b)", R"(\b at offset 1)"},
      {R"(\Aa)", R"(\A)"},
      {R"((a)\1)", R"(\1)"},
      {R"(\Kx)", R"(\K)"},
      {R"(\Cx)", R"(\C)"},
      {R"(\hx)", R"(\h)"},
      {"(?<=a)b", "this kind of group"},
      {"(?<name>b)", "this kind of group"},
      {"(?#x)a", "this kind of group"},
      {"(*UTF)a", "a verb"},
      {"[a[bc]]", "a class within a class"},
      {"[a&&b]", "an intersection"},
      {"[]a]", "an empty class"},
      {"[a", "without its end"},
      {R"([\W])", R"(\W in a class)"},
      {R"([\P{L}])", "a negated property in a class"},
      {R"(\pL)", "a property without braces"},
      {"a{,3}", "this brace"},
      {"a{1,2}+", "a repeated interval"},
      {R"(\u12)", "this code point"},
      {R"(\x{})", "this code point"},
      {"a\\", "a trailing backslash"},
      {"(a", "missing closing parenthesis"},
      {R"(\p{Nonsense})", "unknown property"},
      {"a*", "matches an empty text"},
      {"a|", "matches an empty text"},
  };
  for (const auto& [pattern, message] : table) {
    EXPECT_THAT(Make(pattern), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message))) << pattern;
  }
}

TEST(RegexTest, KnowsWhenMoreTextCouldChangeAMatch) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto regex, Make(R"(\p{L}+|\s+(?!\S)|\s+)"));
  RegexSearch search(regex);
  EXPECT_EQ(search.Find("abc", 0, true).outcome, Outcome::kNeedMore);
  EXPECT_EQ(search.Find("abc", 0, false).outcome, Outcome::kMatch);
  EXPECT_EQ(search.Find("abc ", 0, true).end, 3u);
  EXPECT_EQ(search.Find("a   ", 1, true).outcome, Outcome::kNeedMore);
  EXPECT_EQ(search.Find("a   b", 1, true).end, 3u);
  EXPECT_EQ(search.Find("12", 0, true).outcome, Outcome::kNone);
  EXPECT_EQ(search.Find("12a", 0, true).outcome, Outcome::kNeedMore);
  EXPECT_EQ(search.Find("12a", 0, true).begin, 2u);
  RegexSearch copy(search);
  EXPECT_EQ(copy.Find("x y", 0, true).end, 1u);
}

TEST(RegexTest, BoundsTheWorkOfAnExpressionThatBacktracksWithoutEnd) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto regex, Make("(?:a+)+b"));
  EXPECT_EQ(RegexSearch(regex).Find(std::string(100, 'a'), 0, false).outcome, Outcome::kNone);
}

}  // namespace
}  // namespace tome::testing
