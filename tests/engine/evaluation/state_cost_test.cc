#include "engine/evaluation/state_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/evaluation/questions/reading.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;

const MemoryOptions kOptions = {
    .sink_tokens = 8,
    .window_tokens = 64,
    .segment_tokens = 32,
    .region_tokens = 16,
    .regions = {.selected = 2, .query_region_tokens = 16, .ring_regions = 4, .pool_regions = 2}};

std::string Book() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "On day " + std::to_string(i) + " nothing happened. ";
  return text;
}

TEST(StateCost, IsThatOfTheMemoryAsItReads) {
  const auto model = testing::LoadTinyModel();
  const auto cost = MeasureStateCost(model, kOptions, Book(), 8192);
  ASSERT_THAT(cost, testing::IsOk());
  const Memory memory = *ReadDocuments(model, kOptions, {Book()});
  std::size_t read = 0;
  while (read < cost->points.size() && !cost->points[read].projected) ++read;
  ASSERT_GE(read, 3u);
  ASSERT_LT(read, cost->points.size());
  EXPECT_EQ(cost->points[0].tokens, 32);
  EXPECT_EQ(cost->points[1].tokens, 64);
  const CostPoint& end = cost->points[read - 1];
  EXPECT_EQ(end.tokens, memory.tokens_read());
  EXPECT_EQ(end.state_bytes, memory.state_bytes());
  EXPECT_EQ(end.archive_bytes, memory.archive_bytes());
  EXPECT_LE(end.state_bytes, cost->max_state_bytes);
  EXPECT_GT(end.tokens_per_second, 0);
  // Two layers of two key-value heads with 16 dimensions, keys and values in two bytes.
  EXPECT_EQ(cost->dense_bytes_per_token, 2u * 2 * 16 * 2 * 2);
  EXPECT_EQ(cost->points.back().tokens, 8192);
  EXPECT_EQ(cost->points.back().state_bytes, cost->max_state_bytes);
}

TEST(StateCost, ReportsATableJsonAndAPicture) {
  const StateCost cost = *MeasureStateCost(testing::LoadTinyModel(), kOptions, Book(), 8192);
  EXPECT_THAT(FormatStateCost(cost), HasSubstr("| projected |"));
  EXPECT_EQ(ToJson(cost)["points"].size(), cost.points.size());
  EXPECT_TRUE(ToJson(cost)["points"].back()["projected"]);
  const std::string svg = DrawStateCost(cost);
  EXPECT_THAT(svg, HasSubstr(">dense keys and values<"));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
}

}  // namespace
}  // namespace tome
