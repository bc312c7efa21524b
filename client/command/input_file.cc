#include "client/command/input_file.h"

#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/source.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/files/file_kind.h"

namespace tome::command {
namespace {

constexpr std::size_t kMostFileBytes = 16 << 20;

}  // namespace

absl::StatusOr<std::string> ReadInputFile(const std::string& path) {
  const auto file = client::FileSource::Open(path);
  if (!file.ok()) return UsageError(std::string(file.status().message()));
  std::string bytes;
  char part[64 << 10];
  while (true) {
    const absl::StatusOr<std::size_t> size = (*file)->Read(part, sizeof part);
    if (!size.ok()) return UsageError(std::string(size.status().message()));
    if (*size == 0) return bytes;
    bytes.append(part, *size);
    if (bytes.size() > kMostFileBytes) {
      return UsageError(fmt::format("{}: it has more than {} bytes", Printable(path), FormatCount(kMostFileBytes)));
    }
  }
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  TOME_ASSIGN_OR_RETURN(std::string text, ReadInputFile(path));
  if (IsValidUtf8(text)) return text;
  return UsageError(fmt::format("{}: it is not UTF-8, but {}", Printable(path), DescribeFile(text)));
}

}  // namespace tome::command
