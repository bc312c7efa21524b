#include "client/source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/status.h"

namespace tome::client {
namespace {

absl::Status SystemError(int error, const std::string& what) {
  return absl::Status(absl::ErrnoToStatusCode(error), fmt::format("{}: {}", what, std::strerror(error)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileSource>> FileSource::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return SystemError(errno, fmt::format("cannot open {}", path));
  return Wrap(path, descriptor, /*owned=*/true);
}

absl::StatusOr<std::unique_ptr<FileSource>> FileSource::StandardInput() {
  return Wrap("standard input", STDIN_FILENO, /*owned=*/false);
}

absl::StatusOr<std::unique_ptr<FileSource>> FileSource::Wrap(std::string label, int descriptor, bool owned) {
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int wake_error = errno;
  // From here on the destructor closes both.
  struct stat information = {};
  const bool known = fstat(descriptor, &information) == 0;
  const int stat_error = errno;
  std::optional<std::uint64_t> size;
  const off_t position = lseek(descriptor, 0, SEEK_CUR);
  if (known && S_ISREG(information.st_mode)) {
    if (position >= 0 && position <= information.st_size) size = information.st_size - position;
  }
  std::unique_ptr<FileSource> source(new FileSource(label, descriptor, owned, wake, position, size));
  if (wake < 0) return SystemError(wake_error, "cannot make an event descriptor");
  if (!known) return SystemError(stat_error, fmt::format("cannot look at {}", label));
  if (S_ISDIR(information.st_mode)) return FailedPrecondition("{} is a folder; name a file", label);
  return source;
}

FileSource::~FileSource() {
  if (wake_ >= 0) close(wake_);
  if (owned_) close(descriptor_);
}

absl::StatusOr<std::size_t> FileSource::Read(char* buffer, std::size_t size) {
  while (true) {
    pollfd waited[2] = {{descriptor_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (poll(waited, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return SystemError(errno, fmt::format("cannot wait for {}", label_));
    }
    if (waited[1].revents != 0) return absl::CancelledError(fmt::format("reading {} was interrupted", label_));
    const ssize_t got = read(descriptor_, buffer, size);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR && errno != EAGAIN) return SystemError(errno, fmt::format("cannot read {}", label_));
  }
}

absl::Status FileSource::Rewind() {
  if (!size_.has_value() || lseek(descriptor_, begin_, SEEK_SET) < 0) {
    return FailedPrecondition("{} cannot be read again", label_);
  }
  return absl::OkStatus();
}

void FileSource::Interrupt() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the descriptor is readable already.
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
}

}  // namespace tome::client
