#include "tests/sweep/entries.h"

#include <cstdlib>
#include <set>
#include <type_traits>
#include <utility>

#include "gtest/gtest.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

constexpr int kMostDocuments = 64;  // of a session, so that looking at it stays quick
const std::vector<std::string>& Kept() {
  static const auto& kept = *new std::vector<std::string>{kBook, "small", "changing", "appending"};
  return kept;
}

// A call whose request is always the same.
template <typename Request>
class PlainEntry : public Entry {
 public:
  PlainEntry(std::string service, std::string name, Request request)
      : Entry(std::move(service), std::move(name)), request_(std::move(request)) {}

  Messages Make(SweepServer&) override {
    Messages messages;
    messages.push_back(std::make_unique<Request>(request_));
    return messages;
  }

 protected:
  const Request request_;
};

// One that leaves a session behind.
template <typename Request>
class MakingEntry : public PlainEntry<Request> {
 public:
  using PlainEntry<Request>::PlainEntry;
  void After(SweepServer& server, const CallResult& result) override {
    if (result.status.ok()) server.DeleteOthers(Kept());
  }
};

// Sessions with all kinds of options must work like any other.
class CreateEntry final : public PlainEntry<v1::CreateSessionRequest> {
 public:
  using PlainEntry::PlainEntry;
  void After(SweepServer& server, const CallResult& result) override {
    v1::Session made;
    if (!result.status.ok() || result.replies.empty() || !made.ParseFromString(result.replies[0])) return;
    const bool known = !options_.insert(made.options().SerializeAsString()).second;
    if (!known) {
      const std::string id = made.name().substr(std::string("sessions/").size());
      server.Append(id, "document", SomeText(700));
      ExpectAllRead(server, id);
      const grpc::Status asked = server.AskAsUsual(id);
      // There may be no room for a question beside what the session keeps.
      EXPECT_TRUE(asked.ok() || asked.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
          << asked.error_message() << " with " << made.options().ShortDebugString();
    }
    server.DeleteOthers(Kept());
  }

 private:
  std::set<std::string> options_;  // that were tried
};

class DeleteEntry final : public PlainEntry<v1::DeleteSessionRequest> {
 public:
  using PlainEntry::PlainEntry;
  Messages Make(SweepServer& server) override {
    server.DeleteOthers(Kept());
    server.CreateSession("leaving");
    return PlainEntry::Make(server);
  }
};

// A document in two messages.
class AppendEntry final : public Entry {
 public:
  AppendEntry() : Entry("SessionService", "Append") {}

  Messages Make(SweepServer& server) override {
    if (num_documents_ == kMostDocuments) {
      server.DeleteOthers({kBook, "small", "changing"});
      server.CreateSession("appending");
      num_documents_ = 0;
    }
    ++num_documents_;
    auto first = std::make_unique<v1::AppendRequest>(), last = std::make_unique<v1::AppendRequest>();
    first->set_session("sessions/appending");
    first->set_document("document " + std::to_string(next_document_++));
    first->set_data("And the lord said ");
    last->set_write_offset(first->data().size());
    last->set_data("unto Moses.");
    last->set_finish(true);
    Messages messages;
    messages.push_back(std::move(first));
    messages.push_back(std::move(last));
    return messages;
  }

  void After(SweepServer& server, const CallResult&) override { ExpectAllRead(server, "appending"); }

 private:
  int num_documents_ = 0;
  int next_document_ = 0;
};

class ImportEntry final : public MakingEntry<v1::ImportSessionRequest> {
 public:
  using MakingEntry::MakingEntry;
  Messages Make(SweepServer&) override {
    const std::string& archive = request_.data();
    auto first = std::make_unique<v1::ImportSessionRequest>(), last = std::make_unique<v1::ImportSessionRequest>();
    first->set_session_id("imported");
    first->set_data(archive.substr(0, archive.size() / 2));
    last->set_data(archive.substr(archive.size() / 2));
    Messages messages;
    messages.push_back(std::move(first));
    messages.push_back(std::move(last));
    return messages;
  }
};

v1::AskRequest AskRequest() {
  v1::AskRequest request;
  request.set_session(std::string("sessions/") + kBook);
  request.set_question("What did the lord say?");
  request.set_prompt_form(v1::PROMPT_FORM_RAW);
  request.set_effort(v1::EFFORT_FAST);
  request.mutable_generation()->set_max_tokens(2);
  return request;
}

// With all that may be given with a question.
v1::AskRequest FullAskRequest() {
  v1::AskRequest request = AskRequest();
  request.set_prompt_form(v1::PROMPT_FORM_CUSTOM);
  request.mutable_custom_form()->set_prompt("{instruction}\n\n{text}\n\n{turns}\n\nQ: {question}\nA:");
  request.mutable_custom_form()->set_turn("Q: {question}\nA: {answer}");
  request.mutable_custom_form()->set_opening("It");
  request.mutable_custom_form()->add_stop("\n\n");
  request.set_instruction("Be brief.");
  request.add_turns()->set_question("Who?");
  request.mutable_turns(0)->set_answer("Moses.");
  request.mutable_generation()->set_temperature(1);
  request.mutable_generation()->add_stop("the end");
  request.mutable_citations()->set_include_text(true);
  return request;
}

template <typename Request>
Request Named(const std::string& session) {
  Request request;
  request.set_name("sessions/" + session);
  return request;
}

void MakeSessions(SweepServer& server) {
  for (const std::string& session : Kept()) server.CreateSession(session);
  server.Append(kBook, "genesis", SomeText(900));
  server.Append(kBook, "a byte", "\x04");
  server.Append("small", "document", SomeText(200, 2));
  for (const char* session : {kBook, "small"}) ExpectAllRead(server, session);
}

using Entries = std::vector<std::unique_ptr<Entry>>;

void AddSessionEntries(SweepServer& server, Entries* entries) {
  const auto add = [&]<typename E, typename Request>(std::type_identity<E>, const char* name, Request request) {
    entries->push_back(std::make_unique<E>("SessionService", name, std::move(request)));
  };
  v1::CreateSessionRequest create;
  create.mutable_session()->set_display_name("A session");
  add(std::type_identity<CreateEntry>(), "CreateSession", create);
  add(std::type_identity<PlainEntry<v1::GetSessionRequest>>(), "GetSession", Named<v1::GetSessionRequest>(kBook));
  add(std::type_identity<PlainEntry<v1::ListSessionsRequest>>(), "ListSessions", v1::ListSessionsRequest());
  v1::UpdateSessionRequest update;
  update.mutable_session()->set_name("sessions/changing");
  for (const char* path : {"display_name", "labels", "time_to_live", "pinned"})
    update.mutable_update_mask()->add_paths(path);
  add(std::type_identity<PlainEntry<v1::UpdateSessionRequest>>(), "UpdateSession", update);
  add(std::type_identity<DeleteEntry>(), "DeleteSession", Named<v1::DeleteSessionRequest>("leaving"));
  add(std::type_identity<PlainEntry<v1::SnapshotSessionRequest>>(), "SnapshotSession",
      Named<v1::SnapshotSessionRequest>(kBook));
  add(std::type_identity<MakingEntry<v1::ForkSessionRequest>>(), "ForkSession", Named<v1::ForkSessionRequest>("small"));
  add(std::type_identity<PlainEntry<v1::ExportSessionRequest>>(), "ExportSession",
      Named<v1::ExportSessionRequest>("small"));
  v1::ImportSessionRequest import;
  import.set_data(server.Export("small"));
  add(std::type_identity<ImportEntry>(), "ImportSession", import);
  add(std::type_identity<PlainEntry<v1::RereadSessionRequest>>(), "RereadSession",
      Named<v1::RereadSessionRequest>("small"));
}

void AddReadingEntries(Entries* entries) {
  const auto add = [&]<typename Request>(const char* service, const char* name, const Request& request) {
    entries->push_back(std::make_unique<PlainEntry<Request>>(service, name, request));
  };
  const std::string book = std::string("sessions/") + kBook;
  entries->push_back(std::make_unique<AppendEntry>());
  v1::WatchRequest watch;
  watch.set_session(book);
  add("SessionService", "Watch", watch);
  add("SessionService", "Ask", AskRequest());
  add("SessionService", "Ask", FullAskRequest());
  v1::SearchRequest search;
  search.set_session(book);
  search.set_query("the lord");
  search.set_effort(v1::EFFORT_FAST);
  add("SessionService", "Search", search);
  v1::ScoreRequest score;
  score.set_session(book);
  score.set_text(" And it came to pass");
  add("SessionService", "Score", score);
  add("ModelService", "GetModel", v1::GetModelRequest());
  v1::TokenizeRequest tokenize;
  tokenize.set_text("the lord");
  add("ModelService", "Tokenize", tokenize);
}

}  // namespace

std::vector<std::unique_ptr<Entry>> MakeEntries(SweepServer& server) {
  MakeSessions(server);
  Entries entries;
  AddSessionEntries(server, &entries);
  AddReadingEntries(&entries);
  return entries;
}

Entry& FindEntry(const std::vector<std::unique_ptr<Entry>>& entries, const std::string& name) {
  for (const auto& entry : entries) {
    if (entry->name() == name) return *entry;
  }
  ADD_FAILURE() << "no call " << name;
  std::abort();
}

void ExpectAllRead(SweepServer& server, const std::string& session) {
  server.FinishReading(session);
  const v1::Session found = server.GetSession(session);
  EXPECT_EQ(found.ingested_bytes(), found.durable_bytes()) << session;
  for (const v1::Document& document : found.documents()) {
    EXPECT_EQ(document.ingested_bytes(), document.durable_bytes()) << session << " " << document.name();
    EXPECT_TRUE(document.sealed()) << session << " " << document.name();
  }
}

}  // namespace tome::testing
