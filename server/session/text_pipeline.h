// Stored bytes to segments of tokens: UTF-8 repair, incremental tokenization, and where each token's bytes are. Spans
// begin and end at characters: where tokens share one, all its bytes belong to the last of them.
#ifndef TOME_SERVER_SESSION_TEXT_PIPELINE_H_
#define TOME_SERVER_SESSION_TEXT_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/utf8.h"
#include "engine/text/tokenizer.h"

namespace tome::server {

struct Segment {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;  // of each token
  std::uint32_t document = 0;
  ByteOffset end = 0;  // the document's bytes up to here are in this and earlier segments

  std::uint64_t num_bytes() const;
};

// Offsets in text that Utf8Replacer put out, as offsets in what it took. Asked for ascending offsets only.
class SourceMap {
 public:
  void Add(const std::vector<Utf8Replacement>& replacements);
  // The source offset at which the text before `text_offset`, the end of a character, ends.
  ByteOffset ToSource(ByteOffset text_offset);

 private:
  std::deque<Utf8Replacement> replacements_;  // after the last offset asked for
  ByteOffset text_base_ = 0, source_base_ = 0;
};

// The reading order of a session: its documents one after another, cut into segments of `segment_tokens` tokens, the
// last segment of each document as short as it comes. The session's first segment begins with BOS where the model
// expects it. Holds what is not yet a whole segment, and what the tokenizer holds back. Not thread-safe.
class TextPipeline {
 public:
  TextPipeline(std::shared_ptr<const Tokenizer> tokenizer, int segment_tokens);

  // The document and the offset in it whose bytes come next.
  std::uint32_t document() const { return document_; }
  ByteOffset offset() const { return offset_; }

  // Takes the next bytes of the document and adds to `segments` what became whole.
  void Append(std::string_view bytes, std::deque<Segment>* segments);

  // Ends the document; the next one's bytes come next.
  void FinishDocument(std::deque<Segment>* segments);

  // What was taken and is in no segment yet, as if the text ended with its last whole character. May be longer than a
  // segment when the tokenizer holds back much.
  Segment PendingTail() const;

 private:
  // A copy with another token stream.
  TextPipeline(const TextPipeline& other, std::unique_ptr<TokenStream> stream);

  void Take(const std::vector<TextToken>& tokens);
  // Where the last whole character before text_end_ ends.
  ByteOffset CharacterEnd() const;
  void AddText(std::string_view text, const std::vector<Utf8Replacement>& replacements, std::deque<Segment>* segments);
  void Cut(std::size_t size, std::deque<Segment>* segments);

  const std::shared_ptr<const Tokenizer> tokenizer_;
  const std::size_t segment_tokens_;
  bool started_ = false;  // BOS is out
  std::uint32_t document_ = 0;
  ByteOffset offset_ = 0;

  // Of the present document.
  Utf8Replacer replacer_;
  SourceMap source_map_;
  std::unique_ptr<TokenStream> stream_;
  std::string text_;           // repaired text from text_begin_ on
  ByteOffset text_begin_ = 0;  // CharacterEnd() when tokens were last taken
  ByteOffset text_end_ = 0;    // repaired text that has become tokens
  ByteOffset source_end_ = 0;  // and the source bytes that its whole characters stand for
  std::vector<TokenId> tokens_;
  std::vector<TokenSpan> spans_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_TEXT_PIPELINE_H_
