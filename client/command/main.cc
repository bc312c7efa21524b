// The `tome` command: command line -> connection -> subcommand -> exit code.

#include <unistd.h>

#include <cmath>
#include <iostream>

#include "client/command/commands.h"
#include "client/command/error_text.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/input_file.h"
#include "client/command/interrupt.h"
#include "client/command/terminal.h"
#include "engine/base/status.h"
#include "engine/files/file_kind.h"

namespace tome::command {
namespace {

constexpr char kFooter[] =
    "A first walk:\n"
    "  tome create --id bible                      make a session\n"
    "  tome append bible bible.txt                 stream a document into it and wait until it is read\n"
    "  tome ask bible \"Who was Moses?\" --cite      ask about it, and see what the answer rests on\n"
    "  tome search bible \"Who was Moses?\"          only find the text\n"
    "tome COMMAND --help tells more about a command.\n\n";

void AddGlobalOptions(CLI::App& app, GlobalOptions* options, std::string* output) {
  app.add_option("--server", options->server, "The server's host:port")->envname("TOME_SERVER")->capture_default_str();
  app.add_option("--output", *output, "text for people, json for programs: one value, or a line for each event")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--timeout", options->timeout_seconds, "Give up after this many seconds (0: never)")
      ->check(CLI::Range(0.0, 1e9));
  app.add_flag("--tls", options->tls, "Encrypt the connection and check the server's certificate");
  app.add_option("--tls-ca", options->tls_ca, "Trust the certificates in this PEM file; means --tls");
  app.set_version_flag("--version", "tome " TOME_VERSION);
}

absl::StatusOr<client::ConnectOptions> ConnectOptionsOf(const GlobalOptions& options) {
  client::ConnectOptions connect{.address = options.server};
  if (!options.tls && options.tls_ca.empty()) return connect;
  connect.tls.emplace();
  if (options.tls_ca.empty()) return connect;
  const absl::StatusOr<std::string> bytes = ReadInputFile(options.tls_ca);
  if (!bytes.ok()) return UsageError(fmt::format("--tls-ca: {}", std::string(bytes.status().message())));
  if (bytes->find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    return UsageError(fmt::format("--tls-ca: {}: expected certificates in PEM form, found {}",
                                  Printable(options.tls_ca), DescribeFile(*bytes)));
  }
  connect.tls->root_certificates = *bytes;
  return connect;
}

absl::Status RunAction(const Action& action, Context& context) {
  TOME_ASSIGN_OR_RETURN(client::ConnectOptions connect, ConnectOptionsOf(context.options));
  TOME_ASSIGN_OR_RETURN(context.client, client::Client::Connect(std::move(connect)));
  if (context.options.timeout_seconds > 0) {
    const std::chrono::duration<double> timeout(context.options.timeout_seconds);
    context.deadline =
        std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(timeout);
  }
  TOME_RETURN_IF_ERROR(action(context));
  context.out.flush();
  return context.out.good() ? absl::OkStatus() : Internal("cannot write to standard output");
}

int Run(const Action& action, const GlobalOptions& options) {
  client::Cancellation cancellation;
  InterruptHandler interrupts(&cancellation);
  Context context{.options = options,
                  .cancellation = &cancellation,
                  .out = std::cout,
                  .err = std::cerr,
                  .out_is_terminal = IsTerminal(STDOUT_FILENO),
                  .err_is_terminal = IsTerminal(STDERR_FILENO)};
  const absl::Status status = RunAction(action, context);
  if (!status.ok() && interrupts.signal() != 0) {
    std::cerr << (context.hint.empty() ? "tome: stopped" : context.hint) << '\n';
    return 128 + interrupts.signal();
  }
  if (!status.ok() && options.json) {
    std::cerr << Dump(ErrorToJson(status)) << '\n';
  } else if (!status.ok()) {
    std::cerr << "tome: " << DescribeError(status, options.server) << '\n';
    if (!context.hint.empty()) std::cerr << context.hint << '\n';
  }
  return static_cast<int>(ExitCodeFor(status));
}

int Main(int argc, char** argv) {
  CLI::App app("Ask questions of long documents that a Tome server has read.", "tome");
  GlobalOptions options;
  std::string output = "text";
  Action action;
  AddGlobalOptions(app, &options, &output);
  AddSessionCommands(app, &action);
  AddForkCommand(app, &action);
  AddSnapshotCommands(app, &action);
  AddTransferCommands(app, &action);
  AddExpireCommand(app, &action);
  AddAppendCommand(app, &action);
  AddAskCommand(app, &action);
  AddSearchCommand(app, &action);
  AddScoreCommand(app, &action);
  AddWatchCommand(app, &action);
  AddModelCommands(app, &action);
  AddVerifyCommand(app, &action);
  for (CLI::App* command : app.get_subcommands({})) command->fallthrough();
  app.require_subcommand(1);
  app.footer(kFooter + ExitCodeHelp());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    std::cerr << "tome: " << error.what() << " (tome --help explains)\n";
    return static_cast<int>(ExitCode::kUsage);
  }
  options.json = output == "json";
  return Run(action, options);
}

}  // namespace
}  // namespace tome::command

int main(int argc, char** argv) { return tome::command::Main(argc, argv); }
