#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "client/command/commands.h"
#include "client/command/exit_code.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

// The format of data folders is the server's, so its program does the work: the one beside this one, else that of PATH.
absl::Status Verify(const std::string& folder, Context& context) {
  if (context.options.json) return UsageError("verify prints text only");
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string program = (own.parent_path() / "tome-server").string();
  if (error || access(program.c_str(), X_OK) != 0) program = "tome-server";
  context.out.flush();
  execlp(program.c_str(), "tome-server", "--verify", folder.c_str(), nullptr);
  return NotFound("tome-server, which does the checking, is neither beside this program nor in PATH");
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Action* action) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("verify", "Check a data folder on this machine, and tell each problem");
  command->add_option("FOLDER", *folder, "A --data-dir that no server has open")->required();
  command->footer("Ends with 0 when there is no problem, else with 1.\nExamples:\n  tome verify tome-data\n");
  command->callback([folder, action] { *action = [folder](Context& context) { return Verify(*folder, context); }; });
}

}  // namespace tome::command
