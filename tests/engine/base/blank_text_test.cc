#include "engine/base/blank_text.h"

#include <gtest/gtest.h>

#include <string>

namespace tome {
namespace {

TEST(BlankText, IsWhatNobodySees) {
  const std::string blank[] = {"",
                               " ",
                               " \t\r\n",
                               std::string(3, '\0'),
                               "\x04\x1d\x7f",
                               "\u0085\u00a0",
                               "\u00ad",
                               "\u1680\u2003\u2028\u202f\u3000",
                               "\u200b\u200d\u2060",
                               "\ufeff",
                               "\ufe0f",
                               "\U000e0041"};
  for (const std::string& text : blank) EXPECT_TRUE(IsBlank(text)) << testing::PrintToString(text);
}

TEST(BlankText, IsNothingWithASingleCharacterThatIsSeen) {
  const std::string seen[] = {"a",      "  .",    "\x04?",  "\u00a1",     "\u0301",
                              "\u2010", "\u3001", "\ufffd", "\U0001f4d6", "\ufeffx"};
  for (const std::string& text : seen) EXPECT_FALSE(IsBlank(text)) << text;
}

TEST(BlankText, IsNotWhatIsNotUtf8) {
  for (const char* text : {"\xff", "\xc2", " \xe2\x80", "\xed\xa0\x80", "\xc0\xa0"}) EXPECT_FALSE(IsBlank(text));
}

}  // namespace
}  // namespace tome
