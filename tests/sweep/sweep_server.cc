#include "tests/sweep/sweep_server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "engine/base/crc32c.h"
#include "fmt/format.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "server/rpc/library_logs.h"
#include "server/telemetry/logging.h"

namespace tome::testing {
namespace {

// What the present call is, for the last words of a process that ends within it.
char present_call[512];

#if !defined(__SANITIZE_ADDRESS__)
void SayWhatWasCalled(int signal) {
  for (const char* part : {"the sweep ends within: ", static_cast<const char*>(present_call), "\n"}) {
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  }
  ::signal(signal, SIG_DFL);
  raise(signal);
}
#endif

void NoteCall(const std::string& what) {
  const std::size_t size = std::min(what.size(), sizeof present_call - 1);
  std::copy_n(what.begin(), size, present_call);
  present_call[size] = '\0';
}

// All that is common to the processes of sweeps, once.
void SetUpProcess() {
  [[maybe_unused]] static const bool done = [] {
    server::SetUpLogging(server::LogLevel::kOff, server::LogFormat::kText);
    server::RouteLibraryLogs();
#if !defined(__SANITIZE_ADDRESS__)  // which has handlers of its own
    for (const int deadly : {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGABRT}) signal(deadly, SayWhatWasCalled);
#endif
    return true;
  }();
}

template <typename Value>
Value OrEnd(absl::StatusOr<Value> value) {
  if (value.ok()) return *std::move(value);
  ADD_FAILURE() << value.status();
  std::abort();
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::string bytes;
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& part : slices) bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  return bytes;
}

// One call by a queue of its own, step after step.
class GenericCall {
 public:
  GenericCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
              std::chrono::milliseconds deadline)
      : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + deadline);
    stream_ = stub_.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(nullptr);
    Wait();
  }
  bool Write(const std::string& message) {
    grpc::Slice slice(message);
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    return Wait();
  }
  void WritesDone() {
    stream_->WritesDone(nullptr);
    Wait();
  }
  bool Read(std::string* message) {
    grpc::ByteBuffer buffer;
    stream_->Read(&buffer, nullptr);
    if (!Wait()) return false;
    *message = BytesOf(buffer);
    return true;
  }
  grpc::Status Finish() {
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Wait();
    return status;
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace

SweepServer::SweepServer(std::shared_ptr<const Model> model, const MemoryOptions& options)
    : telemetry_(server::Metrics::Build{.version = "sweep", .revision = "sweep"}) {
  SetUpProcess();
  server::SessionManagerOptions manager_options{.data_folder = folder_.File("data"), .default_memory_options = options};
  manager_options.max_commit_delay = absl::ZeroDuration();
  manager_options.snapshots = {.segments = 0, .interval = absl::ZeroDuration()};
  sessions_ = OrEnd(server::SessionManager::Open(manager_options, std::move(model), telemetry_, clock_));
  rpc_ = OrEnd(server::RpcServer::Start({.listen = "127.0.0.1:0", .server_version = "sweep"}, telemetry_));
  rpc_->Open(*sessions_);
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", rpc_->port()), grpc::InsecureChannelCredentials(),
                                       arguments);
  stub_ = v1::SessionService::NewStub(channel_);
}

SweepServer::~SweepServer() {
  NoteCall("the end");
  rpc_.reset();
  sessions_.reset();
}

CallResult SweepServer::Call(const std::string& method, const std::vector<std::string>& messages,
                             const std::string& what, std::chrono::milliseconds deadline) {
  NoteCall(what);
  GenericCall call(channel_, method, deadline);
  for (const std::string& message : messages) {
    if (!call.Write(message)) break;
  }
  call.WritesDone();
  CallResult result;
  for (std::string reply; call.Read(&reply);) result.replies.push_back(std::move(reply));
  result.status = call.Finish();
  return result;
}

void SweepServer::CreateSession(const std::string& id) {
  grpc::ClientContext context;
  v1::CreateSessionRequest request;
  request.set_session_id(id);
  v1::Session session;
  const grpc::Status status = stub_->CreateSession(&context, request, &session);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

grpc::Status SweepServer::TryAppend(const std::string& session, const std::string& document, const std::string& data,
                                    std::uint64_t offset) {
  NoteCall(fmt::format("Append of {} bytes to {}", data.size(), session));
  v1::AppendRequest request;
  request.set_session("sessions/" + session);
  request.set_document(document);
  request.set_write_offset(offset);
  request.set_data(data);
  request.set_crc32c(Crc32c(data));
  request.set_finish(true);
  request.set_invalid_utf8(v1::INVALID_UTF8_POLICY_REPLACE);
  grpc::ClientContext context;
  const auto stream = stub_->Append(&context);
  stream->Write(request);
  stream->WritesDone();
  v1::AppendResponse reply;
  while (stream->Read(&reply)) continue;
  return stream->Finish();
}

void SweepServer::Append(const std::string& session, const std::string& document, const std::string& data) {
  const grpc::Status status = TryAppend(session, document, data, 0);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

void SweepServer::FinishReading(const std::string& session) {
  const v1::Session before = GetSession(session);
  if (before.documents_size() > 0 && !before.documents().rbegin()->sealed()) {
    const v1::Document& last = *before.documents().rbegin();
    const grpc::Status sealed = TryAppend(session, last.name(), "", last.durable_bytes());
    EXPECT_TRUE(sealed.ok()) << sealed.error_message();
  }
  NoteCall("Watch of " + session);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kSweepHangs);
  v1::WatchRequest request;
  request.set_session("sessions/" + session);
  const auto stream = stub_->Watch(&context, request);
  v1::WatchResponse progress;
  while (stream->Read(&progress)) continue;
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << session << ": " << status.error_message() << " with " << progress.ShortDebugString();
}

v1::Session SweepServer::GetSession(const std::string& session) {
  grpc::ClientContext context;
  v1::GetSessionRequest request;
  request.set_name("sessions/" + session);
  v1::Session found;
  const grpc::Status status = stub_->GetSession(&context, request, &found);
  EXPECT_TRUE(status.ok()) << session << ": " << status.error_message();
  return found;
}

std::string SweepServer::Export(const std::string& session) {
  grpc::ClientContext context;
  v1::ExportSessionRequest request;
  request.set_name("sessions/" + session);
  const auto stream = stub_->ExportSession(&context, request);
  std::string archive;
  for (v1::ExportSessionResponse reply; stream->Read(&reply);) archive += reply.data();
  EXPECT_TRUE(stream->Finish().ok());
  return archive;
}

grpc::Status SweepServer::AskAsUsual(const std::string& session) {
  NoteCall("an ordinary question");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kSweepHangs);
  v1::AskRequest request;
  request.set_session("sessions/" + session);
  request.set_question("What did the lord say?");
  request.set_prompt_form(v1::PROMPT_FORM_RAW);
  request.set_mode(v1::ANSWER_MODE_WINDOW);
  request.mutable_generation()->set_max_tokens(1);
  const auto stream = stub_->Ask(&context, request);
  for (v1::AskResponse event; stream->Read(&event);) continue;
  return stream->Finish();
}

void SweepServer::DeleteOthers(const std::vector<std::string>& kept) {
  v1::ListSessionsRequest list;
  list.set_page_size(1000);
  grpc::ClientContext list_context;
  v1::ListSessionsResponse sessions;
  EXPECT_TRUE(stub_->ListSessions(&list_context, list, &sessions).ok());
  for (const v1::Session& session : sessions.sessions()) {
    const bool keep = std::any_of(kept.begin(), kept.end(),
                                  [&](const std::string& id) { return session.name() == "sessions/" + id; });
    if (keep) continue;
    grpc::ClientContext context;
    v1::DeleteSessionRequest request;
    request.set_name(session.name());
    google::protobuf::Empty nothing;
    EXPECT_TRUE(stub_->DeleteSession(&context, request, &nothing).ok()) << session.name();
  }
}

}  // namespace tome::testing
