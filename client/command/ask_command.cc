#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "client/command/ask_summary.h"
#include "client/command/commands.h"
#include "client/command/conversation.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/regions.h"
#include "client/command/table.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome::command {
namespace {

struct AskArguments {
  std::string session;
  std::string question;
  std::string form;
  std::string form_file;
  std::string instruction;
  std::vector<std::pair<std::string, std::string>> turns;
  std::string history;
  std::string save_history;
  std::string mode;
  std::string effort;
  std::uint32_t budget_tokens = 0;
  std::optional<std::uint32_t> citations;
  bool cite_text = false;
  std::uint32_t max_tokens = 0;
  double temperature = 0;
  std::uint32_t top_k = 0;
  double top_p = 0;
  double min_p = 0;
  double repetition_penalty = 0;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  bool log_probabilities = false;
  std::string wait_for;
};

const std::map<std::string, v1::PromptForm>& Forms() {
  static const std::map<std::string, v1::PromptForm> forms = {{"chat", v1::PROMPT_FORM_CHAT},
                                                              {"raw", v1::PROMPT_FORM_RAW},
                                                              {"qa", v1::PROMPT_FORM_QUESTION_ANSWER},
                                                              {"profile", v1::PROMPT_FORM_PROFILE}};
  return forms;
}

const std::map<std::string, v1::AnswerMode>& Modes() {
  static const std::map<std::string, v1::AnswerMode> modes = {
      {"reread", v1::ANSWER_MODE_REREAD}, {"window", v1::ANSWER_MODE_WINDOW}, {"attend", v1::ANSWER_MODE_ATTEND}};
  return modes;
}

absl::Status SetMode(const AskArguments& arguments, v1::AskRequest* request) {
  if (const auto mode = Modes().find(arguments.mode); mode != Modes().end()) request->set_mode(mode->second);
  const bool cites = arguments.citations.has_value() || arguments.cite_text;
  const bool finds = cites || !arguments.effort.empty() || arguments.budget_tokens > 0;
  if (finds && request->mode() == v1::ANSWER_MODE_WINDOW) {
    return UsageError("--effort, --budget and --cite are about text that is found: they need --mode reread or attend");
  }
  request->set_effort(EffortOf(arguments.effort));
  request->set_budget_tokens(arguments.budget_tokens);
  request->mutable_citations()->set_include_text(cites);
  request->mutable_citations()->set_max_citations(arguments.citations.value_or(0));
  return absl::OkStatus();
}

absl::Status SetForm(const AskArguments& arguments, v1::AskRequest* request) {
  if (const auto form = Forms().find(arguments.form); form != Forms().end()) request->set_prompt_form(form->second);
  if (arguments.form_file.empty()) return absl::OkStatus();
  request->set_prompt_form(v1::PROMPT_FORM_CUSTOM);
  TOME_ASSIGN_OR_RETURN(*request->mutable_custom_form(), ReadPromptForm(arguments.form_file));
  return absl::OkStatus();
}

// Those of the history first. A history that is to be saved may begin with this question.
absl::Status SetTurns(const AskArguments& arguments, v1::AskRequest* request) {
  std::error_code ignored;
  const bool begins =
      arguments.history == arguments.save_history && !std::filesystem::exists(arguments.history, ignored);
  if (!arguments.history.empty() && !begins) {
    TOME_ASSIGN_OR_RETURN(const std::vector<v1::Turn> turns, ReadHistory(arguments.history));
    for (const v1::Turn& turn : turns) *request->add_turns() = turn;
  }
  for (const auto& [question, answer] : arguments.turns) {
    if (!IsValidUtf8(question) || !IsValidUtf8(answer)) return UsageError("--turn is not UTF-8");
    v1::Turn& turn = *request->add_turns();
    turn.set_question(question);
    turn.set_answer(answer);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::AskRequest> RequestOf(const AskArguments& arguments) {
  v1::AskRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_session(), SessionName(arguments.session));
  for (const std::string& text : {arguments.question, arguments.instruction}) {
    if (!IsValidUtf8(text)) return UsageError("the question or the instruction is not UTF-8");
  }
  request.set_question(arguments.question);
  request.set_instruction(arguments.instruction);
  TOME_RETURN_IF_ERROR(SetForm(arguments, &request));
  TOME_RETURN_IF_ERROR(SetTurns(arguments, &request));
  TOME_RETURN_IF_ERROR(SetMode(arguments, &request));
  v1::GenerationOptions& generation = *request.mutable_generation();
  generation.set_max_tokens(arguments.max_tokens);
  generation.set_temperature(arguments.temperature);
  generation.set_top_k(arguments.top_k);
  generation.set_top_p(arguments.top_p);
  generation.set_min_p(arguments.min_p);
  generation.set_repetition_penalty(arguments.repetition_penalty);
  generation.set_seed(arguments.seed);
  for (const std::string& stop : arguments.stop) {
    if (!IsValidUtf8(stop)) return UsageError("--stop is not UTF-8");
    generation.add_stop(stop);
  }
  generation.set_log_probabilities(arguments.log_probabilities);
  return request;
}

Json Event(const char* name, const google::protobuf::Message& message) {
  Json json;
  json["event"] = name;
  json.update(ToJson(message));
  return json;
}

std::string ProgressText(const v1::AskProgress& progress) {
  const std::string percent = progress.total() > 0 ? " " + FormatPercent(progress.done(), progress.total()) : "";
  switch (progress.phase()) {
    case v1::AskProgress::PHASE_WAITING_FOR_READING:
      return "waiting until the session is read" + percent;
    case v1::AskProgress::PHASE_QUEUED:
      return "waiting for the model";
    case v1::AskProgress::PHASE_READING_QUESTION:
      return "reading the question" + percent;
    case v1::AskProgress::PHASE_ROUTING:
      return "finding the text" + percent;
    case v1::AskProgress::PHASE_RERANKING:
      return "ranking the text" + percent;
    case v1::AskProgress::PHASE_READING_TEXT:
      return "reading the text" + percent;
    default:
      return "";
  }
}

// Writes the answer as it comes, in text form.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(Context& context) : context_(context) {}

  void OnProgress(const v1::AskProgress& progress) {
    // Only where it can be taken away again.
    if (!context_.err_is_terminal || answered_) return;
    context_.err << "\r\x1b[K" << ProgressText(progress) << std::flush;
    status_shown_ = true;
  }
  void OnDelta(const v1::AskDelta& delta) {
    ClearStatus();
    if (!delta.text().empty()) {
      answered_ = true;
      at_line_start_ = delta.text().back() == '\n';
      context_.out << (context_.out_is_terminal ? Printable(delta.text(), /*keep_lines=*/true) : delta.text())
                   << std::flush;
    }
    tokens_.insert(tokens_.end(), delta.tokens().begin(), delta.tokens().end());
  }
  // Ends the answer's line, also of one that was cut short.
  void EndLine() {
    ClearStatus();
    if (answered_ && !at_line_start_) context_.out << std::endl;
    at_line_start_ = true;
  }
  void PrintTokens() const {
    if (tokens_.empty()) return;
    Table table({{"TOKEN", true}, {"LOG-PROBABILITY", true}, {"PIECE"}});
    for (const v1::TokenLogProbability& token : tokens_) {
      table.AddRow({std::to_string(token.token()), fmt::format("{:.4f}", token.log_probability()), token.piece()});
    }
    context_.err << table.Render();
  }

 private:
  void ClearStatus() {
    if (status_shown_) context_.err << "\r\x1b[K" << std::flush;
    status_shown_ = false;
  }

  Context& context_;
  bool status_shown_ = false;
  bool answered_ = false;
  bool at_line_start_ = true;
  std::vector<v1::TokenLogProbability> tokens_;
};

absl::StatusOr<v1::AskResult> AskForPeople(const AskArguments& arguments, const v1::AskRequest& request,
                                           Context& context) {
  AnswerPrinter printer(context);
  const client::AskCallbacks callbacks{
      .on_progress = [&printer](const v1::AskProgress& progress) { printer.OnProgress(progress); },
      .on_delta = [&printer](const v1::AskDelta& delta) { printer.OnDelta(delta); }};
  auto result = context.client->Ask(request, callbacks, context.call());
  printer.EndLine();
  TOME_RETURN_IF_ERROR(result.status());
  printer.PrintTokens();
  if (!result->citations().empty() && request.citations().include_text()) {
    context.out << '\n' << RenderRegions(result->citations(), arguments.cite_text) << std::flush;
  }
  context.err << FormatAskSummary(*result) << '\n';
  return result;
}

absl::StatusOr<v1::AskResult> AskForPrograms(const v1::AskRequest& request, Context& context) {
  const client::AskCallbacks callbacks{
      .on_progress = [&](const v1::AskProgress& progress) { context.PrintJson(Event("progress", progress)); },
      .on_delta = [&](const v1::AskDelta& delta) { context.PrintJson(Event("delta", delta)); }};
  auto result = context.client->Ask(request, callbacks, context.call());
  if (result.ok()) context.PrintJson(Event("result", *result));
  return result;
}

// Without white space around it: prompt forms put in their own.
std::string Trimmed(const std::string& text) {
  constexpr const char* kSpaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

absl::Status Ask(const AskArguments& arguments, Context& context) {
  TOME_ASSIGN_OR_RETURN(v1::AskRequest request, RequestOf(arguments));
  std::optional<HistoryWriter> history;
  if (!arguments.save_history.empty()) {
    TOME_ASSIGN_OR_RETURN(history, HistoryWriter::Open(arguments.save_history));
  }
  TOME_ASSIGN_OR_RETURN(const std::uint64_t bytes, BytesToWaitFor(arguments.wait_for, request.session(), context));
  request.set_wait_for_ingested_bytes(bytes);
  TOME_ASSIGN_OR_RETURN(const v1::AskResult result, context.options.json ? AskForPrograms(request, context)
                                                                         : AskForPeople(arguments, request, context));
  if (!history) return absl::OkStatus();
  v1::Turn turn;
  turn.set_question(request.question());
  turn.set_answer(Trimmed(result.answer()));
  return history->Add(turn);
}

void AddConversationOptions(CLI::App* command, AskArguments* arguments) {
  CLI::Option* form = command
                          ->add_option("--form", arguments->form,
                                       "How the question is put: chat, raw, qa or profile (default: the profile's, "
                                       "else the model's own)")
                          ->check(CLI::IsMember({"chat", "raw", "qa", "profile"}));
  command
      ->add_option("--form-file", arguments->form_file,
                   "A prompt form of your own, as JSON: {\"prompt\": \"{text}\\n\\n{question}\", ...}")
      ->excludes(form);
  command->add_option("--instruction", arguments->instruction, "What the answer should be like");
  command->add_option("--turn", arguments->turns, "An earlier question and its answer; any number of times")
      ->type_name("QUESTION ANSWER")
      ->allow_extra_args(false)
      ->take_all();
  command->add_option("--history", arguments->history,
                      "Earlier turns from a file, a line of JSON for each: {\"question\": ..., \"answer\": ...}");
  command->add_option("--save-history", arguments->save_history,
                      "Add this question and its answer to a file; the same one as --history goes on with it");
}

void AddTextOptions(CLI::App* command, AskArguments* arguments) {
  command
      ->add_option("--mode", arguments->mode,
                   "reread: over text found and read again (default); attend: over what the session keeps of the text "
                   "found; window: over the first and the last text read")
      ->check(CLI::IsMember({"reread", "attend", "window"}));
  AddEffortOption(command, &arguments->effort);
  command->add_option("--budget", arguments->budget_tokens,
                      "Most tokens of the text found that are used (0: the profile's, else 512, or half of a small "
                      "model's context)");
  command
      ->add_option("--cite", arguments->citations, "Print the text that the answer rests on: at most N regions of it")
      ->expected(0, 1)
      ->default_str("8")
      ->type_name("[N]");
  command->add_flag("--cite-text", arguments->cite_text, "As --cite, with the whole text of each region");
}

void AddGenerationOptions(CLI::App* command, AskArguments* arguments) {
  command->add_option("--max-tokens", arguments->max_tokens,
                      "Longest answer in tokens (0: 256, or what the model's context has room for)");
  command->add_option("--temperature", arguments->temperature, "0 takes the likeliest token, higher is more varied");
  command->add_option("--top-k", arguments->top_k, "Choose among this many tokens (0: all)");
  command->add_option("--top-p", arguments->top_p, "Choose among the likeliest tokens that add up to this (0: all)");
  command->add_option("--min-p", arguments->min_p, "Drop tokens less likely than this times the likeliest");
  command->add_option("--repetition-penalty", arguments->repetition_penalty, "Above 1 repeats less (0: no penalty)");
  command->add_option("--seed", arguments->seed, "The same seed gives the same answer");
  command->add_option("--stop", arguments->stop, "A text that ends the answer; any number of times")->take_all();
  command->add_flag("--log-probabilities", arguments->log_probabilities, "Also give each token's log-probability");
}

const std::map<std::string, v1::Effort>& Efforts() {
  static const std::map<std::string, v1::Effort> efforts = {
      {"fast", v1::EFFORT_FAST}, {"balanced", v1::EFFORT_BALANCED}, {"thorough", v1::EFFORT_THOROUGH}};
  return efforts;
}

}  // namespace

CLI::Option* AddEffortOption(CLI::App* command, std::string* effort) {
  return command
      ->add_option("--effort", *effort,
                   "fast: text is found by words and attention; balanced: the model ranks the best 40 regions, and "
                   "more while none stands out (default); thorough: 256")
      ->check(CLI::IsMember({"fast", "balanced", "thorough"}));
}

v1::Effort EffortOf(const std::string& effort) {
  const auto found = Efforts().find(effort);
  return found == Efforts().end() ? v1::EFFORT_UNSPECIFIED : found->second;
}

std::string EffortName(v1::Effort effort) {
  for (const auto& [name, value] : Efforts()) {
    if (value == effort) return name;
  }
  return "default";
}

void AddWaitOptions(CLI::App* command, std::string* wait_for) {
  CLI::Option* bytes =
      command
          ->add_option("--wait-for", *wait_for,
                       "First wait until this many bytes of the session have been read, or all that is stored now")
          ->type_name("BYTES|all");
  command->add_flag_callback("--wait-for-all", [wait_for] { *wait_for = "all"; }, "As --wait-for all")->excludes(bytes);
}

absl::StatusOr<std::uint64_t> BytesToWaitFor(const std::string& wait_for, const std::string& session,
                                             Context& context) {
  if (wait_for.empty()) return 0;
  if (wait_for == "all") {
    TOME_ASSIGN_OR_RETURN(const v1::Session found, context.client->GetSession(session, context.call()));
    return found.durable_bytes();
  }
  std::uint64_t bytes = 0;
  const char* const last = wait_for.data() + wait_for.size();
  const auto [end, error] = std::from_chars(wait_for.data(), last, bytes);
  if (error == std::errc() && end == last) return bytes;
  return UsageError(fmt::format("--wait-for {}: expected a number of bytes, or all", Printable(wait_for)));
}

void AddAskCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<AskArguments>();
  CLI::App* command = app.add_subcommand("ask", "Ask about what a session has read");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("QUESTION", arguments->question, "The question, in quotes")->required();
  AddConversationOptions(command, arguments.get());
  AddWaitOptions(command, &arguments->wait_for);
  AddTextOptions(command, arguments.get());
  AddGenerationOptions(command, arguments.get());
  command->footer(
      "The answer goes to standard output as it is made, and the citations below it: each with the document, the "
      "range\n"
      "of bytes in it, and a score, the probability that the question was asked of this region rather than of another\n"
      "one found. A line with usage, timings and what of the session was seen goes to standard error. Questions never\n"
      "change a session.\n\n"
      "Examples:\n"
      "  tome ask bible \"Who built the ark?\"\n"
      "  tome ask bible \"Who built the ark?\" --cite 3\n"
      "  tome ask bible \"Who built the ark?\" --effort thorough --budget 1024 --cite-text\n"
      "  tome ask bible \"How does it end?\" --mode window\n"
      "  tome ask bible \"Who built the ark?\" --history talk.jsonl --save-history talk.jsonl\n"
      "  tome ask bible \"Who built the ark?\" --form qa --max-tokens 40\n"
      "  tome ask bible \"Name three kings.\" --wait-for-all --temperature 0.7 --seed 1\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Ask(*arguments, context); }; });
}

}  // namespace tome::command
