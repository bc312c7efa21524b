#include "engine/evaluation/questions/shared_reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/base/status.h"
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

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

DocumentTokens Tokens(const std::vector<int>& ids) {
  DocumentTokens tokens;
  for (const int id : ids) tokens.push_back({.id = id, .num_bytes = 1});
  return tokens;
}

// Which document's tokens a plan gives at each of its ends.
void Collect(const ReadingPlan& plan, std::size_t begin, std::map<std::size_t, std::size_t>* ends) {
  EXPECT_EQ(plan.begin, begin);
  if (plan.document) {
    EXPECT_TRUE(ends->emplace(*plan.document, plan.end).second) << "each document ends once";
  }
  for (const ReadingPlan& next : plan.next) Collect(next, plan.end, ends);
}

TEST(ReadingPlan, SharesWholeSegmentsOnly) {
  const std::vector<DocumentTokens> documents = {Tokens({1, 2, 3, 4, 5, 6, 7}), Tokens({1, 2, 3, 4, 5, 9}),
                                                 Tokens({1, 2, 3, 4}), Tokens({1, 2, 8})};
  const ReadingPlan plan = PlanReading(documents, 2);
  std::map<std::size_t, std::size_t> ends;
  Collect(plan, 0, &ends);
  EXPECT_EQ(ends, (std::map<std::size_t, std::size_t>{{0, 7}, {1, 6}, {2, 4}, {3, 3}}));
  EXPECT_EQ(plan.end, 2u) << "the last one differs in its second segment";
  // 1 2 once, 8 alone, 3 4 once, then 5 6 7, 5 9 and nothing.
  EXPECT_EQ(plan.tokens(), 2 + 1 + 2 + 3 + 2);
}

TEST(ReadingPlan, OfEqualDocumentsReadsTheRestOfEach) {
  const std::vector<DocumentTokens> documents = {Tokens({1, 2, 3}), Tokens({1, 2, 3}), Tokens({1, 2, 3})};
  const ReadingPlan plan = PlanReading(documents, 2);
  EXPECT_EQ(plan.tokens(), 2 + 3);
  EXPECT_EQ(PlanReading(absl::MakeConstSpan(documents).subspan(0, 1), 2).tokens(), 3);
}

TEST(ReadingPlan, TokensOfOtherBytesAreOthers) {
  std::vector<DocumentTokens> documents = {Tokens({1, 2, 3}), Tokens({1, 2, 4})};
  EXPECT_EQ(PlanReading(documents, 2).tokens(), 4);
  documents[1][0].num_bytes = 2;
  EXPECT_EQ(PlanReading(documents, 2).tokens(), 6);
}

std::vector<std::string> Documents() {
  std::string common;
  for (int i = 0; i < 60; ++i) common += "On day " + std::to_string(i) + " nothing happened. ";
  std::vector<std::string> documents;
  for (const std::size_t place : {0, 400, 401, 900, 1300}) {
    std::string text = common;
    text.insert(place, "A zebra! ");
    documents.push_back(text);
  }
  documents.push_back(common.substr(0, 700));
  documents.push_back(common);
  documents.push_back(common);
  return documents;
}

TEST(SharedReader, GivesTheMemoriesOfSeparateReading) {
  const std::vector<std::string> documents = Documents();
  const SharedReader reader(TinyModel(), kOptions, documents);
  EXPECT_LT(reader.tokens_to_read(), reader.tokens_of_all() * 2 / 3);
  std::map<std::size_t, std::string> digests;
  std::int64_t read = 0;
  ASSERT_THAT(reader.ReadAll(
                  [&](std::size_t index, const Memory& memory) {
                    digests[index] = memory.Digest();
                    return absl::OkStatus();
                  },
                  [&](std::int64_t done) { read = done; }),
              testing::IsOk());
  EXPECT_EQ(read, reader.tokens_to_read());
  ASSERT_EQ(digests.size(), documents.size());
  for (std::size_t i = 0; i < documents.size(); ++i) {
    EXPECT_EQ(digests[i], ReadDocuments(TinyModel(), kOptions, {documents[i]})->Digest()) << i;
  }
}

TEST(SharedReader, StopsAtTheFirstError) {
  const SharedReader reader(TinyModel(), kOptions, Documents());
  int used = 0;
  const absl::Status status = reader.ReadAll([&](std::size_t, const Memory&) {
    ++used;
    return Internal("no more");
  });
  EXPECT_THAT(status, testing::StatusIs(absl::StatusCode::kInternal, HasSubstr("no more")));
  EXPECT_EQ(used, 1);
}

}  // namespace
}  // namespace tome
