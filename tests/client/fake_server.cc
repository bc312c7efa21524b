#include "tests/client/fake_server.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "engine/base/crc32c.h"
#include "engine/base/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tome::client {
namespace {

std::string IdOf(const std::string& name) {
  constexpr std::string_view kPrefix = "sessions/";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : std::string();
}

grpc::Status NoSession(const std::string& id) {
  return MakeError(grpc::StatusCode::NOT_FOUND, "session 'sessions/" + id + "' does not exist", "SESSION_NOT_FOUND",
                   {{"session", "sessions/" + id}});
}

std::map<std::string, std::string> Committed(const FakeDocument& document) {
  return {{"document", document.name}, {"committed_offset", std::to_string(document.bytes.size())}};
}

// The best of three regions of "book"; 0 means all.
template <typename Region>
void SetRegions(int limit, bool include_text, google::protobuf::RepeatedPtrField<Region>* regions) {
  constexpr const char* kTexts[] = {"In the beginning God\ncreated the heaven and the earth.",
                                    "And the earth was void.", "And God said, Let there be light."};
  for (int i = 0; i < 3 && (limit == 0 || i < limit); ++i) {
    Region& region = *regions->Add();
    region.mutable_range()->set_document("book");
    region.mutable_range()->set_begin(100 * i);
    region.mutable_range()->set_end(100 * i + 60);
    region.set_score(0.5 / (i + 1));
    if (include_text) region.set_text(kTexts[i]);
    if (i < 2) continue;
    region.mutable_sentence()->set_document("book");
    region.mutable_sentence()->set_begin(214);  // "Let there ..."
    region.mutable_sentence()->set_end(234);
  }
}

// The first region was attended to as it is stored, after a sink of 9 tokens, and the third was read again.
void SetAttended(v1::AskResult* result) {
  result->mutable_usage()->set_stored_tokens(69);
  result->mutable_usage()->set_reread_tokens(32);
  for (const int begin : {0, 200}) {
    v1::Passage& passage = *result->add_passages();
    passage.mutable_range()->set_document("book");
    passage.mutable_range()->set_begin(static_cast<std::uint64_t>(begin));
    passage.mutable_range()->set_end(static_cast<std::uint64_t>(begin) + 60);
    passage.set_stored(begin == 0);
  }
}

}  // namespace

grpc::Status MakeError(grpc::StatusCode code, const std::string& message, const std::string& reason,
                       const std::map<std::string, std::string>& metadata,
                       std::optional<std::chrono::milliseconds> retry_delay) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("tome.v1");
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  status.add_details()->PackFrom(info);
  if (retry_delay.has_value()) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(retry_delay->count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(retry_delay->count() % 1000) * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
  return grpc::Status(code, message, status.SerializeAsString());
}

FakeServer::FakeServer() { Start(); }
FakeServer::~FakeServer() { Stop(); }

void FakeServer::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address(), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(static_cast<v1::SessionService::Service*>(this));
  builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
}

void FakeServer::Stop() {
  if (server_ == nullptr) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

// --- What happens, what happened -------------------------------------------------------------------------------------

void FakeServer::AddSession(const std::string& id) {
  std::lock_guard lock(mutex_);
  sessions_[id];
}
void FakeServer::AddDocument(const std::string& id, FakeDocument document) {
  std::lock_guard lock(mutex_);
  sessions_[id].documents.push_back(std::move(document));
}
void FakeServer::AddFault(const AppendFault& fault) {
  std::lock_guard lock(mutex_);
  faults_.push_back(fault);
}
void FakeServer::ClearFaults() {
  std::lock_guard lock(mutex_);
  faults_.clear();
}
void FakeServer::AddCallFault(const grpc::Status& status) {
  std::lock_guard lock(mutex_);
  call_faults_.push_back(status);
}
void FakeServer::HoldReading(bool held) {
  std::lock_guard lock(mutex_);
  reading_held_ = held;
  ReadStored();
  changed_.notify_all();
}
void FakeServer::SetPageSize(int size) {
  std::lock_guard lock(mutex_);
  page_size_ = size;
}
void FakeServer::SetAnswer(std::vector<std::string> deltas, grpc::Status end) {
  std::lock_guard lock(mutex_);
  deltas_ = std::move(deltas);
  answer_end_ = std::move(end);
}
void FakeServer::HoldAnswer() {
  std::lock_guard lock(mutex_);
  answer_held_ = true;
}

std::string FakeServer::Bytes(const std::string& id, const std::string& document) {
  std::lock_guard lock(mutex_);
  for (const FakeDocument& candidate : sessions_[id].documents) {
    if (candidate.name == document) return candidate.bytes;
  }
  return "";
}
bool FakeServer::Sealed(const std::string& id, const std::string& document) {
  std::lock_guard lock(mutex_);
  for (const FakeDocument& candidate : sessions_[id].documents) {
    if (candidate.name == document) return candidate.sealed;
  }
  return false;
}
int FakeServer::messages_stored() {
  std::lock_guard lock(mutex_);
  return messages_stored_;
}
int FakeServer::append_calls() {
  std::lock_guard lock(mutex_);
  return append_calls_;
}
v1::AskRequest FakeServer::last_question() {
  std::lock_guard lock(mutex_);
  return last_question_;
}
v1::GetModelRequest FakeServer::last_model_request() {
  std::lock_guard lock(mutex_);
  return last_model_request_;
}
v1::SearchRequest FakeServer::last_search() {
  std::lock_guard lock(mutex_);
  return last_search_;
}
v1::CreateSessionRequest FakeServer::last_create() {
  std::lock_guard lock(mutex_);
  return last_create_;
}

v1::ForkSessionRequest FakeServer::last_fork() {
  std::lock_guard lock(mutex_);
  return last_fork_;
}

v1::ListSessionsRequest FakeServer::last_list() {
  std::lock_guard lock(mutex_);
  return last_list_;
}

v1::UpdateSessionRequest FakeServer::last_update() {
  std::lock_guard lock(mutex_);
  return last_update_;
}

void FakeServer::SetArchive(std::vector<std::string> messages, std::optional<int> fault_after) {
  std::lock_guard lock(mutex_);
  archive_ = std::move(messages);
  archive_fault_after_ = fault_after;
}

int FakeServer::export_calls() {
  std::lock_guard lock(mutex_);
  return export_calls_;
}

std::string FakeServer::imported_bytes() {
  std::lock_guard lock(mutex_);
  return imported_bytes_;
}
std::vector<v1::InvalidUtf8Policy> FakeServer::policies() {
  std::lock_guard lock(mutex_);
  return policies_;
}
bool FakeServer::WaitUntil(const std::function<bool()>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::minutes(1), condition);
}
std::uint64_t FakeServer::DurableLocked(const std::string& id) {
  std::uint64_t bytes = 0;
  for (const FakeDocument& document : sessions_[id].documents) bytes += document.bytes.size();
  return bytes;
}

// --- Helpers; the lock is held ---------------------------------------------------------------------------------------

grpc::Status FakeServer::NextCallFault() {
  if (call_faults_.empty()) return grpc::Status::OK;
  const grpc::Status status = call_faults_.front();
  call_faults_.pop_front();
  return status;
}

void FakeServer::ReadStored() {
  if (reading_held_) return;
  for (auto& [id, session] : sessions_) {
    for (FakeDocument& document : session.documents) {
      // An open document's last part stays unread, like a segment that is not full.
      document.ingested = document.sealed ? document.bytes.size() : document.bytes.size() / 512 * 512;
    }
  }
}

v1::Session FakeServer::Describe(const std::string& id) const {
  const FakeSession& fake = sessions_.at(id);
  const v1::WatchResponse progress = Progress(id);
  v1::Session session;
  session.set_name("sessions/" + id);
  session.set_display_name(fake.display_name);
  session.mutable_labels()->insert(fake.labels.begin(), fake.labels.end());
  session.mutable_create_time()->set_seconds(1'700'000'000);
  session.mutable_options()->set_window_tokens(2048);
  session.set_phase(progress.phase());
  session.set_residency(v1::RESIDENCY_RESIDENT);
  session.set_pinned(fake.pinned);
  if (fake.time_to_live_seconds > 0) {
    session.mutable_time_to_live()->set_seconds(fake.time_to_live_seconds);
    if (!fake.pinned) session.mutable_expire_time()->set_seconds(1'700'000'000 + fake.time_to_live_seconds);
  }
  v1::Snapshot& snapshot = *session.add_snapshots();
  snapshot.set_number(2);
  snapshot.set_size_bytes(4000);
  snapshot.set_ingested_bytes(std::min<std::uint64_t>(1500, progress.durable_bytes()));
  snapshot.set_ingested_tokens(snapshot.ingested_bytes() / 4);
  session.set_durable_bytes(progress.durable_bytes());
  session.set_ingested_bytes(progress.ingested_bytes());
  session.set_ingested_tokens(progress.ingested_tokens());
  for (const FakeDocument& document : fake.documents) {
    v1::Document& described = *session.add_documents();
    described.set_name(document.name);
    described.set_durable_bytes(document.bytes.size());
    described.set_ingested_bytes(document.ingested);
    described.set_sealed(document.sealed);
  }
  return session;
}

v1::WatchResponse FakeServer::Progress(const std::string& id) const {
  v1::WatchResponse progress;
  for (const FakeDocument& document : sessions_.at(id).documents) {
    progress.set_durable_bytes(progress.durable_bytes() + document.bytes.size());
    progress.set_ingested_bytes(progress.ingested_bytes() + document.ingested);
  }
  progress.set_ingested_tokens(progress.ingested_bytes() / 4);
  progress.set_tokens_per_second(1500);
  progress.set_bytes_per_second(6000);
  progress.set_phase(reading_held_ && !AllReadAndSealed(id) ? v1::Session::PHASE_READING : v1::Session::PHASE_IDLE);
  return progress;
}

bool FakeServer::AllReadAndSealed(const std::string& id) const {
  for (const FakeDocument& document : sessions_.at(id).documents) {
    if (!document.sealed || document.ingested < document.bytes.size()) return false;
  }
  return true;
}

// --- Sessions --------------------------------------------------------------------------------------------------------

grpc::Status FakeServer::CreateSession(grpc::ServerContext*, const v1::CreateSessionRequest* request,
                                       v1::Session* response) {
  std::lock_guard lock(mutex_);
  last_create_ = *request;
  const std::string id = request->session_id().empty() ? "fake-1" : request->session_id();
  if (sessions_.contains(id)) {
    return MakeError(grpc::StatusCode::ALREADY_EXISTS, "session 'sessions/" + id + "' exists", "SESSION_EXISTS");
  }
  FakeSession& session = sessions_[id];
  session.display_name = request->session().display_name();
  session.labels = {request->session().labels().begin(), request->session().labels().end()};
  *response = Describe(id);
  // The session is made, but the reply can still be lost.
  return NextCallFault();
}

grpc::Status FakeServer::GetSession(grpc::ServerContext*, const v1::GetSessionRequest* request, v1::Session* response) {
  std::lock_guard lock(mutex_);
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  const std::string id = IdOf(request->name());
  if (!sessions_.contains(id)) return NoSession(id);
  *response = Describe(id);
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListSessions(grpc::ServerContext*, const v1::ListSessionsRequest* request,
                                      v1::ListSessionsResponse* response) {
  std::lock_guard lock(mutex_);
  last_list_ = *request;
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  for (auto session = sessions_.upper_bound(request->page_token()); session != sessions_.end(); ++session) {
    if (response->sessions_size() == page_size_) {
      response->set_next_page_token(IdOf(response->sessions(page_size_ - 1).name()));
      break;
    }
    *response->add_sessions() = Describe(session->first);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::UpdateSession(grpc::ServerContext*, const v1::UpdateSessionRequest* request,
                                       v1::Session* response) {
  std::lock_guard lock(mutex_);
  const std::string id = IdOf(request->session().name());
  if (!sessions_.contains(id)) return NoSession(id);
  last_update_ = *request;
  if (request->update_mask().paths().empty()) sessions_[id].display_name = request->session().display_name();
  for (const std::string& path : request->update_mask().paths()) {
    if (path == "display_name") sessions_[id].display_name = request->session().display_name();
    if (path == "time_to_live") sessions_[id].time_to_live_seconds = request->session().time_to_live().seconds();
    if (path == "pinned") sessions_[id].pinned = request->session().pinned();
  }
  *response = Describe(id);
  return grpc::Status::OK;
}

grpc::Status FakeServer::DeleteSession(grpc::ServerContext*, const v1::DeleteSessionRequest* request,
                                       google::protobuf::Empty*) {
  std::lock_guard lock(mutex_);
  const std::string id = IdOf(request->name());
  if (sessions_.erase(id) == 0) return NoSession(id);
  changed_.notify_all();
  return NextCallFault();
}

grpc::Status FakeServer::SnapshotSession(grpc::ServerContext*, const v1::SnapshotSessionRequest* request,
                                         v1::Snapshot* response) {
  std::lock_guard lock(mutex_);
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  const std::string id = IdOf(request->name());
  if (!sessions_.contains(id)) return NoSession(id);
  response->set_number(3);
  response->set_size_bytes(5000);
  response->set_ingested_bytes(Progress(id).ingested_bytes());
  response->set_ingested_tokens(Progress(id).ingested_tokens());
  return grpc::Status::OK;
}

grpc::Status FakeServer::RereadSession(grpc::ServerContext*, const v1::RereadSessionRequest* request,
                                       v1::Session* response) {
  std::lock_guard lock(mutex_);
  const std::string id = IdOf(request->name());
  if (!sessions_.contains(id)) return NoSession(id);
  *response = Describe(id);
  return grpc::Status::OK;
}

grpc::Status FakeServer::ForkSession(grpc::ServerContext*, const v1::ForkSessionRequest* request,
                                     v1::Session* response) {
  std::lock_guard lock(mutex_);
  last_fork_ = *request;
  const std::string from = IdOf(request->name());
  if (!sessions_.contains(from)) return NoSession(from);
  const std::string id = request->session_id().empty() ? "fake-fork" : request->session_id();
  sessions_[id] = sessions_[from];
  *response = Describe(id);
  return NextCallFault();
}

grpc::Status FakeServer::ExportSession(grpc::ServerContext*, const v1::ExportSessionRequest* request,
                                       grpc::ServerWriter<v1::ExportSessionResponse>* writer) {
  std::lock_guard lock(mutex_);
  ++export_calls_;
  const std::string id = IdOf(request->name());
  if (!sessions_.contains(id)) return NoSession(id);
  for (int i = 0; i < static_cast<int>(archive_.size()); ++i) {
    if (archive_fault_after_ == i) {
      archive_fault_after_.reset();
      return {grpc::StatusCode::UNAVAILABLE, "gone for a moment"};
    }
    v1::ExportSessionResponse response;
    response.set_data(archive_[i]);
    writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::ImportSession(grpc::ServerContext*, grpc::ServerReader<v1::ImportSessionRequest>* reader,
                                       v1::Session* response) {
  std::string id = "imported", bytes;
  v1::ImportSessionRequest request;
  while (reader->Read(&request)) {
    if (!request.session_id().empty()) id = request.session_id();
    bytes += request.data();
    if (bytes == "bad") return MakeError(grpc::StatusCode::DATA_LOSS, "the archive is damaged", "ARCHIVE_DAMAGED");
  }
  std::lock_guard lock(mutex_);
  imported_bytes_ = bytes;
  sessions_[id];
  *response = Describe(id);
  return grpc::Status::OK;
}

// --- Documents -------------------------------------------------------------------------------------------------------

grpc::Status FakeServer::Store(const v1::AppendRequest& request, const std::string& id, const std::string& name,
                               FakeDocument** document) {
  if (!sessions_.contains(id)) return NoSession(id);
  std::vector<FakeDocument>& documents = sessions_[id].documents;
  FakeDocument* found = nullptr;
  for (FakeDocument& candidate : documents) found = candidate.name == name ? &candidate : found;
  if (found == nullptr) {
    if (!documents.empty() && !documents.back().sealed) {
      return MakeError(grpc::StatusCode::FAILED_PRECONDITION, "the document before is not sealed",
                       "DOCUMENT_UNFINISHED");
    }
    found = &documents.emplace_back(FakeDocument{.name = name});
  }
  *document = found;
  if (request.has_crc32c() && request.crc32c() != Crc32c(request.data())) {
    return MakeError(grpc::StatusCode::DATA_LOSS, "the message's checksum is wrong", "CHECKSUM_MISMATCH");
  }
  const std::uint64_t offset = request.write_offset();
  const std::uint64_t size = found->bytes.size();
  const bool repeat = offset < size || found->sealed;
  if (offset > size || (repeat && offset + request.data().size() > size)) {
    return MakeError(grpc::StatusCode::ABORTED, "the offset is not the committed one", "OFFSET_MISMATCH",
                     Committed(*found));
  }
  if (repeat) {
    if (found->bytes.compare(offset, request.data().size(), request.data()) == 0) return grpc::Status::OK;
    const std::string& sent = request.data();
    const auto differs =
        std::mismatch(sent.begin(), sent.end(), found->bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    std::map<std::string, std::string> metadata = Committed(*found);
    metadata["byte_offset"] = std::to_string(offset + static_cast<std::uint64_t>(differs.first - sent.begin()));
    return MakeError(grpc::StatusCode::ABORTED, "the bytes differ from those that are stored", "CONTENT_MISMATCH",
                     metadata);
  }
  if (request.invalid_utf8() != v1::INVALID_UTF8_POLICY_REPLACE) {
    Utf8Validator validator;
    validator.Append(found->bytes);
    if (!validator.Append(request.data())) {
      return MakeError(grpc::StatusCode::INVALID_ARGUMENT,
                       "the document is not UTF-8 at byte " + std::to_string(*validator.error_offset()), "INVALID_UTF8",
                       {{"byte_offset", std::to_string(*validator.error_offset())}});
    }
  }
  found->bytes += request.data();
  found->sealed = request.finish();
  ++messages_stored_;
  ReadStored();
  changed_.notify_all();
  return grpc::Status::OK;
}

grpc::Status FakeServer::Append(grpc::ServerContext* context,
                                grpc::ServerReaderWriter<v1::AppendResponse, v1::AppendRequest>* stream) {
  std::optional<AppendFault> fault;
  {
    std::lock_guard lock(mutex_);
    ++append_calls_;
    if (!faults_.empty()) {
      fault = faults_.front();
      faults_.pop_front();
    }
  }
  v1::AppendRequest request;
  std::string id, name;
  for (int handled = 0; stream->Read(&request); ++handled) {
    std::unique_lock lock(mutex_);
    if (handled == 0) {
      id = IdOf(request.session());
      name = request.document();
      policies_.push_back(request.invalid_utf8());
    }
    FakeDocument* document = nullptr;
    const bool faulty = fault.has_value() && handled == fault->after_messages;
    if (!faulty || fault->store_message) {
      if (const grpc::Status status = Store(request, id, name, &document); !status.ok()) return status;
    }
    if (faulty) {
      switch (fault->kind) {
        case AppendFault::Kind::kDrop:
          context->TryCancel();
          return grpc::Status::CANCELLED;
        case AppendFault::Kind::kUnavailable:
          return MakeError(grpc::StatusCode::UNAVAILABLE, "the server is shutting down", "DRAINING", {},
                           std::chrono::milliseconds(1500));
        case AppendFault::Kind::kAborted:
          return MakeError(grpc::StatusCode::ABORTED, "the offset is not the committed one", "OFFSET_MISMATCH",
                           {{"committed_offset", "0"}});
        case AppendFault::Kind::kExhausted:
          return MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, "no room", "STATE_MEMORY", {},
                           std::chrono::milliseconds(2500));
        case AppendFault::Kind::kEndsEarly:
          return grpc::Status::OK;
      }
    }
    v1::AppendResponse response;
    response.set_durable_offset(document->bytes.size());
    response.set_ingested_offset(document->ingested);
    response.set_sealed(document->sealed);
    lock.unlock();
    stream->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::Watch(grpc::ServerContext* context, const v1::WatchRequest* request,
                               grpc::ServerWriter<v1::WatchResponse>* writer) {
  const std::string id = IdOf(request->session());
  std::unique_lock lock(mutex_);
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  if (!sessions_.contains(id)) return NoSession(id);
  std::string last;
  while (sessions_.contains(id) && !stopping_) {
    const v1::WatchResponse progress = Progress(id);
    const std::uint64_t until = request->until_ingested_bytes();
    const bool done = AllReadAndSealed(id) || (until > 0 && progress.ingested_bytes() >= until);
    if (progress.SerializeAsString() != last) {
      last = progress.SerializeAsString();
      lock.unlock();
      const bool open = writer->Write(progress);
      lock.lock();
      if (!open) return grpc::Status::CANCELLED;
    }
    if (done) return grpc::Status::OK;
    changed_.wait_for(lock, std::chrono::milliseconds(20));
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
  }
  return stopping_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping") : grpc::Status::OK;
}

// --- Questions and the model -----------------------------------------------------------------------------------------

grpc::Status FakeServer::Ask(grpc::ServerContext* context, const v1::AskRequest* request,
                             grpc::ServerWriter<v1::AskResponse>* writer) {
  std::unique_lock lock(mutex_);
  last_question_ = *request;
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  const std::string id = IdOf(request->session());
  if (!sessions_.contains(id)) return NoSession(id);
  v1::AskResponse response;
  response.mutable_progress()->set_phase(v1::AskProgress::PHASE_READING_QUESTION);
  response.mutable_progress()->set_total(7);
  writer->Write(response);
  v1::AskResult result;
  for (const std::string& text : deltas_) {
    response.mutable_delta()->set_text(text);
    if (request->generation().log_probabilities()) {
      v1::TokenLogProbability& token = *response.mutable_delta()->add_tokens();
      token.set_token(7);
      token.set_piece(text);
      token.set_log_probability(-0.25F);
    }
    writer->Write(response);
    result.set_answer(result.answer() + text);
  }
  ++asks_waiting_;
  changed_.notify_all();
  while (answer_held_ && !context->IsCancelled() && !stopping_) changed_.wait_for(lock, std::chrono::milliseconds(20));
  --asks_waiting_;
  changed_.notify_all();
  if (context->IsCancelled()) return grpc::Status::CANCELLED;
  if (!answer_end_.ok()) return answer_end_;
  result.set_finish_reason(v1::AskResult::FINISH_REASON_STOP_TOKEN);
  result.set_mode(request->mode() == v1::ANSWER_MODE_UNSPECIFIED ? v1::ANSWER_MODE_REREAD : request->mode());
  result.set_prompt_form(request->prompt_form());
  if (result.mode() == v1::ANSWER_MODE_ATTEND) SetAttended(&result);
  if (result.mode() != v1::ANSWER_MODE_WINDOW) {
    SetRegions(static_cast<int>(request->citations().max_citations()), request->citations().include_text(),
               result.mutable_citations());
  }
  result.mutable_usage()->set_prompt_tokens(7);
  result.mutable_usage()->set_generated_tokens(deltas_.size());
  result.mutable_timings()->mutable_generating()->set_nanos(500'000'000);
  *response.mutable_result() = result;
  writer->Write(response);
  return grpc::Status::OK;
}

grpc::Status FakeServer::Score(grpc::ServerContext*, const v1::ScoreRequest* request, v1::ScoreResponse* response) {
  response->set_ingested_bytes(10);
  for (const char letter : request->text()) {
    v1::TokenScore& token = *response->add_tokens();
    token.set_token(letter);
    token.set_piece(std::string(1, letter));
    if (response->tokens_size() == 1) continue;
    token.set_log_probability(-2);
    response->set_log_probability(response->log_probability() - 2);
    response->set_scored_tokens(response->scored_tokens() + 1);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::Search(grpc::ServerContext*, const v1::SearchRequest* request, v1::SearchResponse* response) {
  std::lock_guard lock(mutex_);
  last_search_ = *request;
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  const std::string id = IdOf(request->session());
  if (!sessions_.contains(id)) return NoSession(id);
  SetRegions(request->page_size(), request->include_text(), response->mutable_regions());
  response->set_regions_scanned(1234);
  response->set_regions_reranked(40);
  response->set_ingested_tokens(78'976);
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetModel(grpc::ServerContext*, const v1::GetModelRequest* request, v1::Model* response) {
  std::lock_guard lock(mutex_);
  last_model_request_ = *request;
  if (const grpc::Status fault = NextCallFault(); !fault.ok()) return fault;
  response->set_name("fake");
  response->set_parameters(134'515'008);
  response->mutable_config()->set_layers(30);
  response->set_chat_template("chatml");
  v1::SessionCost& cost = *response->mutable_session_cost();
  *cost.mutable_options() = request->session_options();
  cost.set_max_state_bytes(1000);
  cost.add_lengths()->set_tokens(1 << 20);
  return grpc::Status::OK;
}

grpc::Status FakeServer::Tokenize(grpc::ServerContext*, const v1::TokenizeRequest* request,
                                  v1::TokenizeResponse* response) {
  for (const char byte : request->text()) {
    v1::Token& token = *response->add_tokens();
    token.set_id(static_cast<unsigned char>(byte));
    token.set_piece(static_cast<unsigned char>(byte) < 0x80 ? std::string(1, byte) : "?");
    token.set_num_bytes(1);
  }
  return grpc::Status::OK;
}

}  // namespace tome::client
