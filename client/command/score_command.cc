#include <cmath>

#include "client/command/commands.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/input_file.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome::command {
namespace {

struct ScoreArguments {
  std::string session;
  std::string text;
  std::string file;
  bool tokens = false;
  std::string wait_for;
};

absl::StatusOr<std::string> TextOf(const ScoreArguments& arguments) {
  if (arguments.text.empty() == arguments.file.empty()) return UsageError("give either TEXT or --file");
  if (arguments.file.empty()) return arguments.text;
  TOME_ASSIGN_OR_RETURN(std::string text, ReadTextFile(arguments.file));
  if (text.empty())
    return UsageError(fmt::format("{}: expected a text, found an empty file", Printable(arguments.file)));
  return text;
}

std::string RenderTokens(const v1::ScoreResponse& response) {
  std::string lines;
  for (const v1::TokenScore& token : response.tokens()) {
    lines +=
        token.has_log_probability() ? fmt::format("{:>10.4f}", token.log_probability()) : fmt::format("{:>10}", "-");
    lines += fmt::format("  {}\n", token.piece());
  }
  return lines;
}

absl::Status Score(const ScoreArguments& arguments, Context& context) {
  v1::ScoreRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_session(), SessionName(arguments.session));
  TOME_ASSIGN_OR_RETURN(*request.mutable_text(), TextOf(arguments));
  if (!IsValidUtf8(request.text())) return UsageError("the text is not UTF-8");
  TOME_ASSIGN_OR_RETURN(const std::uint64_t bytes, BytesToWaitFor(arguments.wait_for, request.session(), context));
  request.set_wait_for_ingested_bytes(bytes);
  TOME_ASSIGN_OR_RETURN(const v1::ScoreResponse response, context.client->Score(request, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(response));
    return absl::OkStatus();
  }
  if (arguments.tokens) context.out << RenderTokens(response);
  const double scored = static_cast<double>(std::max<std::uint64_t>(1, response.scored_tokens()));
  context.out << fmt::format("{} of {} tokens scored: {:.4f} nats in all, {:.4f} each, perplexity {:.3f}\n",
                             response.scored_tokens(), response.tokens_size(), -response.log_probability(),
                             -response.log_probability() / scored, std::exp(-response.log_probability() / scored));
  return absl::OkStatus();
}

}  // namespace

void AddScoreCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<ScoreArguments>();
  CLI::App* command = app.add_subcommand("score", "How likely a text is after what a session has read");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("TEXT", arguments->text, "The text, as it would go on, in quotes");
  command->add_option("--file", arguments->file, "Take the text from this file");
  command->add_flag("--tokens", arguments->tokens, "Print the log-probability of each token");
  AddWaitOptions(command, &arguments->wait_for);
  command->footer(
      "The model reads the text as if it followed what the session has read, and tells how likely it finds each token\n"
      "(natural logarithms). Nothing of it stays in the session. A text mostly begins with a space, as a new word "
      "does.\n\n"
      "Examples:\n"
      "  tome score bible \" In the beginning God created the heaven and the earth.\"\n"
      "  tome score bible --file psalm.txt --tokens\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Score(*arguments, context); }; });
}

}  // namespace tome::command
