#include "engine/memory/state_format.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/engine.h"
#include "engine/memory/memory_state.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const testing::TinyModelOptions kShape = {.num_layers = 1, .hidden_size = 32, .num_heads = 2, .num_kv_heads = 1};

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel(kShape);
  return model;
}

const MemoryOptions kOptions = {.sink_tokens = 3, .window_tokens = 10, .segment_tokens = 4};

void Read(Memory* memory, int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((seed * 31 + i * 7) % 256);
  Task task = Task::Read(memory, tokens);
  Task* tasks[] = {&task};
  while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());
}

// With and without region memory, in every form of it.
std::vector<MemoryOptions> AllKinds() {
  std::vector<MemoryOptions> all = {kOptions, kOptions};
  all[0].regions.selected = 0;
  const RegionMemoryOptions small = {
      .selected = 2, .query_region_tokens = 3, .merge = 1, .ring_regions = 2, .pool_regions = 2};
  for (const RegionPrecision precision : {RegionPrecision::kComputed, RegionPrecision::kBf16, RegionPrecision::kInt8}) {
    for (const RetentionScore score : {RetentionScore::kSelections, RetentionScore::kSurprise}) {
      MemoryOptions options = kOptions;
      options.region_tokens = 8;
      options.regions = small;
      options.regions.precision = precision;
      options.regions.retention = score;
      all.push_back(options);
    }
  }
  all.push_back(all.back());
  all.back().regions.precision = RegionPrecision::kBf16;
  all.back().regions.compression = RegionCompression::kMerge;
  return all;
}

TEST(StateFormat, RestoredAndContinuedEqualsNeverStopped) {
  for (const MemoryOptions& options : AllKinds())
    for (const int tokens : {0, 2, 3, 4, 13, 14, 57, 91}) {
      Memory memory = *Memory::Create(TinyModel(), options);
      Read(&memory, tokens, 1);
      const std::string bytes = memory.Serialize();
      TOME_ASSERT_OK_AND_ASSIGN(Memory restored, Memory::Parse(TinyModel(), bytes));
      EXPECT_EQ(restored.Serialize(), bytes);
      EXPECT_EQ(restored.tokens_read(), memory.tokens_read());
      EXPECT_EQ(restored.state_bytes(), memory.state_bytes());
      Read(&memory, 22, 2);
      Read(&restored, 22, 2);
      EXPECT_EQ(restored.Digest(), memory.Digest()) << tokens << " tokens";
    }
}

TEST(StateFormat, EveryFlippedByteAndEveryTruncationIsRefused) {
  MemoryOptions options = AllKinds().back();
  options.regions.ring_regions = options.regions.pool_regions = 1;
  Memory memory = *Memory::Create(TinyModel(), options);
  Read(&memory, 30, 3);
  ASSERT_EQ(memory.state()->regions().size(), 2);
  const std::string bytes = memory.Serialize();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    EXPECT_FALSE(Memory::Parse(TinyModel(), damaged).ok()) << "byte " << i;
    EXPECT_THAT(Memory::Parse(TinyModel(), bytes.substr(0, i)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("state")))
        << "length " << i;
  }
  EXPECT_THAT(Memory::Parse(TinyModel(), bytes + "x"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("")));
}

TEST(StateFormat, AnotherModelsStateIsRefusedWithBothValues) {
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  Read(&memory, 10, 4);
  testing::TinyModelOptions other_shape = kShape;
  other_shape.seed = 99;
  const std::shared_ptr<const Model> other = testing::LoadTinyModel(other_shape);
  const absl::StatusOr<Memory> parsed = Memory::Parse(other, memory.Serialize());
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(TinyModel()->info().model_digest)));
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(other->info().model_digest)));
  const std::shared_ptr<const Model> bf16 = testing::LoadTinyModel(kShape, Precision::kBf16);
  EXPECT_THAT(Memory::Parse(bf16, memory.Serialize()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("precision")));
}

TEST(StateFormat, RandomBytesNeverCrash) {
  std::mt19937 random(5);
  const std::string valid = Memory::Create(TinyModel(), kOptions)->Serialize();
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = valid;
    bytes.resize(random() % (2 * valid.size()));
    for (int i = 0; i < 8 && !bytes.empty(); ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (bytes != valid) {
      EXPECT_FALSE(Memory::Parse(TinyModel(), bytes).ok());
    }
  }
}

}  // namespace
}  // namespace tome
