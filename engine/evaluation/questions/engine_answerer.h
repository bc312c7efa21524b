// Tasks on the engine in this process.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_ENGINE_ANSWERER_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_ENGINE_ANSWERER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/evaluation/questions/answerer.h"

namespace tome {

// Documents that begin alike share the reading of what they have in common; see shared_reading.h.
class EngineAnswerer final : public Answerer {
 public:
  EngineAnswerer(std::shared_ptr<const Model> model, const MemoryOptions& memory)
      : model_(std::move(model)), memory_(memory) {}

  nlohmann::json Describe() const override;
  absl::StatusOr<std::vector<std::uint32_t>> CountTokenBytes(std::string_view text) override;
  absl::Status AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                         const FiguresCallback& on_figures) override;
  absl::StatusOr<Findings> AskAll(const std::vector<std::string>& documents, absl::Span<const AskedQuestion> questions,
                                  const FindingOptions& options, const std::string& kept) override;

 private:
  std::shared_ptr<const Model> model_;
  MemoryOptions memory_;
};

// The model's answer with the whole document in its context as one prompt: what it can do without any memory.
// INVALID_ARGUMENT when that does not fit the context.
absl::StatusOr<std::string> AnswerDensely(const std::shared_ptr<const Model>& model, const TaskDocument& document,
                                          int max_answer_tokens);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_ENGINE_ANSWERER_H_
