// Where the bytes of a document come from.
#ifndef TOME_CLIENT_SOURCE_H_
#define TOME_CLIENT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tome::client {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Puts at most `size` bytes into `buffer` and returns how many; 0 is the end. Blocks until there is at least one.
  // One thread calls it, not necessarily the one that made the source.
  virtual absl::StatusOr<std::size_t> Read(char* buffer, std::size_t size) = 0;

  // All bytes from the first to the end, where that is known beforehand.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }

  // The next Read begins with the first byte again. FAILED_PRECONDITION when these bytes come only once.
  virtual absl::Status Rewind() { return absl::FailedPreconditionError("the bytes come only once"); }

  // Makes a blocked Read, and all later ones, return CANCELLED soon. From any thread. A source that never blocks for
  // long need not care.
  virtual void Interrupt() {}
};

// A file, a pipe or a terminal. Its Read can be interrupted.
class FileSource : public ByteSource {
 public:
  // Errors name the path and what is wrong with it: NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (a folder).
  static absl::StatusOr<std::unique_ptr<FileSource>> Open(const std::string& path);
  static absl::StatusOr<std::unique_ptr<FileSource>> StandardInput();

  ~FileSource() override;
  absl::StatusOr<std::size_t> Read(char* buffer, std::size_t size) override;
  std::optional<std::uint64_t> size() const override { return size_; }
  absl::Status Rewind() override;
  void Interrupt() override;

 private:
  FileSource(std::string label, int descriptor, bool owned, int wake, std::int64_t begin,
             std::optional<std::uint64_t> size)
      : label_(std::move(label)), descriptor_(descriptor), owned_(owned), wake_(wake), begin_(begin), size_(size) {}
  static absl::StatusOr<std::unique_ptr<FileSource>> Wrap(std::string label, int descriptor, bool owned);

  const std::string label_;  // for messages
  const int descriptor_;
  const bool owned_;
  const int wake_;            // an eventfd that Interrupt() makes readable
  const std::int64_t begin_;  // where the descriptor stood at first, where it stands anywhere
  const std::optional<std::uint64_t> size_;
};

// Bytes that a function makes; it follows the rules of ByteSource::Read.
class CallbackSource : public ByteSource {
 public:
  using Function = std::function<absl::StatusOr<std::size_t>(char* buffer, std::size_t size)>;
  explicit CallbackSource(Function function, std::optional<std::uint64_t> size = std::nullopt)
      : function_(std::move(function)), size_(size) {}
  absl::StatusOr<std::size_t> Read(char* buffer, std::size_t size) override { return function_(buffer, size); }
  std::optional<std::uint64_t> size() const override { return size_; }

 private:
  Function function_;
  std::optional<std::uint64_t> size_;
};

}  // namespace tome::client

#endif  // TOME_CLIENT_SOURCE_H_
