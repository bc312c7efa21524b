#include "server/reading/attended_text.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(AttendedTextTest, KeepsSinkAndWindowAndMergesNeighbours) {
  AttendedText attended({.sink_tokens = 2, .window_tokens = 3, .regions = {.selected = 0}});
  EXPECT_THAT(attended.Ranges(), IsEmpty());
  attended.Add({{.document = 0, .num_bytes = 0, .begin = 0},  // BOS
                {.document = 0, .num_bytes = 4, .begin = 0}});
  EXPECT_THAT(attended.Ranges(), ElementsAre(SpanRange{0, 0, 4}));
  attended.Add({{.document = 0, .num_bytes = 2, .begin = 4}, {.document = 0, .num_bytes = 3, .begin = 6}});
  EXPECT_THAT(attended.Ranges(), ElementsAre(SpanRange{0, 0, 9}));
  attended.Add({{.document = 1, .num_bytes = 5, .begin = 0}, {.document = 1, .num_bytes = 1, .begin = 5}});
  EXPECT_THAT(attended.Ranges(), ElementsAre(SpanRange{0, 0, 4}, SpanRange{0, 6, 9}, SpanRange{1, 0, 6}));
  EXPECT_THAT(attended.Ranges({{.document = 1, .num_bytes = 2, .begin = 6}}).back(), (SpanRange{1, 0, 8}));
}

TEST(AttendedTextTest, WithRegionMemoryWholeRegionsLeaveTheWindow) {
  AttendedText attended({.sink_tokens = 1, .window_tokens = 3, .region_tokens = 4, .regions = {.selected = 1}});
  for (ByteOffset token = 0; token < 40; ++token) {
    attended.Add({{.document = 0, .num_bytes = 1, .begin = token}});
    // Of the tokens after the sink at least 3 are kept, and those that are missing make whole regions.
    const ByteOffset after = token, left = after < 3 ? 0 : (after - 3) / 4 * 4;
    if (left == 0) {
      EXPECT_THAT(attended.Ranges(), ElementsAre(SpanRange{0, 0, token + 1}));
    } else {
      EXPECT_THAT(attended.Ranges(), ElementsAre(SpanRange{0, 0, 1}, SpanRange{0, 1 + left, token + 1}));
    }
  }
}

}  // namespace
}  // namespace tome::server
