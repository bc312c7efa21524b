// Documents through the whole server, and what clients send that is wrong.
#include <csignal>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

class AppendTest : public ServerFixture {
 protected:
  AppendTest() {
    Start();
    session_ = CreateSession("book");
  }

  v1::AppendRequest Message(std::uint64_t offset, const std::string& data) const {
    return AppendMessage(session_, "doc", offset, data);
  }
  v1::AppendRequest LastMessage(std::uint64_t offset, const std::string& data) const {
    v1::AppendRequest message = Message(offset, data);
    message.set_finish(true);
    return message;
  }
  std::string MetadataOf(const grpc::Status& status, const std::string& key) const {
    const auto info = DetailOf<google::rpc::ErrorInfo>(status);
    return info.metadata().contains(key) ? info.metadata().at(key) : "(none)";
  }

  std::string session_;
};

TEST_F(AppendTest, GapsAndOverlapsAreRefusedWithTheCommittedOffset) {
  ASSERT_TRUE(Append({Message(0, "0123456789")}).ok());
  for (const auto& [offset, data] :
       std::vector<std::pair<int, std::string>>{{11, "x"}, {1000, "x"}, {5, "56789beyond"}}) {
    const grpc::Status status = Append({Message(offset, data)});
    EXPECT_EQ(status.error_code(), grpc::ABORTED) << offset;
    EXPECT_EQ(ReasonOf(status), "OFFSET_MISMATCH") << offset;
    EXPECT_EQ(MetadataOf(status, "committed_offset"), "10") << offset;
  }
  const grpc::Status different = Append({Message(5, "5678X")});
  EXPECT_EQ(different.error_code(), grpc::ABORTED);
  EXPECT_EQ(ReasonOf(different), "CONTENT_MISMATCH");
  EXPECT_EQ(GetSession(session_).durable_bytes(), 10u);
  EXPECT_TRUE(Append({LastMessage(10, "the end")}).ok());
}

TEST_F(AppendTest, ExactRepeatsAreAcknowledgedAgain) {
  v1::AppendResponse last;
  ASSERT_TRUE(Append({Message(0, "01234"), Message(5, "56789"), Message(0, "01234"), Message(3, "345")}, &last).ok());
  EXPECT_EQ(last.durable_offset(), 10u);
  ASSERT_TRUE(Append({LastMessage(10, "!")}).ok());
  ASSERT_TRUE(Append({LastMessage(10, "!")}, &last).ok());
  EXPECT_TRUE(last.sealed());
  EXPECT_EQ(GetSession(session_).durable_bytes(), 11u);
}

TEST_F(AppendTest, DamagedMessageIsRefusedAndTheSessionGoesOn) {
  v1::AppendRequest damaged = Message(4, "damaged");
  damaged.set_crc32c(damaged.crc32c() + 1);
  v1::AppendResponse last;
  const grpc::Status status = Append({Message(0, "good"), damaged}, &last);
  EXPECT_EQ(status.error_code(), grpc::DATA_LOSS);
  EXPECT_EQ(ReasonOf(status), "CHECKSUM_MISMATCH");
  EXPECT_EQ(last.durable_offset(), 4u);
  EXPECT_TRUE(Append({LastMessage(4, "mended")}).ok());
}

TEST_F(AppendTest, Utf16IsRefusedWithWhatToDo) {
  std::string text;
  for (const char c : SomeText(3000)) text += {c, '\0'};
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, text.size()}) {
    const std::string session = CreateSession("utf16-" + std::to_string(piece));
    std::vector<v1::AppendRequest> messages;
    for (std::size_t at = 0; at < std::min<std::size_t>(text.size(), 50 * piece); at += piece) {
      messages.push_back(AppendMessage(session, "doc", at, text.substr(at, piece)));
    }
    const grpc::Status status = Append(messages);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << piece;
    EXPECT_EQ(ReasonOf(status), "NOT_UTF8_TEXT") << piece;
    EXPECT_THAT(status.error_message(), ::testing::HasSubstr("iconv -f UTF-16LE -t UTF-8")) << piece;
    EXPECT_LT(GetSession(session).durable_bytes(), 16u) << piece;
  }
}

TEST_F(AppendTest, InvalidUtf8IsRefusedWithItsOffset) {
  const grpc::Status status = Append({Message(0, "good \xC3\xA4 text"), Message(12, "bad \xFF byte")});
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "INVALID_UTF8");
  EXPECT_EQ(MetadataOf(status, "byte_offset"), "16");
  EXPECT_TRUE(Append({Message(12, "cut in the middle of \xE2\x82")}).ok());
  const std::uint64_t offset = GetSession(session_).durable_bytes();
  EXPECT_EQ(Append({LastMessage(offset, "")}).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_TRUE(Append({LastMessage(offset, "\xAC")}).ok());
  EXPECT_EQ(WatchToTheEnd(session_).ingested_bytes(), offset + 1);
}

TEST_F(AppendTest, InvalidUtf8IsReplacedOnRequest) {
  const std::string text = "bad \xFF byte \xE2\x82 and the end \xC3";
  v1::AppendRequest message = LastMessage(0, text);
  message.set_invalid_utf8(v1::INVALID_UTF8_POLICY_REPLACE);
  v1::AppendResponse last;
  ASSERT_TRUE(Append({message}, &last).ok());
  EXPECT_EQ(last.durable_offset(), text.size());
  const v1::WatchResponse report = WatchToTheEnd(session_);
  EXPECT_EQ(report.ingested_bytes(), text.size());
  EXPECT_GT(report.ingested_tokens(), 0u);
}

TEST_F(AppendTest, FiveMegabytesAreRefusedAndTheSessionGoesOn) {
  EXPECT_EQ(Append({Message(0, std::string(5 << 20, 'x'))}).error_code(), grpc::RESOURCE_EXHAUSTED);
  const grpc::Status status = Append({Message(0, std::string((1 << 20) + 1, 'x'))});
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations(0).field(), "data");
  EXPECT_TRUE(Append({LastMessage(0, "small")}).ok());
}

TEST_F(AppendTest, UnknownSessionIsNotFound) {
  const grpc::Status status = Append({AppendMessage("sessions/nobody", "doc", 0, "x")});
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(DetailOf<google::rpc::ResourceInfo>(status).resource_name(), "sessions/nobody");
}

TEST_F(AppendTest, EmptyDocumentIsADocument) {
  v1::AppendResponse last;
  ASSERT_TRUE(Append({LastMessage(0, "")}, &last).ok());
  EXPECT_TRUE(last.sealed());
  WatchToTheEnd(session_);
  const v1::Session session = GetSession(session_);
  ASSERT_EQ(session.documents_size(), 1);
  EXPECT_TRUE(session.documents(0).sealed());
  AppendDocument(session_, "second", "And this one has text.");
}

TEST_F(AppendTest, SealedAndUnfinishedDocumentsRefuse) {
  ASSERT_TRUE(Append({Message(0, "begun")}).ok());
  const grpc::Status early = Append({AppendMessage(session_, "next", 0, "x")});
  EXPECT_EQ(early.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(early), "DOCUMENT_UNFINISHED");
  ASSERT_TRUE(Append({LastMessage(5, "")}).ok());
  const grpc::Status sealed = Append({Message(5, "more")});
  EXPECT_EQ(sealed.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(sealed), "DOCUMENT_SEALED");
}

TEST_F(AppendTest, ChunksDoNotChangeTheState) {
  const std::string text = SomeText(20'000);
  AppendDocument(session_, "doc", text, 20'000);
  const std::string other = CreateSession("other");
  AppendDocument(other, "doc", text, 777);
  const v1::WatchResponse first = WatchToTheEnd(session_);
  EXPECT_EQ(first.ingested_bytes(), text.size());
  EXPECT_EQ(first.ingested_tokens(), WatchToTheEnd(other).ingested_tokens());
  v1::AskResult answer, same;
  ASSERT_TRUE(Ask(Question(session_, "What?"), &answer).ok());
  ASSERT_TRUE(Ask(Question(other, "What?"), &same).ok());
  EXPECT_EQ(answer.answer(), same.answer());
}

}  // namespace
}  // namespace tome::testing
