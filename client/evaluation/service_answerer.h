// Documents and questions through a running server: what can be seen from outside.
#ifndef TOME_CLIENT_EVALUATION_SERVICE_ANSWERER_H_
#define TOME_CLIENT_EVALUATION_SERVICE_ANSWERER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/client.h"
#include "engine/evaluation/questions/answerer.h"

namespace tome {

// Documents are appended to sessions with the server's defaults and read. Every search is timed alone and then asked
// for an answer, because only that tells which text was read again; prompt forms are sent along. Sessions are deleted
// after their questions, also after an error.
class ServiceAnswerer final : public Answerer {
 public:
  // `target`: "host:port", in plain text. UNAVAILABLE when there is no server; other errors are the server's.
  static absl::StatusOr<std::unique_ptr<Answerer>> Connect(const std::string& target);

  nlohmann::json Describe() const override;
  absl::StatusOr<std::vector<std::uint32_t>> CountTokenBytes(std::string_view text) override;
  absl::Status AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                         const FiguresCallback& on_figures) override;
  // INVALID_ARGUMENT for ways of answering that are no searches. A session of the id `kept` is made where there is
  // none, and not deleted; an error when it holds other documents.
  absl::StatusOr<Findings> AskAll(const std::vector<std::string>& documents, absl::Span<const AskedQuestion> questions,
                                  const FindingOptions& options, const std::string& kept) override;

 private:
  ServiceAnswerer(std::string target, std::unique_ptr<client::Client> client, v1::Model model)
      : target_(std::move(target)), client_(std::move(client)), model_(std::move(model)) {}

  // Calls `work` with the name of a session that is there as long as the call.
  absl::Status WithSession(const std::function<absl::Status(const std::string& session)>& work);
  absl::StatusOr<std::string> OpenSession(const std::string& id);
  absl::Status Read(const std::string& session, const std::vector<std::string>& documents);
  absl::Status AskAllOf(const std::string& session, const std::vector<std::string>& documents,
                        absl::Span<const AskedQuestion> questions, const FindingOptions& options, Findings* findings);

  std::string target_;
  std::unique_ptr<client::Client> client_;
  v1::Model model_;
};

}  // namespace tome

#endif  // TOME_CLIENT_EVALUATION_SERVICE_ANSWERER_H_
