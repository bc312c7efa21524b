#include "engine/text/text_pipeline.h"

#include <algorithm>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"

namespace tome {
namespace {

bool IsContinuationByte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

constexpr ByteOffset kLongestOffset = ByteOffset{1} << 62;  // so that no sum of offsets overflows

// Whether the offsets of text and source belong together: both move alike but for the replacements.
bool OffsetsFit(const TextPipelineState& state) {
  for (const ByteOffset offset : {state.offset, state.text_begin, state.text_end, state.source_end, state.text_base,
                                  state.source_base, ByteOffset{state.text.size()}}) {
    if (offset > kLongestOffset) return false;
  }
  const ByteOffset text_size = state.text_begin + state.text.size();
  if (state.text_base > state.text_begin || state.text_end < state.text_begin || state.text_end > text_size ||
      state.text_end - state.text_begin > 3 || state.unfinished.size() > state.offset) {
    return false;
  }
  ByteOffset text = state.text_base, source = state.source_base;
  if (state.source_end != source + (state.text_begin - text)) return false;
  for (const Utf8Replacement& replacement : state.replacements) {
    if (replacement.output_offset < std::max(text, state.text_begin) || replacement.output_offset > text_size ||
        replacement.source_offset != source + (replacement.output_offset - text) || replacement.source_bytes < 1 ||
        replacement.source_bytes > 3) {
      return false;
    }
    text = replacement.output_offset + kReplacementCharacter.size();
    source = replacement.source_offset + replacement.source_bytes;
  }
  return text <= text_size && source + (text_size - text) + state.unfinished.size() == state.offset;
}

bool TokensFit(const TextPipelineState& state, const Tokenizer& tokenizer, std::size_t segment_tokens) {
  if (state.tokens.size() != state.spans.size() || state.tokens.size() >= segment_tokens) return false;
  if (!state.started && !state.tokens.empty()) return false;
  ByteOffset end = state.source_end;
  for (std::size_t i = state.tokens.size(); i-- > 0;) {
    const TokenSpan& span = state.spans[i];
    const bool fits = state.tokens[i] >= 0 && state.tokens[i] < tokenizer.vocab_size() &&
                      span.document == state.document && span.num_bytes <= end && span.begin == end - span.num_bytes;
    if (!fits) return false;
    end = span.begin;
  }
  return true;
}

}  // namespace

void SourceMap::Add(const std::vector<Utf8Replacement>& replacements) {
  replacements_.insert(replacements_.end(), replacements.begin(), replacements.end());
}

ByteOffset SourceMap::ToSource(ByteOffset text_offset) {
  while (!replacements_.empty() && replacements_.front().output_offset + kReplacementCharacter.size() <= text_offset) {
    const Utf8Replacement& passed = replacements_.front();
    text_base_ = passed.output_offset + kReplacementCharacter.size();
    source_base_ = passed.source_offset + passed.source_bytes;
    replacements_.pop_front();
  }
  return source_base_ + (text_offset - text_base_);
}

TextPipeline::TextPipeline(std::shared_ptr<const Tokenizer> tokenizer, int segment_tokens)
    : tokenizer_(std::move(tokenizer)), segment_tokens_(segment_tokens), stream_(tokenizer_->NewStream()) {}

TextPipelineState TextPipeline::Save() const {
  return {.started = started_,
          .document = document_,
          .offset = offset_,
          .unfinished = std::string(replacer_.pending()),
          .text = text_,
          .text_begin = text_begin_,
          .text_end = text_end_,
          .source_end = source_end_,
          .text_base = source_map_.text_base(),
          .source_base = source_map_.source_base(),
          .replacements = {source_map_.replacements().begin(), source_map_.replacements().end()},
          .stream = stream_->Save(),
          .tokens = tokens_,
          .spans = spans_};
}

absl::StatusOr<std::unique_ptr<TextPipeline>> TextPipeline::Resume(std::shared_ptr<const Tokenizer> tokenizer,
                                                                   int segment_tokens, const TextPipelineState& state) {
  if (!OffsetsFit(state) || !IsValidUtf8(state.text)) {
    return DataLoss("text pipeline: its offsets in document {} do not belong together", state.document);
  }
  auto pipeline = std::make_unique<TextPipeline>(std::move(tokenizer), segment_tokens);
  if (!TokensFit(state, *pipeline->tokenizer_, pipeline->segment_tokens_)) {
    return DataLoss("text pipeline: its tokens do not end at byte {} of document {}", state.source_end, state.document);
  }
  TOME_ASSIGN_OR_RETURN(pipeline->stream_,
                        pipeline->tokenizer_->ResumeStream(
                            state.stream, std::string_view(state.text).substr(state.text_end - state.text_begin)));
  pipeline->replacer_ = Utf8Replacer(state.offset - state.unfinished.size(), state.text_begin + state.text.size());
  std::string output;
  pipeline->replacer_.Append(state.unfinished, &output);
  if (!output.empty() || pipeline->replacer_.pending() != state.unfinished) {
    return DataLoss("text pipeline: '{}' does not begin a character", HexEncode(state.unfinished));
  }
  pipeline->started_ = state.started;
  pipeline->document_ = state.document;
  pipeline->offset_ = state.offset;
  pipeline->source_map_ = SourceMap(state.text_base, state.source_base, state.replacements);
  pipeline->text_ = state.text;
  pipeline->text_begin_ = state.text_begin;
  pipeline->text_end_ = state.text_end;
  pipeline->source_end_ = state.source_end;
  pipeline->tokens_ = state.tokens;
  pipeline->spans_ = state.spans;
  return pipeline;
}

void TextPipeline::Take(const std::vector<TextToken>& tokens) {
  if (!started_ && !tokens.empty()) {
    started_ = true;
    if (tokenizer_->add_bos() && tokenizer_->bos()) {
      tokens_.push_back(*tokenizer_->bos());
      spans_.push_back({.document = document_, .num_bytes = 0, .begin = source_end_});
    }
  }
  for (const TextToken& token : tokens) {
    text_end_ += token.num_bytes;
    const ByteOffset end = source_map_.ToSource(CharacterEnd());
    tokens_.push_back(token.id);
    spans_.push_back(
        {.document = document_, .num_bytes = static_cast<std::uint32_t>(end - source_end_), .begin = source_end_});
    source_end_ = end;
  }
  const ByteOffset end = CharacterEnd();
  text_.erase(0, end - text_begin_);
  text_begin_ = end;
}

ByteOffset TextPipeline::CharacterEnd() const {
  std::size_t size = text_end_ - text_begin_;
  while (size < text_.size() && IsContinuationByte(text_[size])) --size;
  return text_begin_ + size;
}

void TextPipeline::ExtendLast(ByteOffset end) {
  if (spans_.empty()) return;
  spans_.back().num_bytes = static_cast<std::uint32_t>(end - spans_.back().begin);
  source_end_ = end;
}

void TextPipeline::Cut(std::size_t size, std::deque<Segment>* segments) {
  Segment segment{.tokens = {tokens_.begin(), tokens_.begin() + size},
                  .spans = {spans_.begin(), spans_.begin() + size},
                  .document = document_,
                  .begin = spans_.front().begin};
  segment.end = segment.spans.back().begin + segment.spans.back().num_bytes;
  segments->push_back(std::move(segment));
  tokens_.erase(tokens_.begin(), tokens_.begin() + size);
  spans_.erase(spans_.begin(), spans_.begin() + size);
}

void TextPipeline::AddText(std::string_view text, const std::vector<Utf8Replacement>& replacements,
                           std::deque<Segment>* segments) {
  source_map_.Add(replacements);
  text_ += text;
  std::vector<TextToken> tokens;
  stream_->Append(text, &tokens);
  Take(tokens);
  while (tokens_.size() >= segment_tokens_) Cut(segment_tokens_, segments);
}

void TextPipeline::Append(std::string_view bytes, std::deque<Segment>* segments) {
  std::string text;
  std::vector<Utf8Replacement> replacements;
  replacer_.Append(bytes, &text, &replacements);
  offset_ += bytes.size();
  AddText(text, replacements, segments);
}

void TextPipeline::FinishDocument(std::deque<Segment>* segments) {
  std::string text;
  std::vector<Utf8Replacement> replacements;
  replacer_.Finish(&text, &replacements);
  AddText(text, replacements, segments);
  std::vector<TextToken> tokens;
  stream_->Finish(&tokens);
  Take(tokens);
  ExtendLast(offset_);
  while (tokens_.size() >= segment_tokens_) Cut(segment_tokens_, segments);
  if (!tokens_.empty()) Cut(tokens_.size(), segments);
  if (source_end_ < offset_) segments->push_back({.document = document_, .begin = source_end_, .end = offset_});

  ++document_;
  offset_ = text_end_ = text_begin_ = source_end_ = 0;
  text_.clear();
  replacer_ = Utf8Replacer();
  source_map_ = SourceMap();
  stream_ = tokenizer_->NewStream();
}

Segment TextPipeline::PendingTail() const {
  TextPipeline copy(*this, stream_->Clone());
  std::vector<TextToken> tokens;
  copy.stream_->Finish(&tokens);
  copy.Take(tokens);
  copy.ExtendLast(offset_ - replacer_.pending_bytes());
  Segment tail{.tokens = std::move(copy.tokens_), .spans = std::move(copy.spans_), .document = document_};
  tail.begin = tail.spans.empty() ? copy.source_end_ : tail.spans.front().begin;
  tail.end = copy.source_end_;
  return tail;
}

TextPipeline::TextPipeline(const TextPipeline& other, std::unique_ptr<TokenStream> stream)
    : tokenizer_(other.tokenizer_),
      segment_tokens_(other.segment_tokens_),
      started_(other.started_),
      document_(other.document_),
      offset_(other.offset_),
      replacer_(other.replacer_),
      source_map_(other.source_map_),
      stream_(std::move(stream)),
      text_(other.text_),
      text_begin_(other.text_begin_),
      text_end_(other.text_end_),
      source_end_(other.source_end_),
      tokens_(other.tokens_),
      spans_(other.spans_) {}

}  // namespace tome
