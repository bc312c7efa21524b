#include "server/storage/snapshot_file.h"

#include <zstd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_writer.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

constexpr std::string_view kMagic = "TOMESNAP";
constexpr std::size_t kPreambleBytes = 16;
constexpr std::uint32_t kMaxHeaderBytes = 64 << 10;
constexpr std::size_t kFrameHeaderBytes = 12;
constexpr std::size_t kCrcBytes = 4;

constexpr std::uint8_t kEnd = 0, kReading = 1, kState = 2;
constexpr std::uint8_t kRaw = 0, kZstd = 1;
// The fastest level: what it does not find, the others do not find either.
constexpr int kZstdLevel = 1;

std::string SerializeHeader(const SnapshotHeader& header) {
  ByteWriter writer;
  for (const std::string* text : {&header.model_digest, &header.tokenizer_digest, &header.precision, &header.options}) {
    writer.WriteString(*text);
  }
  writer.Write<std::uint64_t>(header.ingested_bytes);
  writer.Write<std::uint64_t>(header.ingested_tokens);
  writer.Write<std::int64_t>(absl::ToUnixMicros(header.create_time));
  return std::move(writer).Take();
}

absl::StatusOr<SnapshotHeader> ParseHeader(std::string_view bytes, const std::string& path) {
  ByteReader reader(bytes, path, absl::StatusCode::kDataLoss);
  SnapshotHeader header;
  for (std::string* text : {&header.model_digest, &header.tokenizer_digest, &header.precision, &header.options}) {
    TOME_ASSIGN_OR_RETURN(*text, reader.ReadString("header"));
  }
  TOME_ASSIGN_OR_RETURN(header.ingested_bytes, reader.Read<std::uint64_t>("header"));
  TOME_ASSIGN_OR_RETURN(header.ingested_tokens, reader.Read<std::uint64_t>("header"));
  TOME_ASSIGN_OR_RETURN(const std::int64_t micros, reader.Read<std::int64_t>("header"));
  header.create_time = absl::FromUnixMicros(micros);
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  return header;
}

// What is written, with its digest.
class DigestedFile {
 public:
  explicit DigestedFile(std::unique_ptr<OutputFile> file) : file_(std::move(file)) {}

  absl::Status Write(std::string_view bytes) {
    digest_.Update(bytes);
    size_ += bytes.size();
    return WriteAll(*file_, bytes);
  }

  absl::StatusOr<SnapshotFileInfo> Finish() {
    const std::string digest = digest_.Finish();
    SnapshotFileInfo info{.size_bytes = size_ + kSnapshotDigestBytes, .digest = HexEncode(digest)};
    TOME_RETURN_IF_ERROR(WriteAll(*file_, digest));
    TOME_RETURN_IF_ERROR(file_->Sync());
    return info;
  }

 private:
  std::unique_ptr<OutputFile> file_;
  Sha256 digest_;
  std::uint64_t size_ = 0;
};

class FrameWriter {
 public:
  explicit FrameWriter(DigestedFile& file) : file_(file), compressed_(ZSTD_compressBound(kFrameBytes), '\0') {}

  absl::Status Write(std::uint8_t section, std::string_view bytes) {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, kFrameBytes - pending_.size());
      pending_ += part;
      bytes.remove_prefix(part.size());
      if (pending_.size() == kFrameBytes) TOME_RETURN_IF_ERROR(Flush(section));
    }
    return absl::OkStatus();
  }

  // Ends the section.
  absl::Status Flush(std::uint8_t section) {
    if (pending_.empty()) return absl::OkStatus();
    const std::size_t size =
        ZSTD_compress(compressed_.data(), compressed_.size(), pending_.data(), pending_.size(), kZstdLevel);
    const bool pays = ZSTD_isError(size) == 0 && size <= pending_.size() - pending_.size() / 8;
    TOME_RETURN_IF_ERROR(pays ? WriteFrame(section, kZstd, std::string_view(compressed_).substr(0, size))
                              : WriteFrame(section, kRaw, pending_));
    pending_.clear();
    return absl::OkStatus();
  }

  absl::Status End() { return WriteFrame(kEnd, kRaw, {}); }

 private:
  absl::Status WriteFrame(std::uint8_t section, std::uint8_t encoding, std::string_view stored) {
    ByteWriter frame;
    frame.Reserve(kFrameHeaderBytes + stored.size() + kCrcBytes);
    frame.Write<std::uint8_t>(section);
    frame.Write<std::uint8_t>(encoding);
    frame.Write<std::uint16_t>(0);
    frame.Write<std::uint32_t>(stored.size());
    frame.Write<std::uint32_t>(pending_.size());
    frame.WriteBytes(stored);
    frame.Write<std::uint32_t>(Crc32c(frame.bytes()));
    return file_.Write(frame.bytes());
  }

  DigestedFile& file_;
  std::string pending_;
  std::string compressed_;  // working memory
};

struct FrameHeader {
  std::uint8_t section = kEnd;
  std::uint8_t encoding = kRaw;
  std::uint16_t zero = 0;
  std::uint32_t stored_bytes = 0;
  std::uint32_t raw_bytes = 0;
};
static_assert(sizeof(FrameHeader) == kFrameHeaderBytes);

}  // namespace

std::string SnapshotPathIn(const std::string& folder, std::uint64_t number) {
  return fmt::format("{}/{}{}", folder, kSnapshotPrefix, number);
}

std::string FormatMemoryOptions(const MemoryOptions& options) {
  return fmt::format("sink={} window={} segment={} region={} region-memory={} attention={} positions={}",
                     options.sink_tokens, options.window_tokens, options.segment_tokens, options.region_tokens,
                     FormatRegionMemoryOptions(options.regions), options.attention,
                     options.position_encoding.empty() ? "own" : options.position_encoding);
}

absl::StatusOr<SnapshotFileInfo> WriteSnapshotFile(FileSystem& files, const std::string& path,
                                                   const SnapshotHeader& header, std::string_view reading,
                                                   const std::function<absl::Status(const ByteSink&)>& write_state) {
  TOME_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> output, files.Create(path));
  DigestedFile file(std::move(output));
  ByteWriter preamble;
  const std::string header_bytes = SerializeHeader(header);
  preamble.WriteBytes(kMagic);
  preamble.Write<std::uint32_t>(kSnapshotVersion);
  preamble.Write<std::uint32_t>(header_bytes.size());
  preamble.WriteBytes(header_bytes);
  preamble.Write<std::uint32_t>(Crc32c(preamble.bytes()));
  TOME_RETURN_IF_ERROR(file.Write(preamble.bytes()));
  FrameWriter frames(file);
  TOME_RETURN_IF_ERROR(frames.Write(kReading, reading));
  TOME_RETURN_IF_ERROR(frames.Flush(kReading));
  TOME_RETURN_IF_ERROR(write_state([&](std::string_view piece) { return frames.Write(kState, piece); }));
  TOME_RETURN_IF_ERROR(frames.Flush(kState));
  TOME_RETURN_IF_ERROR(frames.End());
  return file.Finish();
}

// The frames of a file, one after another; as a source the bytes of the section that is being read.
class SnapshotReader::Frames final : public SizedByteSource {
 public:
  Frames(std::string path, std::unique_ptr<InputFile> file) : path_(std::move(path)), file_(std::move(file)) {}

  const std::string& path() const { return path_; }

  // The bytes before the frames, with their digest.
  absl::StatusOr<std::string> ReadPreamble() {
    if (file_->size() < kPreambleBytes + kCrcBytes + kSnapshotDigestBytes) return Damaged("it is too short");
    std::string bytes(kPreambleBytes, '\0');
    TOME_RETURN_IF_ERROR(Read(0, &bytes));
    if (bytes.substr(0, kMagic.size()) != kMagic) return Damaged("it is not a snapshot");
    ByteReader reader(std::string_view(bytes).substr(kMagic.size() + 4), path_, absl::StatusCode::kDataLoss);
    TOME_ASSIGN_OR_RETURN(const std::uint32_t size, reader.Read<std::uint32_t>("header"));
    if (size > kMaxHeaderBytes || size > file_->size() - kPreambleBytes - kCrcBytes - kSnapshotDigestBytes) {
      return Damaged(fmt::format("its header has {} bytes", size));
    }
    bytes.resize(kPreambleBytes + size + kCrcBytes);
    TOME_RETURN_IF_ERROR(Read(0, &bytes));
    ByteReader crc(std::string_view(bytes).substr(kPreambleBytes + size), path_, absl::StatusCode::kDataLoss);
    TOME_ASSIGN_OR_RETURN(const std::uint32_t expected, crc.Read<std::uint32_t>("checksum of the header"));
    if (expected != Crc32c(std::string_view(bytes).substr(0, kPreambleBytes + size)) && kCheckSums) {
      return Damaged("the checksum of its header does not match");
    }
    sha256_.Update(std::string_view(bytes));
    offset_ = bytes.size();
    return bytes;
  }

  // Looks at the heads of all frames. Gives the digest that stands at the end.
  absl::StatusOr<std::string> Survey() {
    const std::uint64_t end = file_->size() - kSnapshotDigestBytes;
    std::uint64_t offset = offset_;
    for (std::uint8_t last = kReading;;) {
      TOME_ASSIGN_OR_RETURN(const FrameHeader frame, ReadFrameHeader(offset, end));
      if (frame.section != kEnd && frame.section < last) return Damaged("its sections are not in order");
      offset += kFrameHeaderBytes + frame.stored_bytes + kCrcBytes;
      if (frame.section == kEnd) break;
      last = frame.section;
      raw_bytes_[frame.section] += frame.raw_bytes;
    }
    if (offset != end) return Damaged(fmt::format("{} bytes follow its end", end - offset));
    std::string digest(kSnapshotDigestBytes, '\0');
    TOME_RETURN_IF_ERROR(Read(end, &digest));
    return HexEncode(digest);
  }

  void BeginSection(std::uint8_t section) {
    remaining_ = raw_bytes_[section];
    view_ = {};
  }

  std::uint64_t remaining() const override { return remaining_; }

  absl::StatusOr<std::string_view> Next(std::size_t size) override {
    if (view_.empty() && size > 0) TOME_RETURN_IF_ERROR(ReadFrame());
    if (size <= view_.size()) return Take(size);
    joined_.assign(Take(view_.size()));
    while (joined_.size() < size) {
      TOME_RETURN_IF_ERROR(ReadFrame());
      joined_ += Take(std::min(view_.size(), size - joined_.size()));
    }
    return joined_;
  }

  absl::Status Finish(const std::string& digest) {
    while (remaining_ > 0) {
      TOME_RETURN_IF_ERROR(Next(std::min<std::uint64_t>(remaining_, kFrameBytes)).status());
    }
    TOME_RETURN_IF_ERROR(ReadFrame());  // the last one
    if (sha256_.FinishHex() == digest || !kCheckSums) return absl::OkStatus();
    return Damaged("its digest does not match");
  }

  absl::Status Damaged(const std::string& what) const {
    return MakeError(absl::StatusCode::kDataLoss, fmt::format("{}: the snapshot is damaged: {}", path_, what),
                     {.reason = "STORED_DATA_DAMAGED"});
  }

 private:
  absl::Status Read(std::uint64_t offset, std::string* bytes) const {
    return file_->Read(offset, bytes->data(), bytes->size());
  }

  absl::StatusOr<FrameHeader> ReadFrameHeader(std::uint64_t offset, std::uint64_t end) const {
    FrameHeader frame;
    if (end - offset < kFrameHeaderBytes + kCrcBytes) return Damaged("it ends within a frame");
    TOME_RETURN_IF_ERROR(file_->Read(offset, reinterpret_cast<char*>(&frame), kFrameHeaderBytes));
    const bool sound = frame.zero == 0 && frame.raw_bytes <= kFrameBytes && frame.stored_bytes <= frame.raw_bytes &&
                       frame.section <= kState && (frame.section == kEnd) == (frame.raw_bytes == 0) &&
                       frame.encoding <= kZstd && (frame.encoding == kZstd || frame.stored_bytes == frame.raw_bytes);
    if (!sound || frame.stored_bytes > end - offset - kFrameHeaderBytes - kCrcBytes) {
      return Damaged(fmt::format("the frame at {} has a bad head", offset));
    }
    return frame;
  }

  absl::Status ReadFrame() {
    TOME_ASSIGN_OR_RETURN(const FrameHeader frame, ReadFrameHeader(offset_, file_->size() - kSnapshotDigestBytes));
    stored_.resize(kFrameHeaderBytes + frame.stored_bytes + kCrcBytes);
    TOME_RETURN_IF_ERROR(Read(offset_, &stored_));
    const std::string_view checked = std::string_view(stored_).substr(0, stored_.size() - kCrcBytes);
    ByteReader crc(std::string_view(stored_).substr(checked.size()), path_, absl::StatusCode::kDataLoss);
    TOME_ASSIGN_OR_RETURN(const std::uint32_t expected, crc.Read<std::uint32_t>("checksum of a frame"));
    if (expected != Crc32c(checked) && kCheckSums) {
      return Damaged(fmt::format("the checksum of the frame at {} does not match", offset_));
    }
    sha256_.Update(std::string_view(stored_));
    const std::uint64_t offset = std::exchange(offset_, offset_ + stored_.size());
    view_ = checked.substr(kFrameHeaderBytes);
    if (frame.encoding == kRaw) return absl::OkStatus();
    raw_.resize(frame.raw_bytes);
    const std::size_t size = ZSTD_decompress(raw_.data(), raw_.size(), view_.data(), view_.size());
    if (ZSTD_isError(size) != 0 || size != raw_.size()) {
      return Damaged(fmt::format("the frame at {} cannot be decompressed", offset));
    }
    view_ = raw_;
    return absl::OkStatus();
  }

  std::string_view Take(std::size_t size) {
    const std::string_view part = view_.substr(0, size);
    view_.remove_prefix(size);
    remaining_ -= size;
    return part;
  }

  const std::string path_;
  const std::unique_ptr<InputFile> file_;
  Sha256 sha256_;
  std::uint64_t offset_ = 0;         // of the next frame
  std::uint64_t raw_bytes_[3] = {};  // of each section
  std::uint64_t remaining_ = 0;      // of this section
  std::string stored_, raw_;         // the present frame
  std::string_view view_;            // what of it was not taken
  std::string joined_;               // a piece from several frames
};

SnapshotReader::SnapshotReader(std::unique_ptr<Frames> frames) : frames_(std::move(frames)) {}
SnapshotReader::~SnapshotReader() = default;

absl::StatusOr<std::unique_ptr<SnapshotReader>> SnapshotReader::Open(FileSystem& files, const std::string& path) {
  TOME_ASSIGN_OR_RETURN(std::unique_ptr<InputFile> file, files.Open(path));
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader(std::make_unique<Frames>(path, std::move(file))));
  Frames& frames = *reader->frames_;
  TOME_ASSIGN_OR_RETURN(const std::string preamble, frames.ReadPreamble());
  ByteReader fields(std::string_view(preamble).substr(kMagic.size()), path, absl::StatusCode::kDataLoss);
  TOME_ASSIGN_OR_RETURN(const std::uint32_t version, fields.Read<std::uint32_t>("version"));
  if (version != kSnapshotVersion) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     fmt::format("{}: the snapshot has format version {}, this server reads version {}", path, version,
                                 kSnapshotVersion),
                     {.reason = "SNAPSHOT_MISMATCH",
                      .metadata = {{"field", "format version"},
                                   {"found", std::to_string(version)},
                                   {"expected", std::to_string(kSnapshotVersion)}}});
  }
  const std::string_view header = std::string_view(preamble).substr(kPreambleBytes);
  TOME_ASSIGN_OR_RETURN(reader->header_, ParseHeader(header.substr(0, header.size() - kCrcBytes), path));
  TOME_ASSIGN_OR_RETURN(reader->digest_, frames.Survey());
  return reader;
}

absl::StatusOr<std::string> SnapshotReader::ReadReading() {
  frames_->BeginSection(kReading);
  std::string bytes;
  while (frames_->remaining() > 0) {
    TOME_ASSIGN_OR_RETURN(const std::string_view piece,
                          frames_->Next(std::min<std::uint64_t>(frames_->remaining(), kFrameBytes)));
    bytes += piece;
  }
  return bytes;
}

SizedByteSource& SnapshotReader::state() {
  frames_->BeginSection(kState);
  return *frames_;
}

absl::Status SnapshotReader::Finish() { return frames_->Finish(digest_); }

absl::Status SnapshotReader::CheckRest() {
  TOME_RETURN_IF_ERROR(ReadReading().status());
  state();
  return Finish();
}

}  // namespace tome::server
