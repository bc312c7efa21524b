#include "server/storage/session_store.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::IsOk;
using tome::testing::SomeText;
using tome::testing::StatusIs;

class SessionStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    session_.id = "session";
    session_.request_id = "request";
    session_.display_name = "A \"name\" with \xE4\xBA\xBA";
    session_.labels = {{"team", "red"}, {"empty", ""}};
    session_.create_time = absl::FromUnixMicros(1234567890123456);
    session_.update_time = session_.create_time + absl::Seconds(1);
    session_.options = {.sink_tokens = 1,
                        .window_tokens = 2,
                        .segment_tokens = 3,
                        .region_tokens = 4,
                        .regions = {.selected = 5, .pool_regions = 6, .precision = RegionPrecision::kInt8}};
    session_.model_digest = "m";
    session_.tokenizer_digest = "t";
    ASSERT_THAT(SessionStore::Create(path_, session_), IsOk());
  }

  SessionStore Open() { return SessionStore::Open(path_, "session").value(); }

  // Stores a document of `text` and returns it.
  StoredDocument Add(SessionStore& store, const std::string& text) {
    StoredDocument document{.name = "doc", .size = text.size()};
    Transaction transaction = store.Begin().value();
    EXPECT_THAT(store.AddDocument(0, document), IsOk());
    EXPECT_THAT(store.AddBytes(0, 0, text), IsOk());
    EXPECT_THAT(transaction.Commit(), IsOk());
    return document;
  }

  // Changes the database behind the store's back.
  void Damage(const char* sql) { ASSERT_THAT(Database::Open(path_, Database::Mode::kOpen)->Execute(sql), IsOk()); }

  tome::testing::TempDir folder_;
  const std::string path_ = folder_.File("session.db");
  StoredSession session_;
};

TEST_F(SessionStoreTest, KeepsWhatItWasGiven) {
  const StoredSession loaded = Open().Load().value();
  EXPECT_EQ(loaded.id, session_.id);
  EXPECT_EQ(loaded.request_id, session_.request_id);
  EXPECT_EQ(loaded.display_name, session_.display_name);
  EXPECT_EQ(loaded.labels, session_.labels);
  EXPECT_EQ(loaded.version, 1);
  EXPECT_EQ(loaded.create_time, session_.create_time);
  EXPECT_EQ(loaded.update_time, session_.update_time);
  EXPECT_EQ(loaded.options.window_tokens, 2);
  EXPECT_EQ(loaded.options.region_tokens, 4);
  EXPECT_EQ(loaded.options.regions, session_.options.regions);
  EXPECT_EQ(loaded.model_digest, "m");
  EXPECT_TRUE(loaded.documents.empty());

  StoredSession changed = loaded;
  changed.display_name = "";
  changed.labels = {{"x", "y"}};
  changed.version = 2;
  ASSERT_THAT(Open().SaveMetadata(changed), IsOk());
  ASSERT_THAT(Open().SaveDigests("m2", "t2"), IsOk());
  const StoredSession again = Open().Load().value();
  EXPECT_EQ(again.display_name, "");
  EXPECT_EQ(again.labels, changed.labels);
  EXPECT_EQ(again.version, 2);
  EXPECT_EQ(again.model_digest + again.tokenizer_digest, "m2t2");
}

TEST_F(SessionStoreTest, ReadsBytesFromAnyOffset) {
  SessionStore store = Open();
  const std::string text = SomeText(3 * kMaxChunkBytes + 17);
  const StoredDocument document = Add(store, text);
  for (const ByteOffset begin :
       {std::size_t{0}, std::size_t{1}, kMaxChunkBytes - 1, kMaxChunkBytes, kMaxChunkBytes + 1, text.size() - 1}) {
    const std::string chunk = store.ReadChunk(0, document, begin).value();
    EXPECT_LE(chunk.size(), kMaxChunkBytes);
    EXPECT_EQ(chunk, text.substr(begin, chunk.size())) << begin;
    EXPECT_FALSE(chunk.empty());
  }
}

TEST_F(SessionStoreTest, ReadsRangesAcrossChunks) {
  SessionStore store = Open();
  const std::string text = SomeText(3 * kMaxChunkBytes + 17);
  const StoredDocument document = Add(store, text);
  const std::pair<ByteOffset, ByteOffset> ranges[] = {{0, 0},
                                                      {0, 10},
                                                      {kMaxChunkBytes - 5, kMaxChunkBytes + 5},
                                                      {kMaxChunkBytes, 2 * kMaxChunkBytes},
                                                      {1, text.size()}};
  for (const auto& [begin, end] : ranges) {
    EXPECT_EQ(store.ReadBytes(0, document, begin, end).value(), text.substr(begin, end - begin)) << begin;
  }
}

TEST_F(SessionStoreTest, ReadsAndWritesTheFormatWithoutRegions) {
  std::filesystem::remove(path_);
  ASSERT_THAT(Database::Open(path_, Database::Mode::kCreate)->Execute(R"sql(
    PRAGMA application_id = 1416588645;
    PRAGMA user_version = 1;
    CREATE TABLE session (
      only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
      id TEXT NOT NULL, request_id TEXT NOT NULL, display_name TEXT NOT NULL, version INTEGER NOT NULL,
      create_time INTEGER NOT NULL, update_time INTEGER NOT NULL,
      sink_tokens INTEGER NOT NULL, window_tokens INTEGER NOT NULL, segment_tokens INTEGER NOT NULL,
      model_digest TEXT NOT NULL, tokenizer_digest TEXT NOT NULL) STRICT;
    CREATE TABLE labels (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE documents (
      ordinal INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, sealed INTEGER NOT NULL,
      invalid_utf8 INTEGER NOT NULL, create_time INTEGER NOT NULL) STRICT;
    CREATE TABLE chunks (
      chunk INTEGER PRIMARY KEY, document INTEGER NOT NULL, offset INTEGER NOT NULL, crc32c INTEGER NOT NULL,
      data BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX chunks_by_offset ON chunks (document, offset);
    INSERT INTO session VALUES (1, 'session', 'request', 'An old one', 3, 1, 2, 8, 64, 32, 'm', 't');
    INSERT INTO labels VALUES ('team', 'red');
  )sql"),
              IsOk());
  {
    SessionStore store = Open();
    Add(store, "text");
  }
  StoredSession loaded = Open().Load().value();
  EXPECT_EQ(loaded.display_name, "An old one");
  EXPECT_EQ(loaded.options.sink_tokens, 8);
  EXPECT_EQ(loaded.options.segment_tokens, 32);
  EXPECT_EQ(loaded.options.region_tokens, 64);
  EXPECT_EQ(loaded.options.regions.selected, 0);
  EXPECT_EQ(loaded.options.attention, "dense");
  EXPECT_EQ(loaded.options.position_encoding, "");
  EXPECT_EQ(loaded.model_digest + loaded.tokenizer_digest, "mt");
  EXPECT_EQ(loaded.labels, (std::map<std::string, std::string>{{"team", "red"}}));
  ASSERT_EQ(loaded.documents.size(), 1u);

  loaded.display_name = "Renamed";
  ASSERT_THAT(Open().SaveMetadata(loaded), IsOk());
  ASSERT_THAT(Open().SaveDigests("m2", "t2"), IsOk());
  const StoredSession again = Open().Load().value();
  EXPECT_EQ(again.display_name + again.model_digest, "Renamedm2");
  EXPECT_EQ(again.options.region_tokens, 64);
}

TEST_F(SessionStoreTest, FormatFourGetsExpiryAndBases) {
  StoredSession stored = Open().Load().value();
  stored.options.attention = "sliding(64)";
  std::filesystem::remove(path_);
  ASSERT_THAT(SessionStore::Create(path_, stored), IsOk());
  ASSERT_THAT(Database::Open(path_, Database::Mode::kOpen)
                  ->Execute("ALTER TABLE session DROP COLUMN time_to_live; ALTER TABLE session DROP COLUMN pinned; "
                            "ALTER TABLE session DROP COLUMN last_use_time; DROP TABLE bases; PRAGMA user_version = 4"),
              IsOk());
  const StoredSession loaded = Open().Load().value();
  EXPECT_EQ(loaded.options.attention, "sliding(64)");
  EXPECT_EQ(loaded.time_to_live, absl::ZeroDuration());
  EXPECT_FALSE(loaded.pinned);
  EXPECT_EQ(loaded.last_use_time, loaded.update_time);
  EXPECT_TRUE(loaded.bases.empty());
}

TEST_F(SessionStoreTest, BytesBehindABaseAreFoundAndItsNameCannotLeaveTheFolder) {
  const std::string text = SomeText(2 * kMaxChunkBytes + 5), folder = path_.substr(0, path_.rfind('/') + 1);
  StoredSession stored;
  {
    SessionStore store = Open();
    Add(store, text);
    stored = store.Load().value();
    ASSERT_THAT(SessionStore::Freeze(std::move(store)), IsOk());
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
  std::filesystem::rename(path_, folder + "base-1");
  stored.bases = {"base-1"};
  ASSERT_THAT(SessionStore::Create(path_, stored), IsOk());
  {
    SessionStore store = Open();
    EXPECT_FALSE(store.HasChunks().value());
    StoredDocument document = stored.documents[0];
    ASSERT_THAT(store.AddBytes(0, document.size, "more"), IsOk());
    document.size += 4;
    EXPECT_TRUE(store.HasChunks().value());
    EXPECT_EQ(store.ReadBytes(0, document, 0, document.size).value(), text + "more");
    EXPECT_EQ(store.ReadBytes(0, document, 7, 9).value(), text.substr(7, 2));
    EXPECT_THAT(store.CheckIntegrity(), IsOk());
  }
  for (const char* name : {"../base-1", "base-1/x", "session.db", "base-.."}) {
    std::filesystem::remove(path_);
    stored.bases = {name};
    ASSERT_THAT(SessionStore::Create(path_, stored), IsOk());
    EXPECT_THAT(SessionStore::Open(path_, "session"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is no base")));
  }
}

TEST_F(SessionStoreTest, WhatWasNotCommittedIsNotThere) {
  {
    SessionStore store = Open();
    Transaction transaction = store.Begin().value();
    ASSERT_THAT(store.AddDocument(0, {.name = "doc", .size = 3}), IsOk());
    ASSERT_THAT(store.AddBytes(0, 0, "abc"), IsOk());
  }
  EXPECT_TRUE(Open().Load().value().documents.empty());
}

TEST_F(SessionStoreTest, DamagedChunksAreDataLossWithDocumentAndRange) {
  const std::string text = SomeText(2 * kMaxChunkBytes);
  struct Case {
    const char* sql;
    const char* begin;
    const char* end;
  };
  for (const Case& test : {
           Case{"UPDATE chunks SET data = zeroblob(262144) WHERE offset > 0", "262144", "524288"},
           Case{"UPDATE chunks SET crc32c = crc32c + 1 WHERE offset > 0", "262144", "524288"},
           Case{"UPDATE chunks SET data = x'' WHERE offset > 0", "300000", "524288"},
           Case{"DELETE FROM chunks WHERE offset > 0", "300000", "524288"},
           Case{"UPDATE chunks SET data = zeroblob(300000) WHERE offset > 0", "262144", "562144"},
       }) {
    SCOPED_TRACE(test.sql);
    std::filesystem::remove(path_);
    SetUp();
    StoredDocument document;
    {
      SessionStore store = Open();
      document = Add(store, text);
    }
    Damage(test.sql);
    SessionStore store = Open();
    EXPECT_EQ(store.ReadChunk(0, document, 0).value(), text.substr(0, kMaxChunkBytes));
    const absl::Status status = store.ReadChunk(0, document, 300'000).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'doc'")));
    const ErrorDetails details = GetErrorDetails(status).value();
    EXPECT_EQ(details.reason, "STORED_DATA_DAMAGED");
    EXPECT_EQ(details.metadata.at("session"), "session");
    EXPECT_EQ(details.metadata.at("begin"), test.begin);
    EXPECT_EQ(details.metadata.at("end"), test.end);
  }
}

TEST_F(SessionStoreTest, DamagedMetadataIsDataLoss) {
  for (const char* sql :
       {"DELETE FROM session", "UPDATE session SET sink_tokens = 0", "UPDATE session SET window_tokens = -1",
        "UPDATE session SET segment_tokens = 1 << 40", "UPDATE session SET region_tokens = 0",
        "UPDATE session SET region_memory = 'nonsense'", "INSERT INTO documents VALUES (1, 'x', 0, 0, 1, 0)",
        "INSERT INTO documents VALUES (0, 'x', -1, 0, 1, 0)", "INSERT INTO documents VALUES (0, 'x', 0, 0, 9, 0)"}) {
    SCOPED_TRACE(sql);
    std::filesystem::remove(path_);
    SetUp();
    Damage(sql);
    EXPECT_THAT(Open().Load(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  }
}

TEST_F(SessionStoreTest, RenamedFolderIsToldByName) {
  EXPECT_THAT(SessionStore::Open(path_, "other")->Load(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("session 'session'")));
}

TEST_F(SessionStoreTest, FilesOfOthersAreRefused) {
  EXPECT_THAT(SessionStore::Open(folder_.File("none.db"), "session"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.db")));
  tome::testing::WriteFile(path_, SomeText(5000));
  EXPECT_THAT(SessionStore::Open(path_, "session"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("session.db")));
  tome::testing::WriteFile(path_, "");
  EXPECT_THAT(SessionStore::Open(path_, "session"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not a session")));
  std::filesystem::remove(path_);
  SetUp();
  Damage("PRAGMA user_version = 99");
  EXPECT_THAT(SessionStore::Open(path_, "session"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("format 99")));
}

TEST_F(SessionStoreTest, EveryTruncationIsAnErrorOrWhole) {
  std::string bytes;
  {
    SessionStore store = Open();
    Add(store, SomeText(20'000));
  }
  bytes = tome::testing::ReadFile(path_);
  for (std::size_t size = 0; size < bytes.size(); size += 1777) {
    SCOPED_TRACE(size);
    tome::testing::WriteFile(path_, bytes.substr(0, size));
    absl::StatusOr<SessionStore> store = SessionStore::Open(path_, "session");
    if (!store.ok()) continue;
    const absl::StatusOr<StoredSession> loaded = store->Load();
    if (!loaded.ok() || loaded->documents.empty()) continue;
    const absl::StatusOr<std::string> chunk = store->ReadChunk(0, loaded->documents[0], 0);
    EXPECT_TRUE(!chunk.ok() || *chunk == SomeText(20'000));
  }
}

}  // namespace
}  // namespace tome::server
