// More sessions than there is memory for: each has its turn, and none waits for ever.
#include <chrono>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>

#include "engine/base/status.h"
#include "server/reading/document_appender.h"
#include "server/storage/session_store.h"
#include "tests/server/session/durability_fixture.h"

namespace tome::server {
namespace {

using tome::testing::AnswerRecorder;
using tome::testing::Awaited;
using tome::testing::DurabilityFixture;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kHangs;
using tome::testing::kTinyMemoryOptions;
using tome::testing::SomeText;
using tome::testing::TinyServerModel;
using tome::testing::Watched;

std::size_t FullState() {
  const ModelInfo& model = TinyServerModel()->info();
  return Memory::MaxStateBytes(model.config, kTinyMemoryOptions, model.precision);
}

class CrowdTest : public DurabilityFixture {
 protected:
  // Only looks, so that nothing it does wakes anything. Ends when `condition` holds.
  void WaitWithoutUse(const std::string& what, const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kHangs;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << what << ": it waits for ever\n" << AllSessions();
        std::abort();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::string AllSessions() {
    const SessionPage page = manager_->List({.page_size = 100, .page_token = ""}).value();
    std::string lines;
    for (const SessionInfo& info : page.sessions) {
      lines += fmt::format("{}: phase {}, {} of {} bytes read, place {} in the queue, state {} bytes {}\n", info.id,
                           static_cast<int>(info.phase), info.ingested_bytes, info.durable_bytes, info.queue_position,
                           info.state_bytes, info.problem);
    }
    return lines;
  }
};

TEST_F(CrowdTest, QuestionsThatWaitForTextLeaveRoomToOthers) {
  Open();
  options_.max_state_bytes = manager_->Get(CreateSession("sess-a")).value().max_state_bytes;
  Open();
  CreateSession("sess-b");
  ASSERT_THAT(Append("sess-a", "book", SomeText(2000), /*finish=*/false), IsOk());
  auto recorder = std::make_shared<tome::testing::AnswerRecorder>();
  QuestionRequest waiting = QuestionTo("sess-a");
  waiting.wait_for_ingested_bytes = 4000;
  manager_->StartQuestion(waiting, recorder);
  recorder->heard.WaitUntil([](const auto& heard) { return !heard.progress.empty(); });
  ASSERT_THAT(Append("sess-b", "book", SomeText(2000)), IsOk());
  EXPECT_TRUE(WaitUntilRead("sess-b").complete);
  EXPECT_THAT(Ask(QuestionTo("sess-b")).results[0], IsOk());
  EXPECT_FALSE(recorder->heard.Get().done());
  ASSERT_THAT(Append("sess-a", "book", SomeText(2500), /*finish=*/true, 2000), IsOk());
  EXPECT_THAT(recorder->WaitUntilDone().results[0], IsOk());
}

TEST_F(CrowdTest, ReadingWaitsInOrderAndSaysItsPlace) {
  Open();
  options_.max_state_bytes = manager_->Get(CreateSession("sess-a")).value().max_state_bytes;
  options_.reading_turn = absl::Hours(1);
  Open();
  ASSERT_THAT(Append("sess-a", "book", SomeText(100'000)), IsOk());
  for (const char* id : {"sess-b", "sess-c"}) {
    CreateSession(id);
    ASSERT_THAT(Append(id, "book", SomeText(3000)), IsOk());
  }
  EXPECT_EQ(WaitForProgress("sess-b", [](const auto& progress) { return progress.queue_position == 1; }).phase,
            SessionPhase::kReading);
  EXPECT_EQ(WaitForProgress("sess-c", [](const auto& progress) { return progress.queue_position == 2; }).ingested_bytes,
            0u);
  EXPECT_EQ(manager_->Get("sess-c")->queue_position, 2u);
  EXPECT_TRUE(WaitUntilRead("sess-c").complete);
  EXPECT_EQ(manager_->Get("sess-c")->queue_position, 0u);
  EXPECT_EQ(manager_->Get("sess-a")->ingested_bytes, 100'000u);
  EXPECT_EQ(manager_->Get("sess-b")->ingested_bytes, 3000u);
}

TEST_F(CrowdTest, LongReadingsTakeTurns) {
  Open();
  options_.max_state_bytes = manager_->Get(CreateSession("sess-a")).value().max_state_bytes;
  options_.reading_turn = absl::ZeroDuration();
  Open();
  CreateSession("sess-b");
  ASSERT_THAT(Append("sess-a", "book", SomeText(60'000)), IsOk());
  ASSERT_THAT(Append("sess-b", "book", SomeText(1000)), IsOk());
  EXPECT_TRUE(WaitForProgress("sess-b", [](const auto& progress) { return progress.complete; }).complete);
  EXPECT_LT(manager_->Get("sess-a")->ingested_bytes, 60'000u) << "it would have been read first";
  EXPECT_TRUE(WaitForProgress("sess-a", [](const auto& progress) { return progress.complete; }).complete);
  EXPECT_EQ(StateDigest("sess-a"), DigestOf(SomeText(60'000))) << "turns leave the state as it would be";
}

TEST_F(CrowdTest, ReservesWhatTheTextAtHandNeeds) {
  Open();
  options_.max_state_bytes = manager_->Get(CreateSession("sess-0")).value().max_state_bytes;
  Open();
  for (int i = 0; i < 3; ++i) {
    const std::string id = "sess-" + std::to_string(i);
    if (i > 0) CreateSession(id);
    ASSERT_THAT(Append(id, "note", SomeText(60)), IsOk());
    WaitUntilRead(id);
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(manager_->Get("sess-" + std::to_string(i))->state_place, StatePlace::kResident) << i;
  }
  EXPECT_LE(events_.counts.Get().max_reserved_bytes, options_.max_state_bytes);
  EXPECT_FALSE(events_.counts.Get().held_more_than_reserved);
}

TEST_F(CrowdTest, TextThatWasNeverReadIsReadAfterARestart) {
  Open();
  CreateSession("session");
  manager_->Shutdown();
  {  // stored, but the server goes before it is read
    auto store = SessionStore::Open(options_.data_folder + "/sessions/session/session.db", "session").value();
    DocumentAppender appender("session", {}, 100);
    ASSERT_THAT(appender.Begin(&store), IsOk());
    ASSERT_THAT(appender.Apply("book", Utf8Policy::kRefuse, {.data = SomeText(3000), .finish = true}, absl::Now()),
                IsOk());
    ASSERT_THAT(appender.Commit(), IsOk());
  }
  Open();
  WaitWithoutUse("session", [this] { return manager_->Get("session")->ingested_bytes == 3000; });
}

TEST_F(CrowdTest, ManySessionsAtOnceAreAllRead) {
  options_.max_state_bytes = 3 * FullState();
  Open();
  constexpr int kSessions = 32;
  std::vector<Awaited<absl::StatusOr<WriteResult>>> written(kSessions);
  std::vector<std::unique_ptr<DocumentWriter>> writers;
  std::vector<std::shared_ptr<Watched<SessionProgress>>> watched;
  std::vector<Subscription> subscriptions;
  for (int i = 0; i < kSessions; ++i) {
    const std::string id = CreateSession("sess-" + std::to_string(i));
    writers.push_back(manager_->OpenDocument(id, "book", Utf8Policy::kRefuse).value());
    auto watch = watched.emplace_back(std::make_shared<Watched<SessionProgress>>());
    subscriptions.push_back(manager_
                                ->Subscribe(id,
                                            [watch](const SessionProgress& progress) {
                                              watch->Update([&](SessionProgress& value) { value = progress; });
                                            })
                                .value());
  }
  for (int i = 0; i < kSessions; ++i) {
    writers[i]->Write({.data = SomeText(2000, i), .finish = true}, written[i].callback());
  }
  for (int i = 0; i < kSessions; ++i) {
    EXPECT_THAT(written[i].Get(), IsOk());
    watched[i]->WaitUntil(
        [](const SessionProgress& progress) { return progress.complete && progress.durable_bytes > 0; });
  }
  EXPECT_LE(events_.counts.Get().max_reserved_bytes, options_.max_state_bytes + 32 * 2000 * 50) << "archives apart";
}

// What a random client does, and what must come of it.
class RandomCrowd : public CrowdTest {
 protected:
  struct Client {
    std::string id;
    std::string text;  // appended so far
    bool sealed = false;
    std::shared_ptr<Watched<SessionProgress>> watched;
    Subscription subscription;
  };

  void Watch(Client& client) {
    client.watched = std::make_shared<Watched<SessionProgress>>();
    client.subscription = manager_
                              ->Subscribe(client.id,
                                          [watched = client.watched](const SessionProgress& progress) {
                                            watched->Update([&](SessionProgress& value) { value = progress; });
                                          })
                              .value();
  }

  void AppendMore(Client& client, bool finish) {
    const std::string more = SomeText(random_() % 1500, random_());
    if (Append(client.id, "book", more, finish, client.text.size()).ok()) {
      client.text += more;
      client.sealed = finish;
    }
  }

  void AskSomething(const Client& client) {
    QuestionRequest request = QuestionTo(client.id);
    request.generation.max_tokens = 1 + static_cast<int>(random_() % 3);
    if (random_() % 2 == 0) request.wait_for_ingested_bytes = random_() % (client.text.size() + 2000);
    auto recorder = std::make_shared<AnswerRecorder>();
    auto question = manager_->StartQuestion(request, recorder);
    if (random_() % 4 == 0) question->Cancel();
    asked_.push_back({recorder, question});
  }

  void DoSomething() {
    Client& client = clients_[random_() % clients_.size()];
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        if (!client.sealed) AppendMore(client, random_() % 4 == 0);
        break;
      case 3:
      case 4:
        AskSomething(client);
        break;
      case 5:
        if (client.watched) {
          client.subscription.Reset();
          client.watched.reset();
        } else {
          Watch(client);
        }
        break;
      case 6:
        if (random_() % 3 == 0) manager_->Reread(client.id, [](const auto&) {});
        manager_->Snapshot(client.id, [](const auto&) {});
        break;
      case 7:
        if (random_() % 2 == 0) {
          files_.FailAfter(static_cast<int>(random_() % 4), absl::ResourceExhaustedError("full"));
        } else {
          files_.Heal();
        }
        break;
    }
  }

  void Finish(Client& client) {
    while (!client.sealed) AppendMore(client, true);
    if (client.watched) {
      WaitWithoutUse(client.id + " is watched", [&] {
        const SessionProgress progress = client.watched->Get();
        return progress.complete && progress.durable_bytes == client.text.size();
      });
    }
    const bool empty = client.text.empty();
    WaitWithoutUse(client.id, [&] { return empty || manager_->Get(client.id)->ingested_bytes == client.text.size(); });
  }

  std::mt19937_64 random_;
  std::vector<Client> clients_;
  std::vector<std::pair<std::shared_ptr<AnswerRecorder>, std::shared_ptr<RunningQuestion>>> asked_;
};

TEST_F(RandomCrowd, EveryWaitEnds) {
  const char* const longer = std::getenv("TOME_SOAK");
  const char* const from = std::getenv("TOME_SEED");
  const std::uint64_t first = from == nullptr ? 0 : std::strtoull(from, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + (longer == nullptr ? 8 : 400); ++seed) {
    SCOPED_TRACE(seed);
    random_.seed(seed);
    options_.data_folder = folder_.File("data" + std::to_string(seed));
    options_.max_state_bytes = FullState() * (4 + random_() % 8) / 4;
    options_.reading_turn = random_() % 2 == 0 ? absl::ZeroDuration() : absl::Milliseconds(1);
    options_.max_running_questions = 1 + static_cast<int>(random_() % 3);
    Open();
    clients_.clear();
    for (std::uint64_t i = 0; i < 3 + random_() % 8; ++i) {
      clients_.push_back({.id = CreateSession("sess-" + std::to_string(i))});
    }
    for (int i = 0; i < 80; ++i) DoSomething();
    files_.Heal();
    for (Client& client : clients_) Finish(client);
    for (const auto& [recorder, question] : asked_) {
      // Some wait for more text than ever comes.
      if (!recorder->heard.Get().done()) question->Cancel();
      WaitWithoutUse("a question", [&] { return recorder->heard.Get().done(); });
      EXPECT_FALSE(recorder->heard.Get().after_the_end);
    }
    asked_.clear();
    for (Client& client : clients_) client.subscription.Reset();
    for (const Client& client : clients_) {
      if (client.text.size() <= 200) continue;
      // Where it was evicted while nothing could be written it is read again.
      WaitUntilRead(client.id);
      EXPECT_EQ(StateDigest(client.id), DigestOf(client.text)) << client.id;
    }
  }
}

}  // namespace
}  // namespace tome::server
