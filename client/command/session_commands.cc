#include <unistd.h>

#include <algorithm>

#include "client/command/commands.h"
#include "client/command/error_text.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/memory_options.h"
#include "client/command/table.h"
#include "client/source.h"
#include "engine/base/status.h"

namespace tome::command {
namespace {

// --- create ---

struct CreateArguments {
  std::string id;
  std::string display_name;
  std::vector<std::string> labels;
  std::string time_to_live;
  bool pinned = false;
  MemoryArguments memory;
};

absl::Status Create(const CreateArguments& arguments, Context& context) {
  v1::CreateSessionRequest request;
  request.set_session_id(arguments.id);
  request.mutable_session()->set_display_name(arguments.display_name);
  for (const std::string& label : arguments.labels) {
    const std::size_t at = label.find('=');
    if (at == std::string::npos || at == 0) {
      return UsageError(fmt::format("--label {}: expected KEY=VALUE", Printable(label)));
    }
    (*request.mutable_session()->mutable_labels())[label.substr(0, at)] = label.substr(at + 1);
  }
  *request.mutable_session()->mutable_options() = ToProto(arguments.memory);
  if (!arguments.time_to_live.empty()) {
    TOME_ASSIGN_OR_RETURN(*request.mutable_session()->mutable_time_to_live(),
                          ParseTimeToLive("--expire-after", arguments.time_to_live));
  }
  request.mutable_session()->set_pinned(arguments.pinned);
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->CreateSession(request, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << Printable(session.name()) << '\n';
  }
  return absl::OkStatus();
}

void AddCreate(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = app.add_subcommand("create", "Make an empty session and print its name");
  command->add_option("--name", arguments->display_name, "A name for people, at most 128 characters");
  command->add_option("--label", arguments->labels, "KEY=VALUE, any number of times")
      ->type_name("KEY=VALUE")
      ->take_all();
  command->add_option("--id", arguments->id, "The session's id: a-z, 0-9 and '-', 4 to 63 of them, a letter first");
  command->add_option("--expire-after", arguments->time_to_live,
                      "Delete it when it was not used for so long: 90s, 30m, 12h, 7d");
  command->add_flag("--pin", arguments->pinned, "Keep it all the same, until tome expire --unpin");
  AddMemoryOptions(command, &arguments->memory);
  command->footer(
      "Examples:\n"
      "  tome create --id bible --name \"King James Bible\" --label language=en\n"
      "  session=$(tome create)\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Create(*arguments, context); }; });
}

// --- list ---

std::string ReadShare(std::uint64_t ingested_bytes, std::uint64_t durable_bytes) {
  return durable_bytes == 0 ? "-" : FormatPercent(ingested_bytes, durable_bytes);
}

absl::Status List(const v1::ListSessionsRequest& query, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::vector<v1::Session> sessions, context.client->ListSessions(query, context.call()));
  if (context.options.json) {
    Json json = Json::array();
    for (const v1::Session& session : sessions) json.push_back(ToJson(session));
    context.PrintJson(json);
    return absl::OkStatus();
  }
  if (sessions.empty()) {
    context.err << (query.filter().empty() ? "no sessions yet: tome create makes one\n" : "no such sessions\n");
    return absl::OkStatus();
  }
  Table table({{"SESSION"}, {"NAME"}, {"PHASE"}, {"DOCUMENTS", true}, {"STORED", true}, {"READ", true}, {"CREATED"}});
  for (const v1::Session& session : sessions) {
    table.AddRow({session.name(), session.display_name(), PhaseName(session.phase()),
                  FormatCount(session.documents_size()), FormatBytes(session.durable_bytes()),
                  ReadShare(session.ingested_bytes(), session.durable_bytes()), FormatTime(session.create_time())});
  }
  context.out << table.Render();
  return absl::OkStatus();
}

void AddList(CLI::App& app, Action* action) {
  auto filter = std::make_shared<std::string>(), order = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("list", "List sessions, newest first");
  command->add_option(
      "--filter", *filter,
      "Only those of which all these hold, joined by \" AND \": labels.KEY=VALUE, labels.KEY:*, "
      "display_name:TEXT, phase=PHASE, residency=PLACE, pinned=true, durable_bytes>NUMBER (or <NUMBER)");
  command->add_option("--order", *order,
                      "By create_time, update_time, last_use_time, durable_bytes, display_name or name; with \" desc\" "
                      "after it the other way round");
  command->footer(
      "Examples:\n"
      "  tome list\n"
      "  tome list --filter 'labels.team=red AND durable_bytes>1000000' --order 'last_use_time desc'\n"
      "  tome list --output json | jq -r '.[].name'\n");
  command->callback([filter, order, action] {
    *action = [filter, order](Context& context) {
      v1::ListSessionsRequest query;
      query.set_filter(*filter);
      query.set_order_by(*order);
      return List(query, context);
    };
  });
}

// --- show ---

std::string ResidencyName(v1::Residency residency) {
  switch (residency) {
    case v1::RESIDENCY_NONE:
      return "none yet";
    case v1::RESIDENCY_RESIDENT:
      return "resident";
    case v1::RESIDENCY_EVICTED:
      return "evicted";
    case v1::RESIDENCY_RESTORING:
      return "restoring";
    default:
      return "unknown";
  }
}

std::string RenderDocuments(const v1::Session& session) {
  Table table({{"DOCUMENT"}, {"STORED", true}, {"READ", true}, {"TOKENS", true}, {"SEALED"}, {"CREATED"}});
  for (const v1::Document& document : session.documents()) {
    table.AddRow({document.name(), FormatBytes(document.durable_bytes()),
                  ReadShare(document.ingested_bytes(), document.durable_bytes()),
                  FormatCount(document.ingested_tokens()), document.sealed() ? "yes" : "no",
                  FormatTime(document.create_time())});
  }
  return table.Render();
}

// A session that nobody has used since the server started has read nothing yet, but need not read what is on disk.
std::string ReadText(const v1::Session& session) {
  const std::string text = fmt::format("{}, {} tokens", ReadShare(session.ingested_bytes(), session.durable_bytes()),
                                       FormatCount(session.ingested_tokens()));
  if (session.snapshots().empty()) return text;
  const v1::Snapshot& newest = session.snapshots(0);
  if (newest.ingested_bytes() <= session.ingested_bytes()) return text;
  return fmt::format("{}; on disk {}, {} tokens, which are loaded when the session is used", text,
                     ReadShare(newest.ingested_bytes(), session.durable_bytes()),
                     FormatCount(newest.ingested_tokens()));
}

std::string RenderSession(const v1::Session& session) {
  std::string labels;
  const std::map<std::string, std::string> sorted(session.labels().begin(), session.labels().end());
  for (const auto& [key, value] : sorted) labels += fmt::format("{}{}={}", labels.empty() ? "" : " ", key, value);
  const v1::MemoryOptions& memory = session.options();
  std::vector<std::pair<std::string, std::string>> fields = {{"session", session.name()}};
  if (!session.display_name().empty()) fields.emplace_back("name", session.display_name());
  if (!labels.empty()) fields.emplace_back("labels", labels);
  fields.emplace_back("phase", PhaseText(session.phase(), session.queue_position()));
  if (!session.problem().empty()) fields.emplace_back("problem", session.problem());
  fields.emplace_back("stored", fmt::format("{} ({} bytes)", FormatBytes(session.durable_bytes()),
                                            FormatCount(session.durable_bytes())));
  fields.emplace_back("read", ReadText(session));
  fields.emplace_back("state", fmt::format("{}, {} of at most {}", ResidencyName(session.residency()),
                                           FormatBytes(session.state_bytes()), FormatBytes(session.max_state_bytes())));
  fields.emplace_back("archive", fmt::format("{}, {} in memory", FormatBytes(session.archive_bytes()),
                                             FormatBytes(session.archive_resident_bytes())));
  fields.emplace_back("memory", fmt::format("sink {}, window {}, segment {}, region {} tokens", memory.sink_tokens(),
                                            memory.window_tokens(), memory.segment_tokens(), memory.region_tokens()));
  fields.emplace_back("region memory", memory.region_memory());
  if (memory.attention() != "dense") fields.emplace_back("attention", memory.attention());
  if (!memory.position_encoding().empty()) fields.emplace_back("positions", memory.position_encoding());
  fields.emplace_back("created", FormatTime(session.create_time()));
  fields.emplace_back("changed", FormatTime(session.update_time()));
  fields.emplace_back("last used", FormatTime(session.last_use_time()));
  if (session.has_expire_time())
    fields.emplace_back("expires", FormatTime(session.expire_time()) + " unless it is used");
  if (session.pinned()) fields.emplace_back("pinned", "yes");
  fields.emplace_back("model", session.model_digest().substr(0, 16));
  std::string text = RenderFields(fields);
  if (!session.documents().empty()) text += '\n' + RenderDocuments(session);
  if (session.snapshots().empty()) return text;
  Table table({{"SNAPSHOT", true}, {"READ", true}, {"TOKENS", true}, {"DISK", true}, {"CREATED"}});
  for (const v1::Snapshot& snapshot : session.snapshots()) {
    table.AddRow({FormatCount(snapshot.number()), FormatBytes(snapshot.ingested_bytes()),
                  FormatCount(snapshot.ingested_tokens()), FormatBytes(snapshot.size_bytes()),
                  FormatTime(snapshot.create_time())});
  }
  return text + '\n' + table.Render();
}

absl::Status Show(const std::string& argument, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::string name, SessionName(argument));
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->GetSession(name, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << RenderSession(session);
  }
  return absl::OkStatus();
}

void AddShow(CLI::App& app, Action* action) {
  auto session = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("show", "Show a session and its documents");
  command->add_option("SESSION", *session, "\"sessions/x\" or \"x\"")->required();
  command->footer("Examples:\n  tome show bible\n  tome show bible --output json | jq .ingested_tokens\n");
  command->callback([session, action] { *action = [session](Context& context) { return Show(*session, context); }; });
}

// --- documents ---

absl::Status Documents(const std::string& argument, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::string name, SessionName(argument));
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->GetSession(name, context.call()));
  if (context.options.json) {
    Json json = Json::array();
    for (const v1::Document& document : session.documents()) json.push_back(ToJson(document));
    context.PrintJson(json);
  } else if (session.documents().empty()) {
    context.err << "no documents yet: tome append writes one\n";
  } else {
    context.out << RenderDocuments(session);
  }
  return absl::OkStatus();
}

void AddDocuments(CLI::App& app, Action* action) {
  auto session = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("documents", "List the documents of a session in reading order");
  command->add_option("SESSION", *session, "\"sessions/x\" or \"x\"")->required();
  command->footer("Examples:\n  tome documents bible\n  tome documents bible --output json | jq -r '.[].name'\n");
  command->callback(
      [session, action] { *action = [session](Context& context) { return Documents(*session, context); }; });
}

// --- rename ---

absl::Status Rename(const std::string& argument, const std::string& display_name, Context& context) {
  TOME_ASSIGN_OR_RETURN(const std::string name, SessionName(argument));
  v1::UpdateSessionRequest request;
  request.mutable_session()->set_name(name);
  request.mutable_session()->set_display_name(display_name);
  request.mutable_update_mask()->add_paths("display_name");
  TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->UpdateSession(request, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(session));
  } else {
    context.out << fmt::format("{} is now named \"{}\"\n", Printable(session.name()),
                               Printable(session.display_name()));
  }
  return absl::OkStatus();
}

void AddRename(CLI::App& app, Action* action) {
  auto session = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("rename", "Give a session another name for people; its id stays");
  command->add_option("SESSION", *session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("NAME", *name, "The new name, at most 128 characters; \"\" for none")->required();
  command->footer("Examples:\n  tome rename bible \"King James Bible\"\n");
  command->callback([session, name, action] {
    *action = [session, name](Context& context) { return Rename(*session, *name, context); };
  });
}

// --- delete ---

// Asks on the terminal. A Ctrl-C, an end of input and everything but yes mean no.
absl::StatusOr<bool> Confirm(const std::string& question, Context& context) {
  context.err << question << " [y/N] " << std::flush;
  TOME_ASSIGN_OR_RETURN(const auto input, client::FileSource::StandardInput());
  const auto interrupting = context.cancellation->OnCancel([&input] { input->Interrupt(); });
  char answer[256];
  TOME_ASSIGN_OR_RETURN(const std::size_t size, input->Read(answer, sizeof answer));
  return size > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

absl::Status Delete(const std::vector<std::string>& arguments, bool yes, Context& context) {
  std::vector<std::string> names;
  for (const std::string& argument : arguments) {
    TOME_ASSIGN_OR_RETURN(std::string name, SessionName(argument));
    names.push_back(std::move(name));
  }
  if (!yes && isatty(STDIN_FILENO) == 1) {
    const std::string what = names.size() == 1 ? names[0] : fmt::format("{} sessions", names.size());
    TOME_ASSIGN_OR_RETURN(const bool wanted, Confirm(fmt::format("Delete {} with all that was read?", what), context));
    if (!wanted) {
      context.err << "nothing was deleted\n";
      return absl::OkStatus();
    }
  }
  std::vector<absl::Status> errors;
  Json json = Json::array();
  for (const std::string& name : names) {
    const absl::Status status = context.client->DeleteSession(name, context.call());
    if (absl::IsCancelled(status)) return status;
    json.push_back({{"name", name}, {"deleted", status.ok()}});
    if (!status.ok()) errors.push_back(status);
    if (context.options.json) continue;
    if (status.ok()) context.out << "deleted " << name << '\n';
    if (!status.ok() && names.size() > 1) {
      context.err << fmt::format("tome: {}: {}\n", name, DescribeError(status, context.options.server));
    }
  }
  if (context.options.json) context.PrintJson(json);
  if (errors.empty()) return absl::OkStatus();
  if (names.size() == 1) return errors[0];
  return absl::Status(errors[0].code(), fmt::format("{} of {} sessions were not deleted", errors.size(), names.size()));
}

void AddDelete(CLI::App& app, Action* action) {
  auto sessions = std::make_shared<std::vector<std::string>>();
  auto yes = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("delete", "Delete sessions with their documents");
  command->add_option("SESSION", *sessions, "\"sessions/x\" or \"x\", one or more")->required();
  command->add_flag("--yes,-y", *yes, "Do not ask. Without a terminal nothing is asked either");
  command->footer("Examples:\n  tome delete bible\n  tome delete --yes draft-1 draft-2\n");
  command->callback([sessions, yes, action] {
    *action = [sessions, yes](Context& context) { return Delete(*sessions, *yes, context); };
  });
}

}  // namespace

std::string PhaseName(v1::Session::Phase phase) {
  switch (phase) {
    case v1::Session::PHASE_IDLE:
      return "idle";
    case v1::Session::PHASE_READING:
      return "reading";
    case v1::Session::PHASE_EVICTED:
      return "evicted";
    case v1::Session::PHASE_RESTORING:
      return "restoring";
    case v1::Session::PHASE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

std::string PhaseText(v1::Session::Phase phase, std::uint32_t queue_position) {
  if (queue_position == 0) return PhaseName(phase);
  return fmt::format("{}, waiting for memory (place {})", PhaseName(phase), queue_position);
}

void AddSessionCommands(CLI::App& app, Action* action) {
  AddCreate(app, action);
  AddList(app, action);
  AddShow(app, action);
  AddDocuments(app, action);
  AddRename(app, action);
  AddDelete(app, action);
}

}  // namespace tome::command
