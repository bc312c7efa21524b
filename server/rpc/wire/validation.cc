#include "server/rpc/wire/validation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "server/base/names.h"
#include "server/rpc/wire/field_violations.h"
#include "server/rpc/wire/limits.h"
#include "server/rpc/wire/question_fields.h"
#include "server/rpc/wire/session_name.h"

namespace tome::server {
namespace {

constexpr std::size_t kMaxRequestIdBytes = 128;
constexpr std::size_t kMaxEtagBytes = 128;
constexpr std::size_t kMaxPageTokenBytes = 2048;
constexpr int kMaxStopTexts = 16;
constexpr std::size_t kMaxStopTextBytes = 256;
constexpr std::uint32_t kMaxCount = std::numeric_limits<std::int32_t>::max();

void CheckSession(std::string_view name, const std::string& field, FieldViolations* violations) {
  if (ParseSessionName(name)) return;
  violations->Add(field,
                  fmt::format("expected \"sessions/{{id}}\" with an id of {}, found {}", kSessionIdRule, Quote(name)));
}

void CheckMaxBytes(std::string_view text, std::size_t max_bytes, const std::string& field,
                   FieldViolations* violations) {
  if (text.size() <= max_bytes) return;
  violations->Add(field, fmt::format("expected at most {} bytes, found {}", max_bytes, text.size()));
}

void CheckCount(std::uint32_t count, const std::string& field, FieldViolations* violations) {
  if (count <= kMaxCount) return;
  violations->Add(field, fmt::format("expected at most {}, found {}", kMaxCount, count));
}

void CheckEnum(bool known, int value, const std::string& field, FieldViolations* violations) {
  if (!known) violations->Add(field, fmt::format("unknown value {}", value));
}

void CheckPage(std::int32_t page_size, const std::string& page_token, FieldViolations* violations) {
  if (page_size < 0) violations->Add("page_size", fmt::format("expected 0 or more, found {}", page_size));
  CheckMaxBytes(page_token, kMaxPageTokenBytes, "page_token", violations);
}

void CheckNumber(bool allowed, double number, const std::string& field, std::string_view expected,
                 FieldViolations* violations) {
  if (!allowed) violations->Add(field, fmt::format("expected {}, found {}", expected, number));
}

void CheckMemoryOptions(const v1::MemoryOptions& options, const std::string& field, FieldViolations* violations) {
  CheckCount(options.sink_tokens(), field + ".sink_tokens", violations);
  CheckCount(options.window_tokens(), field + ".window_tokens", violations);
  CheckCount(options.segment_tokens(), field + ".segment_tokens", violations);
  CheckCount(options.region_tokens(), field + ".region_tokens", violations);
  const absl::Status regions = ParseRegionMemoryOptions(options.region_memory()).status();
  if (!regions.ok()) violations->Add(field + ".region_memory", std::string(regions.message()));
  CheckMaxBytes(options.attention(), kMaxPatternBytes, field + ".attention", violations);
  CheckMaxBytes(options.position_encoding(), kMaxPatternBytes, field + ".position_encoding", violations);
}

// Given with PROMPT_FORM_CUSTOM, and only with it.
void CheckCustomForm(const v1::AskRequest& request, FieldViolations* violations) {
  const bool wanted = request.prompt_form() == v1::PROMPT_FORM_CUSTOM;
  if (wanted != request.has_custom_form()) {
    violations->Add("custom_form", wanted ? "expected a form with PROMPT_FORM_CUSTOM, found nothing"
                                          : "expected nothing without PROMPT_FORM_CUSTOM, found a form");
  } else if (wanted) {
    const absl::Status status = ValidatePromptForm(FromProto(request.custom_form()));
    if (!status.ok()) violations->Add("custom_form", std::string(status.message()));
  }
}

void CheckNewId(const std::string& id, FieldViolations* violations) {
  if (id.empty() || IsSessionId(id)) return;
  violations->Add("session_id", fmt::format("expected {}, or nothing; found {}", kSessionIdRule, Quote(id)));
}

void CheckTimeToLive(const v1::Session& session, FieldViolations* violations) {
  if (!session.has_time_to_live()) return;
  const google::protobuf::Duration& time = session.time_to_live();
  const std::int64_t max_seconds = absl::ToInt64Seconds(kMaxTimeToLive);
  if (time.seconds() >= 1 && time.seconds() <= max_seconds && time.nanos() >= 0 && time.nanos() < 1'000'000'000) return;
  violations->Add("session.time_to_live",
                  fmt::format("expected 1 second to 100 years, found {} s and {} ns", time.seconds(), time.nanos()));
}

void CheckDisplayName(const std::string& name, const std::string& field, FieldViolations* violations) {
  const std::size_t characters = NumCharacters(name);
  if (characters > kMaxDisplayNameCharacters) {
    violations->Add(field,
                    fmt::format("expected at most {} characters, found {}", kMaxDisplayNameCharacters, characters));
  }
}

void CheckLabels(const google::protobuf::Map<std::string, std::string>& labels, FieldViolations* violations) {
  if (labels.size() > kMaxLabels) {
    violations->Add("session.labels", fmt::format("expected at most {} pairs, found {}", kMaxLabels, labels.size()));
  }
  for (const auto& [key, value] : labels) {
    if (!IsLabelKey(key)) {
      violations->Add("session.labels", fmt::format("expected keys of [a-z0-9._/-]{{1,63}}, found {}", Quote(key)));
    }
    if (value.size() > kMaxLabelValueBytes) {
      violations->Add("session.labels", fmt::format("{}: expected a value of at most {} bytes, found {}", Quote(key),
                                                    kMaxLabelValueBytes, value.size()));
    }
  }
}

void CheckDocumentName(const std::string& name, FieldViolations* violations) {
  if (IsDocumentName(name)) return;
  violations->Add("document",
                  fmt::format("expected 1 to {} bytes without control characters or '/', found {} bytes: {}",
                              kMaxDocumentNameBytes, name.size(), Quote(name)));
}

void CheckAppendData(const v1::AppendRequest& request, FieldViolations* violations) {
  CheckMaxBytes(request.data(), kMaxAppendBytes, "data", violations);
  if (request.write_offset() > std::numeric_limits<std::int64_t>::max() - kMaxAppendBytes) {
    violations->Add("write_offset", fmt::format("expected less than 2^63, found {}", request.write_offset()));
  }
}

void CheckUtf8Policy(const v1::AppendRequest& request, FieldViolations* violations) {
  if (v1::InvalidUtf8Policy_IsValid(request.invalid_utf8())) return;
  violations->Add("invalid_utf8", fmt::format("unknown value {}", static_cast<int>(request.invalid_utf8())));
}

void CheckGeneration(const v1::GenerationOptions& options, FieldViolations* violations) {
  CheckCount(options.max_tokens(), "generation.max_tokens", violations);
  CheckCount(options.top_k(), "generation.top_k", violations);
  // Comparisons are false for NaN.
  CheckNumber(options.temperature() >= 0 && options.temperature() <= 10, options.temperature(),
              "generation.temperature", "0 to 10", violations);
  CheckNumber(options.top_p() >= 0 && options.top_p() <= 1, options.top_p(), "generation.top_p", "0 to 1", violations);
  CheckNumber(options.min_p() >= 0 && options.min_p() <= 1, options.min_p(), "generation.min_p", "0 to 1", violations);
  CheckNumber(options.repetition_penalty() >= 0 && options.repetition_penalty() <= 10, options.repetition_penalty(),
              "generation.repetition_penalty", "0 to 10", violations);
  if (options.stop_size() > kMaxStopTexts) {
    violations->Add("generation.stop",
                    fmt::format("expected at most {} texts, found {}", kMaxStopTexts, options.stop_size()));
  }
  for (int i = 0; i < options.stop_size(); ++i) {
    const std::size_t size = options.stop(i).size();
    if (size >= 1 && size <= kMaxStopTextBytes) continue;
    violations->Add(fmt::format("generation.stop[{}]", i),
                    fmt::format("expected 1 to {} bytes, found {}", kMaxStopTextBytes, size));
  }
}

// Of a request that only names a session.
absl::Status CheckName(const std::string& name) {
  FieldViolations violations;
  CheckSession(name, "name", &violations);
  return violations.ToStatus();
}

}  // namespace

absl::Status Validate(const v1::CreateSessionRequest& request) {
  FieldViolations violations;
  CheckNewId(request.session_id(), &violations);
  CheckMaxBytes(request.request_id(), kMaxRequestIdBytes, "request_id", &violations);
  CheckDisplayName(request.session().display_name(), "session.display_name", &violations);
  CheckLabels(request.session().labels(), &violations);
  CheckTimeToLive(request.session(), &violations);
  CheckMemoryOptions(request.session().options(), "session.options", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::GetSessionRequest& request) { return CheckName(request.name()); }
absl::Status Validate(const v1::SnapshotSessionRequest& request) { return CheckName(request.name()); }
absl::Status Validate(const v1::RereadSessionRequest& request) { return CheckName(request.name()); }
absl::Status Validate(const v1::ExportSessionRequest& request) {
  FieldViolations violations;
  CheckSession(request.name(), "name", &violations);
  CheckMaxBytes(request.bundle(), kMaxBundleNameBytes, "bundle", &violations);
  if (request.bundle().empty() && request.offset() != 0) {
    violations.Add("offset",
                   fmt::format("expected 0 without the bundle that it is an offset in, found {}", request.offset()));
  }
  return violations.ToStatus();
}

absl::Status Validate(const v1::ForkSessionRequest& request) {
  FieldViolations violations;
  CheckSession(request.name(), "name", &violations);
  CheckNewId(request.session_id(), &violations);
  CheckMaxBytes(request.request_id(), kMaxRequestIdBytes, "request_id", &violations);
  CheckDisplayName(request.display_name(), "display_name", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::ImportSessionRequest& request, bool first) {
  FieldViolations violations;
  if (first) CheckNewId(request.session_id(), &violations);
  if (!first && !request.session_id().empty()) {
    violations.Add("session_id", "expected nothing after the first message, found an id");
  }
  CheckMaxBytes(request.data(), kMaxImportBytes, "data", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::ListSessionsRequest& request) {
  FieldViolations violations;
  CheckPage(request.page_size(), request.page_token(), &violations);
  CheckMaxBytes(request.filter(), kMaxFilterBytes, "filter", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::UpdateSessionRequest& request) {
  FieldViolations violations;
  CheckSession(request.session().name(), "session.name", &violations);
  CheckMaxBytes(request.session().etag(), kMaxEtagBytes, "session.etag", &violations);
  CheckDisplayName(request.session().display_name(), "session.display_name", &violations);
  CheckTimeToLive(request.session(), &violations);
  CheckLabels(request.session().labels(), &violations);
  for (const std::string& path : request.update_mask().paths()) {
    if (path == "display_name" || path == "labels" || path == "time_to_live" || path == "pinned") continue;
    violations.Add(
        "update_mask",
        fmt::format("expected \"display_name\", \"labels\", \"time_to_live\" and \"pinned\", found {}", Quote(path)));
  }
  return violations.ToStatus();
}

absl::Status Validate(const v1::DeleteSessionRequest& request) {
  FieldViolations violations;
  CheckSession(request.name(), "name", &violations);
  CheckMaxBytes(request.etag(), kMaxEtagBytes, "etag", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::WatchRequest& request) {
  FieldViolations violations;
  CheckSession(request.session(), "session", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::AskRequest& request) {
  FieldViolations violations;
  CheckSession(request.session(), "session", &violations);
  if (request.question().empty()) violations.Add("question", "expected a question, found nothing");
  CheckEnum(v1::PromptForm_IsValid(request.prompt_form()), request.prompt_form(), "prompt_form", &violations);
  CheckCustomForm(request, &violations);
  CheckEnum(v1::AnswerMode_IsValid(request.mode()), request.mode(), "mode", &violations);
  CheckEnum(v1::Effort_IsValid(request.effort()), request.effort(), "effort", &violations);
  CheckCount(request.budget_tokens(), "budget_tokens", &violations);
  if (request.citations().max_citations() > kMaxCitations) {
    violations.Add("citations.max_citations",
                   fmt::format("expected at most {}, found {}", kMaxCitations, request.citations().max_citations()));
  }
  for (int i = 0; i < request.turns_size(); ++i) {
    if (request.turns(i).question().empty()) {
      violations.Add(fmt::format("turns[{}].question", i), "expected a question, found nothing");
    }
  }
  CheckGeneration(request.generation(), &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::SearchRequest& request) {
  FieldViolations violations;
  CheckSession(request.session(), "session", &violations);
  if (request.query().empty()) violations.Add("query", "expected a text to look for, found nothing");
  CheckEnum(v1::Effort_IsValid(request.effort()), request.effort(), "effort", &violations);
  CheckPage(request.page_size(), request.page_token(), &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::ScoreRequest& request) {
  FieldViolations violations;
  CheckSession(request.session(), "session", &violations);
  if (request.text().empty()) violations.Add("text", "expected a text to score, found nothing");
  return violations.ToStatus();
}

absl::Status Validate(const v1::GetModelRequest& request) {
  FieldViolations violations;
  CheckMemoryOptions(request.session_options(), "session_options", &violations);
  return violations.ToStatus();
}

absl::Status Validate(const v1::TokenizeRequest& request) {
  FieldViolations violations;
  CheckMaxBytes(request.text(), kMaxTokenizeBytes, "text", &violations);
  return violations.ToStatus();
}

absl::Status ValidateFirst(const v1::AppendRequest& request) {
  FieldViolations violations;
  CheckSession(request.session(), "session", &violations);
  CheckDocumentName(request.document(), &violations);
  CheckUtf8Policy(request, &violations);
  CheckAppendData(request, &violations);
  return violations.ToStatus();
}

absl::Status ValidateNext(const v1::AppendRequest& request, const v1::AppendRequest& first) {
  FieldViolations violations;
  if (!request.session().empty() && request.session() != first.session()) {
    violations.Add("session", fmt::format("expected {}, as in the first message, or nothing, found {}",
                                          Quote(first.session()), Quote(request.session())));
  }
  if (!request.document().empty() && request.document() != first.document()) {
    violations.Add("document", fmt::format("expected {}, as in the first message, or nothing, found {}",
                                           Quote(first.document()), Quote(request.document())));
  }
  if (request.invalid_utf8() != v1::INVALID_UTF8_POLICY_UNSPECIFIED && request.invalid_utf8() != first.invalid_utf8()) {
    violations.Add("invalid_utf8", "expected what the first message said, or nothing");
  }
  CheckAppendData(request, &violations);
  return violations.ToStatus();
}

}  // namespace tome::server
