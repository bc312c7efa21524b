#include "server/rpc/wire/question_conversion.h"

#include <algorithm>
#include <optional>

#include "engine/base/utf8.h"
#include "server/rpc/wire/limits.h"
#include "server/rpc/wire/question_fields.h"
#include "server/rpc/wire/session_name.h"

namespace tome::server {
namespace {

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

PromptFormKind FromProto(v1::PromptForm form) {
  switch (form) {
    case v1::PROMPT_FORM_CHAT:
      return PromptFormKind::kChat;
    case v1::PROMPT_FORM_RAW:
      return PromptFormKind::kRaw;
    case v1::PROMPT_FORM_QUESTION_ANSWER:
      return PromptFormKind::kQuestionAnswer;
    case v1::PROMPT_FORM_CUSTOM:
      return PromptFormKind::kCustom;
    case v1::PROMPT_FORM_PROFILE:
      return PromptFormKind::kProfile;
    default:
      return PromptFormKind::kDefault;
  }
}

v1::PromptForm ToProto(PromptFormKind form) {
  switch (form) {
    case PromptFormKind::kDefault:
      return v1::PROMPT_FORM_UNSPECIFIED;
    case PromptFormKind::kChat:
      return v1::PROMPT_FORM_CHAT;
    case PromptFormKind::kRaw:
      return v1::PROMPT_FORM_RAW;
    case PromptFormKind::kQuestionAnswer:
      return v1::PROMPT_FORM_QUESTION_ANSWER;
    case PromptFormKind::kCustom:
      return v1::PROMPT_FORM_CUSTOM;
    case PromptFormKind::kProfile:
      return v1::PROMPT_FORM_PROFILE;
  }
  return v1::PROMPT_FORM_UNSPECIFIED;
}

AnswerMode FromProto(v1::AnswerMode mode) {
  switch (mode) {
    case v1::ANSWER_MODE_WINDOW:
      return AnswerMode::kWindow;
    case v1::ANSWER_MODE_ATTEND:
      return AnswerMode::kAttend;
    default:
      return AnswerMode::kReread;
  }
}

v1::AnswerMode ToProto(AnswerMode mode) {
  switch (mode) {
    case AnswerMode::kReread:
      return v1::ANSWER_MODE_REREAD;
    case AnswerMode::kWindow:
      return v1::ANSWER_MODE_WINDOW;
    case AnswerMode::kAttend:
      return v1::ANSWER_MODE_ATTEND;
  }
  return v1::ANSWER_MODE_UNSPECIFIED;
}

// Absent for what is not said.
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
  proto.set_stored_bytes(coverage.stored_bytes);
  return proto;
}

void SetFound(const QuestionResult& result, v1::AskResult* proto) {
  proto->set_effort(server::ToProto(result.effort));
  proto->set_budget_tokens(static_cast<std::uint32_t>(result.budget_tokens));
  proto->set_regions_scanned(result.regions_scanned);
  proto->set_regions_reranked(result.regions_reranked);
  for (const AnswerPassage& passage : result.passages) {
    v1::Passage& added = *proto->add_passages();
    *added.mutable_range() = ToProto(passage.range);
    added.set_tokens(static_cast<std::uint32_t>(passage.tokens));
    added.set_score(passage.score);
    added.set_stored(passage.stored);
  }
  for (const RoutedRegion& region : result.citations) {
    v1::Citation& added = *proto->add_citations();
    *added.mutable_range() = ToProto(region.range);
    added.set_score(region.score);
    added.set_text(ReplaceInvalidUtf8(region.text));
    if (region.sentence) *added.mutable_sentence() = ToProto(*region.sentence);
  }
}

// Fields left at zero keep the engine's defaults.
GenerationOptions FromProto(const v1::GenerationOptions& proto) {
  GenerationOptions options;
  if (proto.max_tokens() != 0) options.max_tokens = static_cast<int>(proto.max_tokens());
  options.up_to_context = proto.max_tokens() == 0;
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

}  // namespace

QuestionRequest FromProto(const v1::AskRequest& request) {
  QuestionRequest question{.session_id = *ParseSessionName(request.session()),
                           .question = request.question(),
                           .prompt_form = FromProto(request.prompt_form()),
                           .custom_form = FromProto(request.custom_form()),
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

ScoreRequest FromProto(const v1::ScoreRequest& request) {
  return {.session_id = *ParseSessionName(request.session()),
          .text = request.text(),
          .wait_for_ingested_bytes = request.wait_for_ingested_bytes()};
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
  proto.mutable_usage()->set_stored_tokens(result.stored_tokens);
  proto.mutable_usage()->set_reread_tokens(result.reread_tokens);
  SetTimings(result.timings, proto.mutable_timings());
  *proto.mutable_coverage() = ToProto(result.coverage);
  proto.set_mode(ToProto(result.mode));
  proto.set_prompt_form(ToProto(result.prompt_form));
  if (result.mode != AnswerMode::kWindow) SetFound(result, &proto);
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
    if (region.sentence) *added.mutable_sentence() = ToProto(*region.sentence);
  }
  proto.set_next_page_token(page.next_page_token);
  proto.set_ingested_bytes(page.ingested_bytes);
  proto.set_ingested_tokens(page.ingested_tokens);
  proto.set_pending_bytes(page.pending_bytes);
  proto.set_regions_scanned(page.regions_scanned);
  proto.set_regions_reranked(page.regions_reranked);
  proto.set_effort(ToProto(page.effort));
  SetTimings(page.timings, proto.mutable_timings());
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

}  // namespace tome::server
