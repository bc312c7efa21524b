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

std::string Times(const v1::Timings& timings) {
  std::string text = fmt::format("first token after {}", FormatDuration(ToMilliseconds(timings.time_to_first_token())));
  std::string parts;
  const auto add = [&parts](const char* name, const google::protobuf::Duration& duration) {
    const auto milliseconds = ToMilliseconds(duration);
    if (milliseconds.count() < 50) return;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", name, FormatDuration(milliseconds));
  };
  add("waiting", timings.waiting());
  add("queued", timings.queued());
  add("question", timings.reading_question());
  add("finding text", timings.routing());
  add("ranking it", timings.reranking());
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

std::string OverPassages(const v1::AskResult& result) {
  return fmt::format("read {} tokens again in {} {}, found in {} regions of {} tokens",
                     FormatCount(result.usage().attended_tokens()), FormatCount(result.passages_size()),
                     result.passages_size() == 1 ? "passage" : "passages", FormatCount(result.regions_scanned()),
                     FormatCount(result.coverage().ingested_tokens()));
}

std::string Seen(const v1::AskResult& result) {
  std::string text = result.mode() == v1::ANSWER_MODE_WINDOW ? OverWindow(result) : OverPassages(result);
  if (result.coverage().unread_bytes() > 0) {
    text += fmt::format(", {} are not read yet", FormatBytes(result.coverage().unread_bytes()));
  }
  return text;
}

}  // namespace

std::string FormatAskSummary(const v1::AskResult& result) {
  return fmt::format("{} | {} prompt + {} generated tokens{} | {} | {}", Ending(result.finish_reason()),
                     FormatCount(result.usage().prompt_tokens()), FormatCount(result.usage().generated_tokens()),
                     Speed(result), Times(result.timings()), Seen(result));
}

}  // namespace tome::command
