#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <utility>

#include "client/command/commands.h"
#include "client/command/error_text.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/progress.h"
#include "client/command/terminal.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

struct AppendArguments {
  std::string session;
  std::string file;
  std::string document;
  bool no_wait = false;
  bool replace_invalid_utf8 = false;
  bool no_finish = false;
  bool continue_document = false;
};

std::string PhaseLabel(client::AppendPhase phase, std::uint32_t queue_position = 0) {
  if (phase == client::AppendPhase::kReading && queue_position > 0) {
    return fmt::format("waiting for memory, place {}", queue_position);
  }
  switch (phase) {
    case client::AppendPhase::kVerifying:
      return "comparing";
    case client::AppendPhase::kUploading:
      return "sending";
    case client::AppendPhase::kReading:
      return "reading";
  }
  return "";
}

ProgressView ViewOf(const client::AppendProgress& progress, bool wait) {
  ProgressView view{.label = PhaseLabel(progress.phase, progress.queue_position),
                    .done_bytes = wait ? progress.ingested_bytes : progress.durable_bytes,
                    .stored_bytes = progress.durable_bytes,
                    .total_bytes = progress.total_bytes,
                    .tokens_per_second = progress.tokens_per_second};
  if (progress.phase == client::AppendPhase::kVerifying) {
    view.done_bytes = progress.verified_bytes;
    view.total_bytes = progress.durable_bytes;
  } else if (wait) {
    view.time_left = progress.time_left;
    if (progress.phase == client::AppendPhase::kReading) view.total_bytes = progress.durable_bytes;
  }
  return view;
}

Json ProgressJson(const client::AppendProgress& progress) {
  Json json;
  json["event"] = "progress";
  json["phase"] = PhaseLabel(progress.phase);
  json["verified_bytes"] = progress.verified_bytes;
  json["durable_bytes"] = progress.durable_bytes;
  json["ingested_bytes"] = progress.ingested_bytes;
  json["total_bytes"] = nullptr;
  if (progress.total_bytes.has_value()) json["total_bytes"] = *progress.total_bytes;
  json["bytes_per_second"] = progress.bytes_per_second;
  json["tokens_per_second"] = progress.tokens_per_second;
  json["queue_position"] = progress.queue_position;
  json["time_left_seconds"] = nullptr;
  if (progress.time_left.has_value())
    json["time_left_seconds"] = static_cast<double>(progress.time_left->count()) / 1000;
  return json;
}

Json RetryJson(const client::RetryNotice& notice) {
  Json json;
  json["event"] = "retry";
  json["delay_seconds"] = static_cast<double>(notice.delay.count()) / 1000;
  json.update(ErrorToJson(notice.error));
  return json;
}

Json ReportJson(const char* event, const client::AppendOptions& options, const client::AppendReport& report) {
  Json json;
  json["event"] = event;
  json["session"] = options.session;
  json["document"] = options.document;
  json["durable_bytes"] = report.durable_bytes;
  json["ingested_bytes"] = report.ingested_bytes;
  json["sealed"] = report.sealed;
  json["already_there"] = report.already_there;
  json["resumed_at"] = report.resumed_at;
  json["retries"] = report.retries;
  if (report.conflict != client::AppendConflict::kNone) json["same_bytes"] = report.same_bytes;
  return json;
}

// Hands progress to the right form of output: JSON lines, or a bar or lines on standard error.
class AppendOutput {
 public:
  AppendOutput(Context& context, bool wait)
      : context_(context),
        wait_(wait),
        display_(context.err,
                 context.err_is_terminal ? [] { return TerminalColumns(STDERR_FILENO); } : std::function<int()>()) {}

  // Called on several threads.
  void OnProgress(const client::AppendProgress& progress) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(lost_, false) && !context_.options.json) {
      display_.Note(fmt::format("tome: connected again, with {} bytes stored", FormatCount(progress.durable_bytes)));
    }
    if (!context_.options.json) return display_.Show(ViewOf(progress, wait_));
    const auto now = std::chrono::steady_clock::now();
    if (progress.phase == json_phase_ && now - json_at_ < std::chrono::milliseconds(500)) return;
    json_phase_ = progress.phase;
    json_at_ = now;
    context_.PrintJson(ProgressJson(progress));
  }
  // People are told once that storing was interrupted, programs of every attempt.
  void OnRetry(const client::RetryNotice& notice) {
    const std::lock_guard lock(mutex_);
    if (context_.options.json) return context_.PrintJson(RetryJson(notice));
    if (std::exchange(lost_, true)) return;
    display_.Note(fmt::format("tome: interrupted ({}); trying again, from the committed offset on",
                              Printable(std::string(notice.error.message()))));
  }
  void Finish() { display_.Finish(/*keep=*/true); }

 private:
  Context& context_;
  const bool wait_;
  ProgressDisplay display_;
  std::mutex mutex_;
  // Guarded by mutex_.
  bool lost_ = false;
  std::optional<client::AppendPhase> json_phase_;
  std::chrono::steady_clock::time_point json_at_;
};

void TellSuccess(const client::AppendOptions& options, const client::AppendReport& report, Context& context) {
  if (context.options.json) return context.PrintJson(ReportJson("result", options, report));
  const std::string document = Printable(options.document);
  const std::string size = fmt::format("{} bytes", FormatCount(report.durable_bytes));
  if (report.already_there) {
    context.out << fmt::format("{} is already in {}: the same {}, sealed\n", document, options.session, size);
    return;
  }
  std::string read = ", reading goes on (tome watch shows it)";
  if (options.wait_until_read) read = ", read";
  if (options.wait_until_read && report.ingested_bytes < report.durable_bytes) {
    read = fmt::format(", {} of them read (a last part waits for more)", FormatCount(report.ingested_bytes));
  }
  context.out << fmt::format("{} in {}: {} stored{}{}\n", document, options.session, size, read,
                             report.sealed ? ", sealed" : ", open for more");
}

// Whether the same command may succeed when it is called again.
bool CanGoOn(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) || client::IsTransient(status);
}

// Where it stopped and how to go on.
std::string StopHint(const AppendArguments& arguments, const client::AppendOptions& options,
                     const client::AppendReport& report) {
  const std::string document = Printable(options.document);
  if (report.sealed) {
    return fmt::format("tome: all {} bytes of {} are stored; the server goes on reading (tome watch {})",
                       report.durable_bytes, document, options.session);
  }
  std::string command = fmt::format("tome append {} {}", options.session, ShellWord(arguments.file));
  if (!arguments.document.empty()) command += " --document " + ShellWord(arguments.document);
  if (arguments.no_finish) command += " --no-finish";
  if (arguments.replace_invalid_utf8) command += " --replace-invalid-utf8";
  const char* input = arguments.file == "-" ? " with the same input" : "";
  if (arguments.continue_document) {
    return fmt::format("tome: stopped with {} bytes of {} stored: {} of this input. Append the rest with --continue",
                       report.durable_bytes, document, report.durable_bytes - report.resumed_at);
  }
  return fmt::format("tome: stopped with {} bytes of {} stored. To go on: {}{} (resumes at byte {})",
                     report.durable_bytes, document, command, input, report.durable_bytes);
}

// What to do with an input that is not what the document holds.
std::string ConflictHint(const AppendArguments& arguments, const client::AppendOptions& options,
                         const client::AppendReport& report) {
  const std::string another = ShellWord(options.document + "-2");
  const auto append = [&](const std::string& file) {
    return fmt::format("tome append {} {} --document {}", options.session, file, another);
  };
  const std::string input = arguments.file == "-" ? "-" : ShellWord(arguments.file);
  if (report.conflict == client::AppendConflict::kLonger && arguments.file != "-") {
    return fmt::format("tome: to append only what follows: tail -c +{} {} | {}", report.same_bytes + 1, input,
                       append("-"));
  }
  if (report.conflict == client::AppendConflict::kShorter && !report.sealed) {
    return fmt::format("tome: the document is open: --continue appends an input behind its {} bytes",
                       report.durable_bytes);
  }
  return fmt::format("tome: to append the input as another text: {}", append(input));
}

absl::StatusOr<std::unique_ptr<client::FileSource>> OpenInput(const std::string& file) {
  auto source = file == "-" ? client::FileSource::StandardInput() : client::FileSource::Open(file);
  if (!source.ok()) return UsageError(std::string(source.status().message()));
  return source;
}

absl::Status Append(const AppendArguments& arguments, Context& context) {
  client::AppendOptions options;
  TOME_ASSIGN_OR_RETURN(options.session, SessionName(arguments.session));
  options.document = arguments.document;
  if (options.document.empty()) {
    options.document = arguments.file == "-" ? "stdin" : std::filesystem::path(arguments.file).filename().string();
  }
  options.finish = !arguments.no_finish;
  options.wait_until_read = !arguments.no_wait;
  options.continue_document = arguments.continue_document;
  if (arguments.replace_invalid_utf8) options.invalid_utf8 = v1::INVALID_UTF8_POLICY_REPLACE;
  TOME_ASSIGN_OR_RETURN(const auto source, OpenInput(arguments.file));

  AppendOutput output(context, options.wait_until_read);
  options.on_progress = [&output](const client::AppendProgress& progress) { output.OnProgress(progress); };
  client::CallOptions call = context.call();
  call.on_retry = [&output](const client::RetryNotice& notice) { output.OnRetry(notice); };
  client::AppendReport report;
  const absl::Status status = context.client->Append(*source, options, &report, call);
  output.Finish();
  if (status.ok()) {
    TellSuccess(options, report, context);
  } else if (report.begun && context.options.json) {
    context.PrintJson(ReportJson("stopped", options, report));
  } else if (report.conflict != client::AppendConflict::kNone) {
    context.hint = ConflictHint(arguments, options, report);
  } else if (report.begun && CanGoOn(status)) {
    context.hint = StopHint(arguments, options, report);
  }
  return status;
}

}  // namespace

void AddAppendCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<AppendArguments>();
  CLI::App* command = app.add_subcommand("append", "Stream a file, or standard input, into a session");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("FILE", arguments->file, "A UTF-8 text file, or - for standard input")->required();
  command->add_option("--document", arguments->document, "The document's name (default: the file's, or \"stdin\")");
  command->add_flag("--no-wait", arguments->no_wait, "Return when all is stored, while the model still reads");
  command->add_flag("--replace-invalid-utf8", arguments->replace_invalid_utf8,
                    "Read bytes that are not UTF-8 as U+FFFD instead of refusing the document");
  command->add_flag("--no-finish", arguments->no_finish, "Leave the document open, so that more can be appended");
  command->add_flag("--continue", arguments->continue_document,
                    "The input goes on where the document ends. Without it the input is the document from its first "
                    "byte on, and what is stored already is compared and not stored again");
  command->footer(
      "A lost connection is taken up again at the committed offset. After Ctrl-C, or when the server was away for too\n"
      "long, the same command goes on where it stopped.\n\n"
      "Examples:\n"
      "  tome append bible bible.txt\n"
      "  zcat logs/*.gz | tome append logs - --document july\n"
      "  tail -f app.log | tome append logs - --document app --no-finish --no-wait\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Append(*arguments, context); }; });
}

}  // namespace tome::command
