// The file that keeps what a session has read.
//
//   magic "TOMESNAP", u32 version, u32 size of the header, the header, u32 CRC-32C of all so far.
//   The header: texts (u64 length first): model digest, tokenizer digest, precision, memory options; u64 bytes and
//   tokens that were read, i64 time in microseconds since 1970. These numbers up to the header stay what they are in
//   all versions, so that a file of another version is told from a damaged one.
//   Then frames: u8 section, u8 encoding, u16 0, u32 stored bytes, u32 raw bytes (at most kFrameBytes), the stored
//   bytes, u32 CRC-32C of the frame so far. Encodings: 0 raw; 1 zstd, where that saves at least an eighth. Sections:
//   1, what the text pipeline holds (reading_state.h); then 2, the memory (engine/memory/state_format.h); then one
//   empty frame of section 0.
//   Then the SHA-256 of all so far, 32 bytes, which is the digest of the file. Nothing follows.
//
// Numbers are little-endian.
#ifndef TOME_SERVER_STORAGE_SNAPSHOT_FILE_H_
#define TOME_SERVER_STORAGE_SNAPSHOT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/digest.h"
#include "engine/engine.h"
#include "engine/files/byte_stream.h"
#include "server/storage/file_system.h"

namespace tome::server {

inline constexpr std::uint32_t kSnapshotVersion = 1;
inline constexpr std::size_t kFrameBytes = std::size_t{1} << 20;
inline constexpr std::size_t kSnapshotDigestBytes = 32;  // at the end of a file, of all before it

inline constexpr std::string_view kSnapshotPrefix = "snapshot-";
// Where a session's folder has its snapshot of this number.
std::string SnapshotPathIn(const std::string& folder, std::uint64_t number);

struct SnapshotHeader {
  std::string model_digest;
  std::string tokenizer_digest;
  std::string precision;
  std::string options;  // see FormatMemoryOptions
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  absl::Time create_time;  // microseconds

  friend bool operator==(const SnapshotHeader&, const SnapshotHeader&) = default;
};

// "sink=64 window=2048 segment=512 region=64 region-memory=selected=16,... attention=dense positions=own".
std::string FormatMemoryOptions(const MemoryOptions& options);

struct SnapshotFileInfo {
  std::uint64_t size_bytes = 0;
  std::string digest;  // hex
};

// Writes and syncs a file. `reading`: section 1; `write_state`: hands section 2 to a sink. After an error the file may
// be there in part. Errors are those of `files` and of `write_state`.
absl::StatusOr<SnapshotFileInfo> WriteSnapshotFile(FileSystem& files, const std::string& path,
                                                   const SnapshotHeader& header, std::string_view reading,
                                                   const std::function<absl::Status(const ByteSink&)>& write_state);

// Reads a file from its beginning to its end. Nothing of it may be believed before Finish was OK, but every frame is
// checked before its bytes are given out. DATA_LOSS when it is damaged. Not thread-safe.
class SnapshotReader {
 public:
  // FAILED_PRECONDITION/SNAPSHOT_MISMATCH with both values when it is of another format version.
  static absl::StatusOr<std::unique_ptr<SnapshotReader>> Open(FileSystem& files, const std::string& path);
  ~SnapshotReader();

  const SnapshotHeader& header() const { return header_; }
  const std::string& digest() const { return digest_; }

  // Section 1; first.
  absl::StatusOr<std::string> ReadReading();
  // Section 2; then.
  SizedByteSource& state();
  // All was read, and it is what the digest says. Reads on to the end where the state was left before.
  absl::Status Finish();
  // In place of the three: only whether they would be OK.
  absl::Status CheckRest();

 private:
  class Frames;

  explicit SnapshotReader(std::unique_ptr<Frames> frames);

  std::unique_ptr<Frames> frames_;
  SnapshotHeader header_;
  std::string digest_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_SNAPSHOT_FILE_H_
