#include "server/storage/bundle.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_stream.h"
#include "engine/files/byte_writer.h"
#include "engine/files/file_kind.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

constexpr std::string_view kMagic = "TOMEARCH";
constexpr std::size_t kMagicBytes = 12, kFrameHeadBytes = 5, kCrcBytes = 4, kDigestBytes = 32;
constexpr std::uint8_t kEnd = 0, kSession = 1, kDocument = 2, kDocumentBytes = 3, kSnapshot = 4, kSnapshotBytes = 5;

std::string SessionPayload(const StoredSession& session) {
  ByteWriter writer;
  for (const std::string& text : {session.id, session.display_name, session.model_digest, session.tokenizer_digest,
                                  FormatRegionMemoryOptions(session.options.regions), session.options.attention,
                                  session.options.position_encoding}) {
    writer.WriteString(text);
  }
  writer.Write<std::int64_t>(absl::ToUnixMicros(session.create_time));
  writer.Write<std::int64_t>(absl::ToInt64Microseconds(session.time_to_live));
  writer.Write<std::uint8_t>(session.pinned);
  for (const int tokens : {session.options.sink_tokens, session.options.window_tokens, session.options.segment_tokens,
                           session.options.region_tokens}) {
    writer.Write<std::uint32_t>(tokens);
  }
  writer.Write<std::uint32_t>(session.labels.size());
  for (const auto& [key, value] : session.labels) {
    writer.WriteString(key);
    writer.WriteString(value);
  }
  return std::move(writer).Take();
}

absl::StatusOr<StoredSession> ParseSession(std::string_view payload) {
  ByteReader reader(payload, "its session", absl::StatusCode::kDataLoss);
  StoredSession session;
  std::string regions;
  for (std::string* text : {&session.id, &session.display_name, &session.model_digest, &session.tokenizer_digest,
                            &regions, &session.options.attention, &session.options.position_encoding}) {
    TOME_ASSIGN_OR_RETURN(*text, reader.ReadString("text"));
  }
  TOME_ASSIGN_OR_RETURN(const std::int64_t created, reader.Read<std::int64_t>("creation time"));
  TOME_ASSIGN_OR_RETURN(const std::int64_t time_to_live, reader.Read<std::int64_t>("time to live"));
  TOME_ASSIGN_OR_RETURN(const std::uint8_t pinned, reader.Read<std::uint8_t>("pinned"));
  for (int* tokens : {&session.options.sink_tokens, &session.options.window_tokens, &session.options.segment_tokens,
                      &session.options.region_tokens}) {
    TOME_ASSIGN_OR_RETURN(const std::uint32_t value, reader.Read<std::uint32_t>("options"));
    if (value == 0 || value > (1u << 30))
      return DataLoss("its session has a size of {} tokens among its options", value);
    *tokens = static_cast<int>(value);
  }
  absl::StatusOr<RegionMemoryOptions> parsed = ParseRegionMemoryOptions(regions);
  if (!parsed.ok()) return DataLoss("{}", std::string(parsed.status().message()));
  session.options.regions = *parsed;
  TOME_ASSIGN_OR_RETURN(const std::uint32_t labels, reader.Read<std::uint32_t>("labels"));
  for (std::uint32_t i = 0; i < labels; ++i) {
    TOME_ASSIGN_OR_RETURN(const std::string_view key, reader.ReadString("label"));
    TOME_ASSIGN_OR_RETURN(const std::string_view value, reader.ReadString("label"));
    session.labels.emplace(key, value);
  }
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  if (time_to_live < 0 || pinned > 1)
    return DataLoss("its session has a time to live of {} and is pinned {} times", time_to_live, pinned);
  session.create_time = absl::FromUnixMicros(created);
  session.time_to_live = absl::Microseconds(time_to_live);
  session.pinned = pinned == 1;
  return session;
}

absl::StatusOr<StoredDocument> ParseDocument(std::string_view payload) {
  ByteReader reader(payload, "a document's entry", absl::StatusCode::kDataLoss);
  StoredDocument document;
  TOME_ASSIGN_OR_RETURN(document.name, reader.ReadString("name"));
  TOME_ASSIGN_OR_RETURN(document.size, reader.Read<std::uint64_t>("size"));
  TOME_ASSIGN_OR_RETURN(const std::uint8_t sealed, reader.Read<std::uint8_t>("sealed"));
  TOME_ASSIGN_OR_RETURN(const std::uint8_t policy, reader.Read<std::uint8_t>("policy"));
  TOME_ASSIGN_OR_RETURN(const std::int64_t created, reader.Read<std::int64_t>("creation time"));
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  if (sealed > 1 || policy < 1 || policy > 2 || document.size > (std::uint64_t{1} << 62)) {
    return DataLoss("a document's entry has {} bytes, policy {} and is sealed {} times", document.size, policy, sealed);
  }
  document.sealed = sealed == 1;
  document.invalid_utf8 = static_cast<Utf8Policy>(policy);
  document.create_time = absl::FromUnixMicros(created);
  return document;
}

absl::StatusOr<SnapshotInfo> ParseSnapshot(std::string_view payload) {
  ByteReader reader(payload, "its snapshot's entry", absl::StatusCode::kDataLoss);
  SnapshotInfo snapshot;
  for (std::uint64_t* number :
       {&snapshot.number, &snapshot.size_bytes, &snapshot.ingested_bytes, &snapshot.ingested_tokens}) {
    TOME_ASSIGN_OR_RETURN(*number, reader.Read<std::uint64_t>("number"));
    if (*number > (std::uint64_t{1} << 62)) return DataLoss("its snapshot's entry has a number of {}", *number);
  }
  TOME_ASSIGN_OR_RETURN(const std::int64_t created, reader.Read<std::int64_t>("creation time"));
  snapshot.create_time = absl::FromUnixMicros(created);
  TOME_ASSIGN_OR_RETURN(snapshot.digest, reader.ReadString("digest"));
  TOME_RETURN_IF_ERROR(reader.ExpectEnd());
  return snapshot;
}

}  // namespace

absl::Status BundleDamaged(const std::string& what) {
  return MakeError(absl::StatusCode::kDataLoss,
                   fmt::format("the bundle is damaged: {}; copy it here again, or export the session once more", what),
                   {.reason = "ARCHIVE_DAMAGED"});
}

namespace {

absl::Status NoBundle(std::string_view begin) {
  return MakeError(absl::StatusCode::kDataLoss,
                   "expected a bundle that tome export wrote, found " + DescribeFile(begin),
                   {.reason = "ARCHIVE_DAMAGED"});
}

}  // namespace

// --- Writing ---

std::string BundleWriter::Frame(std::uint8_t kind, std::string_view payload) {
  ByteWriter frame;
  frame.Reserve(kFrameHeadBytes + payload.size() + kCrcBytes);
  frame.Write<std::uint8_t>(kind);
  frame.Write<std::uint32_t>(payload.size());
  frame.WriteBytes(payload);
  frame.Write<std::uint32_t>(Crc32c(frame.bytes()));
  digest_.Update(frame.bytes());
  return std::move(frame).Take();
}

std::string BundleWriter::Begin(const StoredSession& session) {
  ByteWriter magic;
  magic.WriteBytes(kMagic);
  magic.Write<std::uint32_t>(kBundleVersion);
  digest_.Update(magic.bytes());
  return magic.bytes() + Frame(kSession, SessionPayload(session));
}

std::string BundleWriter::Document(const StoredDocument& document) {
  bytes_kind_ = kDocumentBytes;
  ByteWriter payload;
  payload.WriteString(document.name);
  payload.Write<std::uint64_t>(document.size);
  payload.Write<std::uint8_t>(document.sealed);
  payload.Write<std::uint8_t>(static_cast<std::uint8_t>(document.invalid_utf8));
  payload.Write<std::int64_t>(absl::ToUnixMicros(document.create_time));
  return Frame(kDocument, payload.bytes());
}

std::string BundleWriter::Snapshot(const SnapshotInfo& snapshot) {
  bytes_kind_ = kSnapshotBytes;
  ByteWriter payload;
  for (const std::uint64_t number :
       {snapshot.number, snapshot.size_bytes, snapshot.ingested_bytes, snapshot.ingested_tokens}) {
    payload.Write<std::uint64_t>(number);
  }
  payload.Write<std::int64_t>(absl::ToUnixMicros(snapshot.create_time));
  payload.WriteString(snapshot.digest);
  return Frame(kSnapshot, payload.bytes());
}

std::string BundleWriter::Bytes(std::string_view bytes) { return Frame(bytes_kind_, bytes); }

std::string BundleWriter::End() {
  std::string end = Frame(kEnd, {});
  return end + digest_.Finish();
}

// --- Reading ---

std::size_t BundleReader::Needed() const {
  switch (next_) {
    case Part::kMagic:
      return kMagicBytes;
    case Part::kFrameHead:
      return kFrameHeadBytes;
    case Part::kFrameRest: {
      std::uint32_t size;
      std::memcpy(&size, head_.data() + 1, sizeof size);
      return size + kCrcBytes;
    }
    case Part::kDigest:
      return kDigestBytes;
    case Part::kNone:
      break;
  }
  return 0;
}

absl::Status BundleReader::Take(std::string_view bytes) {
  while (!bytes.empty()) {
    if (next_ == Part::kNone) return BundleDamaged(fmt::format("bytes follow its end, which is at byte {}", offset_));
    const std::size_t size = std::min(bytes.size(), Needed() - pending_.size());
    pending_ += bytes.substr(0, size);
    bytes.remove_prefix(size);
    if (pending_.size() < Needed()) return absl::OkStatus();
    const std::string part = std::exchange(pending_, {});
    TOME_RETURN_IF_ERROR(TakePart(part));
    offset_ += part.size();
  }
  return absl::OkStatus();
}

absl::Status BundleReader::Finish() { return next_ == Part::kNone ? absl::OkStatus() : TooShort(); }

absl::Status BundleReader::TooShort() const {
  const std::string_view begin = std::string_view(pending_).substr(0, kMagic.size());
  if (next_ == Part::kMagic && (begin.empty() || !kMagic.starts_with(begin))) return NoBundle(pending_);
  return BundleDamaged(fmt::format("it ends after {} bytes, before its end mark", offset_ + pending_.size()));
}

absl::Status BundleReader::TakeMagic(std::string_view part) {
  if (!part.starts_with(kMagic)) return NoBundle(part);
  std::uint32_t version;
  std::memcpy(&version, part.data() + kMagic.size(), sizeof version);
  if (version == kBundleVersion) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      fmt::format("the bundle has version {}, this server reads version {}; import it with a server of the "
                  "version that exported it, or a later one",
                  version, kBundleVersion),
      {.reason = "ARCHIVE_VERSION"});
}

absl::Status BundleReader::TakePart(std::string_view part) {
  if (next_ == Part::kDigest) {
    next_ = Part::kNone;
    if (part == digest_.Finish() || !kCheckSums) return absl::OkStatus();
    return BundleDamaged("its SHA-256 digest does not match its bytes");
  }
  digest_.Update(part);
  if (next_ == Part::kMagic) {
    TOME_RETURN_IF_ERROR(TakeMagic(part));
    next_ = Part::kFrameHead;
    return absl::OkStatus();
  }
  if (next_ == Part::kFrameHead) {
    head_ = part;
    next_ = Part::kFrameRest;
    if (Needed() <= kMaxBundleFrame + kCrcBytes) return absl::OkStatus();
    return BundleDamaged(fmt::format("expected a frame of at most {} bytes at byte {}, found one of {}",
                                     kMaxBundleFrame, offset_, Needed() - kCrcBytes));
  }
  const std::string_view payload = part.substr(0, part.size() - kCrcBytes);
  std::uint32_t crc;
  std::memcpy(&crc, part.data() + payload.size(), sizeof crc);
  if (crc != Crc32c(payload, Crc32c(head_)) && kCheckSums) {
    return BundleDamaged(fmt::format("the checksum of the frame at byte {} does not match", offset_ - kFrameHeadBytes));
  }
  next_ = head_[0] == kEnd ? Part::kDigest : Part::kFrameHead;
  return TakeFrame(static_cast<std::uint8_t>(head_[0]), payload);
}

absl::Status BundleReader::TakeFrame(std::uint8_t kind, std::string_view payload) {
  if (kind == kDocumentBytes || kind == kSnapshotBytes) return TakeBytes(kind, payload);
  if (bytes_left_ > 0) {
    return BundleDamaged(fmt::format("{} bytes of a {} are missing before byte {}", bytes_left_,
                                     last_kind_ == kSnapshot ? "snapshot" : "document", offset_ - kFrameHeadBytes));
  }
  const bool in_order = kind == kSession ? last_kind_ == 0 : last_kind_ != 0 && last_kind_ != kSnapshot;
  if (kind == kEnd) {
    return last_kind_ != 0 && payload.empty() ? absl::OkStatus() : BundleDamaged("it ends before its session");
  }
  if (!in_order || kind > kSnapshotBytes)
    return BundleDamaged(fmt::format("a frame of kind {} cannot be at byte {}", kind, offset_ - kFrameHeadBytes));
  last_kind_ = kind;
  if (kind == kSession) {
    absl::StatusOr<StoredSession> session = ParseSession(payload);
    if (!session.ok()) return BundleDamaged(std::string(session.status().message()));
    return sink_.OnSession(*std::move(session));
  }
  if (kind == kDocument) {
    const absl::StatusOr<StoredDocument> document = ParseDocument(payload);
    if (!document.ok()) return BundleDamaged(std::string(document.status().message()));
    bytes_left_ = document->size;
    return sink_.OnDocument(*document);
  }
  const absl::StatusOr<SnapshotInfo> snapshot = ParseSnapshot(payload);
  if (!snapshot.ok()) return BundleDamaged(std::string(snapshot.status().message()));
  bytes_left_ = snapshot->size_bytes;
  return sink_.OnSnapshot(*snapshot);
}

absl::Status BundleReader::TakeBytes(std::uint8_t kind, std::string_view payload) {
  if (last_kind_ + 1 != kind || payload.size() > bytes_left_) {
    return BundleDamaged(fmt::format("{} bytes at byte {} are more than was announced", payload.size(), offset_));
  }
  bytes_left_ -= payload.size();
  return kind == kDocumentBytes ? sink_.OnDocumentBytes(payload) : sink_.OnSnapshotBytes(payload);
}

}  // namespace tome::server
