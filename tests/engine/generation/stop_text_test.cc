#include "engine/generation/stop_text.h"

#include <gtest/gtest.h>

#include <random>

namespace tome {
namespace {

// What the filter lets through when a text comes in pieces of random sizes.
std::string Filter(const std::string& text, const std::vector<std::string>& stops, std::mt19937* random) {
  StopTextFilter filter(stops);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = 1 + (*random)() % 5;
    out += filter.Append(text.substr(at, size));
    at += size;
  }
  return filter.stopped() ? out : out + filter.Finish();
}

TEST(StopTextFilter, CutsAtTheFirstStopHoweverTheTextComes) {
  std::mt19937 random(1);
  const struct {
    std::string text;
    std::vector<std::string> stops;
    std::string expected;
  } cases[] = {{"an answer", {"\n"}, "an answer"},
               {"one\ntwo", {"\n"}, "one"},
               {"aaab", {"aab"}, "a"},
               {"ababac", {"abac"}, "ab"},
               {"ends with the begi", {"beginning"}, "ends with the begi"},
               {"x END y STOP", {"STOP", "END"}, "x "},
               {"STOP", {"STOP"}, ""},
               {"text", {}, "text"},
               {"text", {""}, "text"},
               {"caf\xc3\xa9 noir", {"\xc3\xa9 n"}, "caf"}};
  for (const auto& [text, stops, expected] : cases) {
    for (int round = 0; round < 20; ++round) EXPECT_EQ(Filter(text, stops, &random), expected) << text;
  }
}

TEST(StopTextFilter, RandomTextsAgreeWithASearchOfTheWhole) {
  std::mt19937 random(2);
  const auto word = [&](std::size_t most) {
    std::string text;
    for (std::size_t i = 1 + random() % most; i > 0; --i) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::string text = word(30);
    const std::vector<std::string> stops = {word(5), word(5)};
    // By definition: the shortest beginning of the text that ends with a stop text, without the longest that it ends
    // with.
    std::string expected = text;
    bool stopped = false;
    for (std::size_t end = 1; end <= text.size() && !stopped; ++end) {
      for (const std::string& stop : stops) {
        if (!std::string_view(text).substr(0, end).ends_with(stop)) continue;
        expected = text.substr(0, std::min(stopped ? expected.size() : end, end - stop.size()));
        stopped = true;
      }
    }
    ASSERT_EQ(Filter(text, stops, &random), expected) << text << " / " << stops[0] << " / " << stops[1];
  }
}

TEST(StopTextFilter, HoldsBackOnlyWhatMayBecomeAStop) {
  StopTextFilter filter({"</s>"});
  EXPECT_EQ(filter.Append("hello <"), "hello ");
  EXPECT_EQ(filter.Append("/b>"), "</b>");
  EXPECT_EQ(filter.Append("</s> more"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.Append("more"), "");
}

}  // namespace
}  // namespace tome
