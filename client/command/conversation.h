// What `tome ask` reads from files and keeps in them: earlier turns, and prompt forms.
#ifndef TOME_CLIENT_COMMAND_CONVERSATION_H_
#define TOME_CLIENT_COMMAND_CONVERSATION_H_

#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tome/v1/tome.pb.h"

namespace tome::command {

// Turns of a conversation, oldest first: a line of JSON for each, {"question": ..., "answer": ...}. A file that can not
// be read, or a line that is something else, is a usage error that names it.
absl::StatusOr<std::vector<v1::Turn>> ReadHistory(const std::string& path);

// Adds turns to a file as ReadHistory reads them.
class HistoryWriter {
 public:
  // Opens the file, or makes it; an unfinished last line is ended. A usage error when it can not be written.
  static absl::StatusOr<HistoryWriter> Open(const std::string& path);
  absl::Status Add(const v1::Turn& turn);

 private:
  HistoryWriter(std::string path, std::ofstream file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  std::ofstream file_;
};

// A prompt form as model profiles have it: {"prompt": ..., "turn": ..., "chat": ..., "opening": ..., "stop": [...]},
// all but `prompt` optional. What the form says is the server's to check. A usage error names the file and the field.
absl::StatusOr<v1::CustomPromptForm> ReadPromptForm(const std::string& path);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_CONVERSATION_H_
