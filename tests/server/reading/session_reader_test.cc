// The reader with the session that owns it, by the digest of the state it makes.
#include "server/reading/session_reader.h"

#include <filesystem>
#include <random>

#include "engine/base/status.h"
#include "server/questions/answer.h"
#include "server/questions/question_run.h"
#include "server/questions/search.h"
#include "server/reading/document_appender.h"
#include "server/session/session_context.h"
#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using tome::testing::AnswerRecorder;
using tome::testing::Awaited;
using tome::testing::EventRecorder;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::ReadWithEngine;
using tome::testing::SomeText;
using tome::testing::TinyServerModel;
using tome::testing::Watched;

// A session that is only documents and a reader.
class ReaderOwner final : public ReadingHost, public std::enable_shared_from_this<ReaderOwner> {
 public:
  ReaderOwner(std::shared_ptr<SessionContext> context, const std::string& path)
      : context_(std::move(context)),
        strand_(context_->io),
        store_(path, "session"),
        stored_(store_.Get().value()->Load().value()),
        appender_("session", stored_.documents, 100),
        reader_(context_->for_reading(), stored_, *this, store_, strand_) {}

  std::shared_ptr<void> KeepAlive() override { return shared_from_this(); }
  const std::vector<StoredDocument>& Documents() override { return appender_.documents(); }
  void OnReadingChanged() override {
    status_.Update([this](ReadingStatus& status) { status = reader_.status(); });
  }

  // Runs on the strand, and waits.
  template <typename Body>
  auto OnStrand(Body body) {
    Awaited<decltype(body())> result;
    strand_.Post([callback = result.callback(), body] { callback(body()); });
    return result.Get();
  }

  void Append(const std::string& document, const WriteRequest& request, Utf8Policy policy = Utf8Policy::kRefuse) {
    const absl::Status status = OnStrand([this, document, request, policy]() -> absl::Status {
      TOME_RETURN_IF_ERROR(appender_.Begin(store_.Get().value()));
      TOME_RETURN_IF_ERROR(appender_.Apply(document, policy, request, absl::UnixEpoch()).status());
      TOME_RETURN_IF_ERROR(appender_.Commit());
      return reader_.ReadOn();
    });
    EXPECT_THAT(status, IsOk());
  }

  Memory MemoryWhenRead() {
    EXPECT_THAT(OnStrand([this] { return reader_.ReadOn(); }), IsOk());
    OnReadingChanged();
    status_.WaitUntil([](const ReadingStatus& status) { return status.caught_up; });
    return OnStrand([this] { return reader_.Fork(); }).value().memory;
  }

  void Save() {
    Awaited<absl::StatusOr<SnapshotInfo>> snapshot;
    strand_.Post([this, done = snapshot.callback()] { reader_.TakeSnapshot(done); });
    EXPECT_THAT(snapshot.Get(), IsOk());
  }

  SessionReader& reader() { return reader_; }

 private:
  const std::shared_ptr<SessionContext> context_;
  SerialQueue strand_;
  StoreHandle store_;
  const StoredSession stored_;
  DocumentAppender appender_;
  Watched<ReadingStatus> status_;
  SessionReader reader_;
};

class SessionReaderTest : public ::testing::Test {
 protected:
  SessionReaderTest() {
    SessionManagerOptions options;
    options.data_folder = folder_.File("data");
    options.max_state_bytes = Memory::MaxStateBytes(TinyServerModel()->info().config, kTinyMemoryOptions,
                                                    TinyServerModel()->info().precision);
    context_ = std::make_shared<SessionContext>(options, TinyServerModel(),
                                                DataFolder::Open(options.data_folder).value(), events_, clock_);
  }
  ~SessionReaderTest() override {
    context_->compute.Stop();
    context_->snapshots.Finish();
    context_->io.Finish();
    context_->callbacks.Finish();
  }

  std::shared_ptr<ReaderOwner> NewSession(const std::string& name = "session.db") {
    const ModelInfo& model = TinyServerModel()->info();
    EXPECT_THAT(SessionStore::Create(folder_.File(name), {.id = "session",
                                                          .options = kTinyMemoryOptions,
                                                          .model_digest = model.model_digest,
                                                          .tokenizer_digest = model.tokenizer_digest}),
                IsOk());
    std::filesystem::create_directories(context_->folder->SessionPath("session"));
    return std::make_shared<ReaderOwner>(context_, folder_.File(name));
  }

  static std::string Expected(const std::vector<std::string>& documents, bool whole_segments_only = false) {
    return ReadWithEngine(TinyServerModel(), documents, kTinyMemoryOptions, whole_segments_only).Digest();
  }

  tome::testing::TempDir folder_;
  tome::testing::FakeClock clock_;
  EventRecorder events_;
  std::shared_ptr<SessionContext> context_;
};

TEST_F(SessionReaderTest, AnyChunkingGivesTheStateOfTheWholeText) {
  const std::vector<std::string> documents = {SomeText(4000, 1), SomeText(11, 2), SomeText(2500, 3)};
  const std::string expected = Expected(documents);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    const auto session = NewSession("session" + std::to_string(seed) + ".db");
    for (std::size_t i = 0; i < documents.size(); ++i) {
      const std::string& text = documents[i];
      const std::string name = std::to_string(i);
      for (std::size_t at = 0; at < text.size();) {
        const std::string piece = text.substr(at, 1 + random() % 900);
        session->Append(name, {.offset = at, .data = piece});
        at += piece.size();
        const std::size_t again = random() % at;  // a repeat changes nothing
        session->Append(name, {.offset = again, .data = text.substr(again, random() % (at - again))});
      }
      session->Append(name, {.offset = text.size(), .finish = true});
    }
    EXPECT_EQ(session->MemoryWhenRead().Digest(), expected);
    EXPECT_EQ(session->reader().status().ingested_bytes, 6511u);
  }
}

TEST_F(SessionReaderTest, UnfinishedDocumentIsReadInWholeSegments) {
  const auto session = NewSession();
  const std::string text = SomeText(3000);
  session->Append("doc", {.data = text});
  // The tokens at the end could still change with more bytes, but the whole segments before them can not.
  EXPECT_EQ(session->MemoryWhenRead().Digest(), Expected({text}, /*whole_segments_only=*/true));
}

TEST_F(SessionReaderTest, RestartAndEvictionGiveTheSameState) {
  const std::string text = SomeText(5000);
  auto session = NewSession();
  session->Append("doc", {.data = text, .finish = true});
  const std::string digest = session->MemoryWhenRead().Digest();
  EXPECT_EQ(digest, Expected({text}));

  session->Save();
  ASSERT_TRUE(session->reader().TryEvict());
  EXPECT_EQ(session->reader().status().phase, SessionPhase::kEvicted);
  EXPECT_EQ(session->reader().status().restore_target_bytes, 5000u);
  EXPECT_EQ(session->MemoryWhenRead().Digest(), digest);
  EXPECT_EQ(session->reader().status().restore_target_bytes, 0u);

  session.reset();
  session = std::make_shared<ReaderOwner>(context_, folder_.File("session.db"));
  EXPECT_EQ(session->reader().status().phase, SessionPhase::kEvicted);
  EXPECT_EQ(session->MemoryWhenRead().Digest(), digest);
  EXPECT_EQ(events_.counts.Get().events["restoring"], 2);
  EXPECT_EQ(events_.counts.Get().events["restored"], 2);
}

TEST_F(SessionReaderTest, StateThatIsInUseOrNotOnDiskIsNotEvicted) {
  const auto session = NewSession();
  session->Append("doc", {.data = SomeText(1000)});
  session->MemoryWhenRead();
  EXPECT_FALSE(session->reader().TryEvict()) << "it is not on disk";
  EXPECT_TRUE(session->reader().CanSave());
  session->Save();
  EXPECT_FALSE(session->reader().CanSave());
  session->reader().Hold();
  EXPECT_FALSE(session->reader().CanEvict());
  EXPECT_FALSE(session->reader().TryEvict());
  session->reader().Unhold();
  EXPECT_TRUE(session->reader().CanEvict());
}

TEST_F(SessionReaderTest, InvalidBytesAreReadAsReplacementCharacters) {
  const auto session = NewSession();
  session->Append("doc", {.data = "caf\xC3 and \xFF\xFE more" + SomeText(500), .finish = true}, Utf8Policy::kReplace);
  const std::string text = "caf\xEF\xBF\xBD and \xEF\xBF\xBD\xEF\xBF\xBD more" + SomeText(500);
  // Each replacement stands for one byte.
  std::vector<ByteOffset> stored_offsets;
  for (ByteOffset stored = 0; stored_offsets.size() < text.size(); ++stored) {
    const bool replaced = text.compare(stored_offsets.size(), 3, "\xEF\xBF\xBD") == 0;
    stored_offsets.insert(stored_offsets.end(), replaced ? 3 : 1, stored);
  }
  stored_offsets.push_back(stored_offsets.back() + 1);
  const auto to_stored = [&](ByteOffset end) { return stored_offsets[end]; };
  EXPECT_EQ(session->MemoryWhenRead().Digest(),
            ReadWithEngine(TinyServerModel(), {text}, kTinyMemoryOptions, false, to_stored).Digest());
  EXPECT_EQ(session->reader().status().ingested_bytes, 516u);
}

TEST_F(SessionReaderTest, QuestionsAndSearchesLeaveTheStateAsItWasAlsoWhenCancelledInAnyPhase) {
  const auto session = NewSession();
  session->Append("doc", {.data = SomeText(6000)});
  const std::string digest = session->MemoryWhenRead().Digest();
  using Condition = std::function<bool(const AnswerRecorder::Heard&)>;
  const auto phase_reached = [](QuestionPhase phase) -> Condition {
    return [phase](const auto& heard) { return !heard.progress.empty() && heard.progress.back().phase >= phase; };
  };
  const struct {
    const char* name;
    AnswerMode mode;
    bool search;
    Condition cancel_when;  // none: it runs to its end
  } cases[] = {
      {"question", AnswerMode::kReread, false, nullptr},
      {"search", AnswerMode::kReread, true, nullptr},
      {"window question", AnswerMode::kWindow, false, nullptr},
      {"attending question", AnswerMode::kAttend, false, phase_reached(QuestionPhase::kReadingText)},
      {"queued", AnswerMode::kReread, false, [](const auto&) { return true; }},
      {"pending bytes", AnswerMode::kReread, false, phase_reached(QuestionPhase::kReadingQuestion)},
      {"routing", AnswerMode::kReread, false, phase_reached(QuestionPhase::kRouting)},
      {"reranking", AnswerMode::kReread, false, phase_reached(QuestionPhase::kReranking)},
      {"search reranking", AnswerMode::kReread, true, phase_reached(QuestionPhase::kReranking)},
      {"reading text", AnswerMode::kReread, false, phase_reached(QuestionPhase::kReadingText)},
      {"generating", AnswerMode::kReread, false, [](const auto& heard) { return heard.tokens.size() > 3; }},
      {"generating over the window", AnswerMode::kWindow, false,
       [](const auto& heard) { return heard.tokens.size() > 3; }},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    auto recorder = std::make_shared<AnswerRecorder>();
    QuestionRequest request{.session_id = "session", .question = "Why?", .prompt_form = PromptFormKind::kRaw};
    request.mode = test.mode;
    request.effort = Effort::kThorough;
    request.generation.max_tokens = test.cancel_when ? 450 : 20;
    request.generation.log_probabilities = true;
    const SearchRequest search{.session_id = "session", .query = "Why?", .effort = Effort::kThorough};
    const auto run = std::make_shared<QuestionRun>(context_->for_questions(),
                                                   test.search ? MakeSearch(search) : MakeAnswer(request), recorder);
    run->Launch(session->OnStrand([&] { return session->reader().Fork(); }).value(), session->Documents());
    if (test.cancel_when) {
      recorder->heard.WaitUntil([&](const auto& heard) { return test.cancel_when(heard) || heard.done(); });
      run->Cancel();
    }
    const auto heard = recorder->WaitUntilDone();
    EXPECT_EQ(heard.results[0].ok(), !test.cancel_when) << heard.results[0].status();
    EXPECT_EQ(session->MemoryWhenRead().Digest(), digest);
  }
}

TEST_F(SessionReaderTest, HoldsABoundedNumberOfSegments) {
  // Reading a long document goes on while nothing but its bytes grows.
  const auto session = NewSession();
  session->Append("doc", {.data = SomeText(60'000), .finish = true});
  const Memory memory = session->MemoryWhenRead();
  EXPECT_LT(memory.tokens_kept(),
            kTinyMemoryOptions.sink_tokens + kTinyMemoryOptions.window_tokens + kTinyMemoryOptions.region_tokens);
  EXPECT_LE(memory.state_bytes(), session->reader().max_state_bytes());
  EXPECT_EQ(session->reader().status().ingested_bytes, 60'000u);
}

}  // namespace
}  // namespace tome::server
