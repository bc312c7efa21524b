// Export and import of sessions.
#include <filesystem>

#include "engine/base/status.h"
#include "server/storage/bundle.h"
#include "tests/server/session/durability_fixture.h"
#include "tests/server/storage/faulty_vfs.h"

namespace tome::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using tome::testing::Awaited;
using tome::testing::DiskFault;
using tome::testing::FaultyVfs;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::OtherTinyServerModel;
using tome::testing::SomeText;
using tome::testing::StatusIs;

class TransferTest : public tome::testing::DurabilityFixture {
 protected:
  // Two documents, all of which a snapshot has; what follows in the second is in none.
  void MakeSession() {
    ASSERT_THAT(Create({.session_id = "session",
                        .display_name = "Two\nlines",
                        .labels = {{"key", "value"}},
                        .time_to_live = absl::Hours(1)}),
                IsOk());
    ASSERT_THAT(Append("session", "first", SomeText(1500)), IsOk());
    ASSERT_THAT(Append("session", "second", SomeText(700, 1), /*finish=*/false, 0, Utf8Policy::kReplace), IsOk());
    WaitUntilRead("session");
    ASSERT_THAT(Snapshot("session"), IsOk());
  }

  struct Bundle {
    std::string name;
    std::string bytes;
  };
  // `name`: of a bundle before; empty for a new one.
  absl::StatusOr<Bundle> ExportAs(const std::string& name, bool with_snapshot = true,
                                  const std::string& id = "session") {
    Awaited<absl::StatusOr<std::shared_ptr<SessionExporter>>> begun;
    const auto take = [begun](absl::StatusOr<std::unique_ptr<SessionExporter>> exporter) {
      begun.callback()(exporter.ok() ? absl::StatusOr<std::shared_ptr<SessionExporter>>(*std::move(exporter))
                                     : exporter.status());
    };
    if (name.empty()) {
      manager_->Export(id, with_snapshot, take);
    } else {
      manager_->ResumeExport(id, name, take);
    }
    if (!begun.Get().ok()) return begun.Get().status();
    Bundle bundle{.name = (*begun.Get())->bundle()};
    while (true) {
      Awaited<absl::StatusOr<std::string>> next;
      (*begun.Get())->Next(next.callback());
      if (!next.Get().ok()) return next.Get().status();
      if (next.Get()->empty()) return bundle;
      bundle.bytes += *next.Get();
    }
  }

  // Files in the sessions' folder, but for those of "session".
  std::vector<std::string> Leftovers() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(options_.data_folder + "/sessions")) {
      if (entry.path().filename() != "session") names.push_back(entry.path().filename().string());
    }
    return names;
  }
  // The importer goes by itself when it is dropped, a little later.
  void ExpectNothingLeft() {
    CreateSession("barrier");
    manager_->BeginDrain();
    EXPECT_TRUE(manager_->WaitUntilDrained(absl::Seconds(60)));
    Open();
    ASSERT_THAT(Delete("barrier"), IsOk());
    EXPECT_THAT(Leftovers(), IsEmpty());
  }
};

TEST_F(TransferTest, ImportedSessionIsTheSession) {
  Open();
  MakeSession();
  const SessionInfo before = *manager_->Get("session");
  const std::string expected = ContentDigest("session", before.snapshots.at(0).number);
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session"));
  const std::int64_t segments = Segments();
  for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{997}, std::size_t{13}}) {
    const std::string id = "copy-" + std::to_string(piece);
    TOME_ASSERT_OK_AND_ASSIGN(const SessionInfo copy, Import(bundle, id, piece));
    EXPECT_EQ(copy.id, id);
    EXPECT_EQ(copy.display_name, "Two\nlines");
    EXPECT_EQ(copy.labels, before.labels);
    EXPECT_EQ(copy.time_to_live, absl::Hours(1));
    EXPECT_EQ(copy.create_time, before.create_time);
    EXPECT_EQ(copy.options.attention, before.options.attention);
    ASSERT_THAT(copy.documents, SizeIs(2));
    EXPECT_EQ(copy.documents[1].name, "second");
    EXPECT_EQ(copy.documents[1].invalid_utf8, Utf8Policy::kReplace);
    EXPECT_EQ(copy.documents[1].durable_bytes, 700u);
    EXPECT_TRUE(copy.documents[0].sealed);
    EXPECT_FALSE(copy.documents[1].sealed);
    WaitUntilRead(id);
    EXPECT_EQ(Segments(), segments) << "its snapshot was used";
    EXPECT_EQ(StateDigest(id), expected);
    EXPECT_EQ(Ask(QuestionTo(id)).results[0]->answer, Ask(QuestionTo("session")).results[0]->answer);
  }
  ASSERT_THAT(Reread("copy-13"), IsOk());
  WaitUntilRead("copy-13");
  EXPECT_EQ(StateDigest("copy-13"), expected);
  // Both go on.
  for (const char* id : {"session", "copy-13"}) {
    ASSERT_THAT(Append(id, "second", SomeText(800, 2), /*finish=*/true, 700, Utf8Policy::kReplace), IsOk());
    WaitUntilRead(id);
  }
  EXPECT_EQ(StateDigest("copy-13"), StateDigest("session"));
}

TEST_F(TransferTest, WithoutSnapshotIsReadAgain) {
  Open();
  MakeSession();
  const std::string expected = ContentDigest("session", 1);
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session", /*with_snapshot=*/false));
  EXPECT_LT(bundle.size(), 2200u + 600u);
  ASSERT_THAT(Delete("session"), IsOk());
  EXPECT_EQ(Import(bundle)->id, "session") << "as the bundle says";
  WaitUntilRead("session");
  EXPECT_EQ(StateDigest("session"), expected);
}

TEST_F(TransferTest, ForksEmptySessionsAndLongDocumentsComeWhole) {
  Open();
  CreateSession("empty");
  EXPECT_THAT(Import(*Export("empty"), "empty-copy")->documents, IsEmpty());
  const std::string text = SomeText(20'000);
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", text.substr(0, 9'000), /*finish=*/false), IsOk());
  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  ASSERT_THAT(Append("fork", "doc", text.substr(9'000), /*finish=*/true, 9'000), IsOk());
  WaitUntilRead("fork");
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("fork", /*with_snapshot=*/false));
  ASSERT_THAT(Import(bundle, "copy"), IsOk());
  WaitUntilRead("copy");
  EXPECT_EQ(StateDigest("copy"), StateDigest("fork"));
}

TEST_F(TransferTest, WhatIsAppendedMeanwhileIsNotInIt) {
  Open();
  MakeSession();
  Awaited<std::shared_ptr<SessionExporter>> begun;
  manager_->Export("session", true, [begun](absl::StatusOr<std::unique_ptr<SessionExporter>> exporter) {
    begun.callback()(std::shared_ptr<SessionExporter>(*std::move(exporter)));
  });
  const std::shared_ptr<SessionExporter> exporter = begun.Get();
  ASSERT_THAT(Append("session", "second", SomeText(800, 2), /*finish=*/true, 700, Utf8Policy::kReplace), IsOk());
  ASSERT_THAT(Reread("session"), IsOk());  // which drops the snapshot
  std::string bundle;
  for (std::string piece = "x"; !piece.empty(); bundle += piece) {
    Awaited<absl::StatusOr<std::string>> next;
    exporter->Next(next.callback());
    ASSERT_THAT(next.Get(), IsOk());
    piece = *next.Get();
  }
  TOME_ASSERT_OK_AND_ASSIGN(const SessionInfo copy, Import(bundle, "copy"));
  EXPECT_EQ(copy.documents.at(1).durable_bytes, 700u);
  EXPECT_FALSE(copy.documents.at(1).sealed);
  EXPECT_THAT(copy.snapshots, SizeIs(1));
}

// --- What people give by mistake ---

TEST_F(TransferTest, ErrorsSayWhatWasExpectedWhatWasFoundAndWhatToDo) {
  using namespace std::string_literals;
  Open();
  MakeSession();
  const std::string bundle = *Export("session");
  const auto changed = [&](std::size_t at) {
    std::string other = bundle;
    other[at] = static_cast<char>(other[at] ^ 1);
    return other;
  };
  const std::string expected = "expected a bundle that tome export wrote, found ";
  const std::string damaged = "the bundle is damaged: ";
  struct Case {
    std::string name;
    std::string bytes;
    std::string message;  // how it begins
  };
  const Case cases[] = {
      {"nothing", "", expected + "an empty file"},
      {"a model", "GGUF\3\0\0\0and much more"s, expected + "a GGUF model file"},
      {"a database", "SQLite format 3\0more"s, expected + "an SQLite database"},
      {"a snapshot", "TOMESNAP\1\0\0\0and more"s, expected + "a snapshot out of the data folder"},
      {"a packed bundle", "\x1F\x8B\x08\0\0\0\0\0\0\0\0\0"s, expected + "a gzip file; unpack it first"},
      {"a text", "Once upon a time there was a king.", expected + "text that begins 'Once upon a "},
      {"a short text", "Once", expected + "text that begins 'Once'"},
      {"other bytes", "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8B", expected + "bytes that begin '\\x80"},
      {"the magic alone", bundle.substr(0, 5), damaged + "it ends after 5 bytes"},
      {"half of it", bundle.substr(0, bundle.size() / 2),
       damaged + fmt::format("it ends after {} b", bundle.size() / 2)},
      {"all but a byte", bundle.substr(0, bundle.size() - 1), damaged + "it ends after "},
      {"another byte", changed(100), damaged + "the checksum of the frame at byte 12 does not match"},
      {"another digest", changed(bundle.size() - 1), damaged + "its SHA-256 digest does not match"},
      {"two of them", bundle + bundle,
       damaged + fmt::format("bytes follow its end, which is at byte {}", bundle.size())},
      {"another version", changed(8), "the bundle has version 0, this server reads version 1; import it with"},
  };
  for (const Case& test : cases) {
    for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{7}}) {
      const absl::Status status = Import(test.bytes, "copy", piece).status();
      EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(test.message)) << test.name;
      if (test.message.starts_with(damaged)) {
        EXPECT_THAT(std::string(status.message()), HasSubstr("copy it here again, or export the session once more"));
      }
      EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("archive"))) << "that is something else";
    }
  }
  manager_->BeginDrain();
  EXPECT_TRUE(manager_->WaitUntilDrained(absl::Seconds(60)));
  EXPECT_THAT(Leftovers(), IsEmpty());
}

// --- Going on with an export ---

TEST_F(TransferTest, BundleIsTheSameWheneverItIsAskedFor) {
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const Bundle whole, ExportAs(""));
  EXPECT_EQ(ExportAs("")->name, whole.name);
  EXPECT_EQ(ExportAs(whole.name)->bytes, whole.bytes);
  // What comes after does not matter: more text, also a new document, and one more snapshot.
  ASSERT_THAT(Append("session", "second", SomeText(800, 2), /*finish=*/true, 700, Utf8Policy::kReplace), IsOk());
  ASSERT_THAT(Append("session", "third", SomeText(2000, 3)), IsOk());
  WaitUntilRead("session");
  ASSERT_THAT(Snapshot("session"), IsOk());
  EXPECT_NE(ExportAs("")->name, whole.name);
  EXPECT_EQ(ExportAs(whole.name)->bytes, whole.bytes);
  Open();  // nor does a restart
  EXPECT_EQ(ExportAs(whole.name)->bytes, whole.bytes);
  EXPECT_EQ(ExportAs(whole.name)->name, whole.name);
}

TEST_F(TransferTest, BundleWithoutSnapshotSurvivesThatOfTheSession) {
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const Bundle text_only, ExportAs("", /*with_snapshot=*/false));
  ASSERT_THAT(Reread("session"), IsOk());
  EXPECT_EQ(ExportAs(text_only.name)->bytes, text_only.bytes);
}

TEST_F(TransferTest, BundleThatIsGoneIsNotMixedWithAnother) {
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const Bundle with_snapshot, ExportAs(""));
  TOME_ASSERT_OK_AND_ASSIGN(const Bundle text_only, ExportAs("", /*with_snapshot=*/false));
  ASSERT_THAT(Reread("session"), IsOk());  // drops the snapshot
  EXPECT_THAT(ExportAs(with_snapshot.name), HasReason("BUNDLE_CHANGED"));
  Awaited<absl::StatusOr<SessionInfo>> updated;
  manager_->Update({.session_id = "session", .display_name = "Another name"}, updated.callback());
  ASSERT_THAT(updated.Get(), IsOk());
  EXPECT_THAT(ExportAs(text_only.name), HasReason("BUNDLE_CHANGED"));
  EXPECT_THAT(ExportAs(text_only.name), StatusIs(absl::StatusCode::kAborted, HasSubstr("begin the export anew")));
  CreateSession("empty");
  EXPECT_THAT(ExportAs(text_only.name, true, "empty"), HasReason("BUNDLE_CHANGED"));
}

TEST_F(TransferTest, NamesThatAreNoBundlesAreRefused) {
  Open();
  MakeSession();
  for (const char* name : {"x", "1-2-3-4", "1-2-3-4-5-6", "-1-2-3-4-x", "2-700-0-1", "99999999999999999999-1-1-1-x"}) {
    EXPECT_THAT(ExportAs(name), HasReason("BUNDLE_NAME")) << name;
  }
  for (const char* name : {"9-700-0-1-00", "2-701-0-1-00", "2-700-1-1-00", "2-700-0-9-00", "0-0-0-0-00"}) {
    EXPECT_THAT(ExportAs(name), HasReason("BUNDLE_CHANGED")) << name;
  }
}

// --- The end ---

// Whoever waits for an answer gets one, however late it asked.
TEST_F(TransferTest, EverythingIsAnsweredAfterShutdown) {
  Open();
  MakeSession();
  Awaited<std::shared_ptr<SessionExporter>> begun;
  manager_->Export("session", true, [begun](absl::StatusOr<std::unique_ptr<SessionExporter>> exporter) {
    begun.callback()(std::shared_ptr<SessionExporter>(*std::move(exporter)));
  });
  const std::shared_ptr<SessionExporter> exporter = begun.Get();
  TOME_ASSERT_OK_AND_ASSIGN(std::unique_ptr<SessionImporter> taking, manager_->Import("taking"));
  TOME_ASSERT_OK_AND_ASSIGN(std::unique_ptr<SessionImporter> finishing, manager_->Import("finishing"));
  manager_->Shutdown();

  Awaited<absl::StatusOr<std::string>> next;
  exporter->Next(next.callback());
  EXPECT_THAT(next.Get(), HasReason("DRAINING"));
  Awaited<absl::Status> taken;
  taking->Take("bytes", taken.callback());
  EXPECT_THAT(taken.Get(), HasReason("DRAINING"));
  Awaited<absl::StatusOr<SessionInfo>> finished;
  finishing->Finish(finished.callback());
  EXPECT_THAT(finished.Get(), HasReason("DRAINING"));
  EXPECT_THAT(Create({.session_id = "new"}), HasReason("DRAINING"));
  EXPECT_THAT(Fork({.session_id = "session"}), HasReason("DRAINING"));
  EXPECT_THAT(Delete("session"), HasReason("DRAINING"));
  EXPECT_THAT(Snapshot("session"), HasReason("DRAINING"));
  EXPECT_THAT(Reread("session"), HasReason("DRAINING"));
  EXPECT_THAT(Export("session"), HasReason("DRAINING"));
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], HasReason("DRAINING"));
  EXPECT_THAT(Search({.session_id = "session", .query = "what"}), HasReason("DRAINING"));
  taking.reset();
  finishing.reset();
  manager_.reset();
}

TEST_F(TransferTest, EveryChangedByteAndEveryLengthIsRefusedAndLeavesNothing) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", "some text"), IsOk());
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session", /*with_snapshot=*/false));
  ASSERT_LT(bundle.size(), 600u);
  for (std::size_t at = 0; at < bundle.size(); ++at) {
    std::string damaged = bundle;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    const absl::Status status = Import(damaged, "copy").status();
    const bool version = at >= 8 && at < 12;
    ASSERT_THAT(status, HasReason(version ? "ARCHIVE_VERSION" : "ARCHIVE_DAMAGED")) << at;
    ASSERT_THAT(Import(std::string_view(bundle).substr(0, at), "copy"), HasReason("ARCHIVE_DAMAGED")) << at;
  }
  EXPECT_THAT(Import(bundle + "x", "copy"),
              AllOf(HasReason("ARCHIVE_DAMAGED"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("follow its end"))));
  EXPECT_THAT(manager_->Get("copy"), HasReason("SESSION_NOT_FOUND"));
  EXPECT_THAT(Import(bundle, "copy"), IsOk()) << "the id is free";
  ASSERT_THAT(Delete("copy"), IsOk());
  ExpectNothingLeft();
}

TEST_F(TransferTest, DamagedSnapshotIsNotLetOut) {
  Open();
  MakeSession();
  const std::string path = Folder("session") + "/snapshot-1";
  std::string bytes = tome::testing::ReadFile(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  tome::testing::WriteFile(path, bytes);
  EXPECT_THAT(Export("session"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("snapshot 1 is damaged")));
  EXPECT_THAT(Export("session", /*with_snapshot=*/false), IsOk());
}

TEST_F(TransferTest, AnotherModelRefusesTheStateAndReadsTheTextAgain) {
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session"));
  ASSERT_THAT(Delete("session"), IsOk());
  Open(OtherTinyServerModel());
  ASSERT_THAT(Import(bundle), IsOk());
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], HasReason("SNAPSHOT_MISMATCH"));
  ASSERT_THAT(Reread("session"), IsOk());
  WaitUntilRead("session");
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
}

// Bundles whose checksums are right and whose contents are not.
class ForgedTest : public TransferTest {
 protected:
  ForgedTest() {
    session_ = {.id = "session",
                .display_name = "name",
                .create_time = absl::FromUnixSeconds(1),
                .options = tome::testing::kTinyMemoryOptions};
  }

  std::string Archive(const std::vector<std::pair<StoredDocument, std::string>>& documents) {
    BundleWriter writer;
    std::string bundle = writer.Begin(session_);
    for (const auto& [document, bytes] : documents) {
      bundle += writer.Document(document);
      if (!bytes.empty()) bundle += writer.Bytes(bytes);
    }
    return bundle + writer.End();
  }
  static StoredDocument Document(const std::string& name, std::uint64_t size, bool sealed = true) {
    return {.name = name, .size = size, .sealed = sealed, .create_time = absl::FromUnixSeconds(1)};
  }

  StoredSession session_;
};

TEST_F(ForgedTest, ContentThatNoSessionHasIsRefused) {
  Open();
  ASSERT_THAT(Import(Archive({{Document("doc", 4), "text"}})), IsOk()) << "what is good in the following is good";
  ASSERT_THAT(Delete("session"), IsOk());
  for (const char* name : {"", "a/b", "../../escape", "/etc/passwd", "line\nbreak", "\xFF\xFE"}) {
    EXPECT_THAT(Import(Archive({{Document(name, 4), "text"}})), HasReason("ARCHIVE_CONTENT")) << name;
  }
  EXPECT_THAT(Import(Archive({{Document("doc", 4), "text"}, {Document("doc", 4), "text"}})),
              HasReason("ARCHIVE_CONTENT"));
  EXPECT_THAT(Import(Archive({{Document("doc", 4, /*sealed=*/false), "text"}, {Document("other", 4), "text"}})),
              HasReason("ARCHIVE_CONTENT"));
  EXPECT_THAT(Import(Archive({{Document("doc", 4), "ab\xFFz"}})), HasReason("ARCHIVE_CONTENT"));
  EXPECT_THAT(Import(Archive({{Document("doc", 4), "tex\xC3"}})), HasReason("ARCHIVE_CONTENT"));
  for (const char* id : {"../../escape", "", "UPPER", "a", "session.db", ".new-other"}) {
    session_.id = id;
    EXPECT_THAT(Import(Archive({})), HasReason("ARCHIVE_CONTENT")) << id;
  }
  session_.id = "session";
  session_.labels = {{"Not a key", "value"}};
  EXPECT_THAT(Import(Archive({})), HasReason("ARCHIVE_CONTENT"));
  session_.labels.clear();
  session_.time_to_live = absl::Milliseconds(1);
  EXPECT_THAT(Import(Archive({})), HasReason("ARCHIVE_CONTENT"));
  session_.time_to_live = absl::ZeroDuration();
  session_.options.window_tokens = 1 << 29;
  EXPECT_THAT(Import(Archive({})), HasReason("ARCHIVE_CONTENT"));
  session_.options = tome::testing::kTinyMemoryOptions;
  session_.options.attention = "no such thing";
  EXPECT_THAT(Import(Archive({})), HasReason("ARCHIVE_CONTENT"));
  ExpectNothingLeft();
}

TEST_F(ForgedTest, LiesAboutSizesAreRefused) {
  Open();
  EXPECT_THAT(Import(Archive({{Document("doc", 5), "text"}})), HasReason("ARCHIVE_DAMAGED"));
  EXPECT_THAT(Import(Archive({{Document("doc", 3), "text"}})), HasReason("ARCHIVE_DAMAGED"));
  EXPECT_THAT(Import(Archive({{Document("doc", std::uint64_t{1} << 61), "text"}})), HasReason("ARCHIVE_DAMAGED"));
  EXPECT_THAT(Import(Archive({{Document("doc", ~std::uint64_t{0}), "text"}})), HasReason("ARCHIVE_DAMAGED"));
  BundleWriter writer;
  std::string huge = writer.Begin(session_);
  huge += std::string("\2\xFF\xFF\xFF\xFF", 5);  // a frame of 4 GiB
  EXPECT_THAT(Import(huge), HasReason("ARCHIVE_DAMAGED"));
  BundleWriter second;
  std::string bundle = second.Begin(session_);
  bundle += second.Snapshot({.number = 1, .size_bytes = 4, .digest = "digest"});
  bundle += second.Bytes("none");
  bundle += second.End();
  EXPECT_THAT(Import(bundle), HasReason("ARCHIVE_DAMAGED"));
  ExpectNothingLeft();
}

TEST_F(ForgedTest, PartsInAnotherOrderAreRefused) {
  Open();
  const auto expect_damaged = [&](const std::string& bundle) {
    EXPECT_THAT(Import(bundle), HasReason("ARCHIVE_DAMAGED"));
  };
  const auto session = [&] { return BundleWriter().Begin(session_); };
  const std::string magic = session().substr(0, 12), document = BundleWriter().Document(Document("doc", 0));
  BundleWriter of_document;
  of_document.Document(Document("doc", 1));
  const std::string byte = of_document.Bytes("x"), end = BundleWriter().End();
  expect_damaged(session() + session().substr(12));
  expect_damaged(magic + document);
  expect_damaged(magic + end);
  expect_damaged(session() + document + byte);
  expect_damaged(session() + byte);
  expect_damaged(session() + BundleWriter().Snapshot({.number = 1}) + document);
  ExpectNothingLeft();
}

TEST_F(TransferTest, ImportsRespectLimitsAndOthersIds) {
  options_.max_documents = 2;
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session"));
  EXPECT_THAT(Import(bundle), HasReason("SESSION_EXISTS"));
  EXPECT_THAT(Export("none"), HasReason("SESSION_NOT_FOUND"));
  {
    TOME_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<SessionImporter> importer, manager_->Import("copy"));
    Awaited<absl::Status> taken;
    importer->Take(bundle.substr(0, bundle.size() / 2), taken.callback());
    ASSERT_THAT(taken.Get(), IsOk());
    EXPECT_THAT(Import(bundle, "copy"), HasReason("SESSION_EXISTS")) << "it is being made";
    EXPECT_THAT(Create({.session_id = "copy"}), HasReason("SESSION_EXISTS"));
    EXPECT_THAT(manager_->Get("copy"), HasReason("SESSION_NOT_FOUND")) << "but cannot be seen yet";
  }
  ExpectNothingLeft();
  options_.max_sessions = 1;
  Open();
  EXPECT_THAT(Import(bundle, "copy"), HasReason("SESSION_LIMIT"));
  options_.max_sessions = 10;
  options_.max_documents = 1;
  Open();
  EXPECT_THAT(Import(bundle, "copy"), HasReason("DOCUMENT_LIMIT"));
  manager_->BeginDrain();
  EXPECT_THAT(Import(bundle, "copy"), HasReason("DRAINING"));
  EXPECT_THAT(Export("session"), HasReason("DRAINING"));
}

TEST_F(TransferTest, StopInTheMiddleOfAnImportLeavesNothing) {
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session"));
  TOME_ASSERT_OK_AND_ASSIGN(std::unique_ptr<SessionImporter> importer, manager_->Import("copy"));
  Awaited<absl::Status> taken;
  importer->Take(bundle.substr(0, bundle.size() / 2), taken.callback());
  ASSERT_THAT(taken.Get(), IsOk());
  EXPECT_THAT(Leftovers(), SizeIs(1));
  manager_.reset();
  importer.reset();
  EXPECT_THAT(Leftovers(), IsEmpty());
}

TEST_F(TransferTest, EveryFailingFileCallIsToldAndLeavesNothingOrAll) {
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session"));
  int calls = 1;
  for (int n = 0; n < calls; ++n) {
    SCOPED_TRACE(n);
    files_.WriteAtMost(n % 2 == 0 ? 5000 : 1 << 20);
    files_.FailAfter(n, MakeError(absl::StatusCode::kResourceExhausted, "full", {.reason = "DISK_FULL"}));
    const absl::StatusOr<SessionInfo> copy = Import(bundle, "copy");
    const int made = files_.Heal();
    calls = std::max(calls, made + 1);
    EXPECT_EQ(copy.ok(), made <= n);
    if (!copy.ok()) {
      EXPECT_THAT(copy, HasReason("DISK_FULL"));
      EXPECT_THAT(manager_->Get("copy"), HasReason("SESSION_NOT_FOUND"));
    }
    if (n % 3 == 0) files_.LosePower();
    Open();
    EXPECT_TRUE(!copy.ok() || manager_->Get("copy").ok());
    if (!manager_->Get("copy").ok()) continue;
    WaitUntilRead("copy");
    EXPECT_EQ(StateDigest("copy"), ContentDigest("session", 1));
    ASSERT_THAT(Delete("copy"), IsOk());
  }
  EXPECT_GT(calls, 5);
}

TEST_F(TransferTest, EveryFailingDatabaseCallIsToldAndLeavesNothing) {
  FaultyVfs vfs;
  Open();
  MakeSession();
  TOME_ASSERT_OK_AND_ASSIGN(const std::string bundle, Export("session"));
  int calls = 1;
  for (int n = 0; n < calls; ++n) {
    SCOPED_TRACE(n);
    vfs.FailAfter(n, n % 2 == 0 ? DiskFault::kFull : DiskFault::kIoError);
    const absl::StatusOr<SessionInfo> copy = Import(bundle, "copy");
    calls = std::max(calls, vfs.Heal() + 1);
    if (copy.ok()) {
      Open();
      WaitUntilRead("copy");
      EXPECT_EQ(StateDigest("copy"), ContentDigest("session", 1));
      ASSERT_THAT(Delete("copy"), IsOk());
      continue;
    }
    EXPECT_THAT(copy, StatusIs(n % 2 == 0 ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kDataLoss,
                               HasSubstr("session.db")));
    EXPECT_THAT(manager_->Get("copy"), HasReason("SESSION_NOT_FOUND"));
  }
  EXPECT_GT(calls, 10);
  manager_.reset();  // before the databases' file system goes
}

}  // namespace
}  // namespace tome::server
