// Reading documents that begin alike: what several have in common is read once, and the memory is forked where they
// begin to differ. Only whole segments of the same tokens are shared, so that each memory is what reading its document
// alone gives.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_SHARED_READING_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_SHARED_READING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/engine.h"

namespace tome {

// Tokens begin .. end - 1 of some documents, which they have in common: then `next`, or the end of one document.
struct ReadingPlan {
  std::size_t begin = 0, end = 0;
  std::optional<std::size_t> document;  // that ends here
  std::vector<ReadingPlan> next;        // the one with the most documents comes last

  // Tokens that are read in all.
  std::int64_t tokens() const;
};

// A token and the bytes that it stands for.
using DocumentTokens = std::vector<TextToken>;

// `segment`: tokens of a segment. Of `documents` none is empty.
ReadingPlan PlanReading(absl::Span<const DocumentTokens> documents, std::size_t segment);

class SharedReader {
 public:
  SharedReader(std::shared_ptr<const Model> model, const MemoryOptions& options, std::vector<std::string> documents);

  std::int64_t tokens_to_read() const { return plan_.tokens(); }
  std::int64_t tokens_of_all() const;  // that reading each alone would take

  // Calls `use` with each document's number and the memory that has read it alone, in an order that needs few memories
  // at a time: one more than the logarithm of the number of documents. `progress`: told the tokens read so far. Stops
  // at the first error.
  absl::Status ReadAll(const std::function<absl::Status(std::size_t document, const Memory& memory)>& use,
                       const std::function<void(std::int64_t)>& progress = nullptr) const;

 private:
  struct Walk;
  absl::Status Follow(const ReadingPlan& plan, Memory memory, Walk& walk) const;

  std::shared_ptr<const Model> model_;
  MemoryOptions options_;
  std::vector<std::string> documents_;
  std::vector<DocumentTokens> tokens_;
  ReadingPlan plan_;
};

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_SHARED_READING_H_
