#include "client/command/ask_summary.h"

#include "client/command/format.h"
#include "client/command/regions.h"
#include "fmt/format.h"

namespace tome::command {
namespace {

std::string Ending(v1::AskResult::FinishReason reason) {
  switch (reason) {
    case v1::AskResult::FINISH_REASON_STOP_TOKEN:
      return "complete";
    case v1::AskResult::FINISH_REASON_STOP_TEXT:
      return "ended at a stop text";
    case v1::AskResult::FINISH_REASON_MAX_TOKENS:
      return "cut at --max-tokens";
    case v1::AskResult::FINISH_REASON_CONTEXT_FULL:
      return "cut because the context is full";
    default:
      return "ended";
  }
}

std::string Speed(const v1::AskResult& result) {
  const double seconds = static_cast<double>(ToMilliseconds(result.timings().generating()).count()) / 1000;
  if (seconds <= 0) return "";
  return fmt::format(" at {:.1f} tokens/s", static_cast<double>(result.usage().generated_tokens()) / seconds);
}

std::string Times(const v1::Timings& timings, std::uint64_t reranked) {
  std::string text = fmt::format("first token after {}", FormatDuration(ToMilliseconds(timings.time_to_first_token())));
  std::string parts;
  const auto add = [&parts](const std::string& name, const google::protobuf::Duration& duration) {
    const auto milliseconds = ToMilliseconds(duration);
    if (milliseconds.count() < 50) return;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", name, FormatDuration(milliseconds));
  };
  add("waiting", timings.waiting());
  add("queued", timings.queued());
  add("question", timings.reading_question());
  add("finding text", timings.routing());
  add(fmt::format("ranking {} regions", FormatCount(reranked)), timings.reranking());
  add("reading it", timings.reading_text());
  return parts.empty() ? text : fmt::format("{} ({})", text, parts);
}

std::string OverWindow(const v1::AskResult& result) {
  const v1::Coverage& coverage = result.coverage();
  std::string text = fmt::format("saw {} of {} tokens read", FormatCount(result.usage().attended_tokens()),
                                 FormatCount(coverage.ingested_tokens()));
  std::string ranges;
  for (const v1::ByteRange& range : coverage.exact()) {
    ranges += fmt::format("{}{}", ranges.empty() ? "" : ", ", Printable(FormatRange(range)));
  }
  if (!ranges.empty()) text += fmt::format(" (bytes {})", ranges);
  if (coverage.forgotten_bytes() > 0)
    text += fmt::format(", {} have left the window", FormatBytes(coverage.forgotten_bytes()));
  return text;
}

std::string WhereFound(const v1::AskResult& result) {
  return fmt::format(", found in {} regions of {} tokens", FormatCount(result.regions_scanned()),
                     FormatCount(result.coverage().ingested_tokens()));
}

std::string OverPassages(const v1::AskResult& result) {
  return fmt::format("read {} tokens again in {} {}", FormatCount(result.usage().attended_tokens()),
                     FormatCount(result.passages_size()), result.passages_size() == 1 ? "passage" : "passages") +
         WhereFound(result);
}

// Ranges of the passages that were attended to as they are stored, or of the others.
std::string Ranges(const v1::AskResult& result, bool stored) {
  std::string ranges;
  for (const v1::Passage& passage : result.passages()) {
    if (passage.stored() != stored) continue;
    ranges += fmt::format("{}{}", ranges.empty() ? " (bytes " : ", ", Printable(FormatRange(passage.range())));
  }
  return ranges.empty() ? "" : ranges + ")";
}

std::string OverStored(const v1::AskResult& result) {
  return fmt::format("attended to {} stored tokens{}, read {} tokens again{}",
                     FormatCount(result.usage().stored_tokens()), Ranges(result, /*stored=*/true),
                     FormatCount(result.usage().reread_tokens()), Ranges(result, /*stored=*/false)) +
         WhereFound(result);
}

std::string Over(const v1::AskResult& result) {
  switch (result.mode()) {
    case v1::ANSWER_MODE_WINDOW:
      return OverWindow(result);
    case v1::ANSWER_MODE_ATTEND:
      return OverStored(result);
    default:
      return OverPassages(result);
  }
}

std::string Form(v1::PromptForm form) {
  switch (form) {
    case v1::PROMPT_FORM_CHAT:
      return " (chat form)";
    case v1::PROMPT_FORM_RAW:
      return " (raw form)";
    case v1::PROMPT_FORM_QUESTION_ANSWER:
      return " (qa form)";
    case v1::PROMPT_FORM_CUSTOM:
      return " (form of the file)";
    case v1::PROMPT_FORM_PROFILE:
      return " (profile's form)";
    default:
      return "";
  }
}

std::string Seen(const v1::AskResult& result) {
  std::string text = Over(result);
  if (result.coverage().unread_bytes() > 0) {
    text += fmt::format(", {} are not read yet", FormatBytes(result.coverage().unread_bytes()));
  }
  return text;
}

}  // namespace

std::string FormatAskSummary(const v1::AskResult& result) {
  return fmt::format("{} | {} prompt{} + {} generated tokens{} | {} | {}", Ending(result.finish_reason()),
                     FormatCount(result.usage().prompt_tokens()), Form(result.prompt_form()),
                     FormatCount(result.usage().generated_tokens()), Speed(result),
                     Times(result.timings(), result.regions_reranked()), Seen(result));
}

}  // namespace tome::command
