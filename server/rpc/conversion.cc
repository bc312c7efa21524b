#include "server/rpc/conversion.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "engine/base/utf8.h"
#include "server/rpc/validation.h"

namespace tome::server {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

void SetTime(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const absl::Duration since_epoch = time - absl::UnixEpoch();
  const absl::Duration seconds = absl::Floor(since_epoch, absl::Seconds(1));
  timestamp->set_seconds(absl::ToInt64Seconds(seconds));
  timestamp->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(since_epoch - seconds)));
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  // The contract's durations count forward, and google.protobuf.Duration ends at 10,000 years.
  duration = std::clamp(duration, absl::ZeroDuration(), absl::Hours(24 * 365 * 100));
  const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(duration);
  proto->set_seconds(nanoseconds / kNanosPerSecond);
  proto->set_nanos(static_cast<int>(nanoseconds % kNanosPerSecond));
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

v1::AskResult::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return v1::AskResult::FINISH_REASON_UNSPECIFIED;
    case FinishReason::kStopToken:
      return v1::AskResult::FINISH_REASON_STOP_TOKEN;
    case FinishReason::kStopText:
      return v1::AskResult::FINISH_REASON_STOP_TEXT;
    case FinishReason::kMaxTokens:
      return v1::AskResult::FINISH_REASON_MAX_TOKENS;
    case FinishReason::kContextFull:
      return v1::AskResult::FINISH_REASON_CONTEXT_FULL;
  }
  return v1::AskResult::FINISH_REASON_UNSPECIFIED;
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
  static const char* const kScalings[] = {"none", "linear", "dynamic", "yarn", "llama3"};
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

PromptForm FromProto(v1::PromptForm form) {
  switch (form) {
    case v1::PROMPT_FORM_CHAT:
      return PromptForm::kChat;
    case v1::PROMPT_FORM_RAW:
      return PromptForm::kRaw;
    case v1::PROMPT_FORM_QUESTION_ANSWER:
      return PromptForm::kQuestionAnswer;
    default:
      return PromptForm::kDefault;
  }
}

AnswerMode FromProto(v1::AnswerMode mode) {
  return mode == v1::ANSWER_MODE_WINDOW ? AnswerMode::kWindow : AnswerMode::kReread;
}

v1::AnswerMode ToProto(AnswerMode mode) {
  return mode == AnswerMode::kWindow ? v1::ANSWER_MODE_WINDOW : v1::ANSWER_MODE_REREAD;
}

Effort FromProto(v1::Effort effort) {
  switch (effort) {
    case v1::EFFORT_FAST:
      return Effort::kFast;
    case v1::EFFORT_THOROUGH:
      return Effort::kThorough;
    default:
      return Effort::kBalanced;
  }
}

v1::Effort ToProto(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return v1::EFFORT_FAST;
    case Effort::kBalanced:
      return v1::EFFORT_BALANCED;
    case Effort::kThorough:
      return v1::EFFORT_THOROUGH;
  }
  return v1::EFFORT_UNSPECIFIED;
}

CitationOptions FromProto(const v1::CitationOptions& proto) {
  CitationOptions options{.include_text = proto.include_text()};
  if (proto.max_citations() != 0) options.max_citations = static_cast<int>(proto.max_citations());
  return options;
}

v1::ByteRange ToProto(const ByteRange& range) {
  v1::ByteRange proto;
  proto.set_document(range.document);
  proto.set_begin(range.begin);
  proto.set_end(range.end);
  return proto;
}

void SetTimings(const QuestionTimings& timings, v1::Timings* proto) {
  SetDuration(timings.waiting, proto->mutable_waiting());
  SetDuration(timings.queued, proto->mutable_queued());
  SetDuration(timings.reading_question, proto->mutable_reading_question());
  SetDuration(timings.routing, proto->mutable_routing());
  SetDuration(timings.reranking, proto->mutable_reranking());
  SetDuration(timings.reading_text, proto->mutable_reading_text());
  SetDuration(timings.generating, proto->mutable_generating());
  // Zero when there was no token.
  if (timings.time_to_first_token > absl::ZeroDuration()) {
    SetDuration(timings.time_to_first_token, proto->mutable_time_to_first_token());
  }
}

v1::Coverage ToProto(const Coverage& coverage) {
  v1::Coverage proto;
  proto.set_durable_bytes(coverage.durable_bytes);
  proto.set_ingested_bytes(coverage.ingested_bytes);
  proto.set_ingested_tokens(coverage.ingested_tokens);
  proto.set_pending_bytes(coverage.pending_bytes);
  for (const ByteRange& range : coverage.exact) *proto.add_exact() = ToProto(range);
  proto.set_forgotten_bytes(coverage.forgotten_bytes);
  proto.set_searchable_bytes(coverage.searchable_bytes);
  proto.set_archive_only_bytes(coverage.archive_only_bytes);
  proto.set_reread_bytes(coverage.reread_bytes);
  proto.set_unread_bytes(coverage.unread_bytes);
  return proto;
}

void SetReread(const QuestionResult& result, v1::AskResult* proto) {
  proto->set_effort(ToProto(result.effort));
  proto->set_budget_tokens(static_cast<std::uint32_t>(result.budget_tokens));
  proto->set_regions_scanned(result.regions_scanned);
  for (const RereadPassage& passage : result.passages) {
    v1::Passage& added = *proto->add_passages();
    *added.mutable_range() = ToProto(passage.range);
    added.set_tokens(static_cast<std::uint32_t>(passage.tokens));
    added.set_score(passage.score);
  }
  for (const RoutedRegion& region : result.citations) {
    v1::Citation& added = *proto->add_citations();
    *added.mutable_range() = ToProto(region.range);
    added.set_score(region.score);
    added.set_text(ReplaceInvalidUtf8(region.text));
  }
}

std::uint32_t NumRetrievalHeads(const ModelProfile& profile) {
  std::size_t heads = 0;
  for (const RetrievalHead& head : profile.heads) heads += head.query_heads.size();
  return static_cast<std::uint32_t>(heads);
}

// Fields left at zero keep the engine's defaults.
GenerationOptions FromProto(const v1::GenerationOptions& proto) {
  GenerationOptions options;
  if (proto.max_tokens() != 0) options.max_tokens = static_cast<int>(proto.max_tokens());
  options.sampling.temperature = proto.temperature();
  options.sampling.top_k = static_cast<int>(proto.top_k());
  if (proto.top_p() != 0) options.sampling.top_p = proto.top_p();
  options.sampling.min_p = proto.min_p();
  if (proto.repetition_penalty() != 0) options.sampling.repetition_penalty = proto.repetition_penalty();
  options.sampling.seed = proto.seed();
  options.stop.assign(proto.stop().begin(), proto.stop().end());
  options.log_probabilities = proto.log_probabilities();
  return options;
}

std::map<std::string, std::string> Labels(const google::protobuf::Map<std::string, std::string>& labels) {
  return {labels.begin(), labels.end()};
}

}  // namespace

CreateRequest FromProto(const v1::CreateSessionRequest& request) {
  const v1::Session& session = request.session();
  return {.session_id = request.session_id(),
          .request_id = request.request_id(),
          .display_name = session.display_name(),
          .labels = Labels(session.labels()),
          .options = {.sink_tokens = static_cast<int>(session.options().sink_tokens()),
                      .window_tokens = static_cast<int>(session.options().window_tokens()),
                      .segment_tokens = static_cast<int>(session.options().segment_tokens()),
                      .region_tokens = static_cast<int>(session.options().region_tokens())},
          .region_memory = session.options().region_memory()};
}

UpdateRequest FromProto(const v1::UpdateSessionRequest& request) {
  const auto& paths = request.update_mask().paths();
  const auto wanted = [&paths](const char* path) {
    return paths.empty() || std::find(paths.begin(), paths.end(), path) != paths.end();
  };
  UpdateRequest update{.session_id = *ParseSessionName(request.session().name()), .etag = request.session().etag()};
  if (wanted("display_name")) update.display_name = request.session().display_name();
  if (wanted("labels")) update.labels = Labels(request.session().labels());
  return update;
}

QuestionRequest FromProto(const v1::AskRequest& request) {
  QuestionRequest question{.session_id = *ParseSessionName(request.session()),
                           .question = request.question(),
                           .prompt_form = FromProto(request.prompt_form()),
                           .instruction = request.instruction(),
                           .generation = FromProto(request.generation()),
                           .mode = FromProto(request.mode()),
                           .effort = FromProto(request.effort()),
                           .budget_tokens = static_cast<int>(request.budget_tokens()),
                           .citations = FromProto(request.citations()),
                           .wait_for_ingested_bytes = request.wait_for_ingested_bytes()};
  for (const v1::Turn& turn : request.turns()) question.turns.push_back({turn.question(), turn.answer()});
  return question;
}

SearchRequest FromProto(const v1::SearchRequest& request) {
  const int page_size = request.page_size() == 0 ? kDefaultSearchPageSize : request.page_size();
  return {.session_id = *ParseSessionName(request.session()),
          .query = request.query(),
          .effort = FromProto(request.effort()),
          .page_size = std::min(page_size, kMaxSearchPageSize),
          .page_token = request.page_token(),
          .include_text = request.include_text(),
          .wait_for_ingested_bytes = request.wait_for_ingested_bytes()};
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
  session.set_problem(ReplaceInvalidUtf8(info.problem));
  session.set_model_digest(info.model_digest);
  session.set_tokenizer_digest(info.tokenizer_digest);
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
  return response;
}

v1::AskProgress ToProto(const QuestionProgress& progress) {
  v1::AskProgress proto;
  switch (progress.phase) {
    case QuestionPhase::kWaitingForReading:
      proto.set_phase(v1::AskProgress::PHASE_WAITING_FOR_READING);
      break;
    case QuestionPhase::kQueued:
      proto.set_phase(v1::AskProgress::PHASE_QUEUED);
      break;
    case QuestionPhase::kReadingQuestion:
      proto.set_phase(v1::AskProgress::PHASE_READING_QUESTION);
      break;
    case QuestionPhase::kRouting:
      proto.set_phase(v1::AskProgress::PHASE_ROUTING);
      break;
    case QuestionPhase::kReranking:
      proto.set_phase(v1::AskProgress::PHASE_RERANKING);
      break;
    case QuestionPhase::kReadingText:
      proto.set_phase(v1::AskProgress::PHASE_READING_TEXT);
      break;
  }
  proto.set_done(progress.done);
  proto.set_total(progress.total);
  return proto;
}

v1::AskResult ToProto(const QuestionResult& result) {
  v1::AskResult proto;
  proto.set_answer(result.answer);
  proto.set_finish_reason(ToProto(result.finish_reason));
  proto.mutable_usage()->set_prompt_tokens(result.prompt_tokens);
  proto.mutable_usage()->set_generated_tokens(result.generated_tokens);
  proto.mutable_usage()->set_attended_tokens(result.attended_tokens);
  SetTimings(result.timings, proto.mutable_timings());
  *proto.mutable_coverage() = ToProto(result.coverage);
  proto.set_mode(ToProto(result.mode));
  if (result.mode == AnswerMode::kReread) SetReread(result, &proto);
  return proto;
}

v1::SearchResponse ToProto(const SearchPage& page) {
  v1::SearchResponse proto;
  for (const RoutedRegion& region : page.regions) {
    v1::SearchRegion& added = *proto.add_regions();
    *added.mutable_range() = ToProto(region.range);
    added.set_score(region.score);
    added.mutable_parts()->set_attention_mass(region.attention_mass);
    added.mutable_parts()->set_stem_score(region.stem_score);
    added.mutable_parts()->set_token_score(region.token_score);
    if (region.log_likelihood) added.mutable_parts()->set_log_likelihood(*region.log_likelihood);
    added.set_text(ReplaceInvalidUtf8(region.text));
  }
  proto.set_next_page_token(page.next_page_token);
  proto.set_ingested_bytes(page.ingested_bytes);
  proto.set_ingested_tokens(page.ingested_tokens);
  proto.set_pending_bytes(page.pending_bytes);
  proto.set_regions_scanned(page.regions_scanned);
  proto.set_effort(ToProto(page.effort));
  SetTimings(page.timings, proto.mutable_timings());
  return proto;
}

v1::MemoryOptions ToProto(const MemoryOptions& options) {
  v1::MemoryOptions proto;
  proto.set_sink_tokens(static_cast<std::uint32_t>(options.sink_tokens));
  proto.set_window_tokens(static_cast<std::uint32_t>(options.window_tokens));
  proto.set_segment_tokens(static_cast<std::uint32_t>(options.segment_tokens));
  proto.set_region_tokens(static_cast<std::uint32_t>(options.region_tokens));
  proto.set_region_memory(FormatRegionMemoryOptions(options.regions));
  return proto;
}

void MergeDelta(const AnswerDelta& delta, const Tokenizer& tokenizer, v1::AskDelta* into) {
  into->mutable_text()->append(delta.text);
  for (const GeneratedToken& token : delta.tokens) {
    v1::TokenLogProbability& added = *into->add_tokens();
    added.set_token(token.id);
    added.set_piece(ReplaceInvalidUtf8(tokenizer.PieceText(token.id)));
    added.set_log_probability(token.log_probability);
  }
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
  return model;
}

}  // namespace tome::server
