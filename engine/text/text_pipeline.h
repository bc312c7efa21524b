// Stored bytes to segments of tokens: UTF-8 repair, incremental tokenization, and where each token's bytes are. Spans
// begin and end at characters: where tokens share one, all its bytes belong to the last of them.
#ifndef TOME_ENGINE_TEXT_TEXT_PIPELINE_H_
#define TOME_ENGINE_TEXT_TEXT_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/utf8.h"
#include "engine/text/tokenizer.h"

namespace tome {

struct Segment {
  std::vector<TokenId> tokens;   // none: the bytes end their document, and the vocabulary has no token for them
  std::vector<TokenSpan> spans;  // of each token; they tile the bytes
  std::uint32_t document = 0;
  ByteOffset begin = 0;  // which bytes of the document it is; those before are in earlier segments
  ByteOffset end = 0;

  std::uint64_t num_bytes() const { return end - begin; }
};

// Offsets in text that Utf8Replacer put out, as offsets in what it took. Asked for ascending offsets only.
class SourceMap {
 public:
  SourceMap() = default;
  SourceMap(ByteOffset text_base, ByteOffset source_base, const std::vector<Utf8Replacement>& replacements)
      : replacements_(replacements.begin(), replacements.end()), text_base_(text_base), source_base_(source_base) {}

  ByteOffset text_base() const { return text_base_; }
  ByteOffset source_base() const { return source_base_; }
  const std::deque<Utf8Replacement>& replacements() const { return replacements_; }

  void Add(const std::vector<Utf8Replacement>& replacements);
  // The source offset at which the text before `text_offset`, the end of a character, ends.
  ByteOffset ToSource(ByteOffset text_offset);

 private:
  std::deque<Utf8Replacement> replacements_;  // after the last offset asked for
  ByteOffset text_base_ = 0, source_base_ = 0;
};

// What a pipeline needs to go on where another one was; see TextPipeline::Save.
struct TextPipelineState {
  bool started = false;        // BOS is out
  std::uint32_t document = 0;  // whose bytes come next, and from where
  ByteOffset offset = 0;
  std::string unfinished;  // the last bytes taken, of a character that is not whole

  // Of the present document's repaired text, what is not yet part of a token, and maybe the characters before it.
  std::string text;
  ByteOffset text_begin = 0;  // where `text` begins, at a character
  ByteOffset text_end = 0;    // where the tokens end, maybe within a character
  ByteOffset source_end = 0;  // where `text_begin` is in the source
  // Offsets of the text from text_base on are those of the source from source_base on, but for the replacements.
  ByteOffset text_base = 0, source_base = 0;
  std::vector<Utf8Replacement> replacements;
  TokenStreamState stream;

  // That are not yet a segment; they end at source_end.
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;

  friend bool operator==(const TextPipelineState&, const TextPipelineState&) = default;
};

// The reading order of a session: its documents one after another, cut into segments of `segment_tokens` tokens, the
// last segment of each document as short as it comes. The session's first segment begins with BOS where the model
// expects it. Bytes for which the vocabulary has no token belong to a token beside them; where a document has none that
// is still to be read, they are a segment without tokens, so that the segments tile each document whatever its bytes.
// Holds what is not yet a whole segment, and what the tokenizer holds back. Not thread-safe.
class TextPipeline {
 public:
  TextPipeline(std::shared_ptr<const Tokenizer> tokenizer, int segment_tokens);

  // Goes on where the saved one was. DATA_LOSS when no pipeline of this kind can be there.
  static absl::StatusOr<std::unique_ptr<TextPipeline>> Resume(std::shared_ptr<const Tokenizer> tokenizer,
                                                              int segment_tokens, const TextPipelineState& state);
  TextPipelineState Save() const;

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
  // Gives the bytes up to `end` that have no token of their own to the last one that is still here, if there is one.
  void ExtendLast(ByteOffset end);
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

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TEXT_PIPELINE_H_
