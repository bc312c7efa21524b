#include "server/rpc/wire/conversion.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "engine/base/utf8.h"
#include "server/rpc/wire/question_fields.h"
#include "server/rpc/wire/session_name.h"

namespace tome::server {
namespace {

void SetTime(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const absl::Duration since_epoch = time - absl::UnixEpoch();
  const absl::Duration seconds = absl::Floor(since_epoch, absl::Seconds(1));
  timestamp->set_seconds(absl::ToInt64Seconds(seconds));
  timestamp->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(since_epoch - seconds)));
}

v1::Session::Phase ToProto(SessionPhase phase) {
  switch (phase) {
    case SessionPhase::kIdle:
      return v1::Session::PHASE_IDLE;
    case SessionPhase::kReading:
      return v1::Session::PHASE_READING;
    case SessionPhase::kEvicted:
      return v1::Session::PHASE_EVICTED;
    case SessionPhase::kRestoring:
      return v1::Session::PHASE_RESTORING;
    case SessionPhase::kFailed:
      return v1::Session::PHASE_FAILED;
  }
  return v1::Session::PHASE_UNSPECIFIED;
}

v1::Residency ToProto(StatePlace place) {
  switch (place) {
    case StatePlace::kNone:
      return v1::RESIDENCY_NONE;
    case StatePlace::kResident:
      return v1::RESIDENCY_RESIDENT;
    case StatePlace::kEvicted:
      return v1::RESIDENCY_EVICTED;
    case StatePlace::kRestoring:
      return v1::RESIDENCY_RESTORING;
  }
  return v1::RESIDENCY_UNSPECIFIED;
}

v1::Document ToProto(const DocumentInfo& info) {
  v1::Document document;
  document.set_name(info.name);
  document.set_durable_bytes(info.durable_bytes);
  document.set_ingested_bytes(info.ingested_bytes);
  document.set_ingested_tokens(info.ingested_tokens);
  document.set_sealed(info.sealed);
  SetTime(info.create_time, document.mutable_create_time());
  return document;
}

v1::ModelConfig ToProto(const LlamaConfig& config) {
  static const char* const kScalings[] = {"none", "linear", "dynamic", "yarn", "llama3", "ntk", "crd-ntk"};
  v1::ModelConfig proto;
  proto.set_vocabulary_size(config.vocab_size);
  proto.set_hidden_size(config.hidden_size);
  proto.set_layers(static_cast<std::uint32_t>(config.num_layers));
  proto.set_query_heads(static_cast<std::uint32_t>(config.num_heads));
  proto.set_kv_heads(static_cast<std::uint32_t>(config.num_kv_heads));
  proto.set_head_dimension(static_cast<std::uint32_t>(config.head_dim));
  proto.set_ffn_size(config.ffn_size);
  proto.set_context_length(config.context_length);
  proto.set_rope_theta(config.rope_theta);
  proto.set_rope_scaling(kScalings[static_cast<int>(config.rope_scaling.kind)]);
  proto.set_tied_output(config.tied_output);
  return proto;
}

std::uint32_t NumRetrievalHeads(const ModelProfile& profile) {
  std::size_t heads = 0;
  for (const RetrievalHead& head : profile.heads) heads += head.query_heads.size();
  return static_cast<std::uint32_t>(heads);
}

absl::Duration TimeToLive(const v1::Session& session) {
  return absl::Seconds(session.time_to_live().seconds()) + absl::Nanoseconds(session.time_to_live().nanos());
}

std::map<std::string, std::string> Labels(const google::protobuf::Map<std::string, std::string>& labels) {
  return {labels.begin(), labels.end()};
}

}  // namespace

AskedMemory FromProto(const v1::MemoryOptions& options) {
  return {.options = {.sink_tokens = static_cast<int>(options.sink_tokens()),
                      .window_tokens = static_cast<int>(options.window_tokens()),
                      .segment_tokens = static_cast<int>(options.segment_tokens()),
                      .region_tokens = static_cast<int>(options.region_tokens()),
                      .attention = options.attention(),
                      .position_encoding = options.position_encoding()},
          .region_memory = options.region_memory(),
          .max_state_bytes = options.max_state_bytes()};
}

CreateRequest FromProto(const v1::CreateSessionRequest& request) {
  const v1::Session& session = request.session();
  return {.session_id = request.session_id(),
          .request_id = request.request_id(),
          .display_name = session.display_name(),
          .labels = Labels(session.labels()),
          .memory = FromProto(session.options()),
          .time_to_live = TimeToLive(session),
          .pinned = session.pinned()};
}

ForkRequest FromProto(const v1::ForkSessionRequest& request) {
  return {.session_id = *ParseSessionName(request.name()),
          .new_session_id = request.session_id(),
          .request_id = request.request_id(),
          .display_name = request.display_name()};
}

UpdateRequest FromProto(const v1::UpdateSessionRequest& request) {
  const auto& paths = request.update_mask().paths();
  const auto named = [&paths](const char* path) { return std::find(paths.begin(), paths.end(), path) != paths.end(); };
  const auto wanted = [&](const char* path) { return paths.empty() || named(path); };
  UpdateRequest update{.session_id = *ParseSessionName(request.session().name()), .etag = request.session().etag()};
  if (wanted("display_name")) update.display_name = request.session().display_name();
  if (wanted("labels")) update.labels = Labels(request.session().labels());
  if (named("time_to_live")) update.time_to_live = TimeToLive(request.session());
  if (named("pinned")) update.pinned = request.session().pinned();
  return update;
}

WriteRequest FromProto(v1::AppendRequest&& request) {
  WriteRequest write{.offset = request.write_offset(), .finish = request.finish()};
  if (request.has_crc32c()) write.crc32c = request.crc32c();
  write.data = std::move(*request.mutable_data());
  return write;
}

Utf8Policy FromProto(v1::InvalidUtf8Policy policy) {
  return policy == v1::INVALID_UTF8_POLICY_REPLACE ? Utf8Policy::kReplace : Utf8Policy::kRefuse;
}

v1::Snapshot ToProto(const SnapshotInfo& info) {
  v1::Snapshot snapshot;
  snapshot.set_number(info.number);
  SetTime(info.create_time, snapshot.mutable_create_time());
  snapshot.set_size_bytes(info.size_bytes);
  snapshot.set_ingested_bytes(info.ingested_bytes);
  snapshot.set_ingested_tokens(info.ingested_tokens);
  snapshot.set_digest(info.digest);
  return snapshot;
}

v1::Session ToProto(const SessionInfo& info) {
  v1::Session session;
  session.set_name(SessionName(info.id));
  session.set_display_name(info.display_name);
  session.mutable_labels()->insert(info.labels.begin(), info.labels.end());
  session.set_etag(info.etag);
  SetTime(info.create_time, session.mutable_create_time());
  SetTime(info.update_time, session.mutable_update_time());
  *session.mutable_options() = ToProto(info.options);
  for (const DocumentInfo& document : info.documents) *session.add_documents() = ToProto(document);
  session.set_phase(ToProto(info.phase));
  session.set_durable_bytes(info.durable_bytes);
  session.set_ingested_bytes(info.ingested_bytes);
  session.set_ingested_tokens(info.ingested_tokens);
  session.set_state_bytes(info.state_bytes);
  session.set_max_state_bytes(info.max_state_bytes);
  session.set_archive_bytes(info.archive_bytes);
  session.set_archive_resident_bytes(info.archive_resident_bytes);
  session.set_problem(ReplaceInvalidUtf8(info.problem));
  session.set_model_digest(info.model_digest);
  session.set_tokenizer_digest(info.tokenizer_digest);
  if (info.time_to_live > absl::ZeroDuration()) SetDuration(info.time_to_live, session.mutable_time_to_live());
  session.set_pinned(info.pinned);
  SetTime(info.last_use_time, session.mutable_last_use_time());
  if (info.expire_time) SetTime(*info.expire_time, session.mutable_expire_time());
  session.set_residency(ToProto(info.state_place));
  session.set_queue_position(static_cast<std::uint32_t>(info.queue_position));
  for (const SnapshotInfo& snapshot : info.snapshots) *session.add_snapshots() = ToProto(snapshot);
  return session;
}

v1::WatchResponse ToProto(const SessionProgress& progress) {
  v1::WatchResponse response;
  response.set_phase(ToProto(progress.phase));
  response.set_durable_bytes(progress.durable_bytes);
  response.set_ingested_bytes(progress.ingested_bytes);
  response.set_ingested_tokens(progress.ingested_tokens);
  response.set_tokens_per_second(progress.tokens_per_second);
  response.set_bytes_per_second(progress.bytes_per_second);
  if (progress.time_left) SetDuration(*progress.time_left, response.mutable_time_left());
  response.set_problem(ReplaceInvalidUtf8(progress.problem));
  response.set_queue_position(static_cast<std::uint32_t>(progress.queue_position));
  response.set_caught_up(progress.caught_up);
  return response;
}

v1::MemoryOptions ToProto(const MemoryOptions& options) {
  v1::MemoryOptions proto;
  proto.set_sink_tokens(static_cast<std::uint32_t>(options.sink_tokens));
  proto.set_window_tokens(static_cast<std::uint32_t>(options.window_tokens));
  proto.set_segment_tokens(static_cast<std::uint32_t>(options.segment_tokens));
  proto.set_region_tokens(static_cast<std::uint32_t>(options.region_tokens));
  proto.set_region_memory(FormatRegionMemoryOptions(options.regions));
  proto.set_attention(options.attention);
  proto.set_position_encoding(options.position_encoding);
  return proto;
}

v1::Model ToProto(const ModelInfo& info, const ModelProfile& profile, const MemoryOptions& default_options,
                  const std::string& server_version) {
  v1::Model model;
  model.set_name(ReplaceInvalidUtf8(info.config.name));
  model.set_format(info.format);
  model.set_model_digest(info.model_digest);
  model.set_tokenizer_digest(info.tokenizer_digest);
  *model.mutable_config() = ToProto(info.config);
  model.set_parameters(info.num_parameters);
  model.set_device(std::string(DeviceName(info.device)));
  model.set_precision(std::string(PrecisionName(info.precision)));
  model.set_precision_reason(info.precision_reason);
  model.set_decode_weights(info.decode_weights);
  model.set_weight_bytes(info.weight_bytes);
  model.set_chat_template(std::string(ChatTemplateName(info.chat_template)));
  *model.mutable_default_options() = ToProto(default_options);
  model.set_max_state_bytes(Memory::MaxStateBytes(info.config, default_options, info.precision));
  model.set_server_version(server_version);
  model.set_cpu_features(CpuFeatures());
  model.set_engine(EngineBuildInfo());
  model.set_compute_threads(static_cast<std::uint32_t>(info.num_threads));
  model.set_profile_digest(info.profile_digest);
  model.set_retrieval_heads(NumRetrievalHeads(profile));
  if (profile.prompt_form) *model.mutable_prompt_form() = ToProto(*profile.prompt_form);
  if (profile.effort) model.set_effort(ToProto(*profile.effort));
  model.set_budget_tokens(static_cast<std::uint32_t>(profile.budget_tokens.value_or(0)));
  for (const std::string& warning : info.warnings) model.add_warnings(ReplaceInvalidUtf8(warning));
  return model;
}

v1::SessionCost ToProto(const SessionCost& cost, const MemoryOptions& options, std::size_t session_bytes,
                        std::size_t max_resident_bytes) {
  v1::SessionCost proto;
  *proto.mutable_options() = ToProto(options);
  proto.set_exact_bytes(cost.exact_bytes);
  proto.set_region_memory_bytes(cost.region_memory_bytes);
  proto.set_max_state_bytes(cost.max_state_bytes);
  proto.set_attended_tokens(static_cast<std::uint64_t>(cost.attended_tokens));
  proto.set_archive_bytes_per_token(cost.archive_bytes_per_token);
  proto.set_text_bytes_per_token(cost.text_bytes_per_token);
  proto.set_dense_bytes_per_token(cost.dense_bytes_per_token);
  proto.set_max_resident_bytes(max_resident_bytes);
  proto.set_resident_sessions(max_resident_bytes / std::max<std::size_t>(1, session_bytes));
  for (const std::uint64_t tokens : {std::uint64_t{1} << 20, std::uint64_t{4} << 20}) {
    const auto bytes = [tokens](double per_token) { return static_cast<std::uint64_t>(per_token * tokens); };
    v1::SessionCostAtLength& length = *proto.add_lengths();
    length.set_tokens(tokens);
    length.set_archive_bytes(bytes(cost.archive_bytes_per_token));
    length.set_memory_bytes(cost.max_state_bytes + length.archive_bytes());
    length.set_text_bytes(bytes(cost.text_bytes_per_token));
    length.set_dense_bytes(tokens * cost.dense_bytes_per_token);
    length.set_dense_ratio(static_cast<double>(length.dense_bytes()) / static_cast<double>(length.memory_bytes()));
  }
  return proto;
}

}  // namespace tome::server
