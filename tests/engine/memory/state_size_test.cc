// The state's size does not depend on how much was read, archive apart, and the archive's share of memory is bounded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "engine/engine.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using testing::IsOk;

constexpr std::int64_t kK = 1024;

TEST(StateSize, IsTheSameHoweverMuchWasRead) {
  const bool soak = std::getenv("TOME_SOAK") != nullptr;
  // What finds the blocks on disk stays in memory, a third of a kilobyte for each segment: 2.7 MB for 4M tokens.
  const std::size_t archive_bytes = std::size_t{512} << (soak ? 13 : 10);
  const testing::TempDir folder;
  const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile(
      8, {}, 2, {.archive_folder = folder.path().string(), .archive_resident_bytes = archive_bytes});
  const MemoryOptions options = {
      .sink_tokens = 64, .window_tokens = 256, .regions = {.selected = 4, .ring_regions = 16, .pool_regions = 16}};
  Memory memory = *Memory::Create(model, options);
  const std::size_t most = Memory::MaxStateBytes(model->info().config, options, model->info().precision);

  std::vector<std::int64_t> lengths = {64 * kK, 256 * kK};
  if (soak) lengths.push_back(4096 * kK);
  std::mt19937 random(11);
  std::size_t state_bytes = 0;
  for (const std::int64_t length : lengths) {
    while (memory.tokens_read() < length) {
      std::vector<TokenId> segment(static_cast<std::size_t>(options.segment_tokens));
      for (TokenId& token : segment) token = static_cast<TokenId>(random() % 256);
      Task task = Task::Read(&memory, std::move(segment));
      Task* tasks[] = {&task};
      ASSERT_THAT(Step(tasks)[0].status, IsOk());
      ASSERT_LE(memory.state_bytes(), most);
      ASSERT_LE(memory.archive_resident_bytes(), archive_bytes);
    }
    if (state_bytes == 0) state_bytes = memory.state_bytes();
    EXPECT_EQ(memory.state_bytes(), state_bytes) << length;
    EXPECT_LT(memory.archive_bytes(), static_cast<std::size_t>(length) * 40);
    EXPECT_GT(memory.archive_bytes(), static_cast<std::size_t>(length) * 10);
    printf("%lld tokens: state %zu bytes, archive %zu, of it in memory %zu\n", static_cast<long long>(length),
           memory.state_bytes(), memory.archive_bytes(), memory.archive_resident_bytes());
  }
  EXPECT_GT(memory.archive_spilled_bytes(), memory.archive_bytes() * 3 / 4);
  if (!soak) printf("set TOME_SOAK to go on to 4M tokens\n");
}

}  // namespace
}  // namespace tome
