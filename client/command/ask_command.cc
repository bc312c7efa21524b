#include <cmath>
#include <map>

#include "client/command/ask_summary.h"
#include "client/command/commands.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/table.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome::command {
namespace {

struct AskArguments {
  std::string session;
  std::string question;
  std::string form;
  std::string instruction;
  std::uint32_t max_tokens = 0;
  double temperature = 0;
  std::uint32_t top_k = 0;
  double top_p = 0;
  double min_p = 0;
  double repetition_penalty = 0;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  bool log_probabilities = false;
  bool wait_for_all = false;
};

const std::map<std::string, v1::PromptForm>& Forms() {
  static const std::map<std::string, v1::PromptForm> forms = {
      {"chat", v1::PROMPT_FORM_CHAT}, {"raw", v1::PROMPT_FORM_RAW}, {"qa", v1::PROMPT_FORM_QUESTION_ANSWER}};
  return forms;
}

absl::StatusOr<v1::AskRequest> RequestOf(const AskArguments& arguments) {
  v1::AskRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_session(), SessionName(arguments.session));
  for (const std::string& text : {arguments.question, arguments.instruction}) {
    if (!IsValidUtf8(text)) return UsageError("the question or the instruction is not UTF-8");
  }
  request.set_question(arguments.question);
  request.set_instruction(arguments.instruction);
  if (const auto form = Forms().find(arguments.form); form != Forms().end()) request.set_prompt_form(form->second);
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

absl::Status AskForPeople(const v1::AskRequest& request, Context& context) {
  AnswerPrinter printer(context);
  const client::AskCallbacks callbacks{
      .on_progress = [&printer](const v1::AskProgress& progress) { printer.OnProgress(progress); },
      .on_delta = [&printer](const v1::AskDelta& delta) { printer.OnDelta(delta); }};
  const auto result = context.client->Ask(request, callbacks, context.call());
  printer.EndLine();
  TOME_RETURN_IF_ERROR(result.status());
  printer.PrintTokens();
  context.err << FormatAskSummary(*result) << '\n';
  return absl::OkStatus();
}

absl::Status AskForPrograms(const v1::AskRequest& request, Context& context) {
  const client::AskCallbacks callbacks{
      .on_progress = [&](const v1::AskProgress& progress) { context.PrintJson(Event("progress", progress)); },
      .on_delta = [&](const v1::AskDelta& delta) { context.PrintJson(Event("delta", delta)); }};
  TOME_ASSIGN_OR_RETURN(const v1::AskResult result, context.client->Ask(request, callbacks, context.call()));
  context.PrintJson(Event("result", result));
  return absl::OkStatus();
}

absl::Status Ask(const AskArguments& arguments, Context& context) {
  TOME_ASSIGN_OR_RETURN(v1::AskRequest request, RequestOf(arguments));
  if (arguments.wait_for_all) {
    TOME_ASSIGN_OR_RETURN(const v1::Session session, context.client->GetSession(request.session(), context.call()));
    request.set_wait_for_ingested_bytes(session.durable_bytes());
  }
  return context.options.json ? AskForPrograms(request, context) : AskForPeople(request, context);
}

void AddGenerationOptions(CLI::App* command, AskArguments* arguments) {
  command->add_option("--max-tokens", arguments->max_tokens, "Longest answer in tokens (0: 256)");
  command->add_option("--temperature", arguments->temperature, "0 takes the likeliest token, higher is more varied");
  command->add_option("--top-k", arguments->top_k, "Choose among this many tokens (0: all)");
  command->add_option("--top-p", arguments->top_p, "Choose among the likeliest tokens that add up to this (0: all)");
  command->add_option("--min-p", arguments->min_p, "Drop tokens less likely than this times the likeliest");
  command->add_option("--repetition-penalty", arguments->repetition_penalty, "Above 1 repeats less (0: no penalty)");
  command->add_option("--seed", arguments->seed, "The same seed gives the same answer");
  command->add_option("--stop", arguments->stop, "A text that ends the answer; any number of times")->take_all();
  command->add_flag("--log-probabilities", arguments->log_probabilities, "Also give each token's log-probability");
}

}  // namespace

void AddAskCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<AskArguments>();
  CLI::App* command = app.add_subcommand("ask", "Ask about what a session has read");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("QUESTION", arguments->question, "The question, in quotes")->required();
  command->add_option("--form", arguments->form, "How the question is put: chat, raw or qa (default: the model's own)")
      ->check(CLI::IsMember({"chat", "raw", "qa"}));
  command->add_option("--instruction", arguments->instruction, "What the answer should be like");
  command->add_flag("--wait-for-all", arguments->wait_for_all, "First wait until all that is stored has been read");
  AddGenerationOptions(command, arguments.get());
  command->footer(
      "The answer goes to standard output as it is made; a line with usage, timings and what of the session could be\n"
      "seen goes to standard error. Questions never change a session.\n\n"
      "Examples:\n"
      "  tome ask bible \"Who built the ark?\"\n"
      "  tome ask bible \"Who built the ark?\" --form qa --max-tokens 40\n"
      "  tome ask bible \"Name three kings.\" --wait-for-all --temperature 0.7 --seed 1\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Ask(*arguments, context); }; });
}

}  // namespace tome::command
