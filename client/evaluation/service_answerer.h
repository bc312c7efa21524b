// Tasks through a running server: what can be seen from outside.
#ifndef TOME_CLIENT_EVALUATION_SERVICE_ANSWERER_H_
#define TOME_CLIENT_EVALUATION_SERVICE_ANSWERER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/client.h"
#include "engine/evaluation/answerer.h"

namespace tome {

// For each document a session is made with the server's defaults, the document appended and read, the question searched
// and asked in the raw form, and the session deleted, also after an error. The prompt differs from the engine's by
// empty lines between its parts; the first words of the answer stand at the end of the question.
class ServiceAnswerer final : public Answerer {
 public:
  // `target`: "host:port", in plain text. UNAVAILABLE when there is no server; other errors are the server's.
  static absl::StatusOr<std::unique_ptr<Answerer>> Connect(const std::string& target);

  nlohmann::json Describe() const override;
  absl::StatusOr<std::vector<std::uint32_t>> CountTokenBytes(std::string_view text) override;
  absl::Status AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                         const FiguresCallback& on_figures) override;

 private:
  ServiceAnswerer(std::string target, std::unique_ptr<client::Client> client, v1::Model model)
      : target_(std::move(target)), client_(std::move(client)), model_(std::move(model)) {}

  absl::StatusOr<TaskFigures> AnswerOne(const TaskDocument& document, const AnswerOptions& options,
                                        const std::string& session);
  absl::Status Read(const TaskDocument& document, const std::string& session, TaskFigures* figures);
  absl::Status Search(const TaskDocument& document, const AnswerOptions& options, const std::string& session,
                      TaskFigures* figures);
  absl::Status Ask(const TaskDocument& document, const AnswerOptions& options, const std::string& session,
                   TaskFigures* figures);

  std::string target_;
  std::unique_ptr<client::Client> client_;
  v1::Model model_;
};

}  // namespace tome

#endif  // TOME_CLIENT_EVALUATION_SERVICE_ANSWERER_H_
