// Archives whose oldest blocks are in files say what archives in memory say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "engine/memory/archive.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/routing.h"
#include "tests/support/engine_models.h"
#include "tests/support/old_state.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using testing::IsOk;
using testing::TempDir;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}

// Blocks of any size, some of whose tokens stand for no byte and some for hundreds, of documents that follow each
// other.
class BlockMaker {
 public:
  BlockMaker(const ArchiveLayout& layout, unsigned seed) : layout_(layout), random_(seed) {}

  std::shared_ptr<const ArchiveBlock> Next() {
    if (random_() % 10 == 0) {
      ++document_;
      begin_ = random_() % 3 == 0 ? 5'000'000'000 : 0;
    }
    std::vector<TokenId> tokens(1 + random_() % (random_() % 8 == 0 ? 300 : 20));
    std::vector<TokenSpan> spans;
    for (TokenId& token : tokens) {
      token = static_cast<TokenId>(random_() % 300);
      const std::uint32_t size = random_() % 50 == 0 ? 250 + random_() % 1000 : random_() % 9;
      spans.push_back({.document = document_, .num_bytes = size, .begin = begin_});
      begin_ += size;
    }
    std::string codes(tokens.size() * layout_.code_bytes, '\0');
    for (char& code : codes) code = static_cast<char>(random_());
    return ArchiveBlock::Make(layout_, tokens, spans, codes, *TinyModel()->tokenizer());
  }

 private:
  const ArchiveLayout layout_;
  std::mt19937 random_;
  std::uint32_t document_ = 0;
  ByteOffset begin_ = 0;
};

void ExpectSame(const Archive& found, const Archive& expected) {
  ASSERT_EQ(found.num_blocks(), expected.num_blocks());
  EXPECT_EQ(found.num_tokens(), expected.num_tokens());
  EXPECT_EQ(found.num_regions(), expected.num_regions());
  EXPECT_EQ(found.bytes(), expected.bytes());
  for (std::int64_t i = 0; i < expected.num_blocks(); ++i) {
    const ArchiveBlock &own = found.block(i), &other = expected.block(i);
    ASSERT_EQ(own.bytes(), other.bytes()) << i;
    EXPECT_EQ(own.document(), other.document());
    EXPECT_EQ(own.end(), other.end());
    EXPECT_EQ(found.first_region(i), expected.first_region(i));
    EXPECT_EQ(own.Span(0, own.num_tokens()), other.Span(0, other.num_tokens()));
    for (int region = 0; region < own.num_regions(); ++region) EXPECT_EQ(own.Stems(region), other.Stems(region));
  }
  for (std::int64_t region = 0; region < expected.num_regions(); ++region) {
    EXPECT_EQ(found.RegionSpan(region, region + 1), expected.RegionSpan(region, region + 1));
    EXPECT_EQ(found.RegionTokens(region, region + 1), expected.RegionTokens(region, region + 1));
  }
  EXPECT_EQ(ScoreByStems(found, "the houses of the sea"), ScoreByStems(expected, "the houses of the sea"));
  EXPECT_EQ(ScoreByTokens(found, {{65, 66, 290}}), ScoreByTokens(expected, {{65, 66, 290}}));
}

TEST(ArchiveSpill, ByAnExecutorItIsTheSame) {
  std::mt19937 random(2);
  for (unsigned round = 0; round < 8; ++round) {
    SCOPED_TRACE(round);
    const ArchiveLayout layout = {.region_tokens = 16, .vocab_size = 304, .code_bytes = 8};
    const TempDir folder;
    const std::size_t budget = 20'000 << random() % 3;
    const auto spill = std::make_shared<SpillFolder>(folder.path().string(), budget);
    std::vector<std::thread> threads;
    spill->SetExecutor([&](std::function<void()> job) {
      if (random() % 5 == 0) return false;  // it takes none
      threads.emplace_back([job = std::move(job), delay = random() % 3] {
        std::this_thread::sleep_for(std::chrono::milliseconds(delay));
        job();
      });
      return true;
    });
    Archive spilled(layout, spill), plain(layout);
    BlockMaker blocks(layout, round);
    for (int i = 0; i < 600; ++i) {
      const auto block = blocks.Next();
      spilled.Append(block);
      plain.Append(block);
      const std::size_t index = spilled.resident_bytes() - (spilled.bytes() - spilled.spilled_bytes());
      EXPECT_LE(spilled.resident_bytes(), std::max(budget, index + budget / 8));
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(spilled.spilled_bytes(), 0u);
    EXPECT_EQ(spill->failures().count, 0);
    ExpectSame(spilled, plain);
  }
}

TEST(ArchiveSpill, AppendDoesNotWaitForTheExecutorWhileThereIsMemory) {
  const ArchiveLayout layout = {.region_tokens = 16, .vocab_size = 304, .code_bytes = 8};
  const TempDir folder;
  const std::size_t budget = 200'000;
  const auto spill = std::make_shared<SpillFolder>(folder.path().string(), budget);
  std::vector<std::function<void()>> jobs;
  spill->SetExecutor([&](std::function<void()> job) {
    jobs.push_back(std::move(job));
    return true;
  });
  Archive archive(layout, spill);
  BlockMaker blocks(layout, 1);
  while (archive.resident_bytes() < budget - 10'000) archive.Append(blocks.Next());
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(archive.spilled_bytes(), 0u);
  const Archive fork = archive;
  jobs[0]();
  archive.Append(blocks.Next());
  EXPECT_GT(archive.spilled_bytes(), budget / 8);
  EXPECT_LT(archive.resident_bytes(), budget - budget / 8);
  EXPECT_EQ(fork.spilled_bytes(), 0u) << "it keeps what it has";
}

TEST(ArchiveSpill, SpilledArchivesAndForksHeldMeanwhileAreThoseInMemory) {
  std::mt19937 random(1);
  for (unsigned round = 0; round < 16; ++round) {
    const ArchiveLayout layout = {.region_tokens = 1 + static_cast<int>(random() % 70),
                                  .vocab_size = round % 2 == 0 ? 304 : 70000,
                                  .code_bytes = static_cast<int>(random() % 3) * 8};
    SCOPED_TRACE(round);
    const TempDir folder;
    const std::size_t budget = round == 0 ? 0 : 1000 << random() % 9;
    const auto spill = std::make_shared<SpillFolder>(folder.path().string(), budget);
    Archive spilled(layout, spill), plain(layout);
    BlockMaker blocks(layout, round);
    std::vector<std::pair<Archive, Archive>> forks;
    for (int i = static_cast<int>(random() % 500); i >= 0; --i) {
      const auto block = blocks.Next();
      spilled.Append(block);
      plain.Append(block);
      const std::size_t in_memory = spilled.bytes() - spilled.spilled_bytes();
      const std::size_t index = spilled.resident_bytes() - in_memory;
      EXPECT_LE(spilled.resident_bytes(), std::max(budget, index + budget / 8));
      if (random() % 150 == 0) forks.emplace_back(spilled, plain);
    }
    EXPECT_EQ(spill->failures().count, 0);
    EXPECT_EQ(plain.spilled_bytes(), 0u);
    EXPECT_GT(plain.resident_bytes(), plain.bytes());
    if (plain.resident_bytes() > budget && plain.bytes() > budget) {
      EXPECT_GT(spilled.spilled_bytes(), 0u);
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    ExpectSame(spilled, plain);
    for (auto& [fork, expected] : forks) {
      ExpectSame(fork, expected);
      const auto block = blocks.Next();  // forks go their own way
      fork.Append(block);
      expected.Append(block);
      ExpectSame(fork, expected);
    }
  }
}

TEST(ArchiveSpill, WhatCannotBeWrittenStaysAndIsTriedAgainLater) {
  const TempDir folder;
  const ArchiveLayout layout = {.region_tokens = 16, .vocab_size = 304, .code_bytes = 8};
  const auto spill = std::make_shared<SpillFolder>(folder.File("later"), 80'000);
  Archive spilled(layout, spill), plain(layout);
  BlockMaker blocks(layout, 5);
  const auto append = [&] {
    const auto block = blocks.Next();
    spilled.Append(block);
    plain.Append(block);
  };
  while (spilled.resident_bytes() < 160'000) append();
  EXPECT_EQ(spilled.spilled_bytes(), 0u);
  EXPECT_EQ(spilled.resident_bytes(), plain.resident_bytes());
  // Once at 80,000 bytes, then after each tenth thousand, not with each block.
  EXPECT_GT(spill->failures().count, 4);
  EXPECT_LE(spill->failures().count, 8);

  std::filesystem::create_directory(folder.File("later"));
  while (spilled.spilled_bytes() == 0) append();
  EXPECT_LE(spilled.resident_bytes(), 80'000u);
  EXPECT_LE(plain.resident_bytes(), 180'000u);
  ExpectSame(spilled, plain);
}

// --- Memories ---

std::shared_ptr<const Model> SpillingModel(const TempDir& folder, std::size_t budget) {
  return testing::LoadTinyModelWithProfile(8, {}, 1,
                                           {.archive_folder = folder.path(), .archive_resident_bytes = budget});
}

const MemoryOptions kOptions = {
    .sink_tokens = 4,
    .window_tokens = 64,
    .segment_tokens = 32,
    .region_tokens = 16,
    .regions = {.selected = 2, .query_region_tokens = 16, .ring_regions = 2, .retention = RetentionScore::kSurprise}};

void Read(Memory* memory, int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((seed * 31 + i * i % 101) % 256);
  Task task = Task::Read(memory, tokens);
  Task* tasks[] = {&task};
  while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());
}

std::shared_ptr<const Evidence> Found(const Memory& memory, Effort effort) {
  Task task = *Task::Search(memory, {}, "the quick brown fox", {.effort = effort});
  Task* tasks[] = {&task};
  StepResult result;
  while (!task.finished()) result = std::move(Step(tasks)[0]);
  EXPECT_THAT(result.status, IsOk());
  return result.evidence;
}

void ExpectSameEvidence(const Memory& found, const Memory& expected) {
  for (const Effort effort : {Effort::kFast, Effort::kBalanced, Effort::kThorough}) {
    const auto own = Found(found, effort), other = Found(expected, effort);
    ASSERT_EQ(own->found.size(), other->found.size());
    ASSERT_FALSE(own->found.empty());
    for (std::size_t i = 0; i < own->found.size(); ++i) {
      EXPECT_EQ(own->found[i].region, other->found[i].region);
      EXPECT_EQ(own->found[i].span, other->found[i].span);
      EXPECT_EQ(own->found[i].score, other->found[i].score);
      EXPECT_EQ(own->found[i].attention_mass, other->found[i].attention_mass);
    }
  }
}

TEST(MemorySpill, StatesSearchesAndRestoredStatesAreTheSame) {
  const TempDir folder;
  const std::shared_ptr<const Model> spilling = SpillingModel(folder, 40'000);
  ASSERT_EQ(spilling->info().profile_digest, TinyModel()->info().profile_digest);
  Memory spilled = *Memory::Create(spilling, kOptions), plain = *Memory::Create(TinyModel(), kOptions);
  Read(&spilled, 3000, 1);
  Read(&plain, 3000, 1);
  const Memory fork = spilled;
  const std::string digest = plain.Digest();
  EXPECT_EQ(spilled.archive_bytes(), plain.archive_bytes());
  EXPECT_EQ(plain.archive_spilled_bytes(), 0u);
  EXPECT_GT(spilled.archive_spilled_bytes(), spilled.archive_bytes() / 2);
  EXPECT_LE(spilled.archive_resident_bytes(), 40'000u);
  EXPECT_GT(plain.archive_resident_bytes(), plain.archive_bytes());
  EXPECT_EQ(spilled.state_bytes(), plain.state_bytes());
  EXPECT_EQ(spilled.Digest(), digest);
  ExpectSameEvidence(spilled, plain);

  TOME_ASSERT_OK_AND_ASSIGN(Memory restored, Memory::Parse(spilling, plain.Serialize()));
  EXPECT_GT(restored.archive_spilled_bytes(), 0u);
  EXPECT_LE(restored.archive_resident_bytes(), 40'000u);
  EXPECT_EQ(restored.Digest(), digest);
  Read(&restored, 1000, 2);
  Read(&spilled, 1000, 2);
  Read(&plain, 1000, 2);
  EXPECT_EQ(restored.Digest(), plain.Digest());
  EXPECT_EQ(spilled.Digest(), plain.Digest());
  ExpectSameEvidence(restored, plain);
  EXPECT_EQ(fork.Digest(), digest);
}

TEST(MemorySpill, StemsOfAnOlderVersionAreMadeAnewWhileBlocksMove) {
  const TempDir folder;
  const std::shared_ptr<const Model> spilling = SpillingModel(folder, 40'000);
  Memory plain = *Memory::Create(TinyModel(), kOptions);
  Read(&plain, 3000, 4);
  const std::string old = testing::StateOfVersionFour::From(plain.Serialize(), plain.archive_bytes());
  TOME_ASSERT_OK_AND_ASSIGN(Memory restored, Memory::Parse(spilling, old));
  EXPECT_GT(restored.archive_spilled_bytes(), 0u);
  EXPECT_LE(restored.archive_resident_bytes(), 40'000u);
  EXPECT_EQ(restored.Digest(), plain.Digest());
  ExpectSameEvidence(restored, plain);
  Read(&restored, 700, 5);
  Read(&plain, 700, 5);
  EXPECT_EQ(restored.Digest(), plain.Digest());
}

TEST(MemorySpill, FailingFolderNeverFailsAReading) {
  const TempDir folder;
  const std::shared_ptr<const Model> spilling = SpillingModel(folder, 20'000);
  std::filesystem::remove(folder.path());
  Memory memory = *Memory::Create(spilling, kOptions), plain = *Memory::Create(TinyModel(), kOptions);
  Read(&memory, 1500, 3);
  Read(&plain, 1500, 3);
  EXPECT_GT(spilling->spill_folder()->failures().count, 0);
  EXPECT_EQ(memory.archive_spilled_bytes(), 0u);
  EXPECT_EQ(memory.Digest(), plain.Digest());
  EXPECT_THAT(Memory::Parse(spilling, memory.Serialize()), IsOk());
}

}  // namespace
}  // namespace tome
