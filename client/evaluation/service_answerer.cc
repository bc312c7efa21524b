#include "client/evaluation/service_answerer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "client/append.h"
#include "client/source.h"
#include "engine/base/status.h"
#include "engine/evaluation/progress.h"
#include "fmt/format.h"

namespace tome {
namespace {

constexpr char kDocument[] = "document";
// Regions of a search: all that a balanced one gives.
constexpr int kSearchedRegions = 32;
// Tokens come back with their pieces: a reply stays well below gRPC's limit of 4 MiB.
constexpr std::size_t kTokenizedBytes = 64 << 10;

// Copies of a text, piece by piece.
class TextSource final : public client::ByteSource {
 public:
  explicit TextSource(const std::string& text) : text_(text) {}
  absl::StatusOr<std::size_t> Read(char* buffer, std::size_t size) override {
    const std::size_t count = std::min(size, text_.size() - at_);
    std::memcpy(buffer, text_.data() + at_, count);
    at_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override { return text_.size(); }

 private:
  const std::string& text_;
  std::size_t at_ = 0;
};

v1::Effort EffortOf(const std::string& name) {
  if (name == "fast") return v1::EFFORT_FAST;
  return name == "thorough" ? v1::EFFORT_THOROUGH : v1::EFFORT_BALANCED;
}

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) * 1e-9;
}

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool Overlaps(const v1::ByteRange& range, const ByteRange& wanted) {
  return range.begin() < wanted.end && range.end() > wanted.begin;
}

bool Covers(const v1::ByteRange& range, const ByteRange& wanted) {
  return range.begin() <= wanted.begin && range.end() >= wanted.end;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Answerer>> ServiceAnswerer::Connect(const std::string& target) {
  TOME_ASSIGN_OR_RETURN(std::unique_ptr<client::Client> client, client::Client::Connect({.address = target}));
  absl::StatusOr<v1::Model> model = client->GetModel();
  if (!model.ok()) return Annotate(model.status(), target);
  return std::unique_ptr<Answerer>(new ServiceAnswerer(target, std::move(client), *std::move(model)));
}

nlohmann::json ServiceAnswerer::Describe() const {
  return {{"kind", "service"},
          {"target", target_},
          {"server_version", model_.server_version()},
          {"model", model_.name()},
          {"model_digest", model_.model_digest()},
          {"device", model_.device()},
          {"precision", model_.precision()},
          {"window_tokens", model_.default_options().window_tokens()},
          {"region_memory", model_.default_options().region_memory()},
          {"retrieval_heads", model_.retrieval_heads()}};
}

absl::StatusOr<std::vector<std::uint32_t>> ServiceAnswerer::CountTokenBytes(std::string_view text) {
  std::vector<std::uint32_t> sizes;
  while (!text.empty()) {
    // Cut before a space or a line's end, where tokens begin; else at a character.
    std::size_t end = std::min(text.size(), kTokenizedBytes);
    if (end < text.size()) {
      const std::size_t space = text.find_last_of(" \n", end);
      if (space != std::string_view::npos && space > 0) end = space;
      while (end > 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    }
    TOME_ASSIGN_OR_RETURN(const v1::TokenizeResponse tokens, client_->Tokenize(std::string(text.substr(0, end))));
    for (const v1::Token& token : tokens.tokens()) sizes.push_back(token.num_bytes());
    text.remove_prefix(end);
  }
  return sizes;
}

absl::Status ServiceAnswerer::AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                                        const FiguresCallback& on_figures) {
  Progress progress("documents read and asked about", static_cast<std::int64_t>(documents.size()));
  for (std::size_t i = 0; i < documents.size(); ++i) {
    v1::CreateSessionRequest request;
    request.mutable_session()->set_display_name("tome-eval");
    TOME_ASSIGN_OR_RETURN(const v1::Session session, client_->CreateSession(std::move(request)));
    absl::StatusOr<TaskFigures> figures = AnswerOne(documents[i], options, session.name());
    const absl::Status deleted = client_->DeleteSession(session.name());
    if (!figures.ok()) return Annotate(figures.status(), documents[i].asked.id);
    TOME_RETURN_IF_ERROR(deleted);
    on_figures(i, *std::move(figures));
    progress.Show(static_cast<std::int64_t>(i + 1));
  }
  return absl::OkStatus();
}

absl::StatusOr<TaskFigures> ServiceAnswerer::AnswerOne(const TaskDocument& document, const AnswerOptions& options,
                                                       const std::string& session) {
  TaskFigures figures;
  TOME_RETURN_IF_ERROR(Read(document, session, &figures));
  TOME_RETURN_IF_ERROR(Search(document, options, session, &figures));
  TOME_RETURN_IF_ERROR(Ask(document, options, session, &figures));
  return figures;
}

absl::Status ServiceAnswerer::Read(const TaskDocument& document, const std::string& session, TaskFigures* figures) {
  const auto begin = std::chrono::steady_clock::now();
  TextSource source(document.text);
  Progress progress(fmt::format("reading {}, bytes", document.asked.id),
                    static_cast<std::int64_t>(document.text.size()));
  client::AppendReport report;
  TOME_RETURN_IF_ERROR(client_->Append(
      source,
      {.session = session,
       .document = kDocument,
       .on_progress =
           [&](const client::AppendProgress& now) { progress.Show(static_cast<std::int64_t>(now.ingested_bytes)); }},
      &report));
  figures->reading_seconds = SecondsSince(begin);
  return absl::OkStatus();
}

absl::Status ServiceAnswerer::Search(const TaskDocument& document, const AnswerOptions& options,
                                     const std::string& session, TaskFigures* figures) {
  v1::SearchRequest request;
  request.set_session(session);
  request.set_query(document.asked.text);
  request.set_effort(EffortOf(options.effort));
  request.set_page_size(kSearchedRegions);
  const auto begin = std::chrono::steady_clock::now();
  TOME_ASSIGN_OR_RETURN(const v1::SearchResponse response, client_->Search(request));
  figures->search_seconds = SecondsSince(begin);
  for (int i = 0; i < response.regions_size() && figures->rank == 0; ++i) {
    if (Overlaps(response.regions(i).range(), document.asked.evidence)) figures->rank = i + 1;
  }
  return absl::OkStatus();
}

absl::Status ServiceAnswerer::Ask(const TaskDocument& document, const AnswerOptions& options,
                                  const std::string& session, TaskFigures* figures) {
  v1::AskRequest request;
  request.set_session(session);
  request.set_question(document.asked.text + document.asked.form.opening);
  request.set_instruction(document.asked.instruction);
  request.set_prompt_form(v1::PROMPT_FORM_RAW);
  request.set_mode(v1::ANSWER_MODE_REREAD);
  request.set_effort(EffortOf(options.effort));
  request.set_budget_tokens(static_cast<std::uint32_t>(options.budget_tokens));
  request.mutable_generation()->set_max_tokens(static_cast<std::uint32_t>(options.max_answer_tokens));
  request.mutable_generation()->add_stop("\n");
  const auto begin = std::chrono::steady_clock::now();
  TOME_ASSIGN_OR_RETURN(const v1::AskResult result, client_->Ask(request, {}));
  figures->answer_seconds = SecondsSince(begin);
  figures->time_to_first_token_seconds = Seconds(result.timings().time_to_first_token());
  figures->answer = result.answer();
  for (const v1::Passage& passage : result.passages()) {
    figures->in_text =
        figures->in_text || std::any_of(document.asked.answers.begin(), document.asked.answers.end(),
                                        [&](const ByteRange& answer) { return Covers(passage.range(), answer); });
  }
  figures->cited = std::any_of(result.citations().begin(), result.citations().end(), [&](const v1::Citation& citation) {
    return Overlaps(citation.range(), document.asked.evidence);
  });
  return absl::OkStatus();
}

}  // namespace tome
