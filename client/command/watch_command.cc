#include <unistd.h>

#include "client/command/commands.h"
#include "client/command/format.h"
#include "client/command/progress.h"
#include "client/command/terminal.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

ProgressView ViewOf(const v1::WatchResponse& report) {
  ProgressView view{.label = PhaseText(report.phase(), report.queue_position()),
                    .done_bytes = report.ingested_bytes(),
                    .stored_bytes = report.durable_bytes(),
                    .total_bytes = report.durable_bytes(),
                    .tokens_per_second = report.tokens_per_second()};
  if (report.has_time_left()) view.time_left = ToMilliseconds(report.time_left());
  return view;
}

absl::Status Watch(const std::string& argument, Context& context) {
  v1::WatchRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_session(), SessionName(argument));
  if (context.options.json) {
    const auto print = [&context](const v1::WatchResponse& report) {
      context.PrintJson(ToJson(report));
      return true;
    };
    return context.client->Watch(request, print, context.call());
  }
  // The progress is the result here, so it goes to standard output.
  ProgressDisplay display(
      context.out, context.out_is_terminal ? [] { return TerminalColumns(STDOUT_FILENO); } : std::function<int()>());
  std::string problem;
  const auto show = [&](const v1::WatchResponse& report) {
    display.Show(ViewOf(report));
    if (report.problem() != problem) display.Note("problem: " + Printable(report.problem()));
    problem = report.problem();
    return true;
  };
  const absl::Status status = context.client->Watch(request, show, context.call());
  display.Finish(/*keep=*/true);
  return status;
}

}  // namespace

void AddWatchCommand(CLI::App& app, Action* action) {
  auto session = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("watch", "Follow how a session is read");
  command->add_option("SESSION", *session, "\"sessions/x\" or \"x\"")->required();
  command->footer(
      "Ends when everything stored has been read and every document is sealed, or with Ctrl-C. Watching changes\n"
      "nothing.\n\n"
      "Examples:\n"
      "  tome watch bible\n"
      "  tome watch bible --output json | jq .tokens_per_second\n");
  command->callback([session, action] { *action = [session](Context& context) { return Watch(*session, context); }; });
}

}  // namespace tome::command
