// A session as one stream of bytes, for another server: the bundle of ExportSession.
//
//   magic "TOMEARCH", u32 version. Then frames: u8 kind, u32 bytes (at most kMaxBundleFrame), the bytes, u32 CRC-32C
//   of the frame so far:
//     1 session    texts (u64 length first) id, display name, model digest, tokenizer digest, region memory, attention,
//                  position encoding; i64 creation time, i64 time to live, in microseconds; u8 pinned; u32 sink,
//                  window, segment, region tokens; u32 labels, of each key and value. Once, first.
//     2 document   text name; u64 bytes; u8 sealed; u8 policy of invalid UTF-8; i64 creation time
//     3 bytes      of the document before, as many as it has
//     4 snapshot   u64 number, bytes, bytes read, tokens read; i64 creation time; text digest. At most once, after all
//                  documents.
//     5 bytes      of the snapshot's file, as many as it has
//     0 end        empty
//   Then the SHA-256 of all so far, 32 bytes. Nothing follows. No part names a file.
//
// Numbers are little-endian.
#ifndef TOME_SERVER_STORAGE_BUNDLE_H_
#define TOME_SERVER_STORAGE_BUNDLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/digest.h"
#include "server/storage/session_store.h"

namespace tome::server {

inline constexpr std::uint32_t kBundleVersion = 1;
inline constexpr std::size_t kMaxBundleFrame = std::size_t{1} << 20;

// DATA_LOSS/ARCHIVE_DAMAGED: what is wrong with a bundle, and what to do.
absl::Status BundleDamaged(const std::string& what);

// Makes the bytes of a bundle, piece by piece. Not thread-safe.
class BundleWriter {
 public:
  // The magic and the session's frame. `session`: its documents are not looked at.
  std::string Begin(const StoredSession& session);
  std::string Document(const StoredDocument& document);
  std::string Snapshot(const SnapshotInfo& snapshot);
  // At most kMaxBundleFrame bytes of what was begun last.
  std::string Bytes(std::string_view bytes);
  std::string End();

 private:
  std::string Frame(std::uint8_t kind, std::string_view payload);

  Sha256 digest_;
  std::uint8_t bytes_kind_ = 0;
};

// Takes what is in a bundle.
class BundleSink {
 public:
  virtual ~BundleSink() = default;
  virtual absl::Status OnSession(StoredSession session) = 0;
  virtual absl::Status OnDocument(const StoredDocument& document) = 0;
  virtual absl::Status OnDocumentBytes(std::string_view bytes) = 0;
  virtual absl::Status OnSnapshot(const SnapshotInfo& snapshot) = 0;
  virtual absl::Status OnSnapshotBytes(std::string_view bytes) = 0;
};

// Reads a bundle that comes in pieces cut anywhere. DATA_LOSS/ARCHIVE_DAMAGED when it is damaged or none,
// FAILED_PRECONDITION/ARCHIVE_VERSION when it is of another version; the sink's errors end it as well, and after an
// error nothing may follow. What the sink was given counts only once Finish was OK. Not thread-safe.
class BundleReader {
 public:
  explicit BundleReader(BundleSink& sink) : sink_(sink) {}

  absl::Status Take(std::string_view bytes);
  // Nothing follows.
  absl::Status Finish();

 private:
  // The bytes that the next part needs, and what is done with them.
  std::size_t Needed() const;
  absl::Status TakePart(std::string_view part);
  absl::Status TakeMagic(std::string_view part);
  absl::Status TakeFrame(std::uint8_t kind, std::string_view payload);
  absl::Status TakeBytes(std::uint8_t kind, std::string_view payload);
  absl::Status TooShort() const;

  enum class Part { kMagic, kFrameHead, kFrameRest, kDigest, kNone };

  BundleSink& sink_;
  Sha256 digest_;
  Part next_ = Part::kMagic;
  std::string pending_;           // of the next part
  std::string head_;              // of the present frame
  std::uint64_t offset_ = 0;      // of the next part
  std::uint64_t bytes_left_ = 0;  // of the document or snapshot
  std::uint8_t last_kind_ = 0;    // 1, 2 or 4
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_BUNDLE_H_
