#include "tests/integration/server_fixture.h"

#include <sstream>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {
namespace {

// The number after "name=" in a port file.
int ReadPort(const std::string& port_file, const std::string& name) {
  std::istringstream lines(ReadFile(port_file));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name + "=", 0) == 0) return std::stoi(line.substr(name.size() + 1));
  }
  return 0;
}

}  // namespace

ServerFixture::ServerFixture() { WriteTinyModel(folder_.path() / "model"); }

std::vector<std::string> ServerFixture::Flags(const std::vector<std::string>& more) const {
  std::vector<std::string> flags = {"--model=" + folder_.File("model"),     "--data-dir=" + folder_.File("data"),
                                    "--port-file=" + folder_.File("ports"), "--listen=127.0.0.1:0",
                                    "--metrics-listen=127.0.0.1:0",         "--threads=1"};
  if (has_memory_flags_) flags.insert(flags.end(), {"--sink-tokens=8", "--window-tokens=64", "--segment-tokens=32"});
  const auto name = [](const std::string& flag) { return flag.substr(0, flag.find('=')); };
  for (const std::string& flag : more) {
    std::erase_if(flags, [&](const std::string& other) { return name(other) == name(flag); });
    flags.push_back(flag);
  }
  return flags;
}

void ServerFixture::Start(const std::vector<std::string>& more, const std::map<std::string, std::string>& environment) {
  server_.emplace(Flags(more), environment);
  ASSERT_TRUE(server_->WaitForLog("ready")) << server_->Errors();
  port_ = ReadPort(folder_.File("ports"), "grpc");
  metrics_port_ = ReadPort(folder_.File("ports"), "metrics");
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ =
      grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", port_), grpc::InsecureChannelCredentials(), arguments);
  stub_ = v1::SessionService::NewStub(channel_);
  model_stub_ = v1::ModelService::NewStub(channel_);
}

int ServerFixture::Stop(int signal) {
  server_->Signal(signal);
  return server_->Wait();
}

std::string ServerFixture::CreateSession(const std::string& id) {
  grpc::ClientContext context;
  v1::CreateSessionRequest request;
  request.set_session_id(id);
  v1::Session session;
  const grpc::Status status = stub_->CreateSession(&context, request, &session);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return session.name();
}

v1::Session ServerFixture::GetSession(const std::string& name) {
  grpc::ClientContext context;
  v1::GetSessionRequest request;
  request.set_name(name);
  v1::Session session;
  const grpc::Status status = stub_->GetSession(&context, request, &session);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return session;
}

grpc::Status ServerFixture::Append(const std::vector<v1::AppendRequest>& messages, v1::AppendResponse* last) {
  grpc::ClientContext context;
  const auto stream = stub_->Append(&context);
  for (const v1::AppendRequest& message : messages) {
    if (!stream->Write(message)) break;
  }
  stream->WritesDone();
  v1::AppendResponse reply;
  while (stream->Read(&reply)) {
    if (last != nullptr) *last = reply;
  }
  return stream->Finish();
}

void ServerFixture::AppendDocument(const std::string& session, const std::string& document, const std::string& text,
                                   std::size_t chunk) {
  std::vector<v1::AppendRequest> messages;
  for (std::size_t offset = 0; offset < text.size(); offset += chunk) {
    messages.push_back(AppendMessage(session, document, offset, text.substr(offset, chunk)));
  }
  messages.back().set_finish(true);
  v1::AppendResponse last;
  const grpc::Status status = Append(messages, &last);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(last.durable_offset(), text.size());
  EXPECT_TRUE(last.sealed());
}

v1::WatchResponse ServerFixture::WatchToTheEnd(const std::string& session) {
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_session(session);
  const auto stream = stub_->Watch(&context, request);
  v1::WatchResponse report;
  while (stream->Read(&report)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return report;
}

grpc::Status ServerFixture::Ask(const v1::AskRequest& request, v1::AskResult* result) {
  grpc::ClientContext context;
  const auto stream = stub_->Ask(&context, request);
  std::string text;
  v1::AskResponse event;
  while (stream->Read(&event)) {
    text += event.delta().text();
    if (event.has_result()) *result = event.result();
  }
  const grpc::Status status = stream->Finish();
  if (status.ok()) {
    EXPECT_EQ(text, result->answer());
  }
  return status;
}

v1::AppendRequest AppendMessage(const std::string& session, const std::string& document, std::uint64_t offset,
                                const std::string& data) {
  v1::AppendRequest request;
  request.set_session(session);
  request.set_document(document);
  request.set_write_offset(offset);
  request.set_data(data);
  request.set_crc32c(Crc32c(data));
  return request;
}

v1::AskRequest Question(const std::string& session, const std::string& question, int max_tokens) {
  v1::AskRequest request;
  request.set_session(session);
  request.set_question(question);
  request.set_prompt_form(v1::PROMPT_FORM_RAW);
  request.mutable_generation()->set_max_tokens(max_tokens);
  return request;
}

}  // namespace tome::testing
