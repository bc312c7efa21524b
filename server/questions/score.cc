#include "server/questions/score.h"

#include <utility>

#include "engine/base/status.h"
#include "server/questions/evidence_text.h"
#include "server/questions/prompt.h"

namespace tome::server {
namespace {

class Score final : public Inquiry {
 public:
  explicit Score(ScoreRequest request)
      : Inquiry({.session_id = request.session_id, .wait_for_ingested_bytes = request.wait_for_ingested_bytes}),
        request_(std::move(request)) {}

  std::string_view name() const override { return "scoring"; }
  absl::Status Check(const Tokenizer& tokenizer, std::size_t max_bytes) const override;
  absl::StatusOr<InquiryWork> Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const override;

 private:
  const ScoreRequest request_;
};

absl::Status Score::Check(const Tokenizer& tokenizer, std::size_t max_bytes) const {
  TOME_RETURN_IF_ERROR(CheckTextSize(request_.text.size(), max_bytes));
  return CheckHasTokens(request_.text, tokenizer);
}

absl::StatusOr<InquiryWork> Score::Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const {
  QuestionResult result{.mode = AnswerMode::kWindow};
  result.coverage = MakeCoverage(fork, documents, result.mode);
  PendingText pending = TakePending(&fork);
  absl::StatusOr<Task> task = Task::Score(std::move(fork.memory), std::move(pending), request_.text);
  if (!task.ok()) return WithQuestionDetails(task.status());
  return InquiryWork{.task = *std::move(task), .result = std::move(result)};
}

}  // namespace

std::unique_ptr<Inquiry> MakeScore(ScoreRequest request) { return std::make_unique<Score>(std::move(request)); }

}  // namespace tome::server
