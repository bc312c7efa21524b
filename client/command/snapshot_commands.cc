#include "client/command/commands.h"
#include "client/command/format.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

absl::Status Snapshot(const std::string& argument, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::string name, SessionName(argument));
  TOME_ASSIGN_OR_RETURN(const v1::Snapshot snapshot, context.client->SnapshotSession(name, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(snapshot));
  } else {
    context.out << fmt::format("snapshot {} of {}: {} tokens ({} of text) in {}\n", snapshot.number(), Printable(name),
                               FormatCount(snapshot.ingested_tokens()), FormatBytes(snapshot.ingested_bytes()),
                               FormatBytes(snapshot.size_bytes()));
  }
  return absl::OkStatus();
}

absl::Status Reread(const std::string& argument, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::string name, SessionName(argument));
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->RereadSession(name, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << fmt::format("{}: {} of text are read again\n", Printable(name),
                               FormatBytes(session.durable_bytes()));
  }
  return absl::OkStatus();
}

void AddSnapshot(CLI::App& app, Action* action) {
  auto session = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("snapshot", "Write what a session has read to disk, so that it need not be read again");
  command->add_option("SESSION", *session, "\"sessions/x\" or \"x\"")->required();
  command->footer(
      "The server does so by itself now and then, before it evicts a session, and when it stops.\n"
      "Examples:\n  tome snapshot bible\n");
  command->callback(
      [session, action] { *action = [session](Context& context) { return Snapshot(*session, context); }; });
}

void AddReread(CLI::App& app, Action* action) {
  auto session = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("reread", "Drop what was read, and read the stored documents again");
  command->add_option("SESSION", *session, "\"sessions/x\" or \"x\"")->required();
  command->footer(
      "For a session whose snapshots were made by another model, tokenizer or version.\n"
      "Examples:\n  tome reread bible && tome watch bible\n");
  command->callback([session, action] { *action = [session](Context& context) { return Reread(*session, context); }; });
}

}  // namespace

void AddSnapshotCommands(CLI::App& app, Action* action) {
  AddSnapshot(app, action);
  AddReread(app, action);
}

}  // namespace tome::command
