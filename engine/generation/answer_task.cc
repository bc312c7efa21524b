#include "engine/generation/answer_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/generation/prompt_form.h"

namespace tome {
namespace {

// Between passages that do not follow each other.
constexpr std::string_view kEllipsis = "\n...\n";

int NumTokens(const Archive& archive, std::int64_t region) {
  const ArchivedRegion found = archive.region(region);
  return found.end - found.first;
}

// A run of neighbouring regions, or several where documents meet.
void AddPassages(const Archive& archive, const std::set<std::int64_t>& regions,
                 const std::map<std::int64_t, double>& scores, std::vector<Passage>* passages) {
  for (const std::int64_t region : regions) {
    const bool follows =
        !passages->empty() && passages->back().end_region == region && archive.AreNeighbours(region - 1, region);
    if (!follows) passages->push_back({.first_region = region});
    Passage& passage = passages->back();
    passage.end_region = region + 1;
    passage.tokens += NumTokens(archive, region);
    if (const auto score = scores.find(region); score != scores.end()) passage.score += score->second;
  }
  for (Passage& passage : *passages) passage.span = archive.RegionSpan(passage.first_region, passage.end_region);
}

}  // namespace

std::vector<Passage> ChoosePassages(const Archive& archive, const std::vector<FoundRegion>& found, int budget_tokens) {
  std::set<std::int64_t> chosen;
  std::map<std::int64_t, double> scores;
  for (const FoundRegion& region : found) scores[region.region] = region.score;
  std::vector<Passage> passages;
  if (archive.num_tokens() <= budget_tokens) {
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) chosen.insert(region);
    AddPassages(archive, chosen, scores, &passages);
    return passages;
  }
  int left = budget_tokens;
  const auto take = [&](std::int64_t region) {
    if (chosen.contains(region) || NumTokens(archive, region) > left) return;
    left -= NumTokens(archive, region);
    chosen.insert(region);
  };
  for (const FoundRegion& best : found) {
    const std::int64_t region = best.region;
    take(region);
    if (!chosen.contains(region)) break;
    if (region + 1 < archive.num_regions() && archive.AreNeighbours(region, region + 1)) take(region + 1);
    if (region > 0 && archive.AreNeighbours(region - 1, region)) take(region - 1);
  }
  AddPassages(archive, chosen, scores, &passages);
  if (!found.empty()) {
    const auto best = std::find_if(passages.begin(), passages.end(), [&](const Passage& passage) {
      return passage.first_region <= found.front().region && found.front().region < passage.end_region;
    });
    if (best != passages.end()) std::rotate(best, best + 1, passages.end());
  }
  return passages;
}

std::string PassageText(const Archive& archive, const Tokenizer& tokenizer, const Passage& passage) {
  std::string bytes;
  for (const TokenId token : archive.RegionTokens(passage.first_region, passage.end_region)) {
    bytes += tokenizer.TokenBytes(token);
  }
  // A region may begin or end within a character.
  std::size_t begin = 0;
  while (begin < bytes.size() && begin < 3 && (static_cast<unsigned char>(bytes[begin]) & 0xC0) == 0x80) ++begin;
  Utf8Replacer replacer;
  std::string text;
  replacer.Append(std::string_view(bytes).substr(begin), &text);
  return text;
}

std::string JoinPassages(const Archive& archive, const Tokenizer& tokenizer, const std::vector<Passage>& passages) {
  std::string text;
  for (std::size_t i = 0; i < passages.size(); ++i) {
    if (i > 0) text += kEllipsis;
    text += PassageText(archive, tokenizer, passages[i]);
  }
  return text;
}

AnswerTask::AnswerTask(Memory fork, PendingText pending, Question question, GenerationOptions options)
    : search_(std::move(fork), std::move(pending), question.text, question.route),
      question_(std::move(question)),
      options_(std::move(options)) {}

std::int64_t AnswerTask::tokens_left_to_read() const {
  if (generate_ != nullptr) return generate_->tokens_left_to_read();
  return finished_ ? 0 : search_.tokens_left_to_read() + question_.budget_tokens;
}

StepResult AnswerTask::Advance() {
  StepResult result;
  if (generate_ != nullptr) {
    result = generate_->Advance();
    finished_ = generate_->finished();
    return result;
  }
  result = search_.Advance();
  if (!result.status.ok() || !result.finished) return result;
  result.finished = false;
  result.status = BeginGenerating();
  return result;
}

StepResult AnswerTask::TakeLogits(absl::Span<const float> logits) {
  StepResult result = generate_->TakeLogits(logits);
  finished_ = generate_->finished();
  return result;
}

absl::Status AnswerTask::BeginGenerating() {
  Evidence& evidence = *search_.evidence();
  const std::shared_ptr<const Model>& model = search_.fork().model();
  const Archive& archive = search_.fork().state()->archive();
  evidence.mode = AnswerMode::kReread;
  evidence.passages = ChoosePassages(archive, evidence.found, question_.budget_tokens);
  for (const Passage& passage : evidence.passages) evidence.text_tokens += passage.tokens;
  const std::string text = JoinPassages(archive, *model->tokenizer(), evidence.passages);
  TOME_ASSIGN_OR_RETURN(FilledPrompt prompt, FillPrompt(*model, question_, text));
  if (prompt.tokens.empty()) return InvalidArgument("the prompt form makes an empty prompt of question and text");
  const std::int64_t context = model->info().config.context_length;
  if (static_cast<std::int64_t>(prompt.tokens.size()) + options_.max_tokens > context) {
    return InvalidArgument(
        "question and text have {} tokens and the answer may have {}, but the model's context is {}; ask a shorter "
        "question, or lower the budget or max_tokens",
        prompt.tokens.size(), options_.max_tokens, context);
  }
  options_.stop.insert(options_.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options_.stop_tokens.insert(options_.stop_tokens.end(), prompt.stop_tokens.begin(), prompt.stop_tokens.end());
  TOME_ASSIGN_OR_RETURN(Memory empty, Memory::Create(model, search_.fork().options()));
  generate_ = std::make_unique<GenerateTask>(std::move(empty), std::move(prompt.tokens), options_);
  return absl::OkStatus();
}

}  // namespace tome
