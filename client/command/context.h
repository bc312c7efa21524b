// What every subcommand works with.
#ifndef TOME_CLIENT_COMMAND_CONTEXT_H_
#define TOME_CLIENT_COMMAND_CONTEXT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/command/json.h"

namespace tome::command {

// The options before or after any subcommand.
struct GlobalOptions {
  std::string server = "127.0.0.1:7440";
  bool json = false;
  double timeout_seconds = 0;  // 0: none
  bool tls = false;
  std::string tls_ca;  // path; empty: the system's
};

// One run of the command. One thread, but for what it hands to calls.
struct Context {
  GlobalOptions options;
  client::Cancellation* cancellation = nullptr;
  std::unique_ptr<client::Client> client;
  std::optional<std::chrono::system_clock::time_point> deadline;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // Told below the error of a command that failed or was stopped: how to go on.
  std::string hint;

  client::CallOptions call() const { return {.cancellation = cancellation, .deadline = deadline}; }
  // A line of JSON to standard output, flushed for who reads along.
  void PrintJson(const Json& json) const;
};

// What a subcommand does once the command line was understood.
using Action = std::function<absl::Status(Context&)>;

// "sessions/x" for "x" and "sessions/x". A usage error for what cannot be a session.
absl::StatusOr<std::string> SessionName(const std::string& argument);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_CONTEXT_H_
