// What sessions hold of their archives: a part of the memory that is reserved for them, the rest in files.
#include <filesystem>

#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::AnswerRecorder;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::ManagerFixture;
using tome::testing::SomeText;
using tome::testing::SpillingServerModel;
using tome::testing::StatusIs;
using tome::testing::TinyServerModel;

constexpr std::size_t kArchiveBytes = 200'000;

class ArchiveResidencyTest : public ManagerFixture {
 protected:
  std::string ArchiveFolder() const { return folder_.File("archive"); }
  void OpenSpilling() { Open(SpillingServerModel(ArchiveFolder(), kArchiveBytes)); }

  std::size_t StateBytes() const {
    return Memory::MaxStateBytes(TinyServerModel()->info().config, kTinyMemoryOptions, Precision::kFp32);
  }
  void AppendAndRead(const std::string& session, const std::string& text) {
    ASSERT_THAT(Append(session, "book", text), IsOk());
    WaitUntilRead(session);
  }
  void ExpectSameAnswer(const AnswerRecorder::Heard& found, const AnswerRecorder::Heard& expected) {
    ASSERT_THAT(found.results[0], IsOk());
    EXPECT_EQ(found.results[0]->answer, expected.results[0]->answer);
    ASSERT_EQ(found.results[0]->citations.size(), expected.results[0]->citations.size());
    for (std::size_t i = 0; i < found.results[0]->citations.size(); ++i) {
      EXPECT_EQ(found.results[0]->citations[i].range, expected.results[0]->citations[i].range);
      EXPECT_EQ(found.results[0]->citations[i].score, expected.results[0]->citations[i].score);
    }
  }
};

TEST_F(ArchiveResidencyTest, ReservedBytesBoundWhatIsHeldAtEverySegment) {
  OpenSpilling();
  CreateSession("book");
  AppendAndRead("book", SomeText(20'000));
  const auto counts = events_.counts.Get();
  EXPECT_GT(counts.segments, 50);
  EXPECT_FALSE(counts.held_more_than_reserved);
  EXPECT_EQ(counts.max_reserved_bytes, StateBytes() + kArchiveBytes);
  EXPECT_GT(counts.archive_spilled_bytes, 0u);
  EXPECT_LE(counts.archive_resident_bytes, kArchiveBytes);
  EXPECT_EQ(counts.spills_failed, 0);
  const SessionInfo info = manager_->Get("book").value();
  EXPECT_EQ(info.archive_resident_bytes, counts.archive_resident_bytes);
  EXPECT_GT(info.archive_bytes, counts.archive_spilled_bytes);
  EXPECT_LE(info.archive_bytes, counts.archive_spilled_bytes + info.archive_resident_bytes);
  EXPECT_EQ(counts.held_bytes, info.state_bytes + info.archive_resident_bytes);
  EXPECT_TRUE(std::filesystem::is_empty(ArchiveFolder()));
}

TEST_F(ArchiveResidencyTest, AnswersAreThoseOfArchivesInMemory) {
  Open();
  CreateSession("book");
  AppendAndRead("book", SomeText(20'000));
  const AnswerRecorder::Heard expected = Ask(QuestionTo("book"));
  OpenSpilling();  // and reads again what is stored
  WaitUntilRead("book");
  EXPECT_GT(events_.counts.Get().archive_spilled_bytes, 0u);
  ExpectSameAnswer(Ask(QuestionTo("book")), expected);
}

TEST_F(ArchiveResidencyTest, EvictedSessionsFreeTheirArchives) {
  options_.max_state_bytes = StateBytes() + kArchiveBytes;
  OpenSpilling();
  CreateSession("sess-a");
  CreateSession("sess-b");
  AppendAndRead("sess-a", SomeText(20'000, 1));
  const AnswerRecorder::Heard expected = Ask(QuestionTo("sess-a"));
  AppendAndRead("sess-b", SomeText(300, 2));
  EXPECT_EQ(manager_->Get("sess-a").value().phase, SessionPhase::kEvicted);
  EXPECT_EQ(manager_->Get("sess-a").value().archive_resident_bytes, 0u);
  EXPECT_EQ(events_.counts.Get().archive_spilled_bytes, 0u);
  EXPECT_LT(events_.counts.Get().archive_resident_bytes, 10'000u);
  ExpectSameAnswer(Ask(QuestionTo("sess-a")), expected);
  EXPECT_EQ(events_.counts.Get().max_reserved_bytes, options_.max_state_bytes);
}

TEST_F(ArchiveResidencyTest, SessionsThatCannotBeReservedForAreRefused) {
  options_.max_state_bytes = StateBytes() + kArchiveBytes - 1;
  EXPECT_THAT(SessionManager::Open(options_, SpillingServerModel(ArchiveFolder(), kArchiveBytes), events_, clock_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::to_string(StateBytes() + kArchiveBytes))));
  options_.max_state_bytes = StateBytes() + kArchiveBytes;
  OpenSpilling();
  MemoryOptions larger = kTinyMemoryOptions;
  larger.window_tokens *= 2;
  EXPECT_THAT(Create({.session_id = "larger", .memory = {.options = larger}}), HasReason("MEMORY_OPTIONS"));
}

TEST_F(ArchiveResidencyTest, FolderThatFailsIsToldAndCostsMemoryOnly) {
  OpenSpilling();
  std::filesystem::remove(ArchiveFolder());
  CreateSession("book");
  AppendAndRead("book", SomeText(20'000));
  const auto counts = events_.counts.Get();
  EXPECT_GT(counts.spills_failed, 0);
  EXPECT_LT(counts.spills_failed, counts.segments / 10) << "it is not tried with each segment";
  EXPECT_EQ(counts.archive_spilled_bytes, 0u);
  EXPECT_GT(counts.archive_resident_bytes, kArchiveBytes);
  EXPECT_FALSE(counts.held_more_than_reserved) << "what is held beyond the reservation counts as reserved";
  EXPECT_THAT(Ask(QuestionTo("book")).results[0], IsOk());
}

TEST_F(ArchiveResidencyTest, FolderThatCannotBeUsedIsAnErrorAtTheStart) {
  folder_.Write("archive", "a file");
  EXPECT_THAT(SessionManager::Open(options_, SpillingServerModel(ArchiveFolder(), kArchiveBytes), events_, clock_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("the archive folder")));
}

}  // namespace
}  // namespace tome::server
