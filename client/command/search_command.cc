#include <map>

#include "client/command/commands.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/regions.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome::command {
namespace {

struct SearchArguments {
  std::string session;
  std::string query;
  std::string effort;
  int limit = 10;
  bool whole_text = false;
  std::string wait_for;
};

std::string Summary(const v1::SearchResponse& response) {
  const v1::Timings& timings = response.timings();
  std::string summary =
      fmt::format("looked through {} regions of {} tokens | finding {}", FormatCount(response.regions_scanned()),
                  FormatCount(response.ingested_tokens()), FormatDuration(ToMilliseconds(timings.routing())));
  if (response.regions_reranked() > 0) {
    summary += fmt::format(", ranking {} of them {}", FormatCount(response.regions_reranked()),
                           FormatDuration(ToMilliseconds(timings.reranking())));
  }
  return summary + "\n";
}

absl::Status Search(const SearchArguments& arguments, Context& context) {
  v1::SearchRequest request;
  TOME_ASSIGN_OR_RETURN(*request.mutable_session(), SessionName(arguments.session));
  if (!IsValidUtf8(arguments.query)) return UsageError("the query is not UTF-8");
  request.set_query(arguments.query);
  request.set_effort(EffortOf(arguments.effort));
  request.set_page_size(arguments.limit);
  request.set_include_text(true);
  TOME_ASSIGN_OR_RETURN(const std::uint64_t bytes, BytesToWaitFor(arguments.wait_for, request.session(), context));
  request.set_wait_for_ingested_bytes(bytes);
  TOME_ASSIGN_OR_RETURN(const v1::SearchResponse response, context.client->Search(request, context.call()));
  if (context.options.json) {
    context.PrintJson(ToJson(response));
    return absl::OkStatus();
  }
  context.out << RenderRegions(response.regions(), arguments.whole_text);
  context.err << Summary(response);
  return absl::OkStatus();
}

}  // namespace

void AddSearchCommand(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<SearchArguments>();
  CLI::App* command = app.add_subcommand("search", "Find the text that a question asks for, without an answer");
  command->add_option("SESSION", arguments->session, "\"sessions/x\" or \"x\"")->required();
  command->add_option("QUERY", arguments->query, "A question, or text like the one that is wanted, in quotes")
      ->required();
  AddEffortOption(command, &arguments->effort);
  command->add_option("--limit", arguments->limit, "At most this many regions of text")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_flag("--text", arguments->whole_text,
                    "Print the whole text of each region, not only of the sentence that was ranked");
  AddWaitOptions(command, &arguments->wait_for);
  command->footer(
      "Looks through everything that the session has read and prints the regions of text (64 tokens each, as a rule)\n"
      "that the query asks for, best first: the document, the range of bytes in it, and a score, which is the\n"
      "probability that the query was asked of this region rather than of another one found. Use it to give your own\n"
      "model the text that it needs. Searches never change a session.\n\n"
      "Examples:\n"
      "  tome search bible \"Who built the ark?\"\n"
      "  tome search bible \"Who built the ark?\" --limit 3 --text\n"
      "  tome search bible \"the ark of gopher wood\" --effort fast --output json | jq '.regions[0].range'\n");
  command->callback(
      [arguments, action] { *action = [arguments](Context& context) { return Search(*arguments, context); }; });
}

}  // namespace tome::command
