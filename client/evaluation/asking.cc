#include "client/evaluation/asking.h"

#include <algorithm>

#include "engine/base/status.h"
#include "fmt/format.h"

namespace tome {
namespace {

// Regions of a search: all that a balanced one gives.
constexpr int kSearchedRegions = 32;

v1::Effort EffortOf(const std::string& name) {
  if (name == "fast") return v1::EFFORT_FAST;
  return name == "thorough" ? v1::EFFORT_THOROUGH : v1::EFFORT_BALANCED;
}

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) * 1e-9;
}

v1::CustomPromptForm ToProto(const PromptForm& form) {
  v1::CustomPromptForm proto;
  proto.set_prompt(form.prompt);
  proto.set_turn(form.turn);
  proto.set_chat(form.chat);
  proto.set_opening(form.opening);
  for (const std::string& stop : form.stop) proto.add_stop(stop);
  return proto;
}

}  // namespace

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string DocumentName(std::size_t number) { return fmt::format("document-{}", number); }

absl::Status Asking::Run(const std::string& effort) {
  TOME_RETURN_IF_ERROR(Search(effort));
  return Ask(effort);
}

absl::Status Asking::Search(const std::string& effort) {
  v1::SearchRequest request;
  request.set_session(session_);
  request.set_query(asked_.text);
  request.set_effort(EffortOf(effort));
  request.set_page_size(kSearchedRegions);
  const auto begin = std::chrono::steady_clock::now();
  TOME_ASSIGN_OR_RETURN(const v1::SearchResponse response, client_.Search(request));
  WayFigures& way = figures_.ways[effort];
  way.search_seconds = SecondsSince(begin);
  nlohmann::json found = nlohmann::json::array();
  for (const v1::SearchRegion& region : response.regions()) {
    found.push_back({{"document", region.range().document()},
                     {"bytes", {region.range().begin(), region.range().end()}},
                     {"score", region.score()}});
    if (way.rank == 0 && HasEvidence(region.range())) way.rank = static_cast<int>(found.size());
  }
  if (response.regions_size() > 0) way.score = response.regions(0).score();
  figures_.candidates[effort] = {{"found", std::move(found)}};
  tokens_ = response.ingested_tokens();
  regions_ = response.regions_scanned();
  return absl::OkStatus();
}

v1::AskRequest Asking::MakeRequest(const std::string& effort) const {
  v1::AskRequest request;
  request.set_session(session_);
  request.set_question(asked_.text);
  request.set_instruction(asked_.instruction);
  if (asked_.form) {
    request.set_prompt_form(v1::PROMPT_FORM_CUSTOM);
    *request.mutable_custom_form() = ToProto(*asked_.form);
  } else {
    request.set_prompt_form(model_.has_prompt_form() ? v1::PROMPT_FORM_PROFILE : v1::PROMPT_FORM_QUESTION_ANSWER);
  }
  request.set_mode(v1::ANSWER_MODE_REREAD);
  request.set_effort(EffortOf(effort));
  request.set_budget_tokens(static_cast<std::uint32_t>(options_.budget_tokens));
  request.mutable_generation()->set_max_tokens(static_cast<std::uint32_t>(options_.max_answer_tokens));
  request.mutable_generation()->add_stop("\n");
  return request;
}

absl::Status Asking::Ask(const std::string& effort) {
  const auto begin = std::chrono::steady_clock::now();
  TOME_ASSIGN_OR_RETURN(const v1::AskResult result, client_.Ask(MakeRequest(effort), {}));
  WayFigures& way = figures_.ways[effort];
  way.seconds = SecondsSince(begin);
  way.first_token_seconds = Seconds(result.timings().time_to_first_token());
  way.regions_reranked = static_cast<std::int64_t>(result.regions_reranked());
  for (const v1::Passage& passage : result.passages()) {
    way.text_tokens += passage.tokens();
    way.in_text = way.in_text || CoversAnAnswer(passage.range());
  }
  if (asked_.HasEvidence()) {
    way.cited = std::any_of(result.citations().begin(), result.citations().end(),
                            [&](const v1::Citation& citation) { return HasEvidence(citation.range()); });
  }
  SetAnswer(result.answer(), asked_.references, TextOf(result.passages()), &way);
  return absl::OkStatus();
}

bool Asking::HasEvidence(const v1::ByteRange& range) const {
  return range.document() == DocumentName(asked_.document) && range.begin() < asked_.evidence.end &&
         range.end() > asked_.evidence.begin;
}

bool Asking::CoversAnAnswer(const v1::ByteRange& range) const {
  return range.document() == DocumentName(asked_.document) &&
         std::any_of(asked_.answers.begin(), asked_.answers.end(), [&](const TextRange& answer) {
           return range.begin() <= answer.begin && range.end() >= answer.end;
         });
}

std::string Asking::TextOf(const google::protobuf::RepeatedPtrField<v1::Passage>& passages) const {
  std::string text;
  for (const v1::Passage& passage : passages) {
    const v1::ByteRange& range = passage.range();
    for (std::size_t i = 0; i < documents_.size(); ++i) {
      if (range.document() != DocumentName(i) || range.begin() > documents_[i].size()) continue;
      text += documents_[i].substr(range.begin(), range.end() - range.begin()) + "\n";
    }
  }
  return text;
}

}  // namespace tome
