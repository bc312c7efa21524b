#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/commands/answerer_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/needles.h"
#include "engine/evaluation/questions/reading.h"

namespace tome {
namespace {

struct NeedleArguments {
  FindingArguments finding;
  std::string text_path;
  std::int64_t tokens = 131072;
  NeedleOptions needles{.verbatim = 50, .paraphrased = kFactsInSet};
};

double Depth(const PlacedNeedle& placed, const std::string& text) {
  return static_cast<double>(placed.bytes.begin) / static_cast<double>(text.size());
}

absl::Status RunNeedle(NeedleArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(arguments.text_path));
  TOME_ASSIGN_OR_RETURN(const std::unique_ptr<Answerer> answerer, arguments.finding.MakeAnswerer());
  std::vector<Needle> needles = arguments.needles.Make();
  TOME_ASSIGN_OR_RETURN(const std::string_view book,
                        CutBesideNeedles(TokenBytesOf(*answerer), text, arguments.tokens, needles));
  const Haystack haystack = HideNeedles(book, std::move(needles), arguments.needles.seed);
  std::vector<AskedQuestion> questions;
  for (const PlacedNeedle& placed : haystack.needles) questions.push_back(AskFor(placed, Depth(placed, haystack.text)));
  return arguments.finding.AskAll({haystack.text}, questions, *answerer);
}

}  // namespace

void AddNeedleCommand(CLI::App& app, const AnswererFactory& connect, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<NeedleArguments>();
  CLI::App* command = app.add_subcommand("needle", "Find needles hidden in a long text");
  arguments->finding.Add(command, connect);
  command->add_option("--text", arguments->text_path, "Text to hide needles in")->required();
  command->add_option("--tokens", arguments->tokens, "Tokens of text with needles")->capture_default_str();
  AddNeedleOptions(command, &arguments->needles);
  command->callback([arguments, run] { *run = [arguments] { return RunNeedle(*arguments); }; });
}

}  // namespace tome
