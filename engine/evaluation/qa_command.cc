#include <algorithm>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/evaluation/command_options.h"
#include "engine/evaluation/commands.h"
#include "engine/evaluation/finding.h"
#include "engine/evaluation/progress.h"
#include "engine/generation/prompt_form.h"

namespace tome {
namespace {

struct QaArguments {
  CommonOptions common;
  FindingOptions finding;
  NeedleOptions needles;
  std::string questions_path, document_path;
  std::vector<std::string> filler_paths;
  std::int64_t tokens = 0;
  int limit = 0, every = 1, skip = 0;
};

// The documents in reading order: the filler's first half, the document of the questions, the filler's second half.
struct Library {
  std::vector<std::string> documents;
  std::uint32_t asked = 0;               // the one that the questions are about
  std::vector<AskedQuestion> questions;  // about the needles in the filler
};

absl::StatusOr<std::string> JoinTexts(const std::vector<std::string>& paths) {
  std::string joined;
  for (const std::string& path : paths) {
    TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    joined += text;
    joined += "\n\n";
  }
  return joined;
}

// Cuts the haystack between two needles, near the middle.
Library SplitHaystack(const Haystack& haystack, std::string document) {
  std::size_t cut = haystack.text.find('\n', haystack.text.size() / 2);
  cut = cut == std::string::npos ? haystack.text.size() : cut + 1;
  for (const PlacedNeedle& placed : haystack.needles) {
    if (placed.bytes.begin < cut && cut < placed.bytes.end) cut = placed.bytes.begin;
  }
  const std::size_t asked_bytes = document.size(), total = haystack.text.size() + asked_bytes;
  Library library{.documents = {haystack.text.substr(0, cut), std::move(document), haystack.text.substr(cut)},
                  .asked = 1};
  for (const PlacedNeedle& placed : haystack.needles) {
    const bool late = placed.bytes.begin >= cut;
    const std::size_t place = placed.bytes.begin + (late ? asked_bytes : 0);
    AskedQuestion question = AskFor(placed, static_cast<double>(place) / static_cast<double>(total));
    question.document = late ? 2 : 0;
    const auto move = [&](ByteRange* range) {
      range->begin -= late ? cut : 0;
      range->end -= late ? cut : 0;
    };
    move(&question.evidence);
    for (ByteRange& answer : question.answers) move(&answer);
    library.questions.push_back(std::move(question));
  }
  return library;
}

absl::StatusOr<Library> MakeLibrary(const QaArguments& arguments, const Tokenizer& tokenizer) {
  TOME_ASSIGN_OR_RETURN(std::string document, ReadTextFile(arguments.document_path));
  if (arguments.filler_paths.empty()) return Library{.documents = {std::move(document)}};
  TOME_ASSIGN_OR_RETURN(const std::string filler, JoinTexts(arguments.filler_paths));
  const auto own = static_cast<std::int64_t>(tokenizer.Encode(document).size());
  if (arguments.tokens <= own + 2) {
    return InvalidArgument("--tokens: expected more than the document's {}, found {}", own, arguments.tokens);
  }
  std::vector<Needle> needles = arguments.needles.Make();
  TOME_ASSIGN_OR_RETURN(const std::string_view cut,
                        CutBesideNeedles(tokenizer, filler, arguments.tokens - own, needles));
  return SplitHaystack(HideNeedles(cut, std::move(needles), arguments.needles.seed), std::move(document));
}

absl::StatusOr<AskedQuestion> ParseQuestion(const std::string& line, const std::string& where,
                                            std::size_t document_bytes) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return InvalidArgument("{}: this is not a JSON object", where);
  AskedQuestion asked{.group = "questions"};
  try {
    asked.id = object.at("id").get<std::string>();
    asked.text = object.at("question").get<std::string>();
    asked.references = object.at("answers").get<std::vector<std::string>>();
    const auto bytes = object.at("answer_bytes").get<std::vector<std::size_t>>();
    if (bytes.size() != 2 || bytes[0] >= bytes[1] || bytes[1] > document_bytes) {
      return InvalidArgument("{}: answer_bytes: expected a range within the document's {} bytes", where,
                             document_bytes);
    }
    asked.evidence = {bytes[0], bytes[1]};
  } catch (const nlohmann::json::exception& error) {
    return InvalidArgument("{}: {}", where, error.what());
  }
  asked.answers = {asked.evidence};
  asked.form = QuestionAnswerPromptForm();
  return asked;
}

absl::StatusOr<std::vector<AskedQuestion>> LoadQuestions(const QaArguments& arguments, std::size_t document_bytes) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(arguments.questions_path));
  std::istringstream lines(text);
  std::vector<AskedQuestion> questions;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if ((number - 1 - arguments.skip) % arguments.every != 0 || number <= arguments.skip || line.empty()) continue;
    if (arguments.limit > 0 && static_cast<int>(questions.size()) == arguments.limit) break;
    TOME_ASSIGN_OR_RETURN(
        AskedQuestion asked,
        ParseQuestion(line, fmt::format("{}: line {}", arguments.questions_path, number), document_bytes));
    questions.push_back(std::move(asked));
  }
  if (questions.empty()) return InvalidArgument("{}: it has no questions", arguments.questions_path);
  return questions;
}

absl::Status RunQa(const QaArguments& arguments) {
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(arguments.finding));
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  TOME_ASSIGN_OR_RETURN(Library library, MakeLibrary(arguments, *model->tokenizer()));
  TOME_ASSIGN_OR_RETURN(std::vector<AskedQuestion> asked,
                        LoadQuestions(arguments, library.documents[library.asked].size()));
  TOME_ASSIGN_OR_RETURN(const Memory memory,
                        ReadOrRestore(model, arguments.common.memory, library.documents, arguments.common.state_path));
  for (AskedQuestion& question : asked) question.document = library.asked;
  std::move(library.questions.begin(), library.questions.end(), std::back_inserter(asked));
  std::vector<QuestionFigures> questions;
  Progress progress("asking questions", static_cast<std::int64_t>(asked.size()));
  for (const AskedQuestion& question : asked) {
    TOME_ASSIGN_OR_RETURN(QuestionFigures figures, EvaluateQuestion(memory, question, arguments.finding));
    questions.push_back(std::move(figures));
    progress.Show(static_cast<std::int64_t>(questions.size()));
  }
  fmt::print("{} tokens, {} regions, {} questions, at most {} tokens read again\n\n{}", memory.tokens_read(),
             memory.num_regions(), questions.size(), arguments.finding.budget_tokens, FormatFindings(questions));
  return arguments.common.WriteJson(FindingsToJson(questions));
}

}  // namespace

void AddQaCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<QaArguments>();
  CLI::App* command = app.add_subcommand("qa", "Answer questions with references about a document");
  arguments->common.Add(command);
  arguments->common.AddProfileAndState(command);
  AddFindingOptions(command, &arguments->finding);
  command
      ->add_option("questions", arguments->questions_path,
                   "JSON lines: id, question, answers, answer_bytes [begin, end] of the first answer")
      ->required();
  command->add_option("--documents", arguments->document_path, "The text that the questions are about")->required();
  CLI::Option* filler =
      command->add_option("--filler", arguments->filler_paths, "Texts to read before and after it, one after another");
  command->add_option("--tokens", arguments->tokens, "Tokens of all texts together")->needs(filler);
  AddNeedleOptions(command, &arguments->needles);
  command->add_option("--limit", arguments->limit, "Most questions to ask; 0: all")->capture_default_str();
  command->add_option("--every", arguments->every, "Ask each n-th question")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  command->add_option("--skip", arguments->skip, "Begin after so many questions")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  command->callback([arguments, run] { *run = [arguments] { return RunQa(*arguments); }; });
}

}  // namespace tome
