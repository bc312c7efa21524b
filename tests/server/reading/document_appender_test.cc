#include "server/reading/document_appender.h"

#include <filesystem>
#include <optional>
#include <random>

#include "absl/strings/ascii.h"
#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/server/storage/faulty_vfs.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::IsOk;
using tome::testing::SomeText;
using tome::testing::StatusIs;

constexpr Utf8Policy kRefuse = Utf8Policy::kRefuse;
constexpr Utf8Policy kReplace = Utf8Policy::kReplace;

class DocumentAppenderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(SessionStore::Create(path_, {.id = "session", .options = {1, 1, 1}}), IsOk());
    Reopen();
  }

  void Close() {
    appender_.reset();
    store_.reset();
  }

  void Reopen() {
    Close();
    store_.emplace(SessionStore::Open(path_, "session").value());
    appender_.emplace("session", store_->Load().value().documents, /*max_documents=*/3);
  }

  // One message in a commit of its own.
  absl::StatusOr<WriteResult> Write(const std::string& document, const WriteRequest& request,
                                    Utf8Policy policy = kRefuse) {
    EXPECT_THAT(appender_->Begin(&*store_), IsOk());
    absl::StatusOr<WriteResult> result = appender_->Apply(document, policy, request, absl::UnixEpoch());
    EXPECT_THAT(appender_->Commit(), IsOk());
    return result;
  }

  std::string Stored(std::size_t ordinal) {
    const StoredDocument document = store_->Load().value().documents.at(ordinal);
    std::string bytes;
    while (bytes.size() < document.size) bytes += store_->ReadChunk(ordinal, document, bytes.size()).value();
    return bytes;
  }

  static std::string Reason(const absl::Status& status) {
    const auto details = GetErrorDetails(status);
    return details ? details->reason : status.ok() ? "OK" : "no details";
  }
  static std::string Metadata(const absl::Status& status, const std::string& key) {
    const auto details = GetErrorDetails(status);
    return details && details->metadata.contains(key) ? details->metadata.at(key) : "";
  }

  tome::testing::TempDir folder_;
  const std::string path_ = folder_.File("session.db");
  std::optional<SessionStore> store_;
  std::optional<DocumentAppender> appender_;
};

// A message, and what becomes of it on a document that holds "hello".
struct RuleCase {
  const char* what;
  ByteOffset offset;
  const char* data;
  bool finish;
  const char* reason;  // or the stored bytes
  absl::StatusCode code = absl::StatusCode::kOk;
};
constexpr absl::StatusCode kAborted = absl::StatusCode::kAborted;
constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kPrecondition = absl::StatusCode::kFailedPrecondition;

constexpr RuleCase kOpenCases[] = {
    {"next bytes", 5, " you", false, "hello you"},
    {"nothing, at the end", 5, "", false, "hello"},
    {"nothing, in the middle", 2, "", false, "hello"},
    {"exact repeat of all", 0, "hello", false, "hello"},
    {"exact repeat of a part", 1, "ell", false, "hello"},
    {"repeat of the end with finish", 3, "lo", true, "hello"},
    {"last bytes with finish", 5, "!", true, "hello!"},
    {"gap", 6, "x", false, "OFFSET_MISMATCH", kAborted},
    {"gap of nothing", 6, "", false, "OFFSET_MISMATCH", kAborted},
    {"far gap", ~ByteOffset{0}, "xy", false, "OFFSET_MISMATCH", kAborted},
    {"overlap beyond the end", 3, "lo!", false, "OFFSET_MISMATCH", kAborted},
    {"finish before the end", 1, "ell", true, "OFFSET_MISMATCH", kAborted},
    {"finish of nothing before the end", 1, "", true, "OFFSET_MISMATCH", kAborted},
    {"repeat that differs", 1, "eLl", false, "CONTENT_MISMATCH", kAborted},
    {"bad byte", 5, "ab\xFFz", false, "INVALID_UTF8", kInvalid},
    {"finish within a character", 5, "a\xE4\xBA", true, "INVALID_UTF8", kInvalid},
};
constexpr RuleCase kSealedCases[] = {
    {"more bytes", 5, "x", false, "DOCUMENT_SEALED", kPrecondition},
    {"more bytes with finish", 5, "x", true, "DOCUMENT_SEALED", kPrecondition},
    {"the last message again", 3, "lo", true, "hello"},
    {"finish again", 5, "", true, "hello"},
    {"exact repeat", 0, "hel", false, "hello"},
    {"repeat that differs", 0, "x", false, "CONTENT_MISMATCH", kAborted},
    {"gap", 9, "", false, "OFFSET_MISMATCH", kAborted},
};

TEST_F(DocumentAppenderTest, FollowsTheRulesOfByteStreams) {
  const auto run = [this](const RuleCase& test, bool sealed) {
    SCOPED_TRACE(std::string(test.what) + (sealed ? ", sealed" : ""));
    std::filesystem::remove(path_);
    SetUp();
    ASSERT_THAT(Write("doc", {.data = "hello", .finish = sealed}), IsOk());
    const absl::StatusOr<WriteResult> result =
        Write("doc", {.offset = test.offset, .data = test.data, .crc32c = Crc32c(test.data), .finish = test.finish});
    EXPECT_EQ(result.status().code(), test.code) << result.status();
    if (test.code == absl::StatusCode::kOk) {
      const std::string stored = test.reason;
      EXPECT_EQ(Stored(0), stored);
      EXPECT_EQ(result.value().durable_offset, stored.size());
      EXPECT_EQ(result.value().sealed, sealed || test.finish);
    } else {
      EXPECT_EQ(Reason(result.status()), test.reason);
      EXPECT_EQ(Stored(0), "hello");
      EXPECT_EQ(Metadata(result.status(), "committed_offset"), "5");
      EXPECT_EQ(Metadata(result.status(), "document"), "doc");
    }
  };
  for (const RuleCase& test : kOpenCases) run(test, false);
  for (const RuleCase& test : kSealedCases) run(test, true);
}

TEST_F(DocumentAppenderTest, ChecksTheChecksumOfAMessage) {
  const absl::Status status = Write("doc", {.data = "hello", .crc32c = 1}).status();
  EXPECT_EQ(Reason(status), "CHECKSUM_MISMATCH");
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(appender_->documents().empty());
}

TEST_F(DocumentAppenderTest, NamesTheOffsetOfBadBytes) {
  ASSERT_THAT(Write("doc", {.data = "ok \xE4\xBA"}), IsOk());
  EXPECT_EQ(Metadata(Write("doc", {.offset = 5,
                                   .data = "\xBA"
                                           "ab\xC0"})
                         .status(),
                     "byte_offset"),
            "8");
  EXPECT_EQ(Metadata(Write("doc", {.offset = 5, .data = "x"}).status(), "byte_offset"), "3");
  EXPECT_EQ(Metadata(Write("doc", {.offset = 5, .finish = true}).status(), "byte_offset"), "3");
  EXPECT_EQ(Metadata(Write("doc", {.offset = 1, .data = "q"}).status(), "byte_offset"), "1");
  Reopen();  // what was cut off is known again
  EXPECT_EQ(Metadata(Write("doc", {.offset = 5, .data = "x"}).status(), "byte_offset"), "3");
  EXPECT_THAT(Write("doc", {.offset = 5, .data = "\xBA", .finish = true}), IsOk());
}

TEST_F(DocumentAppenderTest, EveryCutOfCharactersSurvivesARestart) {
  const std::string text = "a\xC3\xA9\xE4\xBA\xBA\xF0\x9F\x93\x96z";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    SCOPED_TRACE(cut);
    std::filesystem::remove(path_);
    SetUp();
    ASSERT_THAT(Write("doc", {.data = text.substr(0, cut)}), IsOk());
    Reopen();
    ASSERT_THAT(Write("doc", {.offset = cut, .data = text.substr(cut), .finish = true}), IsOk());
    EXPECT_EQ(Stored(0), text);
  }
}

TEST_F(DocumentAppenderTest, DocumentsFollowOneAnother) {
  EXPECT_EQ(Metadata(Write("one", {.offset = 3, .data = "x"}).status(), "committed_offset"), "0");
  EXPECT_TRUE(appender_->documents().empty());
  EXPECT_EQ(Reason(Write("one", {.data = "\xFF"}).status()), "INVALID_UTF8");
  EXPECT_TRUE(appender_->documents().empty());
  ASSERT_THAT(Write("one", {.data = "1"}), IsOk());
  EXPECT_EQ(Reason(Write("two", {.data = "2"}).status()), "DOCUMENT_UNFINISHED");
  ASSERT_THAT(Write("one", {.offset = 1, .finish = true}), IsOk());
  ASSERT_THAT(Write("two", {.data = "", .finish = true}), IsOk());
  ASSERT_THAT(Write("three", {.data = "3", .finish = true}), IsOk());
  EXPECT_EQ(Reason(Write("four", {.data = "4"}).status()), "DOCUMENT_LIMIT");
  EXPECT_EQ(Reason(Write("one", {.offset = 1, .data = "x"}).status()), "DOCUMENT_SEALED");
  EXPECT_THAT(Write("one", {.offset = 0, .data = "1", .finish = true}), IsOk());
  EXPECT_EQ(Stored(0), "1");
  EXPECT_EQ(Stored(1), "");
  EXPECT_EQ(Stored(2), "3");
}

TEST_F(DocumentAppenderTest, ReplacingKeepsTheBytesAndCanBeTurnedOnLater) {
  ASSERT_THAT(Write("doc", {.data = "a\xE4"}), IsOk());
  EXPECT_EQ(Reason(Write("doc", {.offset = 2, .data = "b\xFF"}).status()), "INVALID_UTF8");
  ASSERT_THAT(Write("doc", {.offset = 2, .data = "b\xFF"}, kReplace), IsOk());
  EXPECT_EQ(Reason(Write("doc", {.offset = 4, .data = "c"}, kRefuse).status()), "UTF8_POLICY_MISMATCH");
  ASSERT_THAT(Write("doc", {.offset = 4, .data = "\xE4", .finish = true}, kReplace), IsOk());
  EXPECT_EQ(Stored(0),
            "a\xE4"
            "b\xFF\xE4");
  EXPECT_EQ(store_->Load().value().documents[0].invalid_utf8, kReplace);
}

TEST_F(DocumentAppenderTest, MessagesOfABatchSeeOneAnother) {
  ASSERT_THAT(appender_->Begin(&*store_), IsOk());
  const auto apply = [this](const WriteRequest& request) {
    return Reason(appender_->Apply("doc", kRefuse, request, absl::UnixEpoch()).status());
  };
  EXPECT_EQ(apply({.data = "abc"}), "OK");
  EXPECT_EQ(apply({.offset = 3, .data = "def"}), "OK");
  EXPECT_EQ(apply({.offset = 1, .data = "bcde"}), "OK");
  EXPECT_EQ(apply({.offset = 1, .data = "x"}), "CONTENT_MISMATCH");
  EXPECT_EQ(apply({.offset = 7, .data = "x"}), "OFFSET_MISMATCH");
  EXPECT_EQ(apply({.offset = 6, .data = "g", .finish = true}), "OK");
  EXPECT_EQ(appender_->batch_bytes(), 7u);
  ASSERT_THAT(appender_->Commit(), IsOk());
  EXPECT_EQ(Stored(0), "abcdefg");
}

TEST_F(DocumentAppenderTest, RollbackUndoesEverythingOfTheBatch) {
  ASSERT_THAT(Write("one", {.data = "a\xC3"}), IsOk());
  ASSERT_THAT(appender_->Begin(&*store_), IsOk());
  ASSERT_THAT(appender_->Apply("one", kRefuse,
                               {.offset = 2,
                                .data = "\xA9"
                                        "b",
                                .finish = true},
                               absl::UnixEpoch()),
              IsOk());
  ASSERT_THAT(appender_->Apply("two", kRefuse, {.data = "c"}, absl::UnixEpoch()), IsOk());
  appender_->Rollback();
  EXPECT_EQ(appender_->documents().size(), 1u);
  EXPECT_FALSE(appender_->documents()[0].sealed);
  EXPECT_EQ(Stored(0), "a\xC3");
  EXPECT_EQ(Reason(Write("one", {.offset = 2, .data = "x"}).status()), "INVALID_UTF8");
  EXPECT_THAT(Write("one", {.offset = 2, .data = "\xA9"}), IsOk());
}

// --- Text in another encoding ---

// English as UTF-16 without a mark, which is well-formed UTF-8.
std::string Utf16(const std::string& text, bool big_endian) {
  std::string bytes;
  for (const char c : text) {
    if (big_endian) bytes.push_back('\0');
    bytes.push_back(c);
    if (!big_endian) bytes.push_back('\0');
  }
  return bytes;
}

TEST_F(DocumentAppenderTest, Utf16IsRefusedHoweverItComes) {
  int document = 0;
  for (const bool big_endian : {false, true}) {
    for (const bool marked : {false, true}) {
      const std::string mark = big_endian ? "\xFE\xFF" : "\xFF\xFE";
      const std::string text = (marked ? mark : "") + Utf16(SomeText(5000), big_endian);
      const char* const encoding = marked ? "UTF-16" : big_endian ? "UTF-16BE" : "UTF-16LE";
      for (const std::size_t piece : {1u, 5u, 64u, 1000u, 20'000u}) {
        for (const Utf8Policy policy : {kRefuse, kReplace}) {
          for (const bool restarts : {false, true}) {
            if (marked && policy == kRefuse && piece < 4) continue;  // its first byte is not UTF-8
            SCOPED_TRACE(fmt::format("{} in pieces of {}, restarts {}", encoding, piece, restarts));
            appender_.emplace("session", store_->Load().value().documents, /*max_documents=*/1000);
            const std::string name = std::to_string(document++);
            absl::StatusOr<WriteResult> result;
            std::size_t at = 0;
            for (; at < text.size() && (at == 0 || result.ok()); at += piece) {
              if (restarts) appender_.emplace("session", store_->Load().value().documents, /*max_documents=*/1000);
              const std::string part = text.substr(at, piece);
              result = Write(name, {.offset = at, .data = part, .finish = at + part.size() == text.size()}, policy);
            }
            EXPECT_EQ(Reason(result.status()), "NOT_UTF8_TEXT");
            EXPECT_EQ(Metadata(result.status(), "encoding"), encoding);
            EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr(fmt::format("iconv -f {} -t UTF-8", encoding))));
            EXPECT_LE(at, std::max<std::size_t>(2 * piece, 20)) << "little is stored before";
            // What is stored can be sealed, so that other documents may follow.
            if (at > piece) {
              const std::string stored = std::to_string(at - piece);
              ASSERT_EQ(Metadata(result.status(), "committed_offset"), stored);
              ASSERT_THAT(Write(name, {.offset = at - piece, .finish = true}, policy), IsOk());
            }
          }
        }
      }
    }
  }
}

TEST_F(DocumentAppenderTest, ShortUtf16AndBinariesAreRefusedAtTheirEnd) {
  for (const std::string& text : {Utf16("Hi", false), Utf16("Hi", true), std::string(100, '\0')}) {
    EXPECT_EQ(Reason(Write("doc", {.data = text, .finish = true}).status()), "NOT_UTF8_TEXT");
  }
  EXPECT_TRUE(appender_->documents().empty());
}

TEST_F(DocumentAppenderTest, AFewNulsAreText) {
  std::string text = SomeText(6000);
  for (std::size_t at = 10; at < text.size(); at += 50) {
    if (absl::ascii_isascii(static_cast<unsigned char>(text[at]))) text[at] = '\0';
  }
  ASSERT_THAT(Write("doc", {.data = text, .finish = true}), IsOk());
  EXPECT_EQ(Stored(0), text);
}

TEST_F(DocumentAppenderTest, RollbackForgetsTheFirstBytes) {
  ASSERT_THAT(Write("doc", {.data = "text"}), IsOk());
  ASSERT_THAT(appender_->Begin(&*store_), IsOk());
  ASSERT_THAT(appender_->Apply("doc", kRefuse, {.offset = 4, .data = std::string(11, '\0')}, absl::UnixEpoch()),
              IsOk());
  appender_->Rollback();
  const std::string rest = SomeText(100);
  ASSERT_THAT(Write("doc", {.offset = 4, .data = rest, .finish = true}), IsOk());
  EXPECT_EQ(Stored(0), "text" + rest);
}

TEST_F(DocumentAppenderTest, DiskErrorAtAnyWriteFailsTheBatchAndChangesNothing) {
  using tome::testing::DiskFault;
  Close();
  tome::testing::FaultyVfs disk;
  for (const DiskFault fault : {DiskFault::kFull, DiskFault::kIoError, DiskFault::kShortFull, DiskFault::kShortError}) {
    const std::string text = SomeText(50'000);
    bool failed = true;
    for (int successes = 0; failed; ++successes) {
      SCOPED_TRACE(successes);
      Close();
      std::filesystem::remove(path_);
      SetUp();
      ASSERT_THAT(Write("doc", {.data = "start\xC3"}), IsOk());
      disk.FailAfter(successes, fault);
      absl::Status status = appender_->Begin(&*store_);
      if (status.ok()) {
        appender_->Apply("doc", kRefuse, {.offset = 6, .data = "\xA9" + text}, absl::UnixEpoch())
            .status()
            .IgnoreError();
        status = appender_->Commit();
      }
      failed = !status.ok();
      disk.Heal();
      if (!failed) break;
      EXPECT_EQ(Reason(status), IsFull(fault) ? "DISK_FULL" : "DISK_FAILED") << status;
      EXPECT_EQ(appender_->documents()[0].size, 6u);
      EXPECT_EQ(Stored(0), "start\xC3");
      EXPECT_THAT(Write("doc", {.offset = 6, .data = "\xA9!"}), IsOk());
      Reopen();
      EXPECT_EQ(Stored(0), "start\xC3\xA9!");
      ASSERT_LT(successes, 1000);
    }
    Reopen();
    EXPECT_EQ(Stored(0), "start\xC3\xA9" + text);
  }
  Close();  // before the databases' file system goes
}

TEST_F(DocumentAppenderTest, RandomCutsAndRepeatsStoreTheTextOnce) {
  const std::string text = SomeText(20'000, 3);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove(path_);
    SetUp();
    std::mt19937_64 random(seed);
    ByteOffset size = 0;
    while (size < text.size()) {
      ASSERT_THAT(appender_->Begin(&*store_), IsOk());
      for (int i = 0; i < 4; ++i) {
        const bool repeat = size > 0 && random() % 3 == 0;
        const ByteOffset begin = repeat ? random() % size : size;
        const std::size_t most = repeat ? size - begin : std::min<std::size_t>(3000, text.size() - size);
        const std::string data = text.substr(begin, most == 0 ? 0 : random() % (most + 1));
        ASSERT_THAT(appender_->Apply("doc", kRefuse, {.offset = begin, .data = data}, absl::UnixEpoch()), IsOk());
        if (!repeat) size += data.size();
      }
      ASSERT_THAT(appender_->Commit(), IsOk());
      if (random() % 8 == 0) Reopen();
    }
    ASSERT_THAT(Write("doc", {.offset = size, .finish = true}), IsOk());
    EXPECT_EQ(Stored(0), text);
  }
}

}  // namespace
}  // namespace tome::server
