#include "server/reading/reading_state.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "engine/base/status.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_writer.h"

namespace tome::server {
namespace {

constexpr std::size_t kTokenBytes = 16;
constexpr std::size_t kReplacementBytes = 20;

void WriteTokens(const std::vector<TokenId>& tokens, const std::vector<TokenSpan>& spans, ByteWriter* writer) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    writer->Write<std::int32_t>(tokens[i]);
    writer->Write<std::uint32_t>(spans[i].num_bytes);
    writer->Write<std::uint64_t>(spans[i].begin);
  }
}

absl::Status ReadTokens(std::uint32_t count, std::uint32_t document, ByteReader* reader, std::vector<TokenId>* tokens,
                        std::vector<TokenSpan>* spans) {
  if (count > reader->remaining() / kTokenBytes) return DataLoss("progress: {} tokens cannot follow", count);
  for (std::uint32_t i = 0; i < count; ++i) {
    TOME_ASSIGN_OR_RETURN(tokens->emplace_back(), reader->Read<std::int32_t>("token"));
    TokenSpan& span = spans->emplace_back();
    span.document = document;
    TOME_ASSIGN_OR_RETURN(span.num_bytes, reader->Read<std::uint32_t>("bytes of a token"));
    TOME_ASSIGN_OR_RETURN(span.begin, reader->Read<std::uint64_t>("begin of a token"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ReadBool(ByteReader* reader, std::string_view field) {
  TOME_ASSIGN_OR_RETURN(const std::uint8_t value, reader->Read<std::uint8_t>(field));
  if (value > 1) return DataLoss("progress: {} is {}", field, value);
  return value == 1;
}

void WritePipeline(const TextPipelineState& state, ByteWriter* writer) {
  writer->Write<std::uint8_t>(state.started);
  writer->Write<std::uint32_t>(state.document);
  writer->Write<std::uint64_t>(state.offset);
  writer->WriteString(state.unfinished);
  writer->WriteString(state.text);
  for (const ByteOffset offset :
       {state.text_begin, state.text_end, state.source_end, state.text_base, state.source_base}) {
    writer->Write<std::uint64_t>(offset);
  }
  writer->Write<std::uint64_t>(state.replacements.size());
  for (const Utf8Replacement& replacement : state.replacements) {
    writer->Write<std::uint64_t>(replacement.output_offset);
    writer->Write<std::uint64_t>(replacement.source_offset);
    writer->Write<std::uint32_t>(replacement.source_bytes);
  }
  const TokenStreamState& stream = state.stream;
  const bool passes = stream.passed > 0 || stream.passed_normalized > 0;
  writer->Write<std::uint8_t>(static_cast<std::uint8_t>(stream.started | stream.context << 1 | passes << 7));
  if (passes) {
    writer->Write<std::uint16_t>(stream.passed);
    writer->Write<std::uint16_t>(stream.passed_normalized);
  }
  writer->Write<std::uint8_t>(state.stream.dummy_prefix);
  writer->Write<std::uint8_t>(state.stream.held_bytes.has_value());
  writer->Write<std::uint64_t>(state.stream.held_bytes.value_or(0));
  writer->Write<std::uint32_t>(state.tokens.size());
  WriteTokens(state.tokens, state.spans, writer);
}

absl::Status ReadReplacements(ByteReader* reader, std::vector<Utf8Replacement>* replacements) {
  TOME_ASSIGN_OR_RETURN(const std::uint64_t count, reader->ReadCount(kReplacementBytes, "replacements"));
  for (std::uint64_t i = 0; i < count; ++i) {
    Utf8Replacement& replacement = replacements->emplace_back();
    TOME_ASSIGN_OR_RETURN(replacement.output_offset, reader->Read<std::uint64_t>("replacement"));
    TOME_ASSIGN_OR_RETURN(replacement.source_offset, reader->Read<std::uint64_t>("replacement"));
    TOME_ASSIGN_OR_RETURN(replacement.source_bytes, reader->Read<std::uint32_t>("replacement"));
  }
  return absl::OkStatus();
}

absl::Status ReadStream(ByteReader* reader, TokenStreamState* stream) {
  TOME_ASSIGN_OR_RETURN(const auto flags, reader->Read<std::uint8_t>("stream"));
  stream->started = (flags & 1) != 0;
  stream->context = flags >> 1 & 63;
  if (flags >> 7 != 0) {
    TOME_ASSIGN_OR_RETURN(stream->passed, reader->Read<std::uint16_t>("passed bytes"));
    TOME_ASSIGN_OR_RETURN(stream->passed_normalized, reader->Read<std::uint16_t>("passed bytes"));
    if (stream->passed == 0 && stream->passed_normalized == 0) return DataLoss("progress: no passed bytes are there");
  }
  TOME_ASSIGN_OR_RETURN(stream->dummy_prefix, ReadBool(reader, "dummy prefix"));
  TOME_ASSIGN_OR_RETURN(const bool holds, ReadBool(reader, "held back"));
  TOME_ASSIGN_OR_RETURN(const std::uint64_t held_bytes, reader->Read<std::uint64_t>("held bytes"));
  if (holds) stream->held_bytes = held_bytes;
  if (!holds && held_bytes != 0) return DataLoss("progress: {} held bytes of no token", held_bytes);
  return absl::OkStatus();
}

absl::Status ReadPipeline(ByteReader* reader, TextPipelineState* state) {
  TOME_ASSIGN_OR_RETURN(state->started, ReadBool(reader, "started"));
  TOME_ASSIGN_OR_RETURN(state->document, reader->Read<std::uint32_t>("document"));
  TOME_ASSIGN_OR_RETURN(state->offset, reader->Read<std::uint64_t>("offset"));
  TOME_ASSIGN_OR_RETURN(state->unfinished, reader->ReadString("unfinished character"));
  TOME_ASSIGN_OR_RETURN(state->text, reader->ReadString("text"));
  for (ByteOffset* offset :
       {&state->text_begin, &state->text_end, &state->source_end, &state->text_base, &state->source_base}) {
    TOME_ASSIGN_OR_RETURN(*offset, reader->Read<std::uint64_t>("offsets"));
  }
  TOME_RETURN_IF_ERROR(ReadReplacements(reader, &state->replacements));
  TOME_RETURN_IF_ERROR(ReadStream(reader, &state->stream));
  TOME_ASSIGN_OR_RETURN(const std::uint32_t tokens, reader->Read<std::uint32_t>("tokens"));
  return ReadTokens(tokens, state->document, reader, &state->tokens, &state->spans);
}

// Follows what was read through the documents.
class Walk {
 public:
  explicit Walk(const std::vector<StoredDocument>& documents) : documents_(documents) {}

  // To a place in a document, past the ends of those between.
  absl::Status MoveTo(std::uint32_t document, ByteOffset begin) {
    if (document >= documents_.size() && !(document == documents_.size() && begin == 0)) {
      return DataLoss("progress: of document {} of {}", document, documents_.size());
    }
    while (document_ < document) {
      // Its last bytes may have no tokens.
      if (!documents_[document_].sealed) {
        return DataLoss("progress: document {} was left at byte {}, before it was sealed", document_, offset_);
      }
      ++document_;
      offset_ = 0;
    }
    if (document == document_ && begin == offset_) return absl::OkStatus();
    return DataLoss("progress: byte {} of document {} follows byte {} of document {}", begin, document, offset_,
                    document_);
  }

  // Over bytes that begin there.
  absl::Status Pass(ByteOffset end) {
    if (end < offset_ || (end > offset_ && (document_ >= documents_.size() || end > documents_[document_].size))) {
      return DataLoss("progress: byte {} of document {} was not stored", end, document_);
    }
    offset_ = end;
    return absl::OkStatus();
  }

 private:
  const std::vector<StoredDocument>& documents_;
  std::uint32_t document_ = 0;
  ByteOffset offset_ = 0;
};

absl::Status CheckSegment(const Segment& segment, const Memory& memory) {
  const auto limit = static_cast<std::size_t>(memory.options().segment_tokens);
  if (segment.tokens.size() > limit) return DataLoss("progress: a segment of {} tokens", segment.tokens.size());
  if (segment.tokens.empty()) return absl::OkStatus();
  const int vocab_size = memory.model()->tokenizer()->vocab_size();
  ByteOffset end = segment.begin;
  for (std::size_t i = 0; i < segment.tokens.size(); ++i) {
    if (segment.tokens[i] < 0 || segment.tokens[i] >= vocab_size || segment.spans[i].begin != end) {
      return DataLoss("progress: token {} at byte {} of a segment cannot be", segment.tokens[i],
                      segment.spans[i].begin);
    }
    end += segment.spans[i].num_bytes;
  }
  return absl::OkStatus();
}

// A segment without tokens ends its document.
absl::Status CheckTokenless(const Segment& segment, const std::vector<StoredDocument>& documents) {
  const bool known = segment.document < documents.size() && documents[segment.document].sealed;
  if (known && segment.begin < segment.end && segment.end == documents[segment.document].size) return absl::OkStatus();
  return DataLoss("progress: bytes {} to {} of document {} are a segment without tokens", segment.begin, segment.end,
                  segment.document);
}

}  // namespace

std::string SerializeProgress(const ReadingState& state) {
  ByteWriter writer;
  writer.Write<std::uint32_t>(state.unread.size());
  for (const Segment& segment : state.unread) {
    writer.Write<std::uint32_t>(segment.tokens.size());
    writer.Write<std::uint32_t>(segment.document);
    WriteTokens(segment.tokens, segment.spans, &writer);
    if (!segment.tokens.empty()) continue;
    writer.Write<std::uint64_t>(segment.begin);
    writer.Write<std::uint64_t>(segment.end);
  }
  WritePipeline(state.pipeline, &writer);
  return std::move(writer).Take();
}

absl::Status ParseProgress(std::string_view bytes, std::deque<Segment>* unread, TextPipelineState* pipeline) {
  ByteReader reader(bytes, "progress", absl::StatusCode::kDataLoss);
  TOME_ASSIGN_OR_RETURN(const std::uint32_t segments, reader.Read<std::uint32_t>("segments"));
  for (std::uint32_t i = 0; i < segments; ++i) {
    Segment segment;
    TOME_ASSIGN_OR_RETURN(const std::uint32_t tokens, reader.Read<std::uint32_t>("tokens of a segment"));
    TOME_ASSIGN_OR_RETURN(segment.document, reader.Read<std::uint32_t>("document of a segment"));
    TOME_RETURN_IF_ERROR(ReadTokens(tokens, segment.document, &reader, &segment.tokens, &segment.spans));
    if (tokens == 0) {
      TOME_ASSIGN_OR_RETURN(segment.begin, reader.Read<std::uint64_t>("begin of a segment"));
      TOME_ASSIGN_OR_RETURN(segment.end, reader.Read<std::uint64_t>("end of a segment"));
    } else {
      segment.begin = segment.spans.front().begin;
      segment.end = segment.spans.back().begin + segment.spans.back().num_bytes;
    }
    unread->push_back(std::move(segment));
  }
  TOME_RETURN_IF_ERROR(ReadPipeline(&reader, pipeline));
  return reader.ExpectEnd();
}

absl::Status CheckProgress(const ReadingState& state, const std::vector<StoredDocument>& documents) {
  Walk walk(documents);
  for (const ReadRange& range : state.memory.ReadRanges()) {
    TOME_RETURN_IF_ERROR(walk.MoveTo(range.document, range.begin));
    TOME_RETURN_IF_ERROR(walk.Pass(range.end));
  }
  for (const Segment& segment : state.unread) {
    TOME_RETURN_IF_ERROR(CheckSegment(segment, state.memory));
    TOME_RETURN_IF_ERROR(walk.MoveTo(segment.document, segment.begin));
    TOME_RETURN_IF_ERROR(walk.Pass(segment.end));
    if (segment.tokens.empty()) TOME_RETURN_IF_ERROR(CheckTokenless(segment, documents));
  }
  const TextPipelineState& pipeline = state.pipeline;
  if (pipeline.document > documents.size()) return DataLoss("progress: at document {}", pipeline.document);
  const ByteOffset begin = pipeline.spans.empty() ? pipeline.source_end : pipeline.spans.front().begin;
  TOME_RETURN_IF_ERROR(walk.MoveTo(pipeline.document, begin));
  return walk.Pass(pipeline.offset);
}

std::vector<ReadRange> DocumentsRead(const ReadingState& state, const std::vector<StoredDocument>& documents) {
  const std::size_t next = state.unread.empty() ? state.pipeline.document : state.unread.front().document;
  std::vector<ReadRange> read;
  for (std::size_t i = 0; i < std::min(next, documents.size()); ++i) {
    read.push_back({.document = static_cast<std::uint32_t>(i), .end = documents[i].size});
  }
  for (const ReadRange& range : state.memory.ReadRanges()) {
    if (range.document == read.size()) read.push_back({.document = range.document});
    if (range.document >= read.size()) break;  // not of these documents
    ReadRange& document = read[range.document];
    document.end = std::max(document.end, range.end);
    document.tokens += range.tokens;
  }
  return read;
}

}  // namespace tome::server
