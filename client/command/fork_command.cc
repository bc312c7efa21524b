#include "client/command/commands.h"
#include "client/command/format.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

struct ForkArguments {
  std::string session;
  std::string id;
  std::string display_name;
};

absl::Status Fork(const ForkArguments& arguments, Context& context) {
  v1::ForkSessionRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_name(), SessionName(arguments.session));
  request.set_session_id(arguments.id);
  request.set_display_name(arguments.display_name);
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->ForkSession(request, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << Printable(session.name()) << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddForkCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<ForkArguments>();
  CLI::App* command = app.add_subcommand(
      "fork", "Make a session that has all that another one has stored and read, and print its name");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("--id", arguments->id, "The new session's id: a-z, 0-9 and '-', 4 to 63 of them, a letter first");
  command->add_option("--name", arguments->display_name, "Its name for people (default: that of the other one)");
  command->footer(
      "Nothing is copied or read again. From then on each of the two goes its own way.\n"
      "Examples:\n"
      "  tome fork bible --id bible-with-notes\n"
      "  tome append bible-with-notes notes.txt\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Fork(*arguments, context); }; });
}

}  // namespace tome::command
