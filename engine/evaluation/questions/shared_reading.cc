#include "engine/evaluation/questions/shared_reading.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/questions/reading.h"

namespace tome {
namespace {

DocumentTokens TokensOf(const Tokenizer& tokenizer, const std::string& text) {
  const EncodedDocument encoded = EncodeDocument(tokenizer, text, 0);
  DocumentTokens tokens;
  tokens.reserve(encoded.tokens.size());
  for (std::size_t i = 0; i < encoded.tokens.size(); ++i) {
    tokens.push_back({.id = encoded.tokens[i], .num_bytes = encoded.spans[i].num_bytes});
  }
  return tokens;
}

std::size_t CountDocuments(const ReadingPlan& plan) {
  std::size_t count = plan.document.has_value();
  for (const ReadingPlan& next : plan.next) count += CountDocuments(next);
  return count;
}

class Planner {
 public:
  Planner(absl::Span<const DocumentTokens> documents, std::size_t segment) : documents_(documents), segment_(segment) {}

  // `group`: documents that are the same up to `begin`.
  ReadingPlan Plan(const std::vector<std::size_t>& group, std::size_t begin) const {
    ReadingPlan plan{.begin = begin};
    if (group.size() == 1) {
      plan.end = documents_[group.front()].size();
      plan.document = group.front();
      return plan;
    }
    std::vector<std::vector<std::size_t>> parts;
    for (plan.end = begin; (parts = PartsAt(group, plan.end)).size() == 1;) plan.end += segment_;
    for (const auto& part : parts) plan.next.push_back(Plan(part, plan.end));
    std::stable_sort(plan.next.begin(), plan.next.end(),
                     [](const ReadingPlan& a, const ReadingPlan& b) { return CountDocuments(a) < CountDocuments(b); });
    return plan;
  }

 private:
  // Documents with the same whole segment at `at`; those without a whole one are apart.
  std::vector<std::vector<std::size_t>> PartsAt(const std::vector<std::size_t>& group, std::size_t at) const {
    std::vector<std::vector<std::size_t>> parts;
    for (const std::size_t document : group) {
      const auto same = std::find_if(parts.begin(), parts.end(),
                                     [&](const auto& part) { return HaveSameSegment(part.front(), document, at); });
      if (same == parts.end()) {
        parts.push_back({document});
      } else {
        same->push_back(document);
      }
    }
    return parts;
  }

  bool HaveSameSegment(std::size_t first, std::size_t second, std::size_t at) const {
    const DocumentTokens &a = documents_[first], &b = documents_[second];
    if (std::min(a.size(), b.size()) < at + segment_) return false;
    const auto begin = a.begin() + static_cast<std::ptrdiff_t>(at);
    return std::equal(begin, begin + static_cast<std::ptrdiff_t>(segment_),
                      b.begin() + static_cast<std::ptrdiff_t>(at));
  }

  absl::Span<const DocumentTokens> documents_;
  std::size_t segment_;
};

}  // namespace

std::int64_t ReadingPlan::tokens() const {
  auto count = static_cast<std::int64_t>(end - begin);
  for (const ReadingPlan& part : next) count += part.tokens();
  return count;
}

ReadingPlan PlanReading(absl::Span<const DocumentTokens> documents, std::size_t segment) {
  std::vector<std::size_t> all(documents.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all.empty() ? ReadingPlan{} : Planner(documents, segment).Plan(all, 0);
}

struct SharedReader::Walk {
  const std::function<absl::Status(std::size_t, const Memory&)>& use;
  const std::function<void(std::int64_t)>& progress;
  std::int64_t tokens_read = 0;
};

SharedReader::SharedReader(std::shared_ptr<const Model> model, const MemoryOptions& options,
                           std::vector<std::string> documents)
    : model_(std::move(model)), options_(options), documents_(std::move(documents)) {
  for (const std::string& document : documents_) tokens_.push_back(TokensOf(*model_->tokenizer(), document));
  plan_ = PlanReading(tokens_, static_cast<std::size_t>(options_.segment_tokens));
}

std::int64_t SharedReader::tokens_of_all() const {
  std::int64_t count = 0;
  for (const DocumentTokens& tokens : tokens_) count += static_cast<std::int64_t>(tokens.size());
  return count;
}

absl::Status SharedReader::ReadAll(const std::function<absl::Status(std::size_t, const Memory&)>& use,
                                   const std::function<void(std::int64_t)>& progress) const {
  if (documents_.empty()) return absl::OkStatus();
  TOME_ASSIGN_OR_RETURN(Memory memory, Memory::Create(model_, options_));
  Walk walk{.use = use, .progress = progress};
  return Follow(plan_, std::move(memory), walk);
}

absl::Status SharedReader::Follow(const ReadingPlan& plan, Memory memory, Walk& walk) const {
  // Any document below this part of the plan has its tokens.
  const ReadingPlan* leaf = &plan;
  while (!leaf->document) leaf = &leaf->next.back();
  if (plan.end > plan.begin) {
    EncodedDocument encoded = EncodeDocument(*model_->tokenizer(), documents_[*leaf->document], 0);
    const auto begin = static_cast<std::ptrdiff_t>(plan.begin), end = static_cast<std::ptrdiff_t>(plan.end);
    Task task = Task::Read(&memory, {encoded.tokens.begin() + begin, encoded.tokens.begin() + end},
                           {encoded.spans.begin() + begin, encoded.spans.begin() + end});
    while (!task.finished()) {
      Task* const tasks[] = {&task};
      const StepResult result = Step(tasks).front();
      TOME_RETURN_IF_ERROR(result.status);
      walk.tokens_read += result.tokens_read;
      if (walk.progress) walk.progress(walk.tokens_read);
    }
  }
  if (plan.document) return walk.use(*plan.document, memory);
  for (std::size_t i = 0; i + 1 < plan.next.size(); ++i) TOME_RETURN_IF_ERROR(Follow(plan.next[i], memory, walk));
  return Follow(plan.next.back(), std::move(memory), walk);
}

}  // namespace tome
