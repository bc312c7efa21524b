#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
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

// Bytes that went over, as a bar or lines on standard error; nothing with --output json.
class TransferProgress {
 public:
  // `total`: as far as it is known.
  TransferProgress(Context& context, std::string label, std::optional<std::uint64_t> total)
      : quiet_(context.options.json),
        label_(std::move(label)),
        total_(total),
        display_(context.err,
                 context.err_is_terminal ? [] { return TerminalColumns(STDERR_FILENO); } : std::function<int()>()) {}

  void Show(std::uint64_t bytes) {
    if (quiet_) return;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
    ProgressView view{.label = label_, .done_bytes = bytes, .stored_bytes = bytes, .total_bytes = total_};
    if (elapsed.count() > 0.2) view.bytes_per_second = static_cast<double>(bytes) / elapsed.count();
    if (total_.has_value()) view.total_bytes = std::max(*total_, bytes);
    if (total_.has_value() && view.bytes_per_second > 0) {
      const double seconds = static_cast<double>(*view.total_bytes - bytes) / view.bytes_per_second;
      view.time_left = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
    }
    display_.Show(view);
  }
  void Note(const std::string& line) {
    if (!quiet_) display_.Note(line);
  }
  void Finish() { display_.Finish(/*keep=*/true); }

 private:
  const bool quiet_;
  const std::string label_;
  const std::optional<std::uint64_t> total_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  ProgressDisplay display_;
};

// --- export ---

absl::Status FileError(const std::string& path, const std::string& what) {
  return FailedPrecondition("{}: {}: {}", path, what, std::generic_category().message(errno));
}

// A file that has its name only once all of it is on disk. Dropping it before that leaves nothing.
class BundleFile {
 public:
  explicit BundleFile(std::string path) : path_(std::move(path)), partial_(path_ + ".partial") {}
  ~BundleFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(partial_.c_str());
  }

  absl::Status Begin() {
    // Documents may be private.
    descriptor_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return descriptor_ >= 0 ? absl::OkStatus() : FileError(partial_, "cannot be made");
  }
  absl::Status Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FileError(partial_, "cannot be written");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return absl::OkStatus();
  }
  absl::Status Restart() {
    if (ftruncate(descriptor_, 0) != 0 || lseek(descriptor_, 0, SEEK_SET) != 0) {
      return FileError(partial_, "cannot be emptied");
    }
    return absl::OkStatus();
  }
  absl::Status Finish() {
    if (fsync(descriptor_) != 0) return FileError(partial_, "cannot be written");
    if (std::rename(partial_.c_str(), path_.c_str()) != 0) return FileError(path_, "cannot be made");
    close(std::exchange(descriptor_, -1));
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::string partial_;
  int descriptor_ = -1;
};

struct ExportArguments {
  std::string session;
  std::string file = "-";
  bool without_snapshot = false;
};

// About how long the bundle will be.
absl::StatusOr<std::uint64_t> ExpectedBytes(const v1::ExportSessionRequest& request, Context& context) {
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->GetSession(request.name(), context.call()));
  std::uint64_t bytes = session.durable_bytes();
  if (!request.without_snapshot() && !session.snapshots().empty()) bytes += session.snapshots(0).size_bytes();
  return bytes;
}

// Tells people when the connection was lost, once until it gets further. `bytes`: of the bundle that are here.
client::CallOptions CallWithNotes(TransferProgress& progress, const std::uint64_t& bytes, Context& context) {
  client::CallOptions call = context.call();
  call.on_retry = [&progress, &bytes,
                   told = std::optional<std::uint64_t>()](const client::RetryNotice& notice) mutable {
    if (std::exchange(told, bytes) == bytes) return;
    progress.Note(fmt::format("tome: interrupted ({}); trying again, from byte {} on",
                              Printable(std::string(notice.error.message())), FormatCount(bytes)));
  };
  return call;
}

absl::Status ExportToFile(const v1::ExportSessionRequest& request, const std::string& path, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::uint64_t expected, ExpectedBytes(request, context));
  BundleFile file(path);
  TOME_RETURN_IF_ERROR(file.Begin());
  TransferProgress progress(context, "exporting", expected);
  std::uint64_t bytes = 0;
  const client::BundleSink sink = {.take =
                                       [&](std::string_view piece) {
                                         bytes += piece.size();
                                         progress.Show(bytes);
                                         return file.Write(piece);
                                       },
                                   .restart =
                                       [&] {
                                         bytes = 0;
                                         progress.Note("tome: connection lost; beginning anew");
                                         return file.Restart();
                                       }};
  TOME_RETURN_IF_ERROR(context.client->ExportSession(request, sink, CallWithNotes(progress, bytes, context)));
  TOME_RETURN_IF_ERROR(file.Finish());
  progress.Finish();
  if (context.options.json) {
    context.PrintJson({{"session", request.name()}, {"file", path}, {"bytes", bytes}});
  } else {
    context.out << fmt::format("{} is in {}: {} bytes\n", Printable(request.name()), Printable(path),
                               FormatCount(bytes));
  }
  return absl::OkStatus();
}

absl::Status ExportToOutput(const v1::ExportSessionRequest& request, Context& context) {
  if (context.options.json) return UsageError("export to standard output is the bundle only: name a FILE");
  if (context.out_is_terminal)
    return UsageError("a bundle is no text for a terminal: name a FILE, or redirect the output");
  TOME_ASSIGN_OR_RETURN(const std::uint64_t expected, ExpectedBytes(request, context));
  TransferProgress progress(context, "exporting", expected);
  std::uint64_t bytes = 0;
  const auto take = [&](std::string_view piece) -> absl::Status {
    bytes += piece.size();
    progress.Show(bytes);
    context.out << piece;
    return context.out.good() ? absl::OkStatus() : Internal("cannot write to standard output");
  };
  return context.client->ExportSession(request, {.take = take, .restart = nullptr},
                                       CallWithNotes(progress, bytes, context));
}

absl::Status Export(const ExportArguments& arguments, Context& context) {
  v1::ExportSessionRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_name(), SessionName(arguments.session));
  request.set_without_snapshot(arguments.without_snapshot);
  return arguments.file == "-" ? ExportToOutput(request, context) : ExportToFile(request, arguments.file, context);
}

void AddExport(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand("export", "Write a session to a file, for another server or as a backup");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("FILE", arguments->file, "The bundle; - is standard output")->capture_default_str();
  command->add_flag("--without-snapshot", arguments->without_snapshot,
                    "Only the text: the bundle is smaller, and the session is read again where it is imported");
  command->footer(
      "The file has its name only when all of it is there; an older one of the same name is replaced then.\n"
      "After a lost connection it goes on where it was.\n"
      "Examples:\n"
      "  tome export bible bible.tome\n"
      "  tome export bible | tome import --server other:7440\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Export(*arguments, context); }; });
}

// --- import ---

// Whether an error says what is wrong with the bytes themselves.
bool IsAboutBundle(const absl::Status& status) { return client::DetailsOf(status).reason.starts_with("ARCHIVE_"); }

absl::Status Import(const std::string& file, const std::string& id, Context& context) {
  const auto source = file == "-" ? client::FileSource::StandardInput() : client::FileSource::Open(file);
  if (!source.ok()) return UsageError(std::string(source.status().message()));
  TransferProgress progress(context, "importing", (*source)->size());
  std::uint64_t bytes = 0;
  client::CallOptions call = context.call();
  call.on_retry = [&](const client::RetryNotice& notice) {
    progress.Note(fmt::format("tome: interrupted after {} bytes ({}); sending again from the first",
                              FormatCount(std::exchange(bytes, 0)), Printable(std::string(notice.error.message()))));
  };
  const auto on_sent = [&](std::uint64_t sent) {
    bytes = sent;
    progress.Show(bytes);
  };
  const absl::StatusOr<v1::Session> imported = context.client->ImportSession(id, **source, on_sent, call);
  if (!imported.ok()) return IsAboutBundle(imported.status()) ? Annotate(imported.status(), file) : imported.status();
  const v1::Session& session = *imported;
  progress.Finish();
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << Printable(session.name()) << '\n';
  }
  return absl::OkStatus();
}

void AddImport(CLI::App& app, Action* action) {
  auto file = std::make_shared<std::string>("-"), id = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("import", "Make a session of a bundle, and print its name");
  command->add_option("FILE", *file, "A bundle that tome export wrote; - is standard input")->capture_default_str();
  command->add_option("--id", *id, "The session's id (default: the one in the bundle)");
  command->footer(
      "The session is there once the server has checked all of the bundle, or not at all.\n"
      "Examples:\n"
      "  tome import bible.tome\n"
      "  tome import bible.tome --id bible-2\n");
  command->callback(
      [file, id, action] { *action = [file, id](Context& context) { return Import(*file, *id, context); }; });
}

}  // namespace

void AddTransferCommands(CLI::App& app, Action* action) {
  AddExport(app, action);
  AddImport(app, action);
}

}  // namespace tome::command
