#include "engine/evaluation/questions/reading.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/generation/sentences.h"
#include "engine/memory/archive.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

class QueryCapture final : public SequenceAttention {
 public:
  QueryCapture(const LlamaConfig& config, SequenceAttention& attention) : config_(config), attention_(attention) {}

  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override {
    queries_.push_back(QueryKeyValue::Split(qkv, config_).queries.to(at::kFloat).cpu().contiguous());
    attention_.Attend(layer, qkv, out);
  }
  std::vector<at::Tensor> TakeQueries() && { return std::move(queries_); }

 private:
  const LlamaConfig& config_;
  SequenceAttention& attention_;
  std::vector<at::Tensor> queries_;
};

// How many tokens are read between two savings of the state.
constexpr std::int64_t kTokensBetweenSavings = 65'536;

std::vector<EncodedDocument> EncodeDocuments(const Tokenizer& tokenizer, const std::vector<std::string>& documents) {
  std::vector<EncodedDocument> encoded;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    encoded.push_back(EncodeDocument(tokenizer, documents[i], static_cast<std::uint32_t>(i)));
  }
  return encoded;
}

// Whether `memory` has read just the beginning of `documents`, in whole segments, or all, with these options.
absl::Status CheckBeginning(const Memory& memory, const Memory& empty, const std::vector<EncodedDocument>& documents,
                            const std::string& path) {
  TOME_ASSIGN_OR_RETURN(const Memory begun, Memory::Create(memory.model(), memory.options()));
  if (empty.Digest() != begun.Digest()) {
    return FailedPrecondition("{}: its state has other memory options; remove it or name another file", path);
  }
  const Archive& archive = memory.state()->archive();
  std::vector<TokenId> found;
  if (archive.num_regions() > 0) found = archive.RegionTokens(0, archive.num_regions());
  absl::Span<const TokenId> left = found;
  bool same = true;
  for (const EncodedDocument& document : documents) {
    const std::size_t count = std::min(left.size(), document.tokens.size());
    same = same && std::equal(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count), document.tokens.begin());
    left.remove_prefix(count);
    if (left.empty() && count < document.tokens.size()) {
      same = same && static_cast<std::int64_t>(count) % empty.options().segment_tokens == 0;
      break;
    }
  }
  if (same && left.empty()) return absl::OkStatus();
  return FailedPrecondition("{}: its {} tokens are of other documents; remove it or name another file", path,
                            found.size());
}

// Reads what `memory` has not read yet.
absl::Status ReadRest(const std::vector<EncodedDocument>& documents, Memory* memory, const SegmentObserver& observer) {
  std::int64_t total = 0, read = memory->tokens_read();
  for (const EncodedDocument& document : documents) total += static_cast<std::int64_t>(document.tokens.size());
  Progress progress("reading tokens", total, read);
  for (const EncodedDocument& document : documents) {
    const std::int64_t begin = std::min(read, static_cast<std::int64_t>(document.tokens.size()));
    read -= begin;
    if (begin == static_cast<std::int64_t>(document.tokens.size())) continue;
    Task task = Task::Read(memory, {document.tokens.begin() + begin, document.tokens.end()},
                           {document.spans.begin() + begin, document.spans.end()});
    while (!task.finished()) {
      Task* const tasks[] = {&task};
      const StepResult result = Step(tasks).front();
      TOME_RETURN_IF_ERROR(result.status);
      if (observer) TOME_RETURN_IF_ERROR(observer(*memory, result.tokens_read));
      progress.Show(memory->tokens_read());
    }
  }
  return absl::OkStatus();
}

// The file is the old one or the new one, never half of it.
absl::Status SaveState(const Memory& memory, const std::string& path) {
  const std::string unfinished = path + ".part";
  TOME_RETURN_IF_ERROR(WriteTextFile(unfinished, memory.Serialize()));
  std::error_code error;
  std::filesystem::rename(unfinished, path, error);
  if (error) return InvalidArgument("{}: cannot be written: {}", path, error.message());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return NotFound("{}: cannot be read", path);
  return std::move(text).str();
}

absl::StatusOr<std::string> ReadTextFiles(const std::vector<std::string>& paths) {
  std::string joined;
  for (const std::string& path : paths) {
    TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    joined += text;
  }
  return joined;
}

absl::Status WriteTextFile(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return InvalidArgument("{}: cannot be written", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenId>> ReadTokenFiles(const Tokenizer& tokenizer, const std::vector<std::string>& paths,
                                                    std::int64_t tokens) {
  std::vector<TokenId> all;
  if (tokenizer.add_bos() && tokenizer.bos()) all.push_back(*tokenizer.bos());
  for (const std::string& path : paths) {
    if (tokens > 0 && static_cast<std::int64_t>(all.size()) >= tokens) break;
    TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    for (const TextToken& token : tokenizer.Encode(text)) all.push_back(token.id);
  }
  const auto found = static_cast<std::int64_t>(all.size());
  if (tokens > found) return InvalidArgument("the texts have {} tokens, {} are wanted; give more text", found, tokens);
  if (tokens > 0) all.resize(static_cast<std::size_t>(tokens));
  return all;
}

EncodedDocument EncodeDocument(const Tokenizer& tokenizer, std::string_view text, std::uint32_t document) {
  EncodedDocument encoded;
  if (document == 0 && tokenizer.add_bos() && tokenizer.bos()) {
    encoded.tokens.push_back(*tokenizer.bos());
    encoded.spans.push_back({.document = document});
  }
  ByteOffset begin = 0;
  for (const TextToken& token : tokenizer.Encode(text)) {
    encoded.tokens.push_back(token.id);
    encoded.spans.push_back({.document = document, .num_bytes = token.num_bytes, .begin = begin});
    begin += token.num_bytes;
  }
  return encoded;
}

absl::StatusOr<Memory> ReadDocuments(std::shared_ptr<const Model> model, const MemoryOptions& options,
                                     const std::vector<std::string>& documents, const SegmentObserver& observer) {
  TOME_ASSIGN_OR_RETURN(Memory memory, Memory::Create(model, options));
  TOME_RETURN_IF_ERROR(ReadRest(EncodeDocuments(*model->tokenizer(), documents), &memory, observer));
  return memory;
}

absl::StatusOr<Memory> LoadMemory(std::shared_ptr<const Model> model, const std::string& state_path) {
  TOME_ASSIGN_OR_RETURN(const std::string bytes, ReadTextFile(state_path));
  absl::StatusOr<Memory> memory = Memory::Parse(std::move(model), bytes);
  if (!memory.ok()) return Annotate(memory.status(), state_path);
  return memory;
}

absl::StatusOr<Memory> ReadOrRestore(std::shared_ptr<const Model> model, const MemoryOptions& options,
                                     const std::vector<std::string>& documents, const std::string& state_path) {
  if (state_path.empty()) return ReadDocuments(std::move(model), options, documents);
  const std::vector<EncodedDocument> encoded = EncodeDocuments(*model->tokenizer(), documents);
  TOME_ASSIGN_OR_RETURN(Memory memory, Memory::Create(model, options));
  if (std::error_code ignored; std::filesystem::exists(state_path, ignored)) {
    TOME_ASSIGN_OR_RETURN(Memory kept, LoadMemory(std::move(model), state_path));
    TOME_RETURN_IF_ERROR(CheckBeginning(kept, memory, encoded, state_path));
    memory = std::move(kept);
  }
  const std::int64_t kept = memory.tokens_read();
  std::int64_t saved = kept;
  TOME_RETURN_IF_ERROR(ReadRest(encoded, &memory, [&](const Memory& now, std::int64_t) -> absl::Status {
    if (now.tokens_read() - saved < kTokensBetweenSavings) return absl::OkStatus();
    saved = now.tokens_read();
    return SaveState(now, state_path);
  }));
  if (memory.tokens_read() > kept) TOME_RETURN_IF_ERROR(SaveState(memory, state_path));
  return memory;
}

absl::StatusOr<TaskOutcome> RunTask(Task task) {
  using std::chrono::steady_clock;
  const steady_clock::time_point begin = steady_clock::now();
  TaskOutcome outcome;
  while (!task.finished()) {
    Task* const tasks[] = {&task};
    const StepResult result = Step(tasks).front();
    TOME_RETURN_IF_ERROR(result.status);
    if (!result.tokens.empty() && outcome.first_token_seconds == 0) {
      outcome.first_token_seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
    }
    outcome.text += result.text;
    if (result.evidence != nullptr) outcome.evidence = result.evidence;
  }
  return outcome;
}

std::vector<at::Tensor> ReadQuestionQueries(const Memory& memory, const std::vector<TokenId>& question,
                                            std::int64_t num_layers) {
  const LlamaWeights& weights = LlamaModel::From(*memory.model()).weights();
  const auto tokens = static_cast<std::int64_t>(question.size());
  SequenceCache cache(weights, *memory.state(), memory.tokens_kept() + tokens);
  QueryCapture capture(weights.config, cache);
  ForwardLayers(weights, question, num_layers, capture);
  return std::move(capture).TakeQueries();
}

std::vector<std::int64_t> RegionsWith(const Archive& archive, std::uint32_t document, TextRange range) {
  std::vector<std::int64_t> regions;
  for (std::int64_t index = 0; index < archive.num_blocks(); ++index) {
    const ArchiveBlock& block = archive.block(index);
    if (block.document() != document || block.begin() >= range.end || block.end() <= range.begin) continue;
    for (int i = 0; i < block.num_regions(); ++i) {
      const std::int64_t region = archive.first_region(index) + i;
      const TokenSpan span = archive.RegionSpan(region, region + 1);
      if (span.begin < range.end && span.begin + span.num_bytes > range.begin) regions.push_back(region);
    }
  }
  return regions;
}

std::vector<std::int64_t> RegionsWithInText(const Archive& archive, const Tokenizer& tokenizer, std::uint32_t document,
                                            TextRange range) {
  std::set<std::int64_t> regions;
  for (const std::int64_t region : RegionsWith(archive, document, range)) {
    for (const std::int64_t near : {region - 1, region, region + 1}) {  // whose texts may reach into it
      if (near < 0 || near >= archive.num_regions()) continue;
      const TokenSpan text = archive.RunSpan(InSentences(archive, tokenizer, near));
      if (text.document != document || text.begin >= range.end || text.begin + text.num_bytes <= range.begin) continue;
      regions.insert(near);
    }
  }
  return {regions.begin(), regions.end()};
}

bool PassagesCover(const std::vector<Passage>& passages, std::uint32_t document, TextRange range) {
  return std::any_of(passages.begin(), passages.end(), [&](const Passage& passage) {
    return passage.span.document == document && passage.span.begin <= range.begin &&
           passage.span.begin + passage.span.num_bytes >= range.end;
  });
}

}  // namespace tome
