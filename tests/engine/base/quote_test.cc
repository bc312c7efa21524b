#include "engine/base/quote.h"

#include <gtest/gtest.h>

namespace tome {
namespace {

TEST(QuoteTest, EscapesWhatCouldConfuseAReader) {
  EXPECT_EQ(Quote("plain text"), "'plain text'");
  EXPECT_EQ(Quote(""), "''");
  EXPECT_EQ(Quote("it's\n\\"), "'it\\x27s\\x0a\\x5c'");
  EXPECT_EQ(Quote("\xC3\xA9\xFF"), "'\\xc3\\xa9\\xff'");
  EXPECT_EQ(Quote(std::string_view("\0", 1)), "'\\x00'");
}

TEST(QuoteTest, CutsLongTexts) {
  EXPECT_EQ(Quote("abcdef", 6), "'abcdef'");
  EXPECT_EQ(Quote("abcdefg", 6), "'abcdef...'");
}

}  // namespace
}  // namespace tome
