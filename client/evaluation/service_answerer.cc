#include "client/evaluation/service_answerer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "client/append.h"
#include "client/evaluation/asking.h"
#include "client/source.h"
#include "engine/base/status.h"
#include "engine/evaluation/figures/progress.h"

namespace tome {
namespace {

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

// A server does not show the ways between.
absl::Status CheckWays(const FindingOptions& options) {
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(options));
  if (options.searches.empty()) return InvalidArgument("--effort: expected a search that the server is to do");
  for (const std::string& way : options.answered) {
    if (std::find(options.searches.begin(), options.searches.end(), way) != options.searches.end()) continue;
    return InvalidArgument("a server answers with its searches alone, not with '{}'; measure that with --model", way);
  }
  return absl::OkStatus();
}

// Before anything is read for them.
absl::Status CheckForms(const v1::Model& model, absl::Span<const AskedQuestion> questions) {
  for (const AskedQuestion& asked : questions) {
    if (!asked.form || !asked.form->chat || model.chat_template() != ChatTemplateName(ChatTemplate::kPlain)) continue;
    return FailedPrecondition("{}: the server's model has no chat template; choose another form", asked.id);
  }
  return absl::OkStatus();
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

absl::StatusOr<std::string> ServiceAnswerer::OpenSession(const std::string& id) {
  v1::CreateSessionRequest request;
  request.set_session_id(id);
  request.mutable_session()->set_display_name("tome-eval");
  const absl::StatusOr<v1::Session> session = client_->CreateSession(std::move(request));
  if (!id.empty() && absl::IsAlreadyExists(session.status())) return "sessions/" + id;
  TOME_RETURN_IF_ERROR(session.status());
  return session->name();
}

absl::Status ServiceAnswerer::WithSession(const std::function<absl::Status(const std::string& session)>& work) {
  TOME_ASSIGN_OR_RETURN(const std::string session, OpenSession(""));
  const absl::Status worked = work(session);
  const absl::Status deleted = client_->DeleteSession(session);
  return worked.ok() ? deleted : worked;
}

absl::Status ServiceAnswerer::Read(const std::string& session, const std::vector<std::string>& documents) {
  std::size_t total = 0, before = 0;
  for (const std::string& document : documents) total += document.size();
  Progress progress("reading bytes", static_cast<std::int64_t>(total));
  for (std::size_t i = 0; i < documents.size(); ++i) {
    TextSource source(documents[i]);
    client::AppendReport report;
    TOME_RETURN_IF_ERROR(client_->Append(source,
                                         {.session = session,
                                          .document = DocumentName(i),
                                          .on_progress =
                                              [&](const client::AppendProgress& now) {
                                                progress.Show(static_cast<std::int64_t>(before + now.ingested_bytes));
                                              }},
                                         &report));
    before += documents[i].size();
  }
  return absl::OkStatus();
}

absl::Status ServiceAnswerer::AskAllOf(const std::string& session, const std::vector<std::string>& documents,
                                       absl::Span<const AskedQuestion> questions, const FindingOptions& options,
                                       Findings* findings) {
  Progress progress("asking questions", static_cast<std::int64_t>(questions.size()));
  for (const AskedQuestion& asked : questions) {
    Asking asking(*client_, model_, session, documents, asked, options);
    for (const std::string& effort : options.searches) {
      if (const absl::Status status = asking.Run(effort); !status.ok()) return Annotate(status, asked.id);
    }
    findings->tokens = static_cast<std::int64_t>(asking.tokens());
    findings->regions = static_cast<std::int64_t>(asking.regions());
    findings->questions.push_back(std::move(asking).TakeFigures());
    progress.Show(static_cast<std::int64_t>(findings->questions.size()));
  }
  return absl::OkStatus();
}

absl::Status ServiceAnswerer::AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                                        const FiguresCallback& on_figures) {
  const FindingOptions finding = {.searches = {options.effort},
                                  .budget_tokens = options.budget_tokens,
                                  .max_answer_tokens = options.max_answer_tokens};
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(finding));
  Progress progress("documents read and asked about", static_cast<std::int64_t>(documents.size()));
  for (std::size_t i = 0; i < documents.size(); ++i) {
    TaskFigures figures;
    const absl::Status status = WithSession([&](const std::string& session) -> absl::Status {
      const std::vector<std::string> texts = {documents[i].text};
      const auto begin = std::chrono::steady_clock::now();
      const absl::Status read = Read(session, texts);
      if (!read.ok()) return Annotate(read, documents[i].asked.id);
      const double reading_seconds = SecondsSince(begin);
      Findings findings;
      TOME_RETURN_IF_ERROR(AskAllOf(session, texts, {&documents[i].asked, 1}, finding, &findings));
      figures = ToTaskFigures(findings.questions.front(), options.effort);
      figures.reading_seconds = reading_seconds;
      return absl::OkStatus();
    });
    TOME_RETURN_IF_ERROR(status);
    on_figures(i, std::move(figures));
    progress.Show(static_cast<std::int64_t>(i + 1));
  }
  return absl::OkStatus();
}

absl::StatusOr<Findings> ServiceAnswerer::AskAll(const std::vector<std::string>& documents,
                                                 absl::Span<const AskedQuestion> questions,
                                                 const FindingOptions& options, const std::string& kept) {
  TOME_RETURN_IF_ERROR(CheckWays(options));
  TOME_RETURN_IF_ERROR(CheckForms(model_, questions));
  Findings findings;
  const auto work = [&](const std::string& session) -> absl::Status {
    if (const absl::Status read = Read(session, documents); !read.ok()) return Annotate(read, session);
    return AskAllOf(session, documents, questions, options, &findings);
  };
  if (kept.empty()) {
    TOME_RETURN_IF_ERROR(WithSession(work));
  } else {
    TOME_ASSIGN_OR_RETURN(const std::string session, OpenSession(kept));
    TOME_RETURN_IF_ERROR(work(session));
  }
  return findings;
}

}  // namespace tome
