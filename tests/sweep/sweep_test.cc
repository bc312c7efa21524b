// Every call of the API with generated inputs. Whatever a client sends, the process lives, no answer is INTERNAL or
// UNKNOWN, what is appended is read to its end, and the next ordinary question is answered.
//
// TOME_SWEEP_SECONDS (60) says about how long it takes, TOME_SWEEP_SEED (1) which inputs it begins with: the order of
// the calls follows from the seed alone, and a longer run goes on where a shorter one ended.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "engine/base/text_encoding.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/engine_models.h"
#include "tests/sweep/entries.h"
#include "tests/sweep/fields.h"
#include "tests/sweep/inputs.h"
#include "tests/sweep/sweep_server.h"

namespace tome::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Steady = std::chrono::steady_clock;

int NumberFrom(const char* variable, int usual) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? usual : std::atoi(value);
}

// A field of one of a call's messages, and what it becomes.
struct Change {
  std::size_t message = 0;
  FieldPath path;
  FieldValue value;
};

// Whether the call waits for bytes that never come.
bool WaitsForMore(const Message& message) {
  for (const char* name : {"wait_for_ingested_bytes", "until_ingested_bytes"}) {
    const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(name);
    if (field != nullptr && message.GetReflection()->GetUInt64(message, field) > 900) return true;
  }
  return false;
}

bool IsFine(grpc::StatusCode code, bool waits) {
  switch (code) {
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::CANCELLED:
      return false;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return waits;
    default:
      return true;
  }
}

// Those that a client can mend say how.
bool HasToSayWhy(grpc::StatusCode code) {
  return code == grpc::StatusCode::INVALID_ARGUMENT || code == grpc::StatusCode::FAILED_PRECONDITION ||
         code == grpc::StatusCode::NOT_FOUND || code == grpc::StatusCode::ALREADY_EXISTS ||
         code == grpc::StatusCode::ABORTED;
}

class SweepTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    end_ = Steady::now() + std::chrono::seconds(NumberFrom("TOME_SWEEP_SECONDS", 60));
    seed_ = static_cast<std::uint64_t>(NumberFrom("TOME_SWEEP_SEED", 1));
    std::cout << "TOME_SWEEP_SEED=" << seed_ << std::endl;
    server_ = new SweepServer(TokenlessServerModel(), kTinyMemoryOptions);
    entries_ = new auto(MakeEntries(*server_));
  }
  static void TearDownTestSuite() {
    std::cout << calls_ << " calls" << std::endl;
    delete entries_;
    delete server_;
  }

  // A share of the time that is left.
  static Steady::time_point EndOfShare(double share) {
    const auto now = Steady::now();
    return now + std::chrono::duration_cast<Steady::duration>((end_ - now) * share);
  }

  void Call(Entry& entry, const std::vector<Change>& changes) {
    Messages messages = entry.Make(*server_);
    std::string what = entry.name();
    bool waits = false;
    for (const Change& change : changes) {
      what += fmt::format(" {}{}={}", change.message > 0 ? "second " : "", PathName(change.path), change.value.name);
      SetField(messages.at(change.message).get(), change.path, change.value);
    }
    std::vector<std::string> bytes;
    for (const auto& message : messages) {
      waits = waits || WaitsForMore(*message);
      bytes.push_back(message->SerializePartialAsString());
    }
    SCOPED_TRACE(what);
    ++calls_;
    const CallResult result = server_->Call(
        entry.method(), bytes, what, waits ? std::chrono::milliseconds(150) : std::chrono::milliseconds(kSweepHangs));
    const grpc::StatusCode code = result.status.error_code();
    EXPECT_TRUE(IsFine(code, waits)) << code << " " << result.status.error_message();
    if (HasToSayWhy(code)) {
      EXPECT_NE(ReasonOf(result.status), "") << code << " " << result.status.error_message();
    }
    entry.After(*server_, result);
    const grpc::Status asked = server_->AskAsUsual(kBook);
    EXPECT_TRUE(asked.ok()) << "then: " << asked.error_message();
  }

  struct Planned {
    Entry* entry;
    Change change;
  };
  // In an order that the seed gives, until the time is over.
  void MakeAll(std::vector<Planned> calls, Steady::time_point end) {
    std::mt19937_64 random(seed_);
    std::shuffle(calls.begin(), calls.end(), random);
    std::size_t made = 0;
    while (made < calls.size() && Steady::now() < end) {
      Call(*calls[made].entry, {calls[made].change});
      ++made;
    }
    std::cout << made << " of " << calls.size() << " calls made" << std::endl;
  }

  // All fields of an entry's messages.
  static std::vector<std::pair<std::size_t, FieldPath>> FieldsOf(Entry& entry) {
    std::vector<std::pair<std::size_t, FieldPath>> fields;
    const Messages messages = entry.Make(*server_);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      for (FieldPath& path : AllFields(messages[i]->GetDescriptor())) fields.emplace_back(i, std::move(path));
    }
    return fields;
  }

  static SweepServer* server_;
  static std::vector<std::unique_ptr<Entry>>* entries_;
  static Steady::time_point end_;
  static std::uint64_t seed_;
  static int calls_;
};

SweepServer* SweepTest::server_ = nullptr;
std::vector<std::unique_ptr<Entry>>* SweepTest::entries_ = nullptr;
Steady::time_point SweepTest::end_;
std::uint64_t SweepTest::seed_ = 1;
int SweepTest::calls_ = 0;

bool IsUtf16OrTheLike(const std::string& text) {
  ForeignTextDetector detector;
  return detector.Append(text).has_value() || detector.Finish().has_value();
}

TEST_F(SweepTest, ReadsEveryTextAsADocumentAndAtItsEnds) {
  std::vector<std::string> documents;
  for (const std::string& text : HugeTexts()) documents.push_back(text.substr(0, 20'000));  // longer ones take longer
  for (const std::string& text : AllTexts()) {
    documents.push_back(text);
    documents.push_back(text + "word");
    documents.push_back("word" + text);
  }
  for (std::size_t first = 0; first < documents.size(); first += 200) {
    server_->CreateSession("documents");
    for (std::size_t i = first; i < std::min(first + 200, documents.size()); ++i) {
      const std::string name = "document " + std::to_string(i);
      if (IsUtf16OrTheLike(documents[i])) {
        EXPECT_EQ(server_->TryAppend("documents", name, documents[i], 0).error_code(), grpc::INVALID_ARGUMENT);
      } else {
        server_->Append("documents", name, documents[i]);
      }
    }
    ExpectAllRead(*server_, "documents");
    EXPECT_TRUE(server_->AskAsUsual("documents").ok());
    FindEntry(*entries_, "DeleteSession").Make(*server_);  // takes it away
  }
}

TEST_F(SweepTest, TakesEveryTextAsAQuestion) {
  std::vector<Planned> calls;
  for (const auto& [name, field] : {std::pair("Ask", "question"), std::pair("Search", "query"),
                                    std::pair("Score", "text"), std::pair("Tokenize", "text")}) {
    Entry& entry = FindEntry(*entries_, name);
    for (const auto& [message, path] : FieldsOf(entry)) {
      if (PathName(path) != field) continue;
      for (FieldValue& value : EdgesOf(path.back(), /*texts=*/true)) {
        calls.push_back({&entry, {.message = message, .path = path, .value = std::move(value)}});
      }
    }
  }
  MakeAll(std::move(calls), EndOfShare(0.4));
}

TEST_F(SweepTest, CountsEveryByteOfTheTextsThatItTokenizes) {
  for (const std::string& text : AllTexts()) {
    v1::TokenizeRequest request;
    request.set_text("word" + text);
    const CallResult result =
        server_->Call("/tome.v1.ModelService/Tokenize", {request.SerializeAsString()}, "Tokenize " + text);
    if (!result.status.ok()) continue;  // it is not UTF-8
    v1::TokenizeResponse response;
    ASSERT_TRUE(response.ParseFromString(result.replies.at(0)));
    std::size_t bytes = 0;
    for (const v1::Token& token : response.tokens()) bytes += token.num_bytes();
    EXPECT_EQ(bytes, request.text().size());
  }
}

TEST_F(SweepTest, TakesEveryFieldAtItsEdges) {
  std::vector<Planned> calls;
  for (const auto& entry : *entries_) {
    for (const auto& [message, path] : FieldsOf(*entry)) {
      for (FieldValue& value : EdgesOf(path.back(), /*texts=*/false)) {
        calls.push_back({entry.get(), {.message = message, .path = path, .value = std::move(value)}});
      }
    }
  }
  MakeAll(std::move(calls), EndOfShare(0.7));
}

TEST_F(SweepTest, TakesRandomCalls) {
  std::mt19937_64 random(seed_);
  do {
    Entry& entry = *(*entries_)[random() % entries_->size()];
    const auto fields = FieldsOf(entry);
    std::vector<Change> changes;
    for (std::uint64_t left = 1 + random() % 4; left > 0; --left) {
      const auto& [message, path] = fields[random() % fields.size()];
      changes.push_back({.message = message, .path = path, .value = RandomValueOf(path.back(), &random)});
    }
    Call(entry, changes);
  } while (Steady::now() < end_);
}

// The vocabulary that people have.
class SweepOfSmolLm2 : public ::testing::Test {
 protected:
  void SetUp() override {
    TOME_SKIP_WITHOUT(SmolLm2Path());
    const auto model = Model::Load({.path = SmolLm2Path()});
    ASSERT_TRUE(model.ok()) << model.status();
    const ModelInfo& info = (*model)->info();
    server_ = std::make_unique<SweepServer>(*model, DefaultMemoryOptions(info.config, info.precision));
    for (const std::string& text : SingleBytes()) {
      if ((*model)->tokenizer()->Encode(text).empty()) tokenless_.push_back(text);
    }
  }

  std::unique_ptr<SweepServer> server_;
  std::vector<std::string> tokenless_;
};

TEST_F(SweepOfSmolLm2, ReadsBytesThatItsVocabularyLacks) {
  EXPECT_GE(tokenless_.size(), 6u);
  server_->CreateSession("documents");
  for (std::size_t i = 0; i < tokenless_.size(); ++i) {
    server_->Append("documents", "document " + std::to_string(i), tokenless_[i]);
  }
  ExpectAllRead(*server_, "documents");
  EXPECT_EQ(ReasonOf(server_->AskAsUsual("documents")), "SESSION_EMPTY");
  server_->Append("documents", "the last", "In the beginning.\x1d");
  ExpectAllRead(*server_, "documents");
  EXPECT_TRUE(server_->AskAsUsual("documents").ok());
}

TEST_F(SweepOfSmolLm2, AnswersOrRefusesTextsOfThemAndOfWhiteSpace) {
  const std::vector<std::unique_ptr<Entry>> entries = MakeEntries(*server_);
  tokenless_.insert(tokenless_.end(), {" ", "\n", "\x04\x1d", "\xEF\xBB\xBF"});
  for (const auto& [name, field] :
       {std::pair("Ask", "question"), std::pair("Search", "query"), std::pair("Score", "text")}) {
    Entry& entry = FindEntry(entries, name);
    const Messages messages = entry.Make(*server_);
    const FieldDescriptor* const descriptor = messages[0]->GetDescriptor()->FindFieldByName(field);
    for (const std::string& text : tokenless_) {
      messages[0]->GetReflection()->SetString(messages[0].get(), descriptor, text);
      const CallResult result = server_->Call(entry.method(), {messages[0]->SerializePartialAsString()}, name);
      EXPECT_TRUE(result.status.ok() || result.status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
          << name << ": " << result.status.error_message();
    }
    EXPECT_TRUE(server_->AskAsUsual(kBook).ok());
  }
}

}  // namespace
}  // namespace tome::testing
