#include <charconv>
#include <optional>

#include "client/command/commands.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

constexpr std::int64_t kMaxSeconds = std::int64_t{100} * 366 * 24 * 3600;

struct ExpireArguments {
  std::string session;
  std::optional<std::string> after;
  bool never = false;
  bool pin = false;
  bool unpin = false;
};

std::string Describe(const v1::Session& session) {
  const std::string name = Printable(session.name());
  if (!session.has_time_to_live()) return fmt::format("{} does not expire", name);
  const std::string unused = FormatDuration(ToMilliseconds(session.time_to_live()));
  if (session.pinned())
    return fmt::format("{} is pinned; without that it would expire {} after its last use", name, unused);
  return fmt::format("{} expires {} after its last use: {} unless it is used", name, unused,
                     FormatTime(session.expire_time()));
}

absl::Status Expire(const ExpireArguments& arguments, Context& context) {
  v1::UpdateSessionRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_session()->mutable_name(), SessionName(arguments.session));
  if (arguments.after.has_value()) {
    TOME_ASSIGN_OR_RETURN(*request.mutable_session()->mutable_time_to_live(),
                          ParseTimeToLive("--after", *arguments.after));
  }
  if (arguments.after.has_value() || arguments.never) request.mutable_update_mask()->add_paths("time_to_live");
  if (arguments.pin || arguments.unpin) {
    request.mutable_session()->set_pinned(arguments.pin);
    request.mutable_update_mask()->add_paths("pinned");
  }
  // Without a change only to look, which is no use of the session.
  TOME_ASSIGN_OR_RETURN(const v1::Session session,
                        request.update_mask().paths().empty()
                            ? context.client->GetSession(request.session().name(), context.call())
                            : context.client->UpdateSession(request, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << Describe(session) << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<google::protobuf::Duration> ParseTimeToLive(const std::string& option, const std::string& text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string unit(rest, end);
  const std::int64_t seconds = unit.empty() || unit == "s" ? 1
                               : unit == "m"               ? 60
                               : unit == "h"               ? 3600
                               : unit == "d"               ? 24 * 3600
                                                           : 0;
  if (error != std::errc() || seconds == 0 || number < 1 || number > kMaxSeconds / seconds) {
    return UsageError(
        fmt::format("{} {}: expected a time like 90s, 30m, 12h or 7d, up to 100 years", option, Printable(text)));
  }
  google::protobuf::Duration duration;
  duration.set_seconds(number * seconds);
  return duration;
}

void AddExpireCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<ExpireArguments>();
  CLI::App* command =
      app.add_subcommand("expire", "Say when a session is deleted if nobody uses it, or look when that is");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  CLI::Option* after =
      command->add_option("--after", arguments->after, "So long after its last use: 90s, 30m, 12h, 7d");
  command->add_flag("--never", arguments->never, "It is kept until somebody deletes it")->excludes(after);
  CLI::Option* pin = command->add_flag("--pin", arguments->pin, "Keep it for now, whatever its time");
  command->add_flag("--unpin", arguments->unpin, "Let its time count again")->excludes(pin);
  command->footer(
      "To append, to ask, to search, to watch and all that changes the session is to use it; to list or show it is "
      "not.\n"
      "Examples:\n"
      "  tome expire draft --after 7d\n"
      "  tome expire bible --pin\n"
      "  tome expire draft\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Expire(*arguments, context); }; });
}

}  // namespace tome::command
