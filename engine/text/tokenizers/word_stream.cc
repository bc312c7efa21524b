#include "engine/text/tokenizers/word_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome {
namespace {

// Maps offsets in the repaired text back to the source, for offsets that only grow.
class SourceOffsets {
 public:
  std::vector<Utf8Replacement>* replacements() { return &replacements_; }

  // The source bytes before `offset` of the repaired text; a replaced sequence counts where its U+FFFD ends.
  std::uint64_t At(std::uint64_t offset) {
    for (; next_ < replacements_.size(); ++next_) {
      const Utf8Replacement& replacement = replacements_[next_];
      const std::uint64_t end = replacement.output_offset + kReplacementCharacter.size();
      if (offset <= replacement.output_offset) break;
      if (offset < end) return replacement.source_offset;
      shift_ = replacement.source_offset + replacement.source_bytes - end;
    }
    return offset + shift_;
  }

  void DropPassed() {
    replacements_.erase(replacements_.begin(), replacements_.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ = 0;
  }

 private:
  std::vector<Utf8Replacement> replacements_;
  std::size_t next_ = 0;
  std::uint64_t shift_ = 0;  // source less repaired offset, modulo 2^64
};

WordContext ContextOf(const TokenStreamState& state) {
  return {.flags = state.context, .passed = state.passed, .passed_normalized = state.passed_normalized};
}

class WordStream final : public TokenStream {
 public:
  explicit WordStream(std::shared_ptr<const WordTokenizer> tokenizer, const WordContext& context = {})
      : tokenizer_(std::move(tokenizer)), splitter_(tokenizer_->rules(), context) {}

  // Offsets count from the first pending byte: only their differences matter.
  WordStream(std::shared_ptr<const WordTokenizer> tokenizer, const TokenStreamState& state, std::string_view pending)
      : WordStream(std::move(tokenizer), ContextOf(state)) {
    const std::uint64_t held_bytes = state.held_bytes.value_or(0);
    replacer_.Append(pending, &text_, source_.replacements());
    text_.erase(0, held_bytes);
    taken_ = pending.size();
    passed_ = held_bytes;
  }

  void Append(std::string_view bytes, std::vector<TextToken>* out) override {
    taken_ += bytes.size();
    replacer_.Append(bytes, &text_, source_.replacements());
    // An unfinished word is looked at again when it has grown by an eighth, so that a long one that comes byte by byte
    // costs time in proportion to its length.
    if (text_.size() < next_look_) return;
    EmitWords(/*is_end=*/false, out);
    next_look_ = text_.size() + text_.size() / 8 + 1;
  }

  void Finish(std::vector<TextToken>* out) override {
    replacer_.Finish(&text_, source_.replacements());
    EmitWords(/*is_end=*/true, out);
  }

  std::size_t pending_bytes() const override { return taken_ - emitted_; }
  std::unique_ptr<TokenStream> Clone() const override { return std::make_unique<WordStream>(*this); }
  TokenStreamState Save() const override {
    const WordContext context = splitter_.context();
    TokenStreamState state{
        .context = context.flags, .passed = context.passed, .passed_normalized = context.passed_normalized};
    if (passed_ > emitted_) state.held_bytes = passed_ - emitted_;
    return state;
  }

 private:
  void EmitWords(bool is_end, std::vector<TextToken>* out) {
    std::size_t start = 0;
    while (start < text_.size()) {
      const std::optional<Word> word = splitter_.Next(text_, start, is_end);
      if (!word) break;
      const std::size_t first = out->size();
      if (word->token) {
        out->push_back({*word->token, static_cast<std::uint32_t>(word->length)});
      } else {
        tokenizer_->EncodeWord(std::string_view(text_).substr(start, word->length), *word, out);
      }
      std::uint64_t position = passed_;
      for (std::size_t i = first; i < out->size(); ++i) {
        position += (*out)[i].num_bytes;
        CountSourceBytes(position, &(*out)[i]);
      }
      passed_ += word->length;
      start += word->length;
    }
    splitter_.DropFront(text_, start);
    text_.erase(0, start);
    source_.DropPassed();
  }

  // The token takes all source bytes up to `end` of the repaired text that no token took before it.
  void CountSourceBytes(std::uint64_t end, TextToken* token) {
    const std::uint64_t num_bytes = source_.At(end) - emitted_;
    token->num_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(num_bytes, UINT32_MAX));
    emitted_ += token->num_bytes;
  }

  std::shared_ptr<const WordTokenizer> tokenizer_;
  WordSplitter splitter_;
  Utf8Replacer replacer_;
  SourceOffsets source_;
  std::string text_;           // repaired, from the first word that is not yet certain
  std::size_t next_look_ = 1;  // size of text_ at which words are looked for again
  std::uint64_t passed_ = 0;   // bytes of the repaired text before text_
  std::uint64_t taken_ = 0;    // source bytes taken
  std::uint64_t emitted_ = 0;  // source bytes that tokens were put out for
};

}  // namespace

std::unique_ptr<TokenStream> WordTokenizer::NewStream() const {
  return std::make_unique<WordStream>(std::static_pointer_cast<const WordTokenizer>(shared_from_this()));
}

std::unique_ptr<TokenStream> WordTokenizer::StreamAfterToken() const {
  return std::make_unique<WordStream>(std::static_pointer_cast<const WordTokenizer>(shared_from_this()),
                                      WordSplitter::kAfterToken);
}

std::size_t WordTokenizer::EndOfAdded(std::string_view text) const {
  AddedTokenScanner scanner(rules_.added.exact);
  std::size_t end = 0;
  while (const auto match = scanner.Find(text, end, /*is_end=*/true).match) end = match->end;
  return end;
}

absl::StatusOr<std::unique_ptr<TokenStream>> WordTokenizer::ResumeStream(const TokenStreamState& state,
                                                                         std::string_view pending) const {
  const std::uint64_t held = state.held_bytes.value_or(0);
  if (state.dummy_prefix || held > pending.size() || !IsValidUtf8(pending) || !IsValidUtf8(pending.substr(held)) ||
      !WordSplitter::IsContext(rules_, ContextOf(state))) {
    return DataLoss("tokenizer: no stream waits with {} bytes, {} of them held back", pending.size(), held);
  }
  return std::make_unique<WordStream>(std::static_pointer_cast<const WordTokenizer>(shared_from_this()), state,
                                      pending);
}

}  // namespace tome
