#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/evaluation/commands/answerer_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/qa_questions.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/generation/prompt_form.h"

namespace tome {
namespace {

struct QaArguments {
  FindingArguments finding;
  NeedleOptions needles;
  QaSelection selection;
  std::string questions_path, documents_path;
  std::vector<std::string> filler_paths;
  std::int64_t tokens = 0;
  std::string form = "profile";
  std::vector<std::string> asked;  // groups; empty: all
};

// The documents in reading order: the filler's first half, those of the questions, the filler's second half.
struct Library {
  std::vector<std::string> documents;
  std::vector<AskedQuestion> questions;
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

// Where the haystack is cut, near the middle and between two needles.
std::size_t MiddleOf(const Haystack& haystack) {
  std::size_t cut = haystack.text.find('\n', haystack.text.size() / 2);
  cut = cut == std::string::npos ? haystack.text.size() : cut + 1;
  for (const PlacedNeedle& placed : haystack.needles) {
    if (placed.bytes.begin < cut && cut < placed.bytes.end) cut = placed.bytes.begin;
  }
  return cut;
}

// Puts the two halves of the haystack around the documents, and asks for its needles as well.
void AddHaystack(const Haystack& haystack, Library* library) {
  const std::size_t cut = MiddleOf(haystack);
  std::size_t between = 0;
  for (const std::string& document : library->documents) between += document.size();
  for (AskedQuestion& question : library->questions) ++question.document;
  const auto last = static_cast<std::uint32_t>(library->documents.size() + 1);
  library->documents.insert(library->documents.begin(), haystack.text.substr(0, cut));
  library->documents.push_back(haystack.text.substr(cut));
  for (const PlacedNeedle& placed : haystack.needles) {
    const bool late = placed.bytes.begin >= cut;
    const std::size_t place = placed.bytes.begin + (late ? between : 0);
    AskedQuestion question =
        AskFor(placed, static_cast<double>(place) / static_cast<double>(haystack.text.size() + between));
    question.document = late ? last : 0;
    const auto move = [&](TextRange* range) {
      range->begin -= late ? cut : 0;
      range->end -= late ? cut : 0;
    };
    move(&question.evidence);
    for (TextRange& answer : question.answers) move(&answer);
    library->questions.push_back(std::move(question));
  }
}

// The file of a document that a question names, or of all questions when `path` is a file.
absl::StatusOr<std::string> DocumentPath(const std::string& path, const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  if (name.empty()) return InvalidArgument("{} is a folder, and a question does not name its document", path);
  for (const fs::path& candidate : {fs::path(path) / name, fs::path(path) / fs::path(name).filename()}) {
    if (fs::is_regular_file(candidate, ignored)) return candidate.string();
  }
  return NotFound("{}: it has no document '{}', which a question is about", path, name);
}

absl::StatusOr<Library> LoadLibrary(const QaArguments& arguments) {
  TOME_ASSIGN_OR_RETURN(std::vector<QaQuestion> questions,
                        LoadQaQuestions(arguments.questions_path, arguments.selection));
  Library library;
  std::map<std::string, std::uint32_t> numbers;  // of the documents, by their files
  for (QaQuestion& question : questions) {
    TOME_ASSIGN_OR_RETURN(const std::string path, DocumentPath(arguments.documents_path, question.document));
    const auto [number, is_new] = numbers.emplace(path, library.documents.size());
    if (is_new) {
      TOME_ASSIGN_OR_RETURN(library.documents.emplace_back(), ReadTextFile(path));
    }
    question.asked.document = number->second;
    const std::size_t size = library.documents[number->second].size();
    if (question.asked.evidence.end > size) {
      return InvalidArgument("{}: '{}': answer_bytes end at {}, and the document has {} bytes", path, question.asked.id,
                             question.asked.evidence.end, size);
    }
    library.questions.push_back(std::move(question.asked));
  }
  return library;
}

absl::StatusOr<Library> MakeLibrary(const QaArguments& arguments, const TokenBytes& token_bytes) {
  TOME_ASSIGN_OR_RETURN(Library library, LoadLibrary(arguments));
  if (arguments.filler_paths.empty()) return library;
  TOME_ASSIGN_OR_RETURN(const std::string filler, JoinTexts(arguments.filler_paths));
  std::int64_t own = 0;
  for (const std::string& document : library.documents) {
    TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> sizes, token_bytes(document));
    own += static_cast<std::int64_t>(sizes.size());
  }
  if (arguments.tokens <= own + 2) {
    return InvalidArgument("--tokens: expected more than the documents' {}, found {}", own, arguments.tokens);
  }
  std::vector<Needle> needles = arguments.needles.Make();
  TOME_ASSIGN_OR_RETURN(const std::string_view cut,
                        CutBesideNeedles(token_bytes, filler, arguments.tokens - own, needles));
  AddHaystack(HideNeedles(cut, std::move(needles), arguments.needles.seed), &library);
  return library;
}

// How the questions of the file are put; needles have forms of their own. None: as the model's profile has it.
std::optional<PromptForm> FormNamed(const std::string& name) {
  if (name == "raw") return RawPromptForm();
  if (name == "chat") return ChatPromptForm();
  return name == "qa" ? std::optional(QuestionAnswerPromptForm()) : std::nullopt;
}

absl::Status SelectQuestions(const QaArguments& arguments, Library* library) {
  std::vector<AskedQuestion> selected;
  for (AskedQuestion& question : library->questions) {
    const std::vector<std::string>& groups = arguments.asked;
    if (!groups.empty() && std::find(groups.begin(), groups.end(), question.group) == groups.end()) continue;
    if (question.group == kQaGroup) question.form = FormNamed(arguments.form);
    selected.push_back(std::move(question));
  }
  if (selected.empty()) return InvalidArgument("--ask: there are no such questions");
  library->questions = std::move(selected);
  return absl::OkStatus();
}

absl::Status RunQa(QaArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const std::unique_ptr<Answerer> answerer, arguments.finding.MakeAnswerer());
  TOME_ASSIGN_OR_RETURN(Library library, MakeLibrary(arguments, TokenBytesOf(*answerer)));
  TOME_RETURN_IF_ERROR(SelectQuestions(arguments, &library));
  return arguments.finding.AskAll(library.documents, library.questions, *answerer);
}

}  // namespace

void AddQaCommand(CLI::App& app, const AnswererFactory& connect, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<QaArguments>();
  CLI::App* command = app.add_subcommand("qa", "Answer questions with references about a document");
  arguments->finding.Add(command, connect);
  command
      ->add_option("questions", arguments->questions_path,
                   "JSON lines as of SQuAD (id, question, answers, document, answer_bytes [begin, end] of the first "
                   "answer) or NarrativeQA (question, answer1, answer2, file)")
      ->required();
  command
      ->add_option("--documents", arguments->documents_path,
                   "The text that the questions are about, or the folder of the texts that they name")
      ->required();
  command->add_option("--only", arguments->selection.documents, "Only questions about documents with this in the name");
  CLI::Option* filler = command->add_option("--filler", arguments->filler_paths,
                                            "Texts to read before and after them, one after another");
  command->add_option("--tokens", arguments->tokens, "Tokens of all texts together")->needs(filler);
  AddNeedleOptions(command, &arguments->needles);
  command
      ->add_option("--ask", arguments->asked,
                   "Ask only these: questions (of the file), paraphrased, or a kind of needle: pass-key, number, ...")
      ->delimiter(',');
  command
      ->add_option("--form", arguments->form,
                   "How questions of the file are put: profile (the model profile's form, else qa), qa (Question: ... "
                   "Answer:), chat (the model's template), raw")
      ->capture_default_str()
      ->check(CLI::IsMember({"profile", "qa", "chat", "raw"}));
  command->add_option("--limit", arguments->selection.limit, "Most questions to ask; 0: all")->capture_default_str();
  command->add_option("--every", arguments->selection.every, "Ask each n-th question")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  command->add_option("--skip", arguments->selection.skip, "Begin after so many questions")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  command->callback([arguments, run] { *run = [arguments] { return RunQa(*arguments); }; });
}

}  // namespace tome
